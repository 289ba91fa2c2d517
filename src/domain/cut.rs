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
    let Some((last, others)) = stored.split_last() else {
        return stored;
    };
    let size = others.first().map_or(last.size, |first| first.size);
    let is_one_cut = others.iter().all(|part| part.size == size) && last.size <= size;
    if is_one_cut { stored } else { Vec::new() }
}

/// The stored parts (ascending) of which the object is to be made: those that the client names, or all where it names
/// none; a part that is stored and not named is of an earlier cut.
///
/// # Errors
/// [`Error::Incomplete`] where one is missing, or the numbers do not run from 1 without a gap; [`Error::PartConflict`]
/// where a named tag is not the stored one.
pub fn chosen_parts(stored: Vec<StoredPart>, named: &[NamedPart]) -> Result<Vec<StoredPart>, Error> {
    let mut stored = stored;
    if !named.is_empty() {
        stored.retain(|part| named.iter().any(|name| name.number == part.number));
    }
    let last = named
        .iter()
        .map(|name| name.number.get())
        .chain(stored.iter().map(|part| part.number.get()))
        .max()
        // Nothing at all is a first part that is missing.
        .unwrap_or(1);
    check_gapless(&stored, last)?;
    for name in named {
        let Some(etag) = &name.etag else { continue };
        let is_other = |part: &&StoredPart| {
            part.number == name.number && !part.etag.is_empty() && bare_etag(&part.etag) != bare_etag(etag)
        };
        if let Some(part) = stored.iter().find(is_other) {
            return Err(Error::PartConflict { number: part.number });
        }
    }
    Ok(stored)
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
    fn an_object_is_made_of_the_named_parts_alone_whatever_the_quotes_round_their_tags() {
        let stored = || vec![part(1, 5), part(2, 5), part(8, 3)];
        let all = [named(1, "tag-1"), named(2, "&quot;tag-2&quot;")];

        assert_eq!(numbers(&chosen_parts(stored(), &all).unwrap()), [1, 2]);
        let quoted = [named(2, "\"tag-2\""), named(1, "tag-1")];
        assert_eq!(numbers(&chosen_parts(stored(), &quoted).unwrap()), [1, 2]);
    }

    #[test]
    fn a_gap_a_missing_part_and_another_tag_are_refused() {
        let refused = |stored: Vec<StoredPart>, names: &[NamedPart]| {
            chosen_parts(stored, names).unwrap_err().to_string()
        };

        assert_eq!(
            refused(vec![part(1, 5), part(3, 5)], &[]),
            "the upload is not whole: part 2 is missing"
        );
        assert_eq!(refused(vec![], &[]), "the upload is not whole: part 1 is missing");
        assert!(refused(vec![part(1, 5)], &[named(1, "tag-1"), named(2, "x")]).contains("part 2 is missing"));
        assert!(refused(vec![part(1, 5)], &[named(1, "other")]).contains("other bytes"));
    }
}
