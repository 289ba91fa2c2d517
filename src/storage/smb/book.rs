//! What is recorded of an unfinished upload.
//!
//! Separate from the bytes, because several instances may serve one upload at once and must not write over one another:
//! each has a journal of its own, `journal-1`, `journal-2` and so on in the upload's folder, the number taken by
//! whoever makes the file. All together are the record.
//!
//! A line is `<stamp> <part>` ([`Record`]) or `<stamp> at <offset> by <fence>`. Of all lines about a part that with the
//! highest stamp counts; of those about the offset, that with the highest stamp of the highest
//! [fence](crate::domain::Appending::fence). A stamp is microseconds since 1970, and always higher than every stamp that its
//! writer has seen, so that two instances need not agree about the time.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use chrono::Utc;
use tokio::sync::Mutex;

use super::fault::{Fault, status};
use super::file::{Mode, OpenFile};
use super::link::BLOCK;
use super::share::Share;
use crate::domain::{PartNumber, StoredPart, UploadId};
use crate::storage::journal::Record;

/// Books that are kept in mind; one that is needed again after that is read anew.
const KEPT: usize = 1024;

/// One journal, as far as it has been read.
#[derive(Debug, Default)]
struct Page {
    /// Bytes of whole lines.
    read: u64,
    parts: BTreeMap<PartNumber, (u64, Record)>,
    offset: Option<Standing>,
}

/// Where an upload stands by one line. They are ordered: the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    fence: u64,
    stamp: u64,
    offset: u64,
}

impl Page {
    /// Takes in whole lines of `text`, which follows what was read before.
    fn take_in(&mut self, text: &[u8]) {
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        self.read += end as u64 + 1;
        for line in text[..end].split(|byte| *byte == b'\n') {
            let Some(space) = line.iter().position(|byte| *byte == b' ') else {
                continue;
            };
            let stamp = std::str::from_utf8(&line[..space])
                .ok()
                .and_then(|stamp| stamp.parse().ok());
            let (Some(stamp), rest) = (stamp, &line[space + 1..]) else {
                continue;
            };
            if let Some(record) = Record::parse(rest) {
                self.parts.insert(record.number, (stamp, record));
            } else if let Some((offset, fence)) = offset_in(rest) {
                let standing = Standing { fence, stamp, offset };
                self.offset = self.offset.max(Some(standing));
            }
        }
    }
}

fn offset_in(rest: &[u8]) -> Option<(u64, u64)> {
    let rest = std::str::from_utf8(rest).ok()?.strip_prefix("at ")?;
    let (offset, fence) = rest.split_once(" by ")?;
    Some((offset.parse().ok()?, fence.parse().ok()?))
}

/// The record of one upload.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Vec<Page>,
    /// Which page is ours.
    own: Option<usize>,
}

impl Book {
    /// Reads what others have written since.
    pub async fn refresh(&mut self, share: &Arc<Share>, folder: &str) -> Result<(), Fault> {
        let mut index = 0;
        loop {
            if self.own != Some(index) {
                let journal = match OpenFile::open(share, &journal_path(folder, index), Mode::Read).await {
                    Ok(journal) => journal,
                    // Journals are made in order and go all at once, with the folder.
                    Err(fault) if fault.is_absent() && index >= self.pages.len() => return Ok(()),
                    Err(fault) => return Err(fault),
                };
                if index >= self.pages.len() {
                    self.pages.push(Page::default());
                }
                let outcome = read_on(&mut self.pages[index], &journal).await;
                journal.close().await?;
                outcome?;
            }
            index += 1;
        }
    }

    /// What is recorded of one part.
    pub fn record(&self, number: PartNumber) -> Option<Record> {
        self.pages
            .iter()
            .filter_map(|page| page.parts.get(&number))
            .max_by_key(|(stamp, _)| *stamp)
            .map(|(_, record)| *record)
    }

    /// What is recorded of every part, ascending.
    pub fn records(&self) -> Vec<Record> {
        let numbers: std::collections::BTreeSet<PartNumber> = self
            .pages
            .iter()
            .flat_map(|page| page.parts.keys().copied())
            .collect();
        numbers
            .into_iter()
            .filter_map(|number| self.record(number))
            .collect()
    }

    /// The parts as a storage tells of them, ascending.
    pub fn stored_parts(&self) -> Vec<StoredPart> {
        self.records().iter().map(Record::stored_part).collect()
    }

    /// Where an upload stands that is appended to.
    pub fn offset(&self) -> u64 {
        self.standing().map_or(0, |standing| standing.offset)
    }

    /// The highest fence under which anything is recorded; 0 where there is nothing.
    pub fn newest_fence(&self) -> u64 {
        self.standing().map_or(0, |standing| standing.fence)
    }

    fn standing(&self) -> Option<Standing> {
        self.pages.iter().filter_map(|page| page.offset).max()
    }

    fn next_stamp(&self) -> u64 {
        let stamps = self.pages.iter().flat_map(|page| {
            let parts = page.parts.values().map(|(stamp, _)| *stamp);
            parts.chain(page.offset.map(|standing| standing.stamp))
        });
        let now = u64::try_from(Utc::now().timestamp_micros()).unwrap_or(0);
        stamps.max().map_or(now, |newest| now.max(newest + 1))
    }

    /// Records a part, whose bytes are stored by now.
    pub async fn add_part(&mut self, share: &Arc<Share>, folder: &str, record: Record) -> Result<(), Fault> {
        self.write(share, folder, &record.to_string()).await
    }

    /// Records an offset, up to which all bytes are stored by now.
    pub async fn add_offset(
        &mut self,
        share: &Arc<Share>,
        folder: &str,
        offset: u64,
        fence: u64,
    ) -> Result<(), Fault> {
        self.write(share, folder, &format!("at {offset} by {fence}"))
            .await
    }

    async fn write(&mut self, share: &Arc<Share>, folder: &str, what: &str) -> Result<(), Fault> {
        let (own, journal) = self.open_own(share, folder).await?;
        let mut line = format!("{} ", self.next_stamp());
        let _ = writeln!(line, "{what}");
        let page = &mut self.pages[own];
        // Always at the end of what is known to be there: after a break the same bytes go to the same place.
        journal.write(page.read, Arc::from(line.as_bytes())).await?;
        if share.settings().sync {
            journal.flush().await?;
        }
        journal.close().await?;
        page.take_in(line.as_bytes());
        Ok(())
    }

    async fn open_own(&mut self, share: &Arc<Share>, folder: &str) -> Result<(usize, OpenFile), Fault> {
        if let Some(own) = self.own {
            let journal = OpenFile::open(share, &journal_path(folder, own), Mode::Write).await?;
            return Ok((own, journal));
        }
        loop {
            let next = self.pages.len();
            match OpenFile::open(share, &journal_path(folder, next), Mode::Make).await {
                Ok(journal) => {
                    self.pages.push(Page::default());
                    self.own = Some(next);
                    return Ok((next, journal));
                }
                // Somebody else was faster; theirs is read at the next refresh.
                Err(fault) if fault.is(status::NAME_COLLISION) => self.pages.push(Page::default()),
                Err(fault) => return Err(fault),
            }
        }
    }
}

fn journal_path(folder: &str, index: usize) -> String {
    format!("{folder}\\journal-{}", index + 1)
}

async fn read_on(page: &mut Page, journal: &OpenFile) -> Result<(), Fault> {
    let mut text = Vec::new();
    let mut at = page.read;
    while at < journal.length_at_opening() {
        let left = usize::try_from(journal.length_at_opening() - at).unwrap_or(BLOCK);
        let block = journal.read(at, left.min(BLOCK)).await?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        text.extend_from_slice(&block);
    }
    page.take_in(&text);
    Ok(())
}

/// The books of all uploads that this process has to do with.
#[derive(Default)]
pub(super) struct Books(Lock<HashMap<UploadId, Arc<Mutex<Book>>>>);

impl Books {
    /// The book of an upload. Whoever holds its lock is the only one in this process who writes in it.
    pub fn of(&self, upload: &UploadId) -> Arc<Mutex<Book>> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if books.len() >= KEPT {
            books.retain(|_, book| Arc::strong_count(book) > 1);
        }
        Arc::clone(books.entry(upload.clone()).or_default())
    }

    /// Forgets the book of an upload that is no more.
    pub fn forget(&self, upload: &UploadId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(upload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Sha256Sum;
    use crate::storage::journal::Place;

    fn record(number: u64, size: u64) -> Record {
        Record {
            number: PartNumber::new(number, "number").unwrap(),
            size,
            sha256: Sha256Sum::new([7; 32]),
            place: Place::Data,
        }
    }

    fn page(text: &str) -> Page {
        let mut page = Page::default();
        page.take_in(text.as_bytes());
        page
    }

    #[test]
    fn of_two_journals_the_newer_line_of_a_part_counts() {
        let first = page(&format!("5 {}\n9 {}\n", record(1, 10), record(2, 20)));
        let second = page(&format!("7 {}\n8 {}\n", record(1, 11), record(2, 21)));
        let book = Book {
            pages: vec![first, second],
            own: None,
        };

        let sizes: Vec<_> = book.records().iter().map(|record| record.size).collect();

        assert_eq!(sizes, [11, 20]);
    }

    #[test]
    fn an_offset_can_be_taken_back() {
        let book = Book {
            pages: vec![
                page("1 at 10 by 0\n5 at 90 by 0\n6 at 10 by 0\n"),
                page("3 at 7 by 0\n"),
            ],
            own: None,
        };

        assert_eq!(book.offset(), 10);
        assert!(book.next_stamp() > 6);
    }

    #[test]
    fn a_late_line_of_a_lower_fence_moves_nothing() {
        let book = Book {
            pages: vec![
                page("1 at 10 by 1\n9 at 90 by 1\n"),
                page("3 at 20 by 2\n4 at 30 by 2\n8 at 25 by 1\n"),
            ],
            own: None,
        };

        assert_eq!((book.offset(), book.newest_fence()), (30, 2));
    }

    #[test]
    fn a_line_that_is_being_written_counts_once_it_is_whole() {
        let line = format!("5 {}\n", record(1, 10));
        let (head, tail) = line.split_at(20);
        let mut page = page(&format!("4 {}\n{head}", record(2, 20)));
        assert_eq!(page.parts.len(), 1);

        page.take_in(format!("{head}{tail}").as_bytes());

        assert_eq!(page.parts.len(), 2);
        assert_eq!(page.read, 2 * line.len() as u64);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let page = page(&format!(
            "\n\n x\n5\n5 at\n5 at x\n5 at 5\n5 at 5 by\nx at 5 by 1\n\u{fffd}\n3 {}\n",
            record(3, 1)
        ));

        assert_eq!((page.parts.len(), page.offset), (1, None));
    }
}
