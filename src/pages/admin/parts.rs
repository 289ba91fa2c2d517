//! The part map: what we recorded beside what the store lists.
//!
//! Separate from the upload's page, because this is where the two are compared. Parts of the same standing that follow each
//! other are one run, so that ten thousand parts are still a short table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::words::{Moment, bytes, counted};
use crate::domain::PartNumber;
use crate::uploads::{Inspection, StoreView};

/// Cells of the map; with more parts than that, a cell stands for several.
const CELLS: u32 = 500;

/// Runs that the table shows.
const RUNS: usize = 300;

/// How a part stands, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// The store has it in the right size, and we know.
    Both,
    /// The store has it in the right size; nobody told us.
    StoredOnly,
    /// It was recorded, and the store was not asked or did not answer.
    Recorded,
    /// It has not come.
    Missing,
    /// The store has it with another size than it must have.
    WrongSize,
    /// It was recorded, and the store does not have it.
    Lost,
}

impl Standing {
    const ALL: [Self; 6] = [
        Self::Both,
        Self::StoredOnly,
        Self::Recorded,
        Self::Missing,
        Self::WrongSize,
        Self::Lost,
    ];

    /// The class of its cells.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Both => "is-both",
            Self::StoredOnly => "is-stored",
            Self::Recorded => "is-recorded",
            Self::Missing => "is-missing",
            Self::WrongSize => "is-wrong",
            Self::Lost => "is-lost",
        }
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Both => "stored and recorded",
            Self::StoredOnly => "stored, not recorded",
            Self::Recorded => "recorded",
            Self::Missing => "missing",
            Self::WrongSize => "stored with a wrong size",
            Self::Lost => "recorded, but not in the store",
        }
    }

    /// Whether the bytes are there, as far as anybody knows.
    fn is_there(self) -> bool {
        matches!(self, Self::Both | Self::StoredOnly | Self::Recorded)
    }
}

#[derive(Debug, Clone)]
struct Part {
    number: u32,
    standing: Standing,
    size: u64,
    recorded_at: Option<DateTime<Utc>>,
}

/// A cell of the map.
pub(super) struct Cell {
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// Parts of the same standing that follow each other.
pub(super) struct Run {
    pub(super) numbers: String,
    pub(super) class: &'static str,
    pub(super) words: &'static str,
    pub(super) count: u32,
    pub(super) size: String,
    pub(super) arrived: Option<Moment>,
}

/// How many parts stand so.
pub(super) struct Tally {
    pub(super) class: &'static str,
    pub(super) words: &'static str,
    pub(super) count: usize,
}

/// The map of an upload's parts.
pub(super) struct PartMap {
    pub(super) cells: Vec<Cell>,
    pub(super) tallies: Vec<Tally>,
    pub(super) runs: Vec<Run>,
    /// Runs that the table leaves out.
    pub(super) left_out: usize,
    /// Parts that a cell stands for.
    pub(super) per_cell: u32,
    /// The parts that are not there, as ranges, where we know how many there must be.
    pub(super) missing: Option<String>,
    pub(super) missing_count: usize,
    /// Bytes that are there.
    pub(super) there: u64,
    pub(super) summary: String,
}

impl PartMap {
    /// The map; `None` for an upload without parts.
    pub(super) fn new(inspection: &Inspection, now: DateTime<Utc>) -> Option<Self> {
        let parts = compare(inspection);
        if parts.is_empty() {
            return None;
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let per_cell = count.div_ceil(CELLS);
        let cells = parts.chunks(per_cell as usize).map(cell).collect();
        let tallies: Vec<Tally> = Standing::ALL
            .into_iter()
            .map(|standing| Tally {
                class: standing.class(),
                words: standing.words(),
                count: parts.iter().filter(|part| part.standing == standing).count(),
            })
            .filter(|tally| tally.count > 0)
            .collect();
        let mut runs: Vec<Run> = parts
            .chunk_by(|one, next| (one.standing, one.size) == (next.standing, next.size))
            .map(|run| Run::new(run, now))
            .collect();
        let left_out = runs.len().saturating_sub(RUNS);
        runs.truncate(RUNS);
        let away: Vec<u32> = parts
            .iter()
            .filter(|part| !part.standing.is_there())
            .map(|part| part.number)
            .collect();
        let told: Vec<String> = tallies
            .iter()
            .map(|tally| format!("{} {}", tally.count, tally.words))
            .collect();
        Some(Self {
            cells,
            runs,
            left_out,
            per_cell,
            missing: inspection.upload.cut.is_ours().then(|| ranges(&away)),
            missing_count: away.len(),
            there: parts
                .iter()
                .filter(|part| part.standing.is_there())
                .map(|part| part.size)
                .sum(),
            summary: format!("{}: {}", counted(count.into(), "part", "parts"), told.join(", ")),
            tallies,
        })
    }
}

/// Every part that the upload must have, or that anybody knows of.
fn compare(inspection: &Inspection) -> Vec<Part> {
    let upload = &inspection.upload;
    if upload.appending.is_some() {
        return Vec::new();
    }
    let stored: Option<BTreeMap<u32, u64>> = match &inspection.store {
        StoreView::Lists(parts) => Some(
            parts
                .iter()
                .map(|part| (part.number.get().into(), part.size))
                .collect(),
        ),
        StoreView::Lost => Some(BTreeMap::new()),
        StoreView::Silent(_) | StoreView::NotAsked => None,
    };
    let recorded: BTreeMap<u32, (u64, DateTime<Utc>)> = inspection
        .recorded
        .iter()
        .map(|record| {
            (
                record.part.number.get().into(),
                (record.part.size, record.recorded_at),
            )
        })
        .collect();
    let plan = upload.plan();
    let last_known = [
        stored.as_ref().and_then(|all| all.keys().next_back()),
        recorded.keys().next_back(),
    ];
    let last_known = last_known.into_iter().flatten().max().copied().unwrap_or(0);
    let count = if upload.cut.is_ours() {
        plan.part_count()
    } else {
        last_known
    };
    (1..=count)
        .map(|number| {
            let size = PartNumber::new(number.into(), "number")
                .ok()
                .and_then(|number| plan.size_of(number));
            let size = size.filter(|_| upload.cut.is_ours());
            let (record, in_store) = (recorded.get(&number), stored.as_ref().map(|all| all.get(&number)));
            let standing = match (record, in_store) {
                (_, Some(Some(stored))) if size.is_some_and(|size| size != *stored) => Standing::WrongSize,
                (Some(_), Some(Some(_))) => Standing::Both,
                (None, Some(Some(_))) => Standing::StoredOnly,
                (Some(_), Some(None)) => Standing::Lost,
                (Some(_), None) => Standing::Recorded,
                (None, _) => Standing::Missing,
            };
            let known = in_store.flatten().copied().or(record.map(|(size, _)| *size));
            Part {
                number,
                standing,
                size: known.or(size).unwrap_or(0),
                recorded_at: record.map(|(_, at)| *at),
            }
        })
        .collect()
}

fn cell(parts: &[Part]) -> Cell {
    let worst = parts
        .iter()
        .map(|part| part.standing)
        .max()
        .unwrap_or(Standing::Missing);
    let title = match parts {
        [part] => format!("Part {}: {}, {}", part.number, worst.words(), bytes(part.size)),
        [first, .., last] => format!("Parts {} to {}: {}", first.number, last.number, worst.words()),
        [] => String::new(),
    };
    Cell {
        class: worst.class(),
        title,
    }
}

impl Run {
    fn new(parts: &[Part], now: DateTime<Utc>) -> Self {
        let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
        let (standing, size) = parts
            .first()
            .map_or((Standing::Missing, 0), |part| (part.standing, part.size));
        let arrived = parts.iter().filter_map(|part| part.recorded_at).max();
        Self {
            numbers: ranges(&numbers),
            class: standing.class(),
            words: standing.words(),
            count: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            size: bytes(size),
            arrived: arrived.map(|at| Moment::new(at, now)),
        }
    }
}

/// Ascending numbers as ranges, `1–4, 9`; of very many, the first.
pub(super) fn ranges(numbers: &[u32]) -> String {
    const MOST: usize = 40;
    let all: Vec<String> = numbers
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}\u{2013}{last}"),
            [] => String::new(),
        })
        .collect();
    let more = all.len().saturating_sub(MOST);
    let mut text = all.into_iter().take(MOST).collect::<Vec<_>>().join(", ");
    if more > 0 {
        let more = counted(more as u64, "more range", "more ranges");
        text = format!("{text} and {more}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1\u{2013}3, 7, 9\u{2013}10");
        let odd: Vec<u32> = (0..100).map(|n| 2 * n + 1).collect();
        assert!(ranges(&odd).ends_with("79 and 60 more ranges"));
    }
}
