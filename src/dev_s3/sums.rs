//! The checksums that a client may claim for a body: their names, their calculation, and how the checksum of a
//! whole object follows from those of its parts.
//!
//! Separate because parts, whole objects and listings all speak of them, and because
//! [composite and full-object checksums](https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html)
//! are arithmetic that needs no server to be checked.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use serde::{Deserialize, Serialize};

/// A checksum algorithm of the S3 API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name as it stands in `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm of that name, in any case of letters.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries the checksum, in lower case.
    pub fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    /// The CRC's own parameters; `None` for the hashes, which cannot be joined.
    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// What the checksum of a multipart object covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coverage {
    /// The bytes of the whole object.
    FullObject,
    /// The checksums of the parts, one after the other.
    Composite,
}

impl Coverage {
    /// The name as it stands in `x-amz-checksum-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The coverage of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|coverage| coverage.name() == name)
    }

    /// What S3 assumes when the client names an algorithm alone.
    pub fn default_for(algorithm: Algorithm) -> Self {
        if algorithm == Algorithm::Crc64Nvme {
            Self::FullObject
        } else {
            Self::Composite
        }
    }

    /// Whether S3 allows the pair: hashes are composite only, CRC-64/NVME covers the full object only.
    pub fn suits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::FullObject => algorithm.crc().is_some(),
            Self::Composite => algorithm != Algorithm::Crc64Nvme,
        }
    }
}

/// Checksums of one body, each in base64 as the wire has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sums(BTreeMap<Algorithm, String>);

impl Sums {
    /// The checksum of that algorithm.
    pub fn get(&self, algorithm: Algorithm) -> Option<&str> {
        self.0.get(&algorithm).map(String::as_str)
    }

    /// Adds or replaces a checksum; `None` adds nothing.
    pub fn put(&mut self, algorithm: Algorithm, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(algorithm, value);
        }
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The algorithms in use.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.keys().copied()
    }

    /// The first checksum that `actual` does not confirm.
    pub fn first_difference(&self, actual: &Self) -> Option<Algorithm> {
        self.0
            .iter()
            .find(|(algorithm, value)| actual.get(**algorithm) != Some(value))
            .map(|(a, _)| *a)
    }

    /// The checksums among those headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut sums = Self::default();
        for algorithm in Algorithm::ALL {
            let value = headers
                .get(algorithm.header())
                .and_then(|value| value.to_str().ok());
            sums.put(algorithm, value.map(str::to_owned));
        }
        sums
    }
}

/// The algorithms that `x-amz-trailer` announces: their values come only after the body.
pub fn announced_in_trailer(headers: &HeaderMap) -> BTreeSet<Algorithm> {
    let names = headers
        .get("x-amz-trailer")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_announced = |algorithm: &Algorithm| {
        names
            .split(',')
            .any(|name| name.trim().eq_ignore_ascii_case(&algorithm.header()))
    };
    Algorithm::ALL.into_iter().filter(is_announced).collect()
}

/// A hasher for exactly those algorithms.
pub fn hasher(algorithms: &BTreeSet<Algorithm>) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    for algorithm in algorithms {
        match algorithm {
            Algorithm::Crc32 => hasher.crc32 = Some(s3s::crypto::Crc32::new()),
            Algorithm::Crc32c => hasher.crc32c = Some(s3s::crypto::Crc32c::new()),
            Algorithm::Crc64Nvme => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new()),
            Algorithm::Sha1 => hasher.sha1 = Some(s3s::crypto::Sha1::new()),
            Algorithm::Sha256 => hasher.sha256 = Some(s3s::crypto::Sha256::new()),
        }
    }
    hasher
}

/// The checksum of an object from those of its parts (value and size, in object order).
///
/// A composite one ends in `-N`, N being the number of parts. `None` when a part's value is no valid checksum, or
/// when the algorithm cannot cover the object in that way.
pub fn of_parts<'a>(
    algorithm: Algorithm,
    coverage: Coverage,
    parts: impl ExactSizeIterator<Item = (&'a str, u64)>,
) -> Option<String> {
    match coverage {
        Coverage::Composite => composite(algorithm, parts),
        Coverage::FullObject => joined(algorithm, parts),
    }
}

fn composite<'a>(
    algorithm: Algorithm,
    parts: impl ExactSizeIterator<Item = (&'a str, u64)>,
) -> Option<String> {
    let count = parts.len();
    let mut hasher = hasher(&BTreeSet::from([algorithm]));
    for (value, _) in parts {
        hasher.update(&STANDARD.decode(value).ok()?);
    }
    let whole = from_hasher(hasher);
    Some(format!("{}-{count}", whole.get(algorithm)?))
}

/// CRCs of neighbouring stretches join without the bytes being read again.
fn joined<'a>(algorithm: Algorithm, parts: impl ExactSizeIterator<Item = (&'a str, u64)>) -> Option<String> {
    let crc = algorithm.crc()?;
    let width = if crc == CrcAlgorithm::Crc64Nvme { 8 } else { 4 };
    let mut whole: Option<u64> = None;
    for (value, size) in parts {
        let bytes = STANDARD.decode(value).ok().filter(|bytes| bytes.len() == width)?;
        let part = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        whole = Some(whole.map_or(part, |before| crc_fast::checksum_combine(crc, before, part, size)));
    }
    let bytes = whole?.to_be_bytes();
    Some(STANDARD.encode(&bytes[bytes.len() - width..]))
}

/// The hasher's results.
pub fn from_hasher(hasher: ChecksumHasher) -> Sums {
    let done = hasher.finalize();
    let mut sums = Sums::default();
    sums.put(Algorithm::Crc32, done.checksum_crc32);
    sums.put(Algorithm::Crc32c, done.checksum_crc32c);
    sums.put(Algorithm::Crc64Nvme, done.checksum_crc64nvme);
    sums.put(Algorithm::Sha1, done.checksum_sha1);
    sums.put(Algorithm::Sha256, done.checksum_sha256);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = hasher(&BTreeSet::from([algorithm]));
        hasher.update(bytes);
        from_hasher(hasher)
            .get(algorithm)
            .map(str::to_owned)
            .expect("it was asked for")
    }

    #[test]
    fn the_crc_of_an_object_is_joined_from_those_of_its_parts() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let (first, second) = (sum(algorithm, b"some bytes, "), sum(algorithm, b"and more"));
            let parts = [(first.as_str(), 12), (second.as_str(), 8)].into_iter();

            let whole = of_parts(algorithm, Coverage::FullObject, parts);

            assert_eq!(
                whole,
                Some(sum(algorithm, b"some bytes, and more")),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn an_empty_last_part_leaves_the_joined_crc_as_it_was() {
        let (first, none) = (sum(Algorithm::Crc32c, b"abc"), sum(Algorithm::Crc32c, b""));
        let parts = [(first.as_str(), 3), (none.as_str(), 0)].into_iter();

        assert_eq!(
            of_parts(Algorithm::Crc32c, Coverage::FullObject, parts),
            Some(first.clone())
        );
    }

    #[test]
    fn a_composite_checksum_hashes_the_raw_checksums_and_counts_them() {
        let part = sum(Algorithm::Sha256, b"part");
        let raw = STANDARD.decode(&part).expect("base64");

        let whole = of_parts(
            Algorithm::Sha256,
            Coverage::Composite,
            [(part.as_str(), 4)].into_iter(),
        );

        assert_eq!(whole, Some(format!("{}-1", sum(Algorithm::Sha256, &raw))));
    }

    #[test]
    fn a_hash_cannot_cover_the_full_object_of_many_parts() {
        assert!(!Coverage::FullObject.suits(Algorithm::Sha256));
        assert_eq!(
            of_parts(Algorithm::Sha256, Coverage::FullObject, [("AAAA", 3)].into_iter()),
            None
        );
    }
}
