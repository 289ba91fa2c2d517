//! Claims: who sends a part, or appends to an upload, just now, so that two requests never mix their bytes.
//!
//! Separate from the verbs that receive, because a claim lives in two places: in this process, and as a lease in the
//! database, where other instances see it. Either way a newcomer can make the holder let go within a second. A lease
//! of a process that was killed runs out by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, watch};

use super::holder;
use crate::clock::Clock;
use crate::db::Database;
use crate::error::Error;
use crate::storage::BodyError;

/// How long a lease lasts that nobody renews.
const LEASE: TimeDelta = TimeDelta::seconds(8);

/// How often a process looks whether other instances want its leases.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// With every how many of these looks leases are renewed: every two seconds.
const LOOKS_TO_RENEWAL: u32 = 8;

/// A holder that has received nothing for this long makes way for a newcomer.
const IDLE: Duration = Duration::from_secs(1);

/// Who is asked to make way takes for this long what has come already, for as long as it goes on coming without a pause
/// such as this: bytes that have reached us are not thrown away because their client was quick to come back.
const LAST_BYTES: Duration = Duration::from_millis(250);

/// See [`LAST_BYTES`].
const A_PAUSE: Duration = Duration::from_millis(20);

/// A client that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// How often a newcomer looks at another instance's lease.
const GLANCE: Duration = Duration::from_millis(100);

/// How a newcomer asks the holder of a claim to make way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Once it has been idle for a second: two requests send the same, so the first may as well finish.
    WhenIdle,
    /// At once: a client that comes back has given up its old connection, whatever that may still deliver.
    AtOnce,
}

impl Urgency {
    /// As it stands in a lease that is wanted; 0 is one that nobody wants.
    fn level(self) -> i32 {
        match self {
            Self::WhenIdle => 1,
            Self::AtOnce => 2,
        }
    }

    fn of_level(level: i32) -> Option<Self> {
        [Self::WhenIdle, Self::AtOnce]
            .into_iter()
            .find(|urgency| urgency.level() == level)
    }
}

/// How a claim is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// How whoever has it is asked for it.
    pub(super) urgency: Urgency,
    /// How long it is waited for.
    pub(super) patience: Duration,
    /// Whether what it receives ends when this process is about to.
    pub(super) ends_on_stop: bool,
}

impl Manner {
    /// For a part, which counts as a whole only, and is done soon.
    pub(super) const PART: Self = Self {
        urgency: Urgency::WhenIdle,
        patience: Duration::from_mins(2),
        ends_on_stop: false,
    };

    /// For bytes that are appended by whoever came last. A storage that is slow to take what has come may need its time;
    /// for longer waits the client has its retries.
    pub(super) const TAKE_OVER: Self = Self {
        urgency: Urgency::AtOnce,
        patience: Duration::from_secs(20),
        ends_on_stop: true,
    };

    /// For bytes that are appended by whoever came first, unless they have gone silent.
    pub(super) const IF_FREE: Self = Self {
        urgency: Urgency::WhenIdle,
        patience: Duration::from_millis(1500),
        ends_on_stop: true,
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

/// One claim, as its holder and those who wait see it.
struct Slot {
    ends_on_stop: bool,
    wanted: watch::Sender<Option<Urgency>>,
    released: Notify,
    /// Until when the lease is ours, in microseconds since 1970.
    until: AtomicI64,
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
    pub(super) async fn lease(&self, name: &str, lasts: TimeDelta) -> Result<bool, Error> {
        let (db, own) = (&self.0.db, &self.0.holder);
        let now = self.0.clock.now();
        if db.take_lease(name, own, now, now + lasts).await? {
            return Ok(true);
        }
        let holder = db.lease_holder(name).await?;
        let Some(dead) = holder.filter(|holder| holder::has_died(holder)) else {
            return Ok(false);
        };
        db.release_lease(name, &dead).await?;
        db.take_lease(name, own, now, now + lasts).await
    }

    /// Gives a lease back that [`lease`](Self::lease) took.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub(super) async fn release(&self, name: &str) -> Result<(), Error> {
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
            other.want(manner.urgency);
            if tokio::time::timeout(GLANCE, released).await.is_err() && Instant::now() > deadline {
                return Err(BUSY);
            }
        };
        loop {
            let until = self.0.clock.now() + LEASE;
            if self.lease(&name, LEASE).await? {
                claim
                    .slot
                    .until
                    .store(until.timestamp_micros(), Ordering::Relaxed);
                return Ok(claim);
            }
            if Instant::now() > deadline {
                return Err(BUSY);
            }
            self.0.db.want_lease(&name, manner.urgency.level()).await?;
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The first to come has it within this process; the others get a look at its slot.
    fn enter(&self, name: &str, manner: Manner) -> Result<Claim, Arc<Slot>> {
        let mut held = self.held();
        if let Some(slot) = held.slots.get(name) {
            return Err(slot.clone());
        }
        let slot = Arc::new(Slot {
            ends_on_stop: manner.ends_on_stop,
            wanted: watch::Sender::new(None),
            released: Notify::new(),
            until: AtomicI64::new(i64::MAX),
        });
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
            match self.0.db.wanted_leases(&self.0.holder).await {
                Ok(wanted) => {
                    for (name, level) in wanted {
                        if let (Some(slot), Some(urgency)) = (slots.get(&name), Urgency::of_level(level)) {
                            slot.want(urgency);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "nobody can ask for our leases just now"),
            }
            looks += 1;
            if looks % LOOKS_TO_RENEWAL == 0 {
                self.renew_all(&slots).await;
            }
        }
    }

    async fn renew_all(&self, slots: &HashMap<String, Arc<Slot>>) {
        let now = self.0.clock.now();
        let until = now + LEASE;
        let names: Vec<String> = slots.keys().cloned().collect();
        match self.0.db.renew_leases(&self.0.holder, names, now, until).await {
            Ok(renewed) => {
                for slot in renewed.iter().filter_map(|name| slots.get(name)) {
                    slot.until.store(until.timestamp_micros(), Ordering::Relaxed);
                }
            }
            // What is not renewed runs out, and its holder stops.
            Err(error) => tracing::warn!(%error, "leases could not be renewed"),
        }
    }
}

const BUSY: Error = Error::Busy("somebody else sends the same just now; try again");

impl Slot {
    /// Asks its holder to make way; a milder wish than one before changes nothing.
    fn want(&self, urgency: Urgency) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = *wanted < Some(urgency);
            *wanted = (*wanted).max(Some(urgency));
            is_new
        });
    }

    fn has_run_out(&self, now: DateTime<Utc>) -> bool {
        self.until.load(Ordering::Relaxed) <= now.timestamp_micros()
    }
}

/// Tells a holder that receives nothing just now when it must let go.
pub(super) struct Loss {
    slot: Arc<Slot>,
    wanted: watch::Receiver<Option<Urgency>>,
    is_stopping: watch::Receiver<bool>,
    clock: Clock,
}

impl Loss {
    /// Waits until somebody wants the claim, its lease has run out, or this process is about to end.
    pub(super) async fn wait(&mut self) -> BodyError {
        loop {
            tokio::select! {
                _ = self.wanted.wait_for(Option::is_some) => return BodyError::Superseded,
                _ = self.is_stopping.wait_for(|is_stopping| *is_stopping) => return BodyError::Stopped,
                () = tokio::time::sleep(IDLE) => {}
            }
            if self.slot.has_run_out(self.clock.now()) {
                return BodyError::Superseded;
            }
        }
    }
}

impl Claim {
    /// What tells when it is lost.
    pub(super) fn loss(&self) -> Loss {
        Loss {
            slot: self.slot.clone(),
            wanted: self.slot.wanted.subscribe(),
            is_stopping: self.claims.0.is_stopping.subscribe(),
            clock: self.claims.0.clock.clone(),
        }
    }

    /// The pieces of a request for as long as it may send: a silent one is cut off, one makes way where somebody
    /// waits, and none goes on whose lease has run out.
    pub(super) fn guard(
        &self,
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    ) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let guarded = Guarded {
            pieces,
            slot: self.slot.clone(),
            wanted: self.slot.wanted.subscribe(),
            is_stopping: self.claims.0.is_stopping.subscribe(),
            clock: self.claims.0.clock.clone(),
            leaving: None,
            has_ended: false,
        };
        stream::unfold(guarded, async |mut guarded| {
            if guarded.has_ended {
                return None;
            }
            let mut outcome = guarded.next().await?;
            if guarded.slot.has_run_out(guarded.clock.now()) {
                outcome = Err(BodyError::Superseded);
            }
            guarded.has_ended = outcome.is_err();
            Some((outcome, guarded))
        })
        .boxed()
    }
}

/// The pieces of a holder's request.
struct Guarded {
    pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    slot: Arc<Slot>,
    wanted: watch::Receiver<Option<Urgency>>,
    is_stopping: watch::Receiver<bool>,
    clock: Clock,
    /// Why it makes way, and since when.
    leaving: Option<(BodyError, Instant)>,
    has_ended: bool,
}

impl Guarded {
    /// Whether it must not just go on.
    fn is_asked_to_leave(&self) -> bool {
        self.leaving.is_some()
            || *self.wanted.borrow() == Some(Urgency::AtOnce)
            || (self.slot.ends_on_stop && *self.is_stopping.borrow())
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        // Most pieces have come already: for those nothing need be armed that would wake us.
        if !self.is_asked_to_leave()
            && let Some(piece) = self.pieces.next().now_or_never()
        {
            return piece;
        }
        let began = Instant::now();
        let ends_on_stop = self.slot.ends_on_stop;
        while self.leaving.is_none() {
            let reason = tokio::select! {
                biased;
                _ = self.wanted.wait_for(|wanted| *wanted == Some(Urgency::AtOnce)) => {
                    Some(BodyError::Superseded)
                }
                _ = self.is_stopping.wait_for(|is_stopping| *is_stopping), if ends_on_stop => {
                    Some(BodyError::Stopped)
                }
                piece = self.pieces.next() => return piece,
                () = tokio::time::sleep(IDLE) => None,
            };
            self.leaving = reason.map(|reason| (reason, Instant::now()));
            if self.leaving.is_none() && self.wanted.borrow().is_some() {
                return Some(Err(BodyError::Superseded));
            }
            if began.elapsed() > SILENCE {
                return Some(Err(BodyError::Cut));
            }
        }
        let (reason, since) = self.leaving.clone()?;
        if since.elapsed() < LAST_BYTES
            && let Ok(piece) = tokio::time::timeout(A_PAUSE, self.pieces.next()).await
        {
            return piece;
        }
        Some(Err(reason))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (claims, name) = (self.claims.clone(), std::mem::take(&mut self.name));
        let slot = self.slot.clone();
        // The lease goes first: a newcomer in this process must not find its own predecessor there.
        let release = async move {
            if let Err(error) = claims.release(&name).await {
                tracing::warn!(%error, "a lease could not be released, and will run out");
            }
            claims.held().slots.remove(&name);
            slot.released.notify_waiters();
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(release);
        }
    }
}
