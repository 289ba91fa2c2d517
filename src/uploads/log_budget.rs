//! How many lines of one kind a minute's log may have, where strangers could otherwise fill it.

use std::sync::Mutex;

use chrono::{DateTime, Utc};

/// Most lines of one minute.
const LINES: u32 = 30;

/// What is left of the current minute.
pub(super) struct LogBudget(Mutex<(i64, u32)>);

/// What may be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// A line.
    Line,
    /// The last one of this minute.
    LastLine,
    /// Nothing before the next minute.
    Nothing,
}

impl LogBudget {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((0, 0)))
    }

    /// Takes one line out of it.
    pub(super) fn spend(&self, now: DateTime<Utc>) -> Spent {
        let minute = now.timestamp() / 60;
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.0 != minute {
            *state = (minute, 0);
        }
        state.1 = state.1.saturating_add(1);
        match state.1 {
            1..LINES => Spent::Line,
            LINES => Spent::LastLine,
            _ => Spent::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_lines_and_the_next_one_has_them_again() {
        let budget = LogBudget::new();
        let noon = DateTime::from_timestamp(43_200, 0).unwrap();

        let spent: Vec<Spent> = (0..LINES + 5).map(|_| budget.spend(noon)).collect();

        let written = spent.iter().filter(|spent| **spent != Spent::Nothing).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(spent[LINES as usize - 1], Spent::LastLine);
        assert_eq!(budget.spend(noon + chrono::TimeDelta::minutes(1)), Spent::Line);
    }
}
