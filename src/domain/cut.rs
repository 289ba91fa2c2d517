//! Who cuts a file into the store's parts, and what is right about parts that somebody else has cut.
//!
//! Separate from [`plan`](super::plan), which is our own cut: there every size is known before a byte is sent, here
//! the store's list is all that there is to go by.

use super::part::{PartDefect, PartNumber, StoredPart};
use crate::error::Error;

/// Who cuts an upload into parts, and who begins and ends it at the store. All but [`Cut::Ours`] are for uploads that go
/// straight to the store, and have no [size](super::Upload::known_size) before they are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// We do, into parts of one size; also for what passes through us.
    #[default]
    Ours,
    /// The client cuts, into whatever parts the store takes. We begin and end the multipart upload, and begin it anew
    /// where the store loses it.
    Client,
    /// The client does all of it with our signatures: it alone learns the store's id of the multipart upload, which we
    /// know from when it is first used, and it ends the upload itself.
    Browser,
    /// Nobody: one request of the client brings the whole object.
    Whole,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Client, Self::Browser, Self::Whole];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Client => "client",
            Self::Browser => "browser",
            Self::Whole => "whole",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cut| cut.as_str() == text)
    }

    /// Whether it follows our own plan.
    pub fn is_ours(self) -> bool {
        self == Self::Ours
    }

    /// Whether we begin it at the store.
    pub fn is_begun_by_us(self) -> bool {
        matches!(self, Self::Ours | Self::Client)
    }

    /// Whether the client ends it at the store without us, so that we only find out.
    pub fn is_ended_by_client(self) -> bool {
        !self.is_begun_by_us()
    }
}

/// A part as a client names it when it asks for completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPart {
    /// Which part.
    pub number: PartNumber,
    /// The store's tag as the client has it, with or without quotes.
    pub etag: Option<String>,
}

/// A tag without the quotes that some have round it, in HTTP, in XML, or not at all.
pub fn bare_etag(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("&quot;").unwrap_or(etag);
    let etag = etag.strip_suffix("&quot;").unwrap_or(etag);
    etag.trim_matches('"')
}

/// The stored parts (ascending) that a client may be told to leave out when it goes on: all of them if they can be of one
/// cut, in which every part has the same size and the last may be shorter; else none. Clients trust the numbers alone, so
/// parts of two cuts would make a file of neither.
pub fn resumable_parts(stored: Vec<StoredPart>) -> Vec<StoredPart> {
    if check_one_cut(&stored).is_ok() {
        stored
    } else {
        Vec::new()
    }
}

/// Whether stored parts (ascending) can be of one cut.
///
/// # Errors
/// [`Error::MixedParts`] naming the first part that is of another.
pub fn check_one_cut(stored: &[StoredPart]) -> Result<(), Error> {
    let Some((last, others)) = stored.split_last() else {
        return Ok(());
    };
    let size = others.first().map_or(last.size, |first| first.size);
    let strays = others.iter().find(|part| part.size != size);
    let Some(stray) = strays.or(Some(last).filter(|last| last.size > size)) else {
        return Ok(());
    };
    let (number, actual) = (stray.number, stray.size);
    Err(Error::MixedParts {
        why: format!("part {number} has {actual} bytes, and the others before it have {size}"),
    })
}

/// Whether parts (ascending) can be joined at all.
///
/// # Errors
/// [`Error::Invalid`] naming the first one, but the last, that is smaller than `least` bytes, which the store refuses.
pub fn check_joinable(parts: &[StoredPart], least: u64) -> Result<(), Error> {
    let others = parts.split_last().map_or(&[][..], |(_, others)| others);
    let Some(small) = others.iter().find(|part| part.size < least) else {
        return Ok(());
    };
    let (number, size) = (small.number, small.size);
    Err(Error::invalid(
        "parts",
        format!("part {number} has {size} bytes; all but the last need at least {least}"),
    ))
}

/// Whether the object can be made of the stored parts (ascending): they are the ones that the client names, and of one
/// cut. A part that is stored and not named is of another cut, so a named one may be too, unseen; and not every store joins
/// some of its parts alone. Where none is named, all that are stored are meant.
///
/// # Errors
/// [`Error::Incomplete`] where one is missing, or the numbers do not run from 1 without a gap; [`Error::PartConflict`]
/// where a named tag is not the stored one; [`Error::MixedParts`].
pub fn check_chosen(stored: &[StoredPart], named: &[NamedPart]) -> Result<(), Error> {
    let named_last = named.iter().map(|name| name.number.get()).max();
    let stored_last = stored.last().map(|part| part.number.get());
    // Nothing at all is a first part that is missing.
    let last = named_last.or(stored_last).unwrap_or(1);
    check_gapless(stored, last)?;
    for name in named {
        let Some(etag) = &name.etag else { continue };
        let is_other = |part: &&StoredPart| {
            part.number == name.number && !part.etag.is_empty() && bare_etag(&part.etag) != bare_etag(etag)
        };
        if let Some(part) = stored.iter().find(is_other) {
            return Err(Error::PartConflict { number: part.number });
        }
    }
    let is_named =
        |part: &StoredPart| named.is_empty() || named.iter().any(|name| name.number == part.number);
    if let Some(surplus) = stored.iter().find(|part| !is_named(part)) {
        return Err(Error::MixedParts {
            why: format!("part {} is stored and was not named", surplus.number),
        });
    }
    check_one_cut(stored)
}

fn check_gapless(stored: &[StoredPart], last: u16) -> Result<(), Error> {
    let mut defects = Vec::new();
    let mut stored = stored.iter().peekable();
    for number in 1..=last {
        if stored.next_if(|part| part.number.get() == number).is_none() {
            let number = PartNumber::new(number.into(), "parts")?;
            defects.push(PartDefect::Missing { number });
        }
    }
    Error::unless_whole(defects, last.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u16, size: u64) -> StoredPart {
        StoredPart {
            number: PartNumber::new(number.into(), "part").unwrap(),
            size,
            etag: format!("\"tag-{number}\""),
            checksum: None,
        }
    }

    fn named(number: u16, etag: &str) -> NamedPart {
        NamedPart {
            number: PartNumber::new(number.into(), "part").unwrap(),
            etag: Some(etag.to_owned()),
        }
    }

    fn numbers(parts: &[StoredPart]) -> Vec<u16> {
        parts.iter().map(|part| part.number.get()).collect()
    }

    #[test]
    fn parts_of_one_cut_are_told_with_their_gaps_and_parts_of_two_are_not() {
        let told = |parts: &[(u16, u64)]| {
            let stored = parts.iter().map(|(number, size)| part(*number, *size));
            numbers(&resumable_parts(stored.collect()))
        };

        assert!(told(&[]).is_empty());
        assert_eq!(told(&[(2, 5)]), [2]);
        assert_eq!(told(&[(1, 5), (3, 5), (4, 2)]), [1, 3, 4]);
        assert!(told(&[(1, 5), (2, 6)]).is_empty());
        assert!(told(&[(1, 5), (2, 4), (3, 5)]).is_empty());
    }

    #[test]
    fn an_object_is_made_of_the_named_parts_whatever_the_quotes_round_their_tags() {
        let stored = [part(1, 5), part(2, 5)];

        assert!(check_chosen(&stored, &[named(1, "tag-1"), named(2, "&quot;tag-2&quot;")]).is_ok());
        assert!(check_chosen(&stored, &[named(2, "\"tag-2\""), named(1, "tag-1")]).is_ok());
        assert!(check_chosen(&stored, &[]).is_ok());
    }

    #[test]
    fn a_gap_a_missing_part_and_another_tag_are_refused() {
        let refused =
            |stored: &[StoredPart], names: &[NamedPart]| check_chosen(stored, names).unwrap_err().to_string();

        assert_eq!(
            refused(&[part(1, 5), part(3, 5)], &[]),
            "the upload is not whole: part 2 is missing"
        );
        assert_eq!(refused(&[], &[]), "the upload is not whole: part 1 is missing");
        assert!(refused(&[part(1, 5)], &[named(1, "tag-1"), named(2, "x")]).contains("part 2 is missing"));
        assert!(refused(&[part(1, 5)], &[named(1, "other")]).contains("other bytes"));
    }

    #[test]
    fn parts_of_two_cuts_and_parts_that_nobody_named_are_no_object() {
        let refused = |stored: &[StoredPart], last: u16| {
            let names: Vec<NamedPart> = (1..=last).map(|n| named(n, &format!("tag-{n}"))).collect();
            check_chosen(stored, &names).unwrap_err().to_string()
        };

        let mixed = refused(&[part(1, 10), part(2, 5), part(3, 5)], 3);
        assert!(mixed.starts_with("part 2 has 5 bytes"), "{mixed}");
        let larger = refused(&[part(1, 5), part(2, 10)], 2);
        assert!(larger.starts_with("part 2 has 10 bytes"), "{larger}");
        let surplus = refused(&[part(1, 5), part(2, 5), part(3, 5)], 2);
        assert!(surplus.starts_with("part 3 is stored"), "{surplus}");
    }

    #[test]
    fn only_the_last_part_may_be_smaller_than_the_store_takes() {
        assert!(check_joinable(&[part(1, 5), part(2, 1)], 5).is_ok());
        assert!(check_joinable(&[part(1, 1)], 5).is_ok());

        let refused = check_joinable(&[part(1, 4), part(2, 4)], 5)
            .unwrap_err()
            .to_string();

        assert_eq!(
            refused,
            "parts: part 1 has 4 bytes; all but the last need at least 5"
        );
    }
}
