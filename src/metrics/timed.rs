//! Work that is counted by how it went, and timed.
//!
//! Separate, because requests to the store and operations of a folder or a share are counted alike, under names of their
//! own. What never happens makes no series.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram, Recorder};

use super::names::{Metric, STORAGE_DURATION, STORAGE_OPERATIONS, STORE_DURATION, STORE_REQUESTS};
use super::{counter, histogram};

/// How many outcomes a piece of work may have.
const OUTCOMES: usize = 4;

/// The two metrics of a kind of work.
struct Family {
    total: Metric,
    duration: Metric,
    /// The values of the last label of `total`.
    outcomes: [&'static str; OUTCOMES],
}

/// Requests to the store.
static STORE: Family = Family {
    total: STORE_REQUESTS,
    duration: STORE_DURATION,
    outcomes: ["ok", "refused", "failed", "lost"],
};

/// Operations of a folder or a share.
static STORAGE: Family = Family {
    total: STORAGE_OPERATIONS,
    duration: STORAGE_DURATION,
    outcomes: ["ok", "refused", "full", "failed"],
};

/// The handles of one piece of work.
pub(super) struct Timed {
    family: &'static Family,
    /// The values of the labels that both metrics have.
    labels: Vec<&'static str>,
    outcomes: [OnceLock<Counter>; OUTCOMES],
    duration: OnceLock<Histogram>,
}

impl Timed {
    /// Requests of this operation to the store.
    pub(super) fn of_store(operation: &'static str) -> Self {
        Self::new(&STORE, vec![operation])
    }

    /// This operation of this kind of storage.
    pub(super) fn of_storage(backend: &'static str, operation: &'static str) -> Self {
        Self::new(&STORAGE, vec![backend, operation])
    }

    fn new(family: &'static Family, labels: Vec<&'static str>) -> Self {
        Self {
            family,
            labels,
            outcomes: Default::default(),
            duration: OnceLock::new(),
        }
    }

    /// The operation's name.
    pub(super) fn operation(&self) -> &'static str {
        self.labels.last().copied().unwrap_or_default()
    }

    /// It was done once, with this outcome by its place in the family's list.
    pub(super) fn count(&self, recorder: &dyn Recorder, outcome: usize, took: Duration) {
        let family = self.family;
        self.outcomes[outcome]
            .get_or_init(|| {
                let mut labels = self.labels.clone();
                labels.push(family.outcomes[outcome]);
                counter(recorder, &family.total, &labels)
            })
            .increment(1);
        self.duration
            .get_or_init(|| histogram(recorder, &family.duration, &self.labels))
            .record(took.as_secs_f64());
    }
}
