//! Where an upload stands that is appended to, by what lies in the bucket.
//!
//! Separate from the requests, because it is pure, and because everything rests on it: nothing else says what counts.
//!
//! What was appended is in the parts of the multipart upload, as far as these are whole, and behind them in **pieces**,
//! small objects in the upload's own folder that carry on byte after byte. A piece never reaches beyond the part that it
//! will become part of. Its name says where it starts and under which [fence](crate::domain::Appending::fence) it was
//! written; that of a body that counts only as a whole names the call too, and counts from the moment that the call is
//! **confirmed** by an object of its own. Once there is anything of a higher fence, pieces of a lower one that start at
//! or behind its first byte are void: whoever wrote them had been cut off by then. A **mark** says where a fence began,
//! for one whose bytes went into parts, which tell of no fence.

use std::collections::{BTreeMap, HashSet};

use crate::domain::{Length, PartNumber, PartSizes, StoredPart, Upload};
use crate::error::Error;

/// Into which parts the bytes of one upload are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    sizes: PartSizes,
    size: Option<u64>,
}

impl Cut {
    /// The cut of an upload, for a store that takes parts of at least `least` bytes.
    pub(super) fn of(upload: &Upload, least: u64) -> Self {
        let from_the_beginning = (upload.length() == Length::Known).then_some(upload.size);
        Self {
            sizes: PartSizes::new(from_the_beginning, least),
            size: upload.known_size(),
        }
    }

    /// Where the part ends that comes behind `parts` others and begins at `base`: there too, where the file ends at
    /// `base`.
    ///
    /// # Errors
    /// [`Error::Invalid`] behind the last part that there may be.
    pub(super) fn end_of(&self, parts: u64, base: u64) -> Result<u64, Error> {
        if self.size.is_some_and(|size| size <= base) {
            return Ok(base);
        }
        let end = base.saturating_add(self.sizes.size_of(PartNumber::new(parts + 1, "part")?));
        Ok(self.size.map_or(end, |size| end.min(size)))
    }
}

/// A small object with bytes that are in no part yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The object's own name.
    pub(super) name: String,
    /// Where in the file it starts.
    pub(super) start: u64,
    /// Bytes.
    pub(super) size: u64,
    fence: u64,
}

impl Piece {
    /// A piece to be; `call` is the call that has to be confirmed before it counts.
    pub(super) fn new(call: Option<&str>, fence: u64, start: u64, size: u64) -> Self {
        let name = match call {
            None => format!("t{start:020}-{fence:020}"),
            Some(call) => format!("s{call}-{start:020}-{fence:020}"),
        };
        Self {
            name,
            start,
            size,
            fence,
        }
    }
}

/// The name of the object that says where a fence began.
pub(super) fn mark(fence: u64, start: u64) -> String {
    format!("f{fence:020}-{start:020}")
}

/// The name of the object that confirms a call.
pub(super) fn confirmation(call: &str) -> String {
    format!("c{call}")
}

/// What the name of an object says.
enum Named<'n> {
    Piece {
        call: Option<&'n str>,
        start: u64,
        fence: u64,
    },
    Mark {
        fence: u64,
        start: u64,
    },
    Confirmation(&'n str),
}

impl<'n> Named<'n> {
    fn read(name: &'n str) -> Option<Self> {
        let numbers = |text: &str| {
            let (first, second) = text.split_once('-')?;
            Some((first.parse().ok()?, second.parse().ok()?))
        };
        let rest = name.get(1..)?;
        match name.as_bytes()[0] {
            b't' => numbers(rest).map(|(start, fence)| Self::Piece {
                call: None,
                start,
                fence,
            }),
            b's' => {
                let (call, rest) = rest.split_once('-')?;
                let (start, fence) = numbers(rest)?;
                let call = Some(call);
                Some(Self::Piece { call, start, fence })
            }
            b'f' => numbers(rest).map(|(fence, start)| Self::Mark { fence, start }),
            b'c' => Some(Self::Confirmation(rest)),
            _ => None,
        }
    }
}

/// The highest fence that left anything, confirmed or not; 0 where there is none.
pub(super) fn newest_fence<'n>(names: impl Iterator<Item = &'n str>) -> u64 {
    let fences = names.filter_map(|name| match Named::read(name)? {
        Named::Piece { fence, .. } | Named::Mark { fence, .. } => Some(fence),
        Named::Confirmation(_) => None,
    });
    fences.max().unwrap_or(0)
}

/// Where an upload stands that is appended to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Appended {
    /// How many parts are whole.
    pub(super) parts: u64,
    /// Bytes of these.
    pub(super) base: u64,
    /// What carries on behind them.
    pub(super) tail: Vec<Piece>,
    /// The names of the marks.
    pub(super) marks: Vec<String>,
    /// The [highest fence](newest_fence) so far.
    pub(super) newest: u64,
}

impl Appended {
    /// Puts together what was found: parts ascending, and the objects of the upload's folder with their sizes. Pieces
    /// that do not carry on are leftovers, and count for nothing.
    pub(super) fn new(cut: &Cut, listed: &[StoredPart], objects: &[(String, u64)]) -> Self {
        let mut state = Self {
            newest: newest_fence(objects.iter().map(|(name, _)| name.as_str())),
            ..Self::default()
        };
        for part in listed {
            let end = cut.end_of(state.parts, state.base).ok();
            let is_next = u64::from(part.number.get()) == state.parts + 1;
            if !is_next || part.size == 0 || end != Some(state.base + part.size) {
                break;
            }
            state.parts += 1;
            state.base += part.size;
        }
        let mut end = state.base;
        for piece in state.counting(objects) {
            if piece.start == end && piece.size > 0 {
                end += piece.size;
                state.tail.push(piece);
            }
        }
        state
    }

    /// The pieces that are not void, by where they start.
    fn counting(&mut self, objects: &[(String, u64)]) -> Vec<Piece> {
        let confirmed: HashSet<&str> = objects
            .iter()
            .filter_map(|object| match Named::read(&object.0)? {
                Named::Confirmation(call) => Some(call),
                _ => None,
            })
            .collect();
        let mut pieces = Vec::new();
        let mut first_bytes: BTreeMap<u64, u64> = BTreeMap::new();
        for (name, size) in objects {
            let (fence, start) = match Named::read(name) {
                Some(Named::Piece { call, start, fence })
                    if call.is_none_or(|call| confirmed.contains(call)) =>
                {
                    pieces.push(Piece {
                        name: name.clone(),
                        start,
                        size: *size,
                        fence,
                    });
                    (fence, start)
                }
                Some(Named::Mark { fence, start }) => {
                    self.marks.push(name.clone());
                    (fence, start)
                }
                _ => continue,
            };
            let first = first_bytes.entry(fence).or_insert(start);
            *first = start.min(*first);
        }
        let is_void = |piece: &Piece| {
            let mut higher = first_bytes.range(piece.fence + 1..);
            higher.any(|(_, first)| *first <= piece.start)
        };
        pieces.retain(|piece| !is_void(piece));
        pieces.sort_by_key(|piece| piece.start);
        pieces
    }

    /// Bytes that are stored.
    pub(super) fn end(&self) -> u64 {
        self.base + self.tail.iter().map(|piece| piece.size).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, size: u64) -> StoredPart {
        StoredPart {
            number: PartNumber::new(number, "part").unwrap(),
            size,
            etag: String::new(),
            checksum: None,
        }
    }

    fn cut(size: Option<u64>) -> Cut {
        Cut {
            sizes: PartSizes::Equal(10),
            size,
        }
    }

    fn piece(fence: u64, start: u64, size: u64) -> (String, u64) {
        (Piece::new(None, fence, start, size).name, size)
    }

    fn end(objects: &[(String, u64)]) -> u64 {
        Appended::new(&cut(None), &[], objects).end()
    }

    #[test]
    fn the_end_is_where_whole_parts_and_the_pieces_behind_them_end() {
        let parts = [part(1, 10), part(2, 10), part(3, 4)];
        let pieces = [piece(0, 25, 3), piece(0, 15, 5), piece(0, 20, 5), piece(0, 40, 1)];

        let state = Appended::new(&cut(None), &parts, &pieces);

        assert_eq!((state.parts, state.base, state.end()), (2, 20, 28));
        assert_eq!(
            Appended::new(&cut(None), &[part(2, 10)], &[piece(0, 0, 3)]).end(),
            3
        );
    }

    #[test]
    fn a_short_part_is_whole_where_it_is_the_last() {
        let parts = [part(1, 10), part(2, 4)];

        assert_eq!(Appended::new(&cut(Some(14)), &parts, &[]).end(), 14);
        assert_eq!(Appended::new(&cut(Some(15)), &parts, &[]).end(), 10);
        assert_eq!(Appended::new(&cut(None), &parts, &[]).end(), 10);
    }

    #[test]
    fn a_piece_of_an_unconfirmed_call_does_not_count() {
        let piece = Piece::new(Some("abc"), 2, 0, 5);
        let late = Piece::new(None, 1, 0, 3);
        let mut objects = vec![(piece.name, 5), (late.name, 3)];
        assert_eq!(end(&objects), 3);
        assert_eq!(newest_fence(objects.iter().map(|(name, _)| name.as_str())), 2);

        objects.push((confirmation("abc"), 1));
        assert_eq!(end(&objects), 5);
    }

    #[test]
    fn a_late_piece_of_a_lower_fence_is_void() {
        let mut objects = vec![piece(1, 0, 5), piece(2, 5, 2)];
        assert_eq!(end(&objects), 7);

        // At the same place, behind it, and longer.
        objects.extend([piece(1, 5, 4), piece(1, 7, 3), piece(0, 9, 1)]);
        assert_eq!(end(&objects), 7);
        // What was there before the higher fence began still counts, and what comes under it carries on.
        objects.push(piece(2, 7, 1));
        assert_eq!(end(&objects), 8);
    }

    #[test]
    fn a_mark_speaks_for_a_fence_whose_bytes_are_in_parts() {
        let objects = vec![piece(1, 10, 4), (mark(2, 3), 1)];

        let state = Appended::new(&cut(None), &[part(1, 10)], &objects);

        assert_eq!((state.end(), state.marks.len()), (10, 1));
        assert_eq!(newest_fence(objects.iter().map(|(name, _)| name.as_str())), 2);
        // One that was written before the mark's place counts.
        let before = [piece(1, 0, 3), (mark(2, 3), 1)];
        assert_eq!(end(&before), 3);
    }

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "",
            "t",
            "t5",
            "t5-x",
            "sabc-5",
            "f1",
            "whole",
            "p00001-00002",
            "é",
        ] {
            assert_eq!(end(&[(name.to_owned(), 5)]), 0, "{name}");
        }
    }
}
