//! How often something may be done.
//!
//! Separate, because it knows nothing of what is done or by whom: it is told a name and the time, and says how long to wait.
//! For each name one number is kept, the moment at which all that was taken is paid back (the generic cell rate
//! algorithm, which is a token bucket without the bucket: <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// For so long what was not taken is saved up, in microseconds: a minute's worth may be taken at once.
const WINDOW: i64 = 60_000_000;

/// Names are spread over so many locks.
const SHARDS: usize = 16;

/// Most names that one lock has under it; those that have taken least are forgotten first.
const MOST_NAMES: usize = 4096;

/// Counts what each name takes, in memory.
#[derive(Debug)]
pub struct Meter {
    per_minute: u32,
    names: RandomState,
    shards: Vec<Mutex<HashMap<u64, i64>>>,
}

impl Meter {
    /// Lets each name take so many a minute, all of them at once where it has taken none for a minute; `None` for 0, which
    /// stands for as many as they like.
    pub fn new(per_minute: u32) -> Option<Self> {
        (per_minute > 0).then(|| Self {
            per_minute,
            names: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    /// Takes `count` for a name. More than a minute's worth can only be taken by who has saved up all of that.
    ///
    /// # Errors
    /// The whole seconds after which it can be taken, where it cannot be now; nothing is taken then.
    pub fn take(&self, name: impl Hash, count: u64, now: DateTime<Utc>) -> Result<(), u64> {
        self.take_at(self.per_minute, name, count, now)
    }

    /// Takes `count` for a name that may take so many a minute, at least one; the name has to say how many, too.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_at(
        &self,
        per_minute: u32,
        name: impl Hash,
        count: u64,
        now: DateTime<Utc>,
    ) -> Result<(), u64> {
        let now = now.timestamp_micros();
        let cost = cost(per_minute, count);
        self.with(
            name,
            |paid| {
                // What lies further ahead was taken before a clock was set back, and says nothing.
                let last = now.saturating_add(WINDOW);
                let from = paid
                    .copied()
                    .filter(|paid| *paid <= last)
                    .map_or(now, |paid| paid.max(now));
                let until = from.saturating_add(cost);
                let late = until.saturating_sub(now).saturating_sub(WINDOW);
                if late > 0 {
                    return Err(late.unsigned_abs().div_ceil(1_000_000));
                }
                Ok(until)
            },
            now,
        )
    }

    /// Gives back what was taken for a name.
    pub fn give_back(&self, name: impl Hash, count: u64) {
        let cost = cost(self.per_minute, count);
        let hash = self.names.hash_one(name);
        if let Some(paid) = self.lock(hash).get_mut(&hash) {
            *paid = paid.saturating_sub(cost);
        }
    }

    fn lock(&self, hash: u64) -> std::sync::MutexGuard<'_, HashMap<u64, i64>> {
        let shard = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(
        &self,
        name: impl Hash,
        change: impl FnOnce(Option<&i64>) -> Result<i64, u64>,
        now: i64,
    ) -> Result<(), u64> {
        let hash = self.names.hash_one(name);
        let mut shard = self.lock(hash);
        let paid = change(shard.get(&hash))?;
        if shard.len() >= MOST_NAMES && !shard.contains_key(&hash) {
            make_room(&mut shard, now);
        }
        shard.insert(hash, paid);
        Ok(())
    }
}

/// How far ahead this moves the moment at which all is paid back.
fn cost(per_minute: u32, count: u64) -> i64 {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    (count.saturating_mul(WINDOW) / i64::from(per_minute.max(1))).min(WINDOW)
}

/// Forgets who has saved up all again, who is as good as new; and where that is nobody, the half that has taken least.
fn make_room(shard: &mut HashMap<u64, i64>, now: i64) {
    shard.retain(|_, paid| *paid > now);
    if shard.len() >= MOST_NAMES {
        let mut all: Vec<i64> = shard.values().copied().collect();
        let middle = all.len() / 2;
        let (_, median, _) = all.select_nth_unstable(middle);
        let median = *median;
        shard.retain(|_, paid| *paid > median);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_minutes_worth_may_be_taken_at_once_and_then_one_at_a_time() {
        let meter = Meter::new(60).unwrap();
        for _ in 0..60 {
            meter.take("anna", 1, noon()).unwrap();
        }

        assert_eq!(meter.take("anna", 1, noon()), Err(1));
        assert_eq!(meter.take("anna", 30, noon()), Err(30));
        meter.take("bert", 60, noon()).unwrap();
        meter.take("anna", 1, noon() + TimeDelta::seconds(1)).unwrap();
        assert_eq!(meter.take("anna", 1, noon() + TimeDelta::seconds(1)), Err(1));
    }

    #[test]
    fn who_waits_as_long_as_asked_need_not_wait_again() {
        let meter = Meter::new(7).unwrap();
        let mut now = noon();
        for _ in 0..100 {
            if let Err(seconds) = meter.take("anna", 3, now) {
                now += TimeDelta::seconds(i64::try_from(seconds).unwrap());
                meter.take("anna", 3, now).unwrap();
            }
        }
    }

    #[test]
    fn more_than_a_minutes_worth_takes_all_that_was_saved_up() {
        let meter = Meter::new(100).unwrap();
        meter.take("anna", 10_000, noon()).unwrap();
        assert_eq!(meter.take("anna", 1, noon()), Err(1));
        assert_eq!(meter.take("anna", 10_000, noon()), Err(60));
    }

    #[test]
    fn what_is_given_back_was_never_taken_and_a_clock_set_back_holds_nobody_up() {
        let meter = Meter::new(1).unwrap();
        meter.take("anna", 1, noon()).unwrap();
        meter.give_back("anna", 1);
        meter.take("anna", 1, noon()).unwrap();

        let earlier = noon() - TimeDelta::days(1);
        meter.take("anna", 1, earlier).unwrap();
        assert_eq!(meter.take("anna", 1, earlier), Err(60));
    }

    #[test]
    fn memory_is_bounded_and_who_takes_most_is_remembered() {
        let meter = Meter::new(60).unwrap();
        meter.take("greedy", 60, noon()).unwrap();
        for name in 0..2 * SHARDS * MOST_NAMES {
            meter.take(name, 1, noon()).unwrap();
        }

        let names: usize = meter.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(names <= SHARDS * MOST_NAMES, "{names}");
        assert_eq!(meter.take("greedy", 1, noon()), Err(1));
        assert!(Meter::new(0).is_none());
    }
}
