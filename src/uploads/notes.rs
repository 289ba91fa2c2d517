//! Notes for the logs of uploads: what happens so often that nobody may wait for it to be written.
//!
//! Separate from the changes of state, whose entries are written with them. A note costs a look into a table in memory.
//! What is the same of one upload is counted together and written at most once a minute, for all uploads in one
//! transaction; so a process that is killed takes at most a minute's notes with it. They explain; nothing depends on one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::{SignedParts, Uploads};
use crate::domain::{LogDetail, LogEntry, LogKind, UploadId};
use crate::error::Error;
use crate::metrics::Background;

/// The same is written of one upload at most this often.
const EVERY: TimeDelta = TimeDelta::minutes(1);

/// Most notes in memory, waiting or remembered; beyond that new ones are dropped until room is made.
const MOST: usize = 10_000;

/// What may be noted of an upload.
#[derive(Debug, Clone)]
pub struct Note {
    kind: LogKind,
    detail: LogDetail,
}

impl Note {
    /// Its client came back, from there.
    pub fn resumed(from: Option<IpAddr>) -> Self {
        Self::new(
            LogKind::Resumed,
            LogDetail {
                from: from.map(|address| address.to_string()),
                ..LogDetail::default()
            },
        )
    }

    /// Addresses of these parts were signed.
    pub(super) fn signed(parts: &SignedParts) -> Self {
        let (first, last) = parts.range().unzip();
        Self::new(
            LogKind::Signed,
            LogDetail {
                first,
                last,
                ..LogDetail::default()
            },
        )
    }

    /// A request at `door` was answered with this kind of problem.
    pub fn refused(problem: &str, door: &str, from: Option<IpAddr>) -> Self {
        Self::new(
            LogKind::Refused,
            LogDetail {
                problem: Some(problem.to_owned()),
                door: Some(door.to_owned()),
                from: from.map(|address| address.to_string()),
                ..LogDetail::default()
            },
        )
    }

    fn new(kind: LogKind, detail: LogDetail) -> Self {
        Self { kind, detail }
    }

    /// Notes with the same subject are counted together.
    fn subject(&self) -> (LogKind, Option<String>) {
        (self.kind, self.detail.problem.clone())
    }
}

type Key = (UploadId, LogKind, Option<String>);

/// The notes in memory.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<HashMap<Key, Slot>>);

#[derive(Debug, Default)]
struct Slot {
    /// When the last entry was written.
    written_at: Option<DateTime<Utc>>,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    count: u64,
    since: DateTime<Utc>,
    at: DateTime<Utc>,
    detail: LogDetail,
}

impl Notes {
    fn add(&self, id: &UploadId, note: Note, at: DateTime<Utc>) {
        let (kind, subject) = note.subject();
        let key = (id.clone(), kind, subject);
        let mut slots = self.slots();
        if slots.len() >= MOST && !slots.contains_key(&key) {
            return;
        }
        let slot = slots.entry(key).or_default();
        match &mut slot.waiting {
            Some(waiting) => {
                waiting.count += 1;
                waiting.at = at;
                let known = &mut waiting.detail;
                let added = note.detail;
                known.first = [known.first, added.first].into_iter().flatten().min();
                known.last = [known.last, added.last].into_iter().flatten().max();
                known.from = added.from.or(known.from.take());
                known.door = added.door.or(known.door.take());
            }
            None => {
                slot.waiting = Some(Waiting {
                    count: 1,
                    since: at,
                    at,
                    detail: note.detail,
                });
            }
        }
    }

    /// Takes out what is due at `now`, or all; and forgets what was written long enough ago.
    fn take(&self, now: DateTime<Utc>, all: bool) -> Vec<(UploadId, LogEntry)> {
        let mut entries = Vec::new();
        self.slots().retain(|(id, kind, _), slot| {
            let is_due = all || slot.written_at.is_none_or(|at| now - at >= EVERY);
            if is_due && let Some(waiting) = slot.waiting.take() {
                slot.written_at = Some(now);
                entries.push((id.clone(), waiting.entry(*kind)));
                return true;
            }
            slot.waiting.is_some() || !is_due
        });
        entries.sort_by_key(|(_, entry)| entry.at);
        entries
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn entry(self, kind: LogKind) -> LogEntry {
        let is_several = self.count > 1;
        LogEntry {
            detail: LogDetail {
                count: is_several.then_some(self.count),
                since: is_several.then_some(self.since),
                ..self.detail
            },
            ..LogEntry::new(self.at, kind)
        }
    }
}

impl Uploads {
    /// Notes something of an upload; it is written soon, if there is such an upload.
    pub fn note(&self, id: &UploadId, note: Note) {
        self.0.notes.add(id, note, self.now());
    }

    /// Writes the notes that are due, or, before the process ends, `all`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database; the notes are lost then.
    pub async fn write_notes(&self, all: bool) -> Result<(), Error> {
        let written = self.0.db.log(self.0.notes.take(self.now(), all)).await;
        if written.is_err() {
            self.0.metrics.background_failed(Background::Notes, 1);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> UploadId {
        UploadId::generate(noon())
    }

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn signed(first: u16, last: u16) -> Note {
        let (first, last) = (Some(first), Some(last));
        Note::new(
            LogKind::Signed,
            LogDetail {
                first,
                last,
                ..LogDetail::default()
            },
        )
    }

    #[test]
    fn the_first_is_written_at_once_and_the_rest_of_a_minute_together() {
        let (notes, id) = (Notes::default(), id());
        let at = |seconds| noon() + TimeDelta::seconds(seconds);
        notes.add(&id, signed(1, 8), at(0));
        assert_eq!(notes.take(at(1), false).len(), 1);

        notes.add(&id, signed(9, 16), at(2));
        notes.add(&id, signed(17, 20), at(3));
        notes.add(&id, Note::refused("busy", "/x", None), at(4));

        let early = notes.take(at(5), false);
        assert_eq!(
            early.len(),
            1,
            "what is another matter waits for nothing: {early:?}"
        );
        assert_eq!(early[0].1.detail.problem.as_deref(), Some("busy"));
        let late = notes.take(at(61), false);
        let [(_, entry)] = late.as_slice() else {
            panic!("{late:?}")
        };
        let detail = &entry.detail;
        assert_eq!(
            (detail.first, detail.last, detail.count),
            (Some(9), Some(20), Some(2))
        );
        assert_eq!((detail.since, entry.at), (Some(at(2)), at(3)));
    }

    #[test]
    fn memory_is_bounded_and_is_given_back() {
        let notes = Notes::default();
        for _ in 0..MOST + 100 {
            notes.add(&id(), signed(1, 1), noon());
        }
        assert_eq!(notes.slots().len(), MOST);

        assert_eq!(notes.take(noon(), false).len(), MOST);
        assert!(notes.take(noon() + EVERY, false).is_empty());

        assert!(notes.slots().is_empty());
    }
}
