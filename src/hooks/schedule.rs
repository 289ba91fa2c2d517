//! When a delivery that failed is tried again.
//!
//! Separate, because it is pure arithmetic that receivers rely on: `docs/webhooks.md` tells the same numbers.

use std::time::Duration;

/// The first pauses; the last of them is repeated.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
];

/// Parts of a pause that chance adds to it, a fifth at most: events that failed together do not return together.
const SPREAD: u32 = 5;

/// The pause after so many attempts, before what chance adds; `None` once all pauses would come to more than
/// `horizon`. Counted in attempts rather than on a clock: while we do not run, nobody's patience is used up.
pub(super) fn pause_after(attempts: u32, horizon: Duration) -> Option<Duration> {
    let all = PAUSES
        .into_iter()
        .chain(std::iter::repeat(PAUSES[PAUSES.len() - 1]));
    let mut total = Duration::ZERO;
    for (pause, attempt) in all.zip(1..) {
        total += pause;
        if total > horizon {
            return None;
        }
        if attempt >= attempts {
            return Some(pause);
        }
    }
    None
}

/// The pause with what `chance` adds.
pub(super) fn spread(pause: Duration, chance: u32) -> Duration {
    let share = f64::from(chance) / f64::from(u32::MAX);
    pause + (pause / SPREAD).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn pauses_grow_and_fill_a_day() {
        let pauses: Vec<u64> = (1..)
            .map_while(|attempts| pause_after(attempts, DAY))
            .map(|pause| pause.as_secs())
            .collect();

        assert_eq!(
            pauses,
            [
                5, 30, 120, 600, 1800, 3600, 7200, 14_400, 14_400, 14_400, 14_400, 14_400
            ]
        );
    }

    #[test]
    fn the_horizon_decides_how_many_there_are() {
        assert_eq!(pause_after(1, Duration::ZERO), None);
        assert_eq!(
            pause_after(5, Duration::from_hours(1)),
            Some(Duration::from_mins(30))
        );
        assert_eq!(pause_after(6, Duration::from_hours(1)), None);
        assert_eq!(pause_after(u32::MAX, DAY), None);
    }

    #[test]
    fn chance_adds_a_fifth_at_most_and_takes_nothing_away() {
        let pause = Duration::from_secs(10);

        assert_eq!(spread(pause, 0), pause);
        assert_eq!(spread(pause, u32::MAX), Duration::from_secs(12));
        assert!(spread(pause, u32::MAX / 2) <= Duration::from_secs(11));
    }
}
