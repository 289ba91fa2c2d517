//! Keeping credentials fresh: those at hand serve every request, while a task looks for the next.
//!
//! Separate from the places that give them, because when to ask is a matter of times alone. Nobody waits for a renewal whose
//! credentials are still good; where they have ended, or the store refuses them, everybody waits for the same one.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;

use super::places::{Given, Places};
use crate::clock::Clock;
use crate::error::Error;
use crate::metrics::{Metrics, Renewed};
use crate::signing::Credentials;

/// Others are looked for so long before an end, or at half of what is left, if that is later: an instance has them five
/// minutes before the end at the latest.
const EARLY: TimeDelta = TimeDelta::minutes(15);

/// Pauses between two looks that bring nothing new: a tenth of what is left, within these bounds.
const SHORTEST_PAUSE: TimeDelta = TimeDelta::seconds(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Longest sleep of the task, since the machine's may go on while the clock does not.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Credentials, and the task that renews them.
pub(super) struct Renewal {
    places: Places,
    clock: Clock,
    metrics: Metrics,
    kept: RwLock<Kept>,
    /// Held by whoever asks; when that was last done, whatever came of it.
    asking: Mutex<DateTime<Utc>>,
    /// Wakes the task.
    bell: Arc<Notify>,
    task: OnceLock<AbortHandle>,
}

#[derive(Clone)]
struct Kept {
    credentials: Arc<Credentials>,
    place: &'static str,
    /// When to look for others; `None` for those that do not end.
    due: Option<DateTime<Utc>>,
}

impl Renewal {
    /// Asks for the first, and starts the task.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what each place said; [`Error::CredentialsExpired`] where the one that is set up gives some
    /// that have ended.
    pub async fn start(places: Places, clock: Clock, metrics: Metrics) -> Result<Arc<Self>, Error> {
        let given = places.ask().await;
        let given = given.map_err(|said| Error::unavailable("the credential chain", said))?;
        let now = clock.now();
        if given.credentials.is_over(now) {
            tracing::error!(
                place = given.place,
                "the store's credentials had ended when they were given"
            );
            return Err(Error::CredentialsExpired);
        }
        announce(&given);
        let renewal = Arc::new(Self {
            places,
            kept: RwLock::new(Kept::new(given, now)),
            asking: Mutex::new(now),
            clock,
            metrics,
            bell: Arc::default(),
            task: OnceLock::new(),
        });
        let task = tokio::spawn(run(Arc::downgrade(&renewal), renewal.bell.clone()));
        let _ = renewal.task.set(task.abort_handle());
        Ok(renewal)
    }

    /// Those at hand, or, where these have ended, the next.
    pub async fn current(&self, now: DateTime<Utc>) -> Result<Arc<Credentials>, Error> {
        let kept = self.kept();
        if kept.due.is_some_and(|due| due <= now) {
            self.bell.notify_one();
        }
        if !kept.credentials.is_over(now) {
            return Ok(kept.credentials);
        }
        self.replace(&kept.credentials).await;
        let kept = self.kept();
        if kept.credentials.is_over(now) {
            return Err(Error::CredentialsExpired);
        }
        Ok(kept.credentials)
    }

    /// Looks for others than `used`, unless somebody just has; whether there are others now.
    pub async fn replace(&self, used: &Credentials) -> bool {
        let mut asked = self.asking.lock().await;
        if !self.kept().credentials.is_same(used) {
            return true;
        }
        let since = self.clock.now() - *asked;
        if since >= TimeDelta::zero() && since < SHORTEST_PAUSE {
            return false;
        }
        let renewed = self.renew().await;
        *asked = self.clock.now();
        renewed
    }

    pub fn place(&self) -> &'static str {
        self.kept().place
    }

    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.kept().credentials.expires_at
    }

    fn kept(&self) -> Kept {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, kept: Kept) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    async fn renew(&self) -> bool {
        let outcome = self.places.ask().await;
        let (now, old) = (self.clock.now(), self.kept());
        let complaint = match outcome {
            Ok(given) if given.credentials.is_over(now) => {
                format!("{} gives credentials that have ended", given.place)
            }
            Ok(given) if given.credentials.is_same(&old.credentials) => {
                self.metrics.credentials_renewed(Renewed::Unchanged);
                self.keep(old.put_off(now));
                return false;
            }
            Ok(given) => {
                announce(&given);
                self.metrics.credentials_renewed(Renewed::Others);
                self.keep(Kept::new(given, now));
                return true;
            }
            Err(said) => said,
        };
        self.metrics.credentials_renewed(Renewed::Failed);
        tracing::warn!(
            complaint,
            credential = old.credentials.access_key_id,
            ends = old.credentials.expires_at.map(|end| end.to_rfc3339()),
            "the store's credentials cannot be renewed; those at hand serve until they end"
        );
        self.keep(old.put_off(now));
        false
    }

    /// How long the task may sleep; nothing where a look is due.
    fn rest(&self) -> Option<Duration> {
        let due = self.kept().due?;
        let rest = (due - self.clock.now()).to_std().unwrap_or_default();
        Some(rest.min(LONGEST_SLEEP))
    }

    async fn renew_if_due(&self) {
        let kept = self.kept();
        if kept.due.is_some_and(|due| due <= self.clock.now()) {
            self.replace(&kept.credentials).await;
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Kept {
    fn new(Given { credentials, place }: Given, now: DateTime<Utc>) -> Self {
        let due = credentials.expires_at.map(|end| end - EARLY.min((end - now) / 2));
        Self {
            credentials: Arc::new(credentials),
            place,
            due,
        }
    }

    /// The same, to be looked at again after a pause.
    fn put_off(self, now: DateTime<Utc>) -> Self {
        let pause = |end: DateTime<Utc>| ((end - now) / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let due = self.credentials.expires_at.map(|end| now + pause(end));
        Self { due, ..self }
    }
}

async fn run(renewal: Weak<Renewal>, bell: Arc<Notify>) {
    loop {
        let Some(rest) = renewal.upgrade().map(|renewal| renewal.rest()) else {
            return;
        };
        let rung = bell.notified();
        match rest {
            None => rung.await,
            Some(rest) => {
                let _ = tokio::time::timeout(rest, rung).await;
            }
        }
        if let Some(renewal) = renewal.upgrade() {
            renewal.renew_if_due().await;
        }
    }
}

fn announce(Given { credentials, place }: &Given) {
    tracing::info!(
        place,
        credential = credentials.access_key_id,
        ends = credentials.expires_at.map(|end| end.to_rfc3339()),
        "the store's credentials are there"
    );
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 5, 5, 10, 0, 0).unwrap()
    }

    fn kept(left: TimeDelta) -> Kept {
        let credentials = Credentials {
            expires_at: Some(now() + left),
            ..Credentials::long_term("AKID", "secret")
        };
        let place = "a test";
        Kept::new(Given { credentials, place }, now())
    }

    #[test]
    fn others_are_looked_for_a_quarter_of_an_hour_before_the_end_or_at_half_of_a_short_life() {
        assert_eq!(
            kept(TimeDelta::hours(6)).due,
            Some(now() + TimeDelta::minutes(345))
        );
        assert_eq!(
            kept(TimeDelta::seconds(4)).due,
            Some(now() + TimeDelta::seconds(2))
        );
    }

    #[test]
    fn looks_that_bring_nothing_come_closer_together_but_never_in_a_rush() {
        let again = |left| {
            let due = kept(left).put_off(now()).due;
            due.map(|due| due - now())
        };

        assert_eq!(again(TimeDelta::hours(6)), Some(TimeDelta::minutes(1)));
        assert_eq!(again(TimeDelta::minutes(5)), Some(TimeDelta::seconds(30)));
        assert_eq!(again(TimeDelta::seconds(2)), Some(TimeDelta::seconds(1)));
        assert_eq!(again(TimeDelta::seconds(-9)), Some(TimeDelta::seconds(1)));
    }
}
