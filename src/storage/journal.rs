//! The record of which parts of an unfinished upload are stored, as text in a file beside its data.
//!
//! Separate from the folders and shares that it lies on, because it is pure and they share it: a part counts if, and
//! only if, its line is here, and the line is written after the part's bytes are safe.
//!
//! A line is `<number> <bytes> <sha-256 in hexadecimal> <data|aside>`. It is written in one go with a line end on
//! either side, so whatever a kill or a power cut left of the line before cannot spoil it. A line that is torn or
//! makes no sense counts for nothing. **The last line of a number wins**: a part that is sent again replaces the one
//! before. Its bytes must not run over those of a part that counts already, so they lie in a file of their own
//! ([`Place::Aside`]) until the upload is finished.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::{PartNumber, Sha256Sum, StoredPart};

/// Where a part's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the upload's data, at the part's own offset.
    Data,
    /// In a file of their own ([`Record::aside_name`]), because the data holds an earlier version of the part.
    Aside,
}

impl Place {
    fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Aside => "aside",
        }
    }
}

/// One part that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Which part.
    pub(super) number: PartNumber,
    /// Bytes.
    pub(super) size: u64,
    /// Their digest.
    pub(super) sha256: Sha256Sum,
    /// Where they lie.
    pub(super) place: Place,
}

impl Record {
    /// What is to be appended to the journal, in a single write.
    pub(super) fn line(&self) -> String {
        format!("\n{self}\n")
    }

    /// The name of the file for a part that replaces another; the same bytes have the same name.
    pub(super) fn aside_name(&self) -> String {
        format!("{}-{}", self.number, self.sha256)
    }

    /// The part as its storage tells of it; its tag is the digest in quotes.
    pub(super) fn stored_part(&self) -> StoredPart {
        StoredPart {
            number: self.number,
            size: self.size,
            etag: format!("\"{}\"", self.sha256),
            checksum: None,
        }
    }

    /// Reads a line as it was [shown](fmt::Display).
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let record = Self {
            number: PartNumber::new(words.next()?.parse().ok()?, "number").ok()?,
            size: words.next()?.parse().ok()?,
            sha256: Sha256Sum::from_hex(words.next()?, "sha256").ok()?,
            place: match words.next()? {
                "data" => Place::Data,
                "aside" => Place::Aside,
                _ => return None,
            },
        };
        words.next().is_none().then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            size,
            sha256,
            place,
        } = self;
        write!(f, "{number} {size} {sha256} {}", place.as_str())
    }
}

/// The parts that count, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Journal(BTreeMap<PartNumber, Record>);

impl Journal {
    /// Reads a journal as it lies there, in whatever state.
    pub(super) fn read(text: &[u8]) -> Self {
        Self(
            whole_lines(text)
                .filter_map(Record::parse)
                .map(|record| (record.number, record))
                .collect(),
        )
    }

    /// The parts, ascending.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.0.values()
    }

    /// The parts as their storage tells of them, ascending.
    pub(super) fn stored_parts(&self) -> Vec<StoredPart> {
        self.records().map(Record::stored_part).collect()
    }
}

/// One part's record, without reading those of all others: a journal can have ten thousand lines, and every part that
/// comes asks for its own.
pub(super) fn record_of(text: &[u8], number: PartNumber) -> Option<Record> {
    let beginning = format!("\n{number} ");
    memchr::memmem::find_iter(text, beginning.as_bytes())
        .filter_map(|at| {
            let line = &text[at + 1..];
            Record::parse(&line[..memchr::memchr(b'\n', line)?])
        })
        .last()
}

/// The lines that have their end; what follows the last end was torn.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    text[..end].split(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, size: u64, place: Place) -> Record {
        Record {
            number: PartNumber::new(number, "number").unwrap(),
            size,
            sha256: Sha256Sum::new([u8::try_from(number).unwrap(); 32]),
            place,
        }
    }

    fn sizes(journal: &Journal) -> Vec<(u16, u64)> {
        journal
            .records()
            .map(|record| (record.number.get(), record.size))
            .collect()
    }

    #[test]
    fn what_was_written_is_read_again_in_part_order() {
        let (two, one) = (record(2, 7, Place::Data), record(1, 9, Place::Aside));

        let journal = Journal::read(format!("{}{}", two.line(), one.line()).as_bytes());

        assert_eq!(journal.records().copied().collect::<Vec<_>>(), [one, two]);
        let parts = journal.stored_parts();
        assert_eq!(parts[0].etag, format!("\"{}\"", "01".repeat(32)));
        assert_eq!(one.aside_name(), format!("1-{}", "01".repeat(32)));
    }

    #[test]
    fn the_last_line_of_a_number_wins() {
        let text: String = [
            record(1, 5, Place::Data),
            record(2, 5, Place::Data),
            record(1, 6, Place::Aside),
        ]
        .iter()
        .map(Record::line)
        .collect();

        assert_eq!(sizes(&Journal::read(text.as_bytes())), [(1, 6), (2, 5)]);
        let found = record_of(text.as_bytes(), record(1, 0, Place::Data).number).unwrap();
        assert_eq!((found.size, found.place), (6, Place::Aside));
        assert_eq!(
            record_of(text.as_bytes(), record(12, 0, Place::Data).number),
            None
        );
    }

    #[test]
    fn a_torn_last_line_counts_for_nothing_wherever_it_is_torn() {
        let whole = record(1, 5, Place::Data).line();
        let last = record(2, 6, Place::Aside).line();

        for torn in 0..last.len() {
            let text = format!("{whole}{}", &last[..torn]);
            assert_eq!(sizes(&Journal::read(text.as_bytes())), [(1, 5)], "{torn}");
        }
    }

    #[test]
    fn a_line_behind_a_torn_one_counts() {
        let (torn, next) = (record(1, 5, Place::Data).line(), record(2, 6, Place::Data).line());

        for end in 1..torn.len() - 1 {
            let text = format!("{}{next}", &torn[..end]);
            assert_eq!(sizes(&Journal::read(text.as_bytes())), [(2, 6)], "{end}");
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let good = record(3, 4, Place::Data);
        let hex = "ab".repeat(32);
        for bad in [
            String::new(),
            "\0\0\0".to_owned(),
            format!("0 1 {hex} data"),
            format!("10001 1 {hex} data"),
            format!("1 -1 {hex} data"),
            format!("1 1 {} data", &hex[1..]),
            format!("1 1 {hex} dat"),
            format!("1 1 {hex} data more"),
            format!(" 1 1 {hex} data"),
        ] {
            let text = format!("{bad}\n{}", good.line());
            assert_eq!(sizes(&Journal::read(text.as_bytes())), [(3, 4)], "{bad}");
        }
        assert_eq!(sizes(&Journal::read(b"\xff\xfe\n")), []);
        assert_eq!(sizes(&Journal::read(b"")), []);
    }
}
