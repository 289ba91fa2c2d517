//! Slot: one claim within this process, as whoever has it and those who wait for it see it.
//!
//! Separate from the claims, which give slots out and hold the leases: here somebody says how they want what another has,
//! and that one hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::storage::BodyError;

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
    pub(super) fn level(self) -> i32 {
        match self {
            Self::WhenIdle => 1,
            Self::AtOnce => 2,
        }
    }

    /// What such a number stands for.
    pub(super) fn of_level(level: i32) -> Option<Self> {
        [Self::WhenIdle, Self::AtOnce]
            .into_iter()
            .find(|urgency| urgency.level() == level)
    }
}

/// Who wants a claim just now. A wish is over when whoever has it gives up: its holder must not make way for nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    /// How many in this process want it once it is idle.
    when_idle: u32,
    /// How many in this process want it at once.
    at_once: u32,
    /// How other instances want it.
    elsewhere: Option<Urgency>,
}

impl Wanted {
    fn count(&mut self, urgency: Urgency) -> &mut u32 {
        match urgency {
            Urgency::WhenIdle => &mut self.when_idle,
            Urgency::AtOnce => &mut self.at_once,
        }
    }

    fn is_at_once(&self) -> bool {
        self.at_once > 0 || self.elsewhere == Some(Urgency::AtOnce)
    }

    fn is_at_all(&self) -> bool {
        self.is_at_once() || self.when_idle > 0 || self.elsewhere.is_some()
    }
}

/// A wish for a claim; it ends when it is dropped.
pub(super) struct Wish {
    slot: Arc<Slot>,
    urgency: Urgency,
}

impl Wish {
    /// Says to whoever has the claim that somebody wants it.
    pub(super) fn new(slot: Arc<Slot>, urgency: Urgency) -> Self {
        slot.wanted.send_modify(|wanted| *wanted.count(urgency) += 1);
        Self { slot, urgency }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.slot
            .wanted
            .send_modify(|wanted| *wanted.count(self.urgency) -= 1);
    }
}

/// One claim, as its holder and those who wait see it.
pub(super) struct Slot {
    ends_on_stop: bool,
    wanted: watch::Sender<Wanted>,
    /// Tells those who wait that it is over.
    pub(super) released: Notify,
    /// Until when the lease is ours, in microseconds since 1970.
    until: AtomicI64,
}

impl Slot {
    /// One that nobody wants yet, and whose lease is still to be taken.
    pub(super) fn new(ends_on_stop: bool) -> Self {
        Self {
            ends_on_stop,
            wanted: watch::Sender::new(Wanted::default()),
            released: Notify::new(),
            until: AtomicI64::new(i64::MAX),
        }
    }

    /// Notes until when the lease is ours.
    pub(super) fn lasts_until(&self, until: DateTime<Utc>) {
        self.until.store(until.timestamp_micros(), Ordering::Relaxed);
    }

    /// Notes how other instances want it by now.
    pub(super) fn wanted_elsewhere(&self, urgency: Option<Urgency>) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.elsewhere != urgency;
            wanted.elsewhere = urgency;
            is_new
        });
    }

    /// Whether the lease is no longer ours.
    pub(super) fn has_run_out(&self, now: DateTime<Utc>) -> bool {
        self.until.load(Ordering::Relaxed) <= now.timestamp_micros()
    }
}

/// A claim as its holder watches it.
pub(super) struct Watch {
    slot: Arc<Slot>,
    wanted: watch::Receiver<Wanted>,
    is_stopping: watch::Receiver<bool>,
    clock: Clock,
}

impl Watch {
    /// What tells the holder of this slot how it stands.
    pub(super) fn new(slot: Arc<Slot>, is_stopping: watch::Receiver<bool>, clock: Clock) -> Self {
        Self {
            wanted: slot.wanted.subscribe(),
            slot,
            is_stopping,
            clock,
        }
    }

    /// Whether this process is about to end, and what is received ends with it.
    pub(super) fn ends_now(&self) -> bool {
        self.slot.ends_on_stop && *self.is_stopping.borrow()
    }

    /// Whether somebody wants it at once.
    pub(super) fn is_wanted_at_once(&self) -> bool {
        self.wanted.borrow().is_at_once()
    }

    /// Whether somebody wants it, at once or when it is idle.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.borrow().is_at_all()
    }

    /// Whether it is no longer ours, because its lease was not renewed in time.
    pub(super) fn has_run_out(&self) -> bool {
        self.slot.has_run_out(self.clock.now())
    }

    /// Waits until it must be let go of at once: somebody wants it so, or this process is about to end and what is
    /// received ends with it.
    pub(super) async fn must_leave(&mut self) -> BodyError {
        let ends_on_stop = self.slot.ends_on_stop;
        tokio::select! {
            biased;
            _ = self.wanted.wait_for(Wanted::is_at_once) => BodyError::Superseded,
            _ = self.is_stopping.wait_for(|is_stopping| *is_stopping), if ends_on_stop => BodyError::Stopped,
        }
    }

    /// Waits until somebody wants it in any way, or this process is about to end.
    pub(super) async fn must_leave_if_idle(&mut self) -> BodyError {
        tokio::select! {
            _ = self.wanted.wait_for(Wanted::is_at_all) => BodyError::Superseded,
            _ = self.is_stopping.wait_for(|is_stopping| *is_stopping) => BodyError::Stopped,
        }
    }
}
