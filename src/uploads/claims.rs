//! Claims: who sends a part just now, so that two requests for the same one never mix their bytes.
//!
//! Separate from the verb that receives, because a claim lives in two places: in this process, where a newcomer can
//! make an idle holder let go within a second, and as a lease in the database, where other instances see it. A lease of
//! a process that was killed runs out by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::Notify;

use super::holder;
use crate::clock::Clock;
use crate::db::Database;
use crate::error::Error;
use crate::storage::BodyError;

/// How long a lease lasts that nobody renews.
const LEASE: TimeDelta = TimeDelta::seconds(8);

/// How often leases are renewed.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// A holder that has received nothing for this long makes way for a newcomer.
const IDLE: Duration = Duration::from_secs(1);

/// A client that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// How long a newcomer waits for a holder that is at work.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often a newcomer looks at another instance's lease.
const GLANCE: Duration = Duration::from_millis(200);

/// Everything that is claimed by this process.
#[derive(Clone)]
pub(super) struct Claims(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    /// This process, by a name that no other has.
    holder: String,
    held: Mutex<Held>,
}

/// What is claimed, and whether a task renews it.
#[derive(Default)]
struct Held {
    slots: HashMap<String, Arc<Slot>>,
    is_renewed: bool,
}

/// One claim, as its holder and those who wait see it.
struct Slot {
    is_wanted: AtomicBool,
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
        }))
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
    pub(super) async fn take(&self, name: String) -> Result<Claim, Error> {
        let deadline = Instant::now() + PATIENCE;
        let claim = loop {
            match self.enter(&name) {
                Ok(claim) => break claim,
                Err(other) => {
                    other.is_wanted.store(true, Ordering::Relaxed);
                    let released = other.released.notified();
                    if tokio::time::timeout(GLANCE, released).await.is_err() && Instant::now() > deadline {
                        return Err(BUSY);
                    }
                }
            }
        };
        loop {
            let now = self.0.clock.now();
            let until = now + LEASE;
            if self.0.db.take_lease(&name, &self.0.holder, now, until).await? {
                claim
                    .slot
                    .until
                    .store(until.timestamp_micros(), Ordering::Relaxed);
                return Ok(claim);
            }
            if Instant::now() > deadline {
                return Err(BUSY);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The first to come has it within this process; the others get a look at its slot.
    fn enter(&self, name: &str) -> Result<Claim, Arc<Slot>> {
        let mut held = self.held();
        if let Some(slot) = held.slots.get(name) {
            return Err(slot.clone());
        }
        let slot = Arc::new(Slot {
            is_wanted: AtomicBool::new(false),
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

    /// Renews all leases together for as long as there are some.
    async fn renew(self) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let slots: HashMap<String, Arc<Slot>> = {
                let mut held = self.held();
                if held.slots.is_empty() {
                    held.is_renewed = false;
                    return;
                }
                held.slots.clone()
            };
            let now = self.0.clock.now();
            let until = now + LEASE;
            let names: Vec<String> = slots.keys().cloned().collect();
            match self.0.db.renew_leases(&self.0.holder, names, now, until).await {
                Ok(renewed) => {
                    for name in renewed {
                        if let Some(slot) = slots.get(&name) {
                            slot.until.store(until.timestamp_micros(), Ordering::Relaxed);
                        }
                    }
                }
                // What is not renewed runs out, and its holder stops.
                Err(error) => tracing::warn!(%error, "leases could not be renewed"),
            }
        }
    }
}

const BUSY: Error = Error::Busy("somebody else sends the same just now; try again");

impl Slot {
    fn has_run_out(&self, now: DateTime<Utc>) -> bool {
        self.until.load(Ordering::Relaxed) <= now.timestamp_micros()
    }
}

impl Claim {
    /// The pieces of a request for as long as it may send: a silent one is cut off, an idle one makes way where
    /// somebody waits, and none goes on whose lease has run out.
    pub(super) fn guard(
        &self,
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    ) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let (slot, clock) = (self.slot.clone(), self.claims.0.clock.clone());
        stream::unfold(
            (pieces, slot, clock, false),
            async |(mut pieces, slot, clock, ended)| {
                if ended {
                    return None;
                }
                let began = Instant::now();
                let outcome = loop {
                    match tokio::time::timeout(IDLE, pieces.next()).await {
                        Ok(piece) => break piece?,
                        Err(_) if slot.is_wanted.load(Ordering::Relaxed) => break Err(BodyError::Superseded),
                        Err(_) if began.elapsed() > SILENCE => break Err(BodyError::Cut),
                        Err(_) => {}
                    }
                };
                let outcome = if slot.has_run_out(clock.now()) {
                    Err(BodyError::Superseded)
                } else {
                    outcome
                };
                let ended = outcome.is_err();
                Some((outcome, (pieces, slot, clock, ended)))
            },
        )
        .boxed()
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
