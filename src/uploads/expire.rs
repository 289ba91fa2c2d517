//! Expire: sweep up what nobody came back for, and see through what was left half done.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Uploads;
use super::claims::{Claim, Manner};
use crate::db::SweepRecord;
use crate::domain::{State, Upload};
use crate::error::Error;
use crate::metrics::Background;

/// Uploads that one round looks at.
pub(super) const BATCH: u32 = 100;

/// The claim that makes one instance sweep.
const SWEEPER: &str = "sweeper";

/// A completion that nothing was heard of for this long is asked for again.
const STUCK: TimeDelta = TimeDelta::minutes(2);

/// How long the request takes at most with which a client ends an upload itself.
const LAST_REQUEST: Duration = Duration::from_hours(1);

/// How far ahead the end of a policy may be that a page has written.
const LONGEST_POLICY: Duration = Duration::from_mins(15);

/// Leases that ran out this long ago are of processes that died.
const FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were given up.
    pub expired: usize,
    /// Uploads whose interrupted completion came to its end.
    pub completed: usize,
    /// Leftovers in the storage that were dropped.
    pub strays: usize,
    /// Uploads that could be neither given up nor completed for now, leftovers that could not be dropped, and storages that
    /// could not be looked through for them.
    pub failed: usize,
}

impl Uploads {
    /// Gives up every unfinished upload whose time is over, ends completions that were interrupted, and, where
    /// `with_strays`, drops what lies in the storages and belongs to nothing. Of several instances one does it at a
    /// time; `None` where another is at it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database. What a storage does not take back is tried in the next round.
    pub async fn sweep(&self, with_strays: bool) -> Result<Option<Swept>, Error> {
        let mut swept = Swept::default();
        let outcome = self.sweep_in_turn(with_strays, &mut swept).await;
        let failed = swept.failed + usize::from(outcome.is_err());
        self.0.metrics.background_failed(Background::Sweep, failed as u64);
        outcome.map(|was_our_turn| was_our_turn.then_some(swept))
    }

    /// Sweeps, unless another instance is at it: false then.
    async fn sweep_in_turn(&self, with_strays: bool, swept: &mut Swept) -> Result<bool, Error> {
        // One that is just ending is waited for.
        let turn = match self.0.claims.take(SWEEPER.to_owned(), Manner::LOOK).await {
            Err(Error::Busy(_)) => return Ok(false),
            turn => turn?,
        };
        let began_at = self.now();
        let outcome = self.sweep_all(&turn, with_strays, swept).await;
        self.record_sweep(began_at, *swept, outcome.as_ref().err()).await;
        // `muleteer sweep` is gone a moment later, and would leave its turn to run out.
        turn.end().await;
        outcome.map(|()| true)
    }

    /// Keeps what a round did, for the admin pages; a round that cannot be written down was done all the same.
    async fn record_sweep(&self, began_at: DateTime<Utc>, swept: Swept, error: Option<&Error>) {
        let count = |count: usize| count.try_into().unwrap_or(u64::MAX);
        let record = SweepRecord {
            began_at,
            ended_at: self.now(),
            rounds: 1,
            expired: count(swept.expired),
            completed: count(swept.completed),
            strays: count(swept.strays),
            failed: count(swept.failed),
            error: error.map(ToString::to_string),
        };
        if let Err(error) = self.0.db.record_sweep(record).await {
            tracing::warn!(%error, "what the sweeper did is not written down");
        }
    }

    /// What was done is counted as it is done: of a round that ends early that is all there is to tell.
    async fn sweep_all(&self, turn: &Claim, with_strays: bool, swept: &mut Swept) -> Result<(), Error> {
        self.sweep_expired(turn, swept).await?;
        self.complete_stuck(turn, swept).await?;
        swept.strays += self.recheck_all(turn).await?;
        if with_strays {
            self.sweep_strays(swept).await?;
        }
        self.0.db.purge_leases(self.now() - FORGOTTEN).await?;
        self.0.db.purge_reservations().await?;
        Ok(())
    }

    async fn sweep_expired(&self, turn: &Claim, swept: &mut Swept) -> Result<(), Error> {
        let mut left = 0;
        loop {
            // What failed would come again at once, before all that follows it.
            let expired = self.0.db.expired_uploads(self.now(), BATCH, left).await?;
            let full = expired.len() == BATCH as usize;
            for upload in expired {
                match self.expire(&upload).await {
                    Ok(State::Expired) => swept.expired += 1,
                    // Somebody is at it again after all.
                    Ok(State::Open | State::Completing) | Err(Error::Busy(_)) => left += 1,
                    Ok(_) => {}
                    Err(error) => {
                        left += 1;
                        swept.failed += 1;
                        tracing::warn!(upload = %upload.id, %error, "an expired upload stays for now");
                    }
                }
            }
            if !full || !turn.is_ours() {
                return Ok(());
            }
        }
    }

    /// Gives up an upload whose time is over, unless somebody sends to it or completes it just now; gives its state.
    async fn expire(&self, upload: &Upload) -> Result<State, Error> {
        let (_alone, upload) = self.alone(upload, Manner::UNTAKEN, Manner::UNTAKEN).await?;
        if !upload.state.is_unfinished() || upload.expires_at > self.now() {
            return Ok(upload.state);
        }
        if self.is_quarantined(&upload).await? {
            return Ok(State::Completing);
        }
        self.give_up(&upload, State::Expired).await
    }

    /// A process that was killed while it completed an upload may have left it whole and unsaid; and a client that ends
    /// an upload itself tells nobody.
    async fn complete_stuck(&self, turn: &Claim, swept: &mut Swept) -> Result<(), Error> {
        let mut left = 0;
        loop {
            let before = self.now() - STUCK;
            // What is left would come again at once, before all that follows it.
            let stuck = self.0.db.stuck_completions(before, BATCH, left).await?;
            let full = stuck.len() == BATCH as usize;
            for upload in stuck {
                match self.see_to_completion(&upload).await {
                    Ok(true) => swept.completed += 1,
                    // It may not be stuck, and only take that long.
                    Ok(false) | Err(Error::Busy(_) | Error::StillCompleting) => left += 1,
                    Err(error) => {
                        left += 1;
                        swept.failed += 1;
                        tracing::warn!(upload = %upload.id, %error, "a completion stays unfinished for now");
                    }
                }
            }
            if !full || !turn.is_ours() {
                return Ok(());
            }
        }
    }

    /// Ends a completion, or finds out that its client has; false where that may still come. Of which parts a file is made
    /// that we did not cut, only its client can say.
    async fn see_to_completion(&self, upload: &Upload) -> Result<bool, Error> {
        if upload.cut.is_ours() {
            return self.complete_if_free(&upload.id).await.map(|_| true);
        }
        let _turn = self.turn_to_complete(&upload.id, Manner::UNTAKEN).await?;
        let upload = &self.as_recorded(&upload.id).await?;
        if !upload.state.is_unfinished() {
            return Ok(true);
        }
        if self.find_whole(upload).await?.is_some() {
            return Ok(true);
        }
        // What was signed for it is of no use any more, unless its last request is still under way. Then it is found
        // when somebody asks, or when its time is over.
        if upload.updated_at + self.signed_for() < self.now() {
            self.change(&upload.id, &[State::Completing], State::Open).await?;
        }
        Ok(false)
    }

    /// How long the last request that was just signed for an upload may still be under way, with whatever signature.
    pub(super) fn signed_for(&self) -> Duration {
        self.url_lifetime().max(LONGEST_POLICY) + LAST_REQUEST
    }

    /// The same of a request that brings a whole object.
    pub(super) fn whole_signed_for(&self) -> Duration {
        self.whole_lifetime().max(LONGEST_POLICY) + LAST_REQUEST
    }
}
