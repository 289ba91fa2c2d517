//! Claims: who sends a part, or appends to an upload, just now, so that two requests never mix their bytes.
//!
//! Separate from the verbs that receive, because a claim lives in two places: in this process (`slot`), and as a lease in
//! the database, where other instances see it. Either way a newcomer can make the holder let go within a second. A lease
//! of a process that was killed runs out by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::sync::watch;

use super::holder;
use super::slot::{Slot, Urgency, Watch, Wish};
use crate::clock::Clock;
use crate::db::Database;
use crate::error::Error;

/// How long a lease lasts that nobody renews: so long a newcomer waits for a process that was killed on another machine.
const LEASE: TimeDelta = TimeDelta::seconds(2);

/// How often a process looks whether other instances want its leases.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// With every how many of these looks leases are renewed: every half second, so that three renewals may fail or be late.
/// It is one statement for all leases of a process, however many there are.
const LOOKS_TO_RENEWAL: u32 = 2;

/// How often a newcomer looks at another instance's lease.
const GLANCE: Duration = Duration::from_millis(100);

/// How a claim is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// How whoever has it is asked for it; `None` does not ask.
    pub(super) urgency: Option<Urgency>,
    /// How long it is waited for.
    pub(super) patience: Duration,
    /// Whether what it receives ends when this process is about to.
    pub(super) ends_on_stop: bool,
}

impl Manner {
    /// For a part, which counts as a whole only, and is done soon.
    pub(super) const PART: Self = Self {
        urgency: Some(Urgency::WhenIdle),
        patience: Duration::from_mins(2),
        ends_on_stop: false,
    };

    /// For bytes that are appended by whoever came last. A storage that is slow to take what has come may need its time;
    /// for longer waits the client has its retries.
    pub(super) const TAKE_OVER: Self = Self {
        urgency: Some(Urgency::AtOnce),
        patience: Duration::from_secs(20),
        ends_on_stop: true,
    };

    /// For bytes that are appended by whoever came first, unless they have gone silent.
    pub(super) const IF_FREE: Self = Self {
        urgency: Some(Urgency::WhenIdle),
        patience: Duration::from_millis(1500),
        ends_on_stop: true,
    };

    /// For a look, or for sweeping up: nobody is disturbed who is at it.
    pub(super) const UNTAKEN: Self = Self {
        urgency: None,
        patience: Duration::ZERO,
        ends_on_stop: false,
    };

    /// For a look at what a client may have ended, or for sweeping: another's is soon over, or need not be waited for.
    pub(super) const LOOK: Self = Self {
        urgency: None,
        patience: Duration::from_secs(2),
        ends_on_stop: false,
    };

    /// For putting an upload together, which nobody can hurry.
    pub(super) const TURN: Self = Self {
        urgency: None,
        patience: Duration::from_mins(10),
        ends_on_stop: false,
    };
}

/// Everything that is claimed by this process.
#[derive(Clone)]
pub(super) struct Claims(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    /// This process, by a name that no other has.
    holder: String,
    held: Mutex<Held>,
    /// Whether this process is about to end.
    is_stopping: watch::Sender<bool>,
}

/// What is claimed, and whether a task renews it.
#[derive(Default)]
struct Held {
    slots: HashMap<String, Arc<Slot>>,
    is_renewed: bool,
}

/// The right to send one thing; it ends when it is dropped.
pub(super) struct Claim {
    claims: Claims,
    name: String,
    slot: Arc<Slot>,
}

impl Claims {
    /// No claims yet, for a process of its own.
    pub(super) fn new(db: Database, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            db,
            clock,
            holder: holder::own_name(),
            held: Mutex::new(Held::default()),
            is_stopping: watch::Sender::new(false),
        }))
    }

    /// Ends the bodies of all holders that [end on a stop](Manner::ends_on_stop), now and from now on: what they have
    /// received is kept, and their clients go on later.
    pub(super) fn stop(&self) {
        self.0.is_stopping.send_replace(true);
    }

    /// Whether this process is about to end, now and from now on.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.is_stopping.subscribe()
    }

    /// Takes a lease for this process, also from one that has died; false where another has it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    async fn lease(&self, name: &str) -> Result<bool, Error> {
        let (db, own) = (&self.0.db, &self.0.holder);
        let now = self.0.clock.now();
        if db.take_lease(name, own, now, now + LEASE).await? {
            return Ok(true);
        }
        let holder = db.lease_holder(name).await?;
        let Some(dead) = holder.filter(|holder| holder::has_died(holder)) else {
            return Ok(false);
        };
        db.release_lease(name, &dead).await?;
        db.take_lease(name, own, now, now + LEASE).await
    }

    /// Gives a lease back that [`lease`](Self::lease) took.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    async fn release(&self, name: &str) -> Result<(), Error> {
        self.0.db.release_lease(name, &self.0.holder).await
    }

    /// Claims `name`, once whoever has it has finished, made way, or died.
    ///
    /// # Errors
    /// [`Error::Busy`] where that takes too long, [`Error::Unavailable`] from the database.
    pub(super) async fn take(&self, name: String, manner: Manner) -> Result<Claim, Error> {
        let deadline = Instant::now() + manner.patience;
        let claim = loop {
            let other = match self.enter(&name, manner) {
                Ok(claim) => break claim,
                Err(other) => other,
            };
            let mut released = std::pin::pin!(other.released.notified());
            released.as_mut().enable();
            // It may have been released just before we began to listen.
            if let Ok(claim) = self.enter(&name, manner) {
                break claim;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(BUSY);
            }
            let _wish = manner.urgency.map(|urgency| Wish::new(other.clone(), urgency));
            // Whether it was released or time is up, the next round says.
            let _ = tokio::time::timeout(left, released).await;
        };
        loop {
            let until = self.0.clock.now() + LEASE;
            if self.lease(&name).await? {
                claim.slot.lasts_until(until);
                return Ok(claim);
            }
            if Instant::now() >= deadline {
                if manner.urgency.is_some() {
                    // Others who still want it say so again.
                    self.0.db.unwant_lease(&name).await?;
                }
                return Err(BUSY);
            }
            if let Some(urgency) = manner.urgency {
                self.0.db.want_lease(&name, urgency.level()).await?;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The first to come has it within this process; the others get a look at its slot.
    fn enter(&self, name: &str, manner: Manner) -> Result<Claim, Arc<Slot>> {
        let mut held = self.held();
        if let Some(slot) = held.slots.get(name) {
            return Err(slot.clone());
        }
        let slot = Arc::new(Slot::new(manner.ends_on_stop));
        held.slots.insert(name.to_owned(), slot.clone());
        // One task for all of them, however they come and go.
        if !held.is_renewed {
            held.is_renewed = true;
            tokio::spawn(self.clone().renew());
        }
        Ok(Claim {
            claims: self.clone(),
            name: name.to_owned(),
            slot,
        })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews all leases together, and hears of those that others want, for as long as there are some.
    async fn renew(self) {
        let mut looks = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let slots: HashMap<String, Arc<Slot>> = {
                let mut held = self.held();
                if held.slots.is_empty() {
                    held.is_renewed = false;
                    return;
                }
                held.slots.clone()
            };
            // First what keeps the leases: a slow database must not have the other question asked before it.
            looks += 1;
            if looks % LOOKS_TO_RENEWAL == 0 {
                self.renew_all(&slots).await;
            }
            match self.0.db.wanted_leases(&self.0.holder).await {
                Ok(wanted) => {
                    let levels: HashMap<String, i32> = wanted.into_iter().collect();
                    for (name, slot) in &slots {
                        slot.wanted_elsewhere(levels.get(name).copied().and_then(Urgency::of_level));
                    }
                }
                Err(error) => tracing::warn!(%error, "nobody can ask for our leases just now"),
            }
        }
    }

    async fn renew_all(&self, slots: &HashMap<String, Arc<Slot>>) {
        let until = self.0.clock.now() + LEASE;
        let names: Vec<String> = slots.keys().cloned().collect();
        match self.0.db.renew_leases(&self.0.holder, names, until).await {
            Ok(renewed) => {
                for slot in renewed.iter().filter_map(|name| slots.get(name)) {
                    slot.lasts_until(until);
                }
            }
            // What is not renewed runs out, and its holder stops.
            Err(error) => tracing::warn!(%error, "leases could not be renewed"),
        }
    }
}

const BUSY: Error = Error::Busy("somebody else sends the same just now; try again");

impl Claim {
    /// Whether it is still ours: its lease was renewed in time.
    pub(super) fn is_ours(&self) -> bool {
        !self.slot.has_run_out(self.claims.0.clock.now())
    }

    /// What tells its holder how it stands.
    pub(super) fn watch(&self) -> Watch {
        let clock = self.claims.0.clock.clone();
        Watch::new(self.slot.clone(), self.claims.stopping(), clock)
    }

    /// Lets go, and waits until others can see it. One that is merely dropped does so a moment later.
    pub(super) async fn end(mut self) {
        // Seen through even where whoever waits for it is not.
        let _ = tokio::spawn(self.let_go()).await;
    }

    /// Does what is to be done once, whoever waits for it.
    fn let_go(&mut self) -> impl Future<Output = ()> + use<> {
        let (claims, slot) = (self.claims.clone(), self.slot.clone());
        let name = std::mem::take(&mut self.name);
        async move {
            // The lease goes first: a newcomer in this process must not find its own predecessor there.
            if let Err(error) = claims.release(&name).await {
                tracing::warn!(%error, "a lease could not be released, and will run out");
            }
            claims.held().slots.remove(&name);
            slot.released.notify_waiters();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return; // ended already
        }
        let release = self.let_go();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(release);
        }
    }
}
