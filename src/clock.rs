//! The only source of "now": UTC in whole microseconds, and settable in tests.
//!
//! It is separate so that no test ever has to sleep, and so that a time read back from either database
//! equals the one that was written (Postgres keeps microseconds).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Tells the time; clones share a set time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds added to the machine's time; moved by tests alone.
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// Now, in whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        let shifted = Utc::now() + TimeDelta::microseconds(self.offset.load(Ordering::Relaxed));
        shifted
            .duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(shifted)
    }

    /// Moves this clock and its clones; a negative `by` moves them back.
    pub fn advance(&self, by: TimeDelta) {
        self.offset
            .fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_follows_when_the_clock_is_moved() {
        let clock = Clock::system();
        let before = clock.clone().now();

        clock.advance(TimeDelta::hours(2));

        assert!(clock.now() - before >= TimeDelta::hours(2));
    }
}
