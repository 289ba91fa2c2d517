//! How an object is made of others: which part is copied by the store and which is read and sent.
//!
//! Separate from the requests, because it is pure arithmetic. A store copies ranges of objects by itself, but takes no
//! part below its least size except the last. So what is smaller is sent in one part together with the beginning of what
//! follows, whose rest is copied; what is large enough is never read.

use std::ops::Range;

use crate::domain::MAX_PARTS;

/// Bytes that are copied at once where the store's limits leave the choice: several such copies go on at a time.
const COPIED_AT_ONCE: u64 = 512 << 20;

/// Some bytes of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Which source, counted from 0.
    pub(super) source: usize,
    /// Which of its bytes.
    pub(super) range: Range<u64>,
}

impl Stretch {
    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// One part of the object to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JoinPart {
    /// The store copies it itself.
    Copied(Stretch),
    /// It is read from several sources and sent.
    Sent(Vec<Stretch>),
}

/// Cuts the bytes of all sources, in order, into parts of `least` to `most` bytes, but for the last, which may be
/// shorter; of a source of at most `least` bytes nothing but the whole is copied. For each such source fewer than twice
/// `least` bytes are read. Where more than 10,000 parts came of it, parts are made larger, and more is read.
///
/// `None` where the bytes do not fit into as many parts of `most` bytes. `most` is at least twice `least`.
pub(super) fn join_plan(sizes: &[u64], least: u64, most: u64) -> Option<Vec<JoinPart>> {
    let total = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
    // With this least size, no more parts than there may be can come of it.
    let larger = total.div_ceil(u64::from(MAX_PARTS) - 1).max(least);
    [
        (least, COPIED_AT_ONCE.max(2 * least).min(most)),
        (least, most),
        (larger, most),
    ]
    .into_iter()
    .filter(|(least, most)| 2 * least <= *most)
    .map(|(least, most)| cut(sizes, least, most))
    .find(|parts| parts.len() <= MAX_PARTS as usize)
}

fn cut(sizes: &[u64], least: u64, most: u64) -> Vec<JoinPart> {
    let last = sizes.iter().rposition(|size| *size > 0);
    let mut parts = Vec::new();
    // What is to be sent with the beginning of what follows.
    let mut open: Vec<Stretch> = Vec::new();
    let mut gathered = 0;
    for (source, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
        let is_last = Some(source) == last;
        let mut start = 0;
        if gathered > 0 || (size < least && !is_last) {
            let missing = least - gathered;
            let rest = size.saturating_sub(missing);
            // A rest that could not be a part of its own is taken along; else it would have to be sent with its successor,
            // whose rest might be as unlucky, and so on to the end.
            let is_rest_copied = size > least && (rest >= least || is_last);
            let taken = if is_rest_copied { missing } else { size };
            open.push(Stretch {
                source,
                range: 0..taken,
            });
            gathered += taken;
            start = taken;
            if gathered >= least {
                parts.push(JoinPart::Sent(std::mem::take(&mut open)));
                gathered = 0;
            }
        }
        parts.extend(even(start..size, most).map(|range| JoinPart::Copied(Stretch { source, range })));
    }
    if !open.is_empty() {
        parts.push(JoinPart::Sent(open));
    }
    parts
}

/// Cuts a range into as few pieces of at most `most` bytes as possible, all of the same size but for a byte.
fn even(range: Range<u64>, most: u64) -> impl Iterator<Item = Range<u64>> {
    let length = range.end - range.start;
    let count = length.div_ceil(most);
    // Of no bytes there are no pieces to divide them among.
    let divisor = count.max(1);
    let (each, longer) = (length / divisor, length % divisor);
    (0..count).scan(range.start, move |start, number| {
        let end = *start + each + u64::from(number < longer);
        Some(std::mem::replace(start, end)..end)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn stretch(source: usize, range: Range<u64>) -> Stretch {
        Stretch { source, range }
    }

    fn copied(source: usize, range: Range<u64>) -> JoinPart {
        JoinPart::Copied(stretch(source, range))
    }

    fn sent(stretches: &[(usize, Range<u64>)]) -> JoinPart {
        let stretches = stretches.iter().cloned();
        JoinPart::Sent(stretches.map(|(source, range)| stretch(source, range)).collect())
    }

    fn stretches(part: &JoinPart) -> &[Stretch] {
        match part {
            JoinPart::Copied(one) => std::slice::from_ref(one),
            JoinPart::Sent(all) => all,
        }
    }

    #[test]
    fn what_is_large_enough_is_copied_whole() {
        assert_eq!(
            join_plan(&[10, 0, 12, 3], 10, 100).unwrap(),
            [copied(0, 0..10), copied(2, 0..12), copied(3, 0..3)]
        );
        assert_eq!(join_plan(&[], 10, 100).unwrap(), []);
        assert_eq!(join_plan(&[0, 0], 10, 100).unwrap(), []);
    }

    #[test]
    fn what_is_small_is_sent_with_the_beginning_of_what_follows() {
        assert_eq!(
            join_plan(&[3, 50, 4, 2, 5, 4, 40], 10, 100).unwrap(),
            [
                sent(&[(0, 0..3), (1, 0..7)]),
                copied(1, 7..50),
                sent(&[(2, 0..4), (3, 0..2), (4, 0..5)]),
                sent(&[(5, 0..4), (6, 0..6)]),
                copied(6, 6..40),
            ]
        );
    }

    #[test]
    fn a_rest_that_is_too_small_is_sent_too_and_none_of_those_behind_it() {
        assert_eq!(
            join_plan(&[1, 10, 10, 10], 10, 100).unwrap(),
            [sent(&[(0, 0..1), (1, 0..10)]), copied(2, 0..10), copied(3, 0..10)]
        );
        // The last part may be short, but only of a large object is a range copied.
        assert_eq!(
            join_plan(&[1, 11], 10, 100).unwrap(),
            [sent(&[(0, 0..1), (1, 0..9)]), copied(1, 9..11)]
        );
        assert_eq!(
            join_plan(&[1, 10], 10, 100).unwrap(),
            [sent(&[(0, 0..1), (1, 0..10)])]
        );
    }

    #[test]
    fn a_large_source_is_copied_in_even_ranges() {
        let parts = join_plan(&[12 * GIB], 5 * MIB, 5 * GIB).unwrap();
        assert_eq!(parts.len(), 24);
        assert!(parts.iter().all(|part| stretches(part)[0].size() == GIB / 2));

        let parts = join_plan(&[5 * 1024 * GIB, 7], 5 * MIB, 5 * GIB).unwrap();
        assert_eq!(parts.len(), 1025);
    }

    #[test]
    fn many_sources_are_gathered_until_ten_thousand_parts_suffice() {
        let parts = join_plan(&vec![5 * MIB; 30_000], 5 * MIB, 5 * GIB).unwrap();

        assert!(parts.len() <= MAX_PARTS as usize, "{}", parts.len());
        assert_eq!(join_plan(&vec![5 * GIB; 10_001], 5 * MIB, 5 * GIB), None);
    }

    proptest! {
        #[test]
        fn every_byte_is_there_once_and_in_order(
            sizes in prop::collection::vec(prop_oneof![Just(0u64), 1..10u64, 8..13u64, 10..60u64, 60..500u64], 0..60),
        ) {
            let (least, most) = (10, 25);
            let parts = cut(&sizes, least, most);

            let mut all = parts.iter().flat_map(|part| stretches(part).to_vec());
            for (source, &size) in sizes.iter().enumerate() {
                let mut at = 0;
                while at < size {
                    let next = all.next().unwrap();
                    prop_assert_eq!((next.source, next.range.start), (source, at));
                    prop_assert!(next.range.end > at);
                    at = next.range.end;
                }
                prop_assert_eq!(at, size);
            }
            prop_assert!(all.next().is_none());

            for (index, part) in parts.iter().enumerate() {
                let size: u64 = stretches(part).iter().map(Stretch::size).sum();
                prop_assert!(size <= most);
                prop_assert!(size >= least || index + 1 == parts.len());
                if let JoinPart::Copied(one) = part {
                    let whole = sizes[one.source];
                    prop_assert!(one.range == (0..whole) || whole > least);
                }
            }

            let small = sizes.iter().filter(|size| (1..least).contains(*size)).count() as u64;
            let read: u64 = parts
                .iter()
                .filter(|part| matches!(part, JoinPart::Sent(_)))
                .flat_map(stretches)
                .map(Stretch::size)
                .sum();
            prop_assert!(read < (2 * least * small).max(1));
        }
    }
}
