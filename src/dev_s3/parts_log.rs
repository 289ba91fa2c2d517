//! The log of the parts that came for one upload: one line for each, synced before the part is acknowledged.
//!
//! Separate because it is the reason why the ten-thousandth part costs as little as the first: nothing that grows
//! is ever written again. A part that comes twice has two lines; the later one counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use super::records::PartRecord;

/// An open log.
#[derive(Debug)]
pub struct PartsLog {
    file: File,
    /// Bytes that are whole lines.
    length: u64,
}

impl PartsLog {
    /// Opens or creates the log and reads its records in the order of their arrival. A last line that a crash
    /// tore off was never acknowledged: it is cut away.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`] for a line in the middle that is no record.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<PartRecord>)> {
        let content = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            content => content?,
        };
        let whole = content
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let records = content[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<Vec<PartRecord>, _>>()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = whole as u64;
        if content.len() > whole {
            file.set_len(length)?;
        }
        Ok((Self { file, length }, records))
    }

    /// Adds a record for good.
    pub fn append(&mut self, record: &PartRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += line.len() as u64,
            // What may have been written of the line must not stand before the next one.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Moment;
    use super::super::sums::Sums;
    use super::*;
    use uuid::Uuid;

    fn part(number: u16) -> PartRecord {
        PartRecord {
            number,
            size: 1,
            md5: "0".repeat(32),
            sums: Sums::default(),
            segment: Uuid::new_v4(),
            modified: Moment::now(),
        }
    }

    fn numbers(records: &[PartRecord]) -> Vec<u16> {
        records.iter().map(|record| record.number).collect()
    }

    #[test]
    fn a_torn_last_line_is_cut_away_and_the_log_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parts.log");
        let (mut log, none) = PartsLog::open(&path).expect("create");
        assert!(none.is_empty());
        log.append(&part(3)).expect("append");
        drop(log);
        let mut torn = OpenOptions::new().append(true).open(&path).expect("open");
        torn.write_all(br#"{"number":4,"si"#).expect("tear");

        let (mut log, first) = PartsLog::open(&path).expect("open again");
        log.append(&part(1)).expect("append");
        let (_, second) = PartsLog::open(&path).expect("open a third time");

        assert_eq!(numbers(&first), [3]);
        assert_eq!(numbers(&second), [3, 1]);
    }
}
