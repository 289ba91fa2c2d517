//! Cutting a file into parts that the store accepts.
//!
//! Separate from `upload`, because the cut is pure arithmetic that every protocol shares: S3 takes at most
//! 10,000 parts, none but the last below a minimum, none above 5 GiB:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.

use super::part::PartNumber;
use crate::error::Error;

/// Most parts that one multipart upload may have.
pub const MAX_PARTS: u32 = 10_000;

/// Most bytes that one part may have: 5 GiB.
pub const MAX_PART_SIZE: u64 = 5 << 30;

const MIB: u64 = 1 << 20;

/// What the store and the operator say about part sizes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Least bytes of every part but the last.
    pub min: u64,
    /// The size to use where nobody asks for another.
    pub preferred: u64,
    /// Most bytes of one part.
    pub max: u64,
    /// Parts grow in whole multiples of this.
    pub step: u64,
    /// Most parts of one file.
    pub most: u32,
}

impl PartLimits {
    /// S3's limits with the operator's preferred size; `min` is 5 MiB on AWS and most stores.
    pub fn s3(min: u64, preferred: u64) -> Self {
        Self {
            min,
            preferred,
            max: MAX_PART_SIZE,
            step: MIB,
            most: MAX_PARTS,
        }
    }

    /// The limits of parts that pass through us: of any size, for what is too small for a store is gathered.
    pub fn relay(preferred: u64) -> Self {
        Self::s3(1, preferred)
    }

    /// The largest file that can be cut within these limits, in bytes.
    pub fn max_file_size(&self) -> u64 {
        self.max.saturating_mul(u64::from(self.most))
    }

    /// The same limits with at most so many parts, of which there is one at least.
    #[must_use]
    pub fn with_most(self, most: u32) -> Self {
        let most = self.most.min(most).max(1);
        Self { most, ..self }
    }
}

/// How one file is cut: all parts have the same size, but the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlan {
    size: u64,
    part_size: u64,
}

impl PartPlan {
    /// Cuts `size` bytes; `requested` is the part size that the client would like. A part grows in whole
    /// steps until the file fits into as many parts as it may have.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a requested size outside the limits, [`Error::TooLarge`] for a file that does
    /// not fit into that many parts of the largest size.
    pub fn new(size: u64, requested: Option<u64>, limits: &PartLimits) -> Result<Self, Error> {
        if size > limits.max_file_size() {
            return Err(Error::TooLarge {
                limit: limits.max_file_size(),
                size,
            });
        }
        let wanted = requested.unwrap_or(limits.preferred);
        if !(limits.min..=limits.max).contains(&wanted) {
            let detail = format!("a part has {} to {} bytes, not {wanted}", limits.min, limits.max);
            return Err(Error::invalid("part_size", detail));
        }
        let needed = size.div_ceil(u64::from(limits.most));
        let part_size = if wanted >= needed {
            wanted
        } else {
            needed.next_multiple_of(limits.step).min(limits.max)
        };
        Ok(Self { size, part_size })
    }

    /// The cut that was made when the upload began, as the database has it.
    pub fn recorded(size: u64, part_size: u64) -> Self {
        Self {
            size,
            part_size: part_size.max(1),
        }
    }

    /// Bytes of every part but the last.
    pub fn part_size(&self) -> u64 {
        self.part_size
    }

    /// How many parts: none for an empty file.
    pub fn part_count(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.part_size)).unwrap_or(u32::MAX)
    }

    /// Bytes that part `number` must have; `None` where the upload has no such part.
    pub fn size_of(&self, number: PartNumber) -> Option<u64> {
        let before = u64::from(number.get() - 1).checked_mul(self.part_size)?;
        let rest = self.size.checked_sub(before).filter(|rest| *rest > 0)?;
        Some(rest.min(self.part_size))
    }

    /// All parts with their sizes, ascending.
    pub fn parts(&self) -> impl Iterator<Item = (PartNumber, u64)> + '_ {
        (1..=u64::from(MAX_PARTS)).map_while(|number| {
            let number = PartNumber::new(number, "parts").ok()?;
            Some((number, self.size_of(number)?))
        })
    }
}

/// Parts of the same size before a file of unknown length gets larger ones.
const PARTS_BEFORE_GROWTH: u32 = 900;

/// How appended bytes are cut into the store's parts.
///
/// The cut follows from what was known when the upload began, and so need not be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartSizes {
    /// All have this many bytes, but for the last. Some stores take no others.
    Equal(u64),
    /// The first have this many bytes, and every 900 parts they double, up to the largest part of all: so a file may
    /// become as large as the store takes them, and a small one has small parts.
    Growing(u64),
}

impl PartSizes {
    /// For a file of `size` bytes, where that was known when it began, and parts of at least `least` bytes: as small as
    /// 10,000 parts allow.
    pub fn new(size: Option<u64>, least: u64) -> Self {
        let least = least.max(1);
        let Some(size) = size else {
            return Self::Growing(least);
        };
        let needed = size.div_ceil(u64::from(MAX_PARTS));
        if needed <= least {
            Self::Equal(least)
        } else {
            Self::Equal(needed.next_multiple_of(MIB))
        }
    }

    /// Bytes of part `number`, unless it is the last.
    pub fn size_of(self, number: PartNumber) -> u64 {
        match self {
            Self::Equal(size) => size,
            Self::Growing(first) => {
                let doublings = u32::from(number.get() - 1) / PARTS_BEFORE_GROWTH;
                first.saturating_mul(1 << doublings).min(MAX_PART_SIZE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: PartLimits = PartLimits {
        min: 5 * MIB,
        preferred: 6 * MIB,
        max: MAX_PART_SIZE,
        step: MIB,
        most: MAX_PARTS,
    };

    fn sizes(plan: &PartPlan) -> Vec<u64> {
        plan.parts().map(|(_, size)| size).collect()
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        let plan = PartPlan::new(0, None, &S3).unwrap();

        assert_eq!((plan.part_count(), sizes(&plan).len()), (0, 0));
    }

    #[test]
    fn the_last_part_takes_the_rest() {
        assert_eq!(sizes(&PartPlan::new(1, None, &S3).unwrap()), [1]);
        assert_eq!(sizes(&PartPlan::new(6 * MIB, None, &S3).unwrap()), [6 * MIB]);
        assert_eq!(
            sizes(&PartPlan::new(12 * MIB, None, &S3).unwrap()),
            [6 * MIB, 6 * MIB]
        );
        assert_eq!(
            sizes(&PartPlan::new(12 * MIB + 1, None, &S3).unwrap()),
            [6 * MIB, 6 * MIB, 1]
        );
    }

    #[test]
    fn parts_grow_in_whole_mebibytes_so_that_ten_thousand_suffice() {
        let most = 6 * MIB * u64::from(MAX_PARTS);

        assert_eq!(PartPlan::new(most, None, &S3).unwrap().part_size(), 6 * MIB);
        let grown = PartPlan::new(most + 1, None, &S3).unwrap();
        assert_eq!(grown.part_size(), 7 * MIB);
        assert!(grown.part_count() <= MAX_PARTS);
    }

    #[test]
    fn the_largest_file_fits_and_one_byte_more_is_refused_with_the_limit() {
        let limit = S3.max_file_size();

        assert_eq!(PartPlan::new(limit, None, &S3).unwrap().part_count(), MAX_PARTS);
        let refused = PartPlan::new(limit + 1, None, &S3);
        assert!(matches!(refused, Err(Error::TooLarge { limit: l, .. }) if l == limit));
    }

    #[test]
    fn a_requested_size_is_kept_within_the_limits() {
        assert_eq!(
            PartPlan::new(1 << 30, Some(64 * MIB), &S3).unwrap().part_size(),
            64 * MIB
        );
        for bad in [0, 5 * MIB - 1, MAX_PART_SIZE + 1] {
            let error = PartPlan::new(1 << 30, Some(bad), &S3).unwrap_err().to_string();
            assert!(error.starts_with("part_size: a part has 5242880 to"), "{error}");
        }
    }

    #[test]
    fn the_sizes_of_all_parts_add_up_to_the_file() {
        for size in [1, 5 * MIB, 123_456_789, 70_000 * MIB + 17] {
            let plan = PartPlan::new(size, None, &S3).unwrap();
            assert_eq!(sizes(&plan).iter().sum::<u64>(), size);
            assert_eq!(sizes(&plan).len(), plan.part_count() as usize);
        }
    }
    #[test]
    fn appended_bytes_of_a_known_length_fit_into_ten_thousand_equal_parts() {
        let least = 5 * MIB;
        for size in [0, 1, least, 50_000 * MIB, 50_000 * MIB + 1, 5 << 40] {
            let PartSizes::Equal(each) = PartSizes::new(Some(size), least) else {
                panic!("{size} is known");
            };
            assert!(
                each >= least && size.div_ceil(each) <= u64::from(MAX_PARTS),
                "{size}"
            );
        }
        assert_eq!(PartSizes::new(Some(1 << 30), least), PartSizes::Equal(least));
        assert_eq!(PartSizes::new(Some(1 << 40), least), PartSizes::Equal(105 * MIB));
    }

    #[test]
    fn parts_of_an_unknown_length_grow_until_the_largest_object_fits() {
        let sizes = PartSizes::new(None, 5 * MIB);
        let size_of = |number| sizes.size_of(PartNumber::new(number, "part").unwrap());

        assert_eq!([1, 900, 901, 1801].map(size_of), [5, 5, 10, 20].map(|n| n * MIB));
        assert_eq!(size_of(10_000), MAX_PART_SIZE);
        let all: u64 = (1..=u64::from(MAX_PARTS)).map(size_of).sum();
        assert!(all > 5 << 40, "{all}");
    }
}
