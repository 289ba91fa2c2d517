//! Parts: their numbers, sets of them as clients write them, and what is wrong with a set of stored ones.
//!
//! Separate from `upload`, because protocols, the store and the database all speak of parts without an upload.

use std::fmt;

use serde::Serialize;

use super::plan::{MAX_PARTS, PartPlan};
use super::{Algorithm, Checksum, Checksums, bare_etag};
use crate::error::Error;

/// A part's number, 1 to 10,000:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// Accepts 1 to 10,000.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `field` for any other number.
    pub fn new(number: u64, field: &str) -> Result<Self, Error> {
        match u16::try_from(number) {
            Ok(n) if n >= 1 && u32::from(n) <= MAX_PARTS => Ok(Self(n)),
            _ => Err(Error::invalid(
                field,
                format!("a part number is 1 to {MAX_PARTS}, not {number}"),
            )),
        }
    }

    /// The bare number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part that the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Which part.
    pub number: PartNumber,
    /// Bytes.
    pub size: u64,
    /// The store's tag, with its quotes where the store gave them.
    pub etag: String,
    /// What the store has made of its bytes itself, where it says so.
    pub checksum: Option<Checksum>,
}

impl StoredPart {
    /// Whether the store has other bytes than these checksums are of; `None` where nothing that it says can tell.
    ///
    /// Its tag of a part is the MD5 of the bytes, unless it keeps them encrypted; so it is only asked where it looks
    /// like one, and nobody is told an MD5 who said that theirs is encrypted.
    pub fn differs_from(&self, sums: &Checksums) -> Option<bool> {
        if let Some(own) = &self.checksum
            && let Some(told) = sums.get(own.algorithm())
        {
            return Some(own != told);
        }
        let told = sums.get(Algorithm::Md5)?;
        let own = hex::decode(bare_etag(&self.etag)).ok()?;
        Some(Checksum::new(Algorithm::Md5, own)? != *told)
    }

    /// Whether the store itself tells the checksum of this algorithm that stands among these.
    pub fn confirms(&self, sums: &Checksums, algorithm: Algorithm) -> bool {
        let own = self.checksum.as_ref();
        own.is_some_and(|own| own.algorithm() == algorithm && sums.get(algorithm) == Some(own))
    }
}

/// Part numbers in ascending order, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartSet(Vec<PartNumber>);

impl PartSet {
    /// From a list of numbers in any order; repeated ones count once.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `parts` where a number is not one of the upload's, and for more than 10,000.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u64>, part_count: u32) -> Result<Self, Error> {
        let mut set = Vec::new();
        for number in numbers {
            check_room(&set, 1)?;
            set.push(within(number, part_count)?);
        }
        set.sort_unstable();
        set.dedup();
        Self::non_empty(set)
    }

    /// From text such as `1-1000` or `3,7,20-29`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `parts` for anything else, for a number that is not one of the upload's, and for
    /// more than 10,000.
    pub fn parse(text: &str, part_count: u32) -> Result<Self, Error> {
        let mut set = Vec::new();
        for piece in text.split(',').map(str::trim) {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last) = (number_in(first, text)?, number_in(last, text)?);
            if first > last {
                return Err(Error::invalid(
                    "parts",
                    format!("the range {piece} runs backwards"),
                ));
            }
            // All is checked before the range is walked: a short text can name the same ten thousand over and over.
            let range = within(first, part_count)?.0..=within(last, part_count)?.0;
            check_room(&set, range.len())?;
            set.extend(range.map(PartNumber));
        }
        set.sort_unstable();
        set.dedup();
        Self::non_empty(set)
    }

    fn non_empty(set: Vec<PartNumber>) -> Result<Self, Error> {
        if set.is_empty() {
            return Err(Error::invalid(
                "parts",
                "name at least one part, as \"1-1000\" or [3, 7]",
            ));
        }
        Ok(Self(set))
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PartNumber> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// How many parts are in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no part is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Refuses `more` numbers beyond 10,000, counting repeated ones.
fn check_room(set: &[PartNumber], more: usize) -> Result<(), Error> {
    if set.len() + more > MAX_PARTS as usize {
        let detail = format!("names at most {MAX_PARTS} parts, repeated ones included");
        return Err(Error::invalid("parts", detail));
    }
    Ok(())
}

fn number_in(text: &str, whole: &str) -> Result<u64, Error> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let shown: String = whole.chars().take(40).collect();
        Error::invalid(
            "parts",
            format!("\"{shown}\" is not a list of part numbers such as \"1-1000\" or \"3,7\""),
        )
    })
}

fn within(number: u64, part_count: u32) -> Result<PartNumber, Error> {
    match PartNumber::new(number, "parts") {
        Ok(part) if u32::from(part.0) <= part_count => Ok(part),
        _ => Err(Error::invalid(
            "parts",
            format!("this upload has parts 1 to {part_count}, not {number}"),
        )),
    }
}

/// What is wrong with one part when an upload is to be completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum PartDefect {
    /// The store does not have it.
    Missing {
        /// Which part.
        number: PartNumber,
    },
    /// The store has it with another size.
    WrongSize {
        /// Which part.
        number: PartNumber,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        actual: u64,
    },
    /// The store has other bytes than the client has sent.
    WrongChecksum {
        /// Which part.
        number: PartNumber,
    },
    /// The store has a part that the upload has not.
    Surplus {
        /// Which part.
        number: PartNumber,
    },
}

impl PartDefect {
    /// Which part it is about.
    pub fn number(&self) -> PartNumber {
        match self {
            Self::Missing { number }
            | Self::WrongSize { number, .. }
            | Self::WrongChecksum { number }
            | Self::Surplus { number } => *number,
        }
    }
}

impl fmt::Display for PartDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { number } => write!(f, "part {number} is missing"),
            Self::WrongSize {
                number,
                expected,
                actual,
            } => {
                write!(f, "part {number} has {actual} bytes instead of {expected}")
            }
            Self::WrongChecksum { number } => {
                write!(f, "part {number} has other bytes than were sent")
            }
            Self::Surplus { number } => write!(f, "part {number} does not belong to it"),
        }
    }
}

/// Everything that keeps `stored` (ascending) from being the whole of `plan`, in part order.
fn defects(plan: &PartPlan, stored: &[StoredPart]) -> Vec<PartDefect> {
    let mut found = Vec::new();
    let mut stored = stored.iter().peekable();
    for (number, expected) in plan.parts() {
        while let Some(stray) = stored.next_if(|part| part.number < number) {
            found.push(PartDefect::Surplus { number: stray.number });
        }
        match stored.next_if(|part| part.number == number) {
            None => found.push(PartDefect::Missing { number }),
            Some(part) if part.size != expected => {
                found.push(PartDefect::WrongSize {
                    number,
                    expected,
                    actual: part.size,
                });
            }
            Some(_) => {}
        }
    }
    found.extend(stored.map(|part| PartDefect::Surplus { number: part.number }));
    found
}

/// Longest tag that a client may name; the stores' own have some forty characters.
const MAX_ETAG: usize = 200;

/// Refuses text that is no store's tag of a part; none at all is fine.
///
/// # Errors
/// [`Error::Invalid`] on `field`.
pub fn check_etag(etag: Option<&str>, field: &str) -> Result<(), Error> {
    let is_one = |etag: &str| etag.len() <= MAX_ETAG && !etag.chars().any(char::is_control);
    if etag.is_none_or(is_one) {
        return Ok(());
    }
    let detail = format!("a tag has at most {MAX_ETAG} printable characters");
    Err(Error::invalid(field, detail))
}

/// Whether `stored` (ascending) is the whole of `plan`.
///
/// # Errors
/// [`Error::Incomplete`] with the first defects, and how many there are.
pub fn check_whole(plan: &PartPlan, stored: &[StoredPart]) -> Result<(), Error> {
    Error::unless_whole(defects(plan, stored), plan.part_count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PartLimits;

    fn numbers(set: &PartSet) -> Vec<u16> {
        set.iter().map(PartNumber::get).collect()
    }

    fn stored(number: u16, size: u64) -> StoredPart {
        StoredPart {
            number: PartNumber(number),
            size,
            etag: "\"x\"".into(),
            checksum: None,
        }
    }

    fn plan_of_three() -> PartPlan {
        let limits = PartLimits {
            min: 4,
            preferred: 4,
            max: 100,
            step: 1,
            most: MAX_PARTS,
        };
        PartPlan::new(10, None, &limits).unwrap()
    }

    #[test]
    fn ranges_and_single_numbers_mix_and_repeated_ones_count_once() {
        let set = PartSet::parse("7, 1-3,2", 10).unwrap();

        assert_eq!(numbers(&set), [1, 2, 3, 7]);
    }

    #[test]
    fn a_number_beyond_the_upload_is_refused_and_the_limit_is_named() {
        for text in ["11", "1-11", "0", "99999999999999"] {
            let error = PartSet::parse(text, 10).unwrap_err().to_string();
            assert!(error.contains("parts 1 to 10"), "{error}");
        }
    }

    #[test]
    fn text_that_is_no_list_is_refused_by_name_of_the_field() {
        for text in ["", "x", "1-", "-3", "3-1", "1..4"] {
            let error = PartSet::parse(text, 10).unwrap_err().to_string();
            assert!(error.starts_with("parts:"), "{error}");
        }
    }

    #[test]
    fn a_short_text_that_names_the_same_parts_over_and_over_is_refused_before_it_fills_the_memory() {
        let text = vec!["1-10000"; 100_000].join(",");

        let refused = PartSet::parse(&text, MAX_PARTS).unwrap_err().to_string();

        assert!(refused.contains("at most 10000 parts"), "{refused}");
        assert!(PartSet::from_numbers(vec![1; 10_001], MAX_PARTS).is_err());
        assert_eq!(PartSet::parse("1-10000", MAX_PARTS).unwrap().len(), 10_000);
    }

    #[test]
    fn a_whole_upload_has_no_defects() {
        assert!(defects(&plan_of_three(), &[stored(1, 4), stored(2, 4), stored(3, 2)]).is_empty());
    }

    #[test]
    fn gaps_wrong_sizes_and_strays_are_each_named() {
        let found = defects(&plan_of_three(), &[stored(1, 4), stored(3, 4), stored(9, 1)]);

        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "part 2 is missing",
                "part 3 has 4 bytes instead of 2",
                "part 9 does not belong to it"
            ]
        );
    }
}
