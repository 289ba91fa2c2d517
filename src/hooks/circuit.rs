//! A circuit breaker: whoever has failed several times in a row is left alone for a while, so that those who wait for an
//! answer are told at once that there is none.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which it opens.
const FAILURES: u32 = 5;

/// How long nobody asks then. After that one does, and the others follow once that went well.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether somebody may be asked just now.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_again_at: Option<Instant>,
}

impl Circuit {
    /// Whether to ask at `now`. Of those who come once the pause is over, the first is let through.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.closed_again_at {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.closed_again_at = Some(now + PAUSE);
                true
            }
        }
    }

    /// It went well.
    pub(super) fn succeeded(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// It did not; true if that opens the circuit.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        let opens = state.failures >= FAILURES;
        if opens {
            state.closed_again_at = Some(now + PAUSE);
        }
        opens && state.failures == FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_through_after_the_pause() {
        let (circuit, start) = (Circuit::default(), Instant::now());
        for n in 1..FAILURES {
            assert!(circuit.admits(start) && !circuit.failed(start), "{n}");
        }
        circuit.succeeded();
        for n in 1..=FAILURES {
            assert!(circuit.admits(start), "{n}");
            assert_eq!(circuit.failed(start), n == FAILURES);
        }

        assert!(!circuit.admits(start));
        let later = start + PAUSE;
        assert!(circuit.admits(later) && !circuit.admits(later));
        assert!(!circuit.failed(later), "it is said once");
        assert!(!circuit.admits(later));

        circuit.succeeded();
        assert!(circuit.admits(later) && circuit.admits(later));
    }
}
