//! Checksums that go with one part, and how that of the whole object follows from those of its parts.
//!
//! Separate from `checksum`, which knows one digest at a time: here are the sets that clients report, the form in which
//! they are kept, and the arithmetic of
//! [full-object checksums](https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).

use std::fmt;

use super::checksum::crc_bytes;
use super::{Algorithm, Checksum};
use crate::error::FieldError;

/// Checksums of the same bytes, at most one of each algorithm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums(Vec<Checksum>);

impl Checksums {
    /// Those that a client tells, by the algorithm's name in lower case and in base64.
    ///
    /// # Errors
    /// [`FieldError`] on `field.NAME` for an unknown name or a value that it cannot have.
    pub fn from_named<'a>(
        named: impl IntoIterator<Item = (&'a str, &'a str)>,
        field: &str,
    ) -> Result<Self, FieldError> {
        let mut sums = Self::default();
        for (name, text) in named {
            let field = format!("{field}.{}", name.chars().take(20).collect::<String>());
            let Some(algorithm) = Algorithm::parse(name) else {
                let detail =
                    "is no checksum that is known here: crc64nvme, crc32c, crc32, md5, sha1, sha256, sha512";
                return Err(FieldError::new(field, detail));
            };
            sums.put(Checksum::from_base64(algorithm, text, &field)?);
        }
        Ok(sums)
    }

    /// Those that were written down; `None` for what is no such text.
    pub fn recorded(text: &str) -> Option<Self> {
        let mut sums = Self::default();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=')?;
            sums.put(Checksum::from_base64(Algorithm::parse(name)?, value, name).ok()?);
        }
        Some(sums)
    }

    /// Adds one, or replaces the one of its algorithm.
    pub fn put(&mut self, sum: Checksum) {
        self.remove(sum.algorithm());
        self.0.push(sum);
    }

    /// Takes out the one of this algorithm.
    pub fn remove(&mut self, algorithm: Algorithm) {
        self.0.retain(|sum| sum.algorithm() != algorithm);
    }

    /// The one of this algorithm.
    pub fn get(&self, algorithm: Algorithm) -> Option<&Checksum> {
        self.0.iter().find(|sum| sum.algorithm() == algorithm)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Checksum> {
        self.0.iter()
    }
}

/// As they are written down: `crc64nvme=… md5=…`.
impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, sum) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{}={}", sum.algorithm().name(), sum.to_base64())?;
        }
        Ok(())
    }
}

/// The checksum that clients are to send with each part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WantedChecksum {
    /// The best that the store verifies.
    #[default]
    Auto,
    /// This one.
    Of(Algorithm),
    /// None, and nothing is compared.
    None,
}

/// Who has compared a checksum with the bytes that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedBy {
    /// The store, which was told it.
    Store,
    /// Our server, through which all bytes passed.
    Server,
    /// Nobody: it is what the client said.
    Client,
}

impl CheckedBy {
    /// Its name in receipts and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Store, Self::Server, Self::Client];
        all.into_iter().find(|by| by.as_str() == name)
    }
}

/// The checksum of the whole from those of its parts, which come in order, each with its size in bytes; the parts are not
/// read again. `None` where there is no part, where a part has none of this algorithm, and for algorithms that cannot be
/// put together.
pub fn joined<'a>(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = (Option<&'a Checksum>, u64)>,
) -> Option<Checksum> {
    let crc = algorithm.crc()?;
    let mut whole: Option<u64> = None;
    for (sum, size) in parts {
        let sum = sum.filter(|sum| sum.algorithm() == algorithm)?;
        let bytes = sum.as_bytes().iter();
        let value = bytes.fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        whole = Some(whole.map_or(value, |before| {
            crc_fast::checksum_combine(crc, before, value, size)
        }));
    }
    Checksum::new(algorithm, crc_bytes(algorithm, whole?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Hasher;

    fn sum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn the_crc_of_the_whole_follows_from_those_of_its_parts() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts = [&b"one, "[..], b"two", b"", b" and three"];
            let sums: Vec<Checksum> = parts.iter().map(|part| sum(algorithm, part)).collect();
            let told = sums
                .iter()
                .zip(parts)
                .map(|(sum, part)| (Some(sum), part.len() as u64));

            assert_eq!(
                joined(algorithm, told),
                Some(sum(algorithm, b"one, two and three"))
            );
        }
    }

    #[test]
    fn a_whole_with_an_unknown_part_has_no_checksum() {
        let one = sum(Algorithm::Crc64Nvme, b"one");

        assert_eq!(joined(Algorithm::Crc64Nvme, [(Some(&one), 3), (None, 3)]), None);
        assert_eq!(joined(Algorithm::Crc32c, [(Some(&one), 3)]), None);
        assert_eq!(
            joined(Algorithm::Md5, [(Some(&sum(Algorithm::Md5, b"one")), 3)]),
            None
        );
        assert_eq!(joined(Algorithm::Crc64Nvme, []), None);
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        let mut sums = Checksums::default();
        sums.put(sum(Algorithm::Md5, b"other"));
        sums.put(sum(Algorithm::Crc64Nvme, b"one"));
        sums.put(sum(Algorithm::Md5, b"one"));

        assert_eq!(Checksums::recorded(&sums.to_string()), Some(sums.clone()));
        assert_eq!(sums.iter().count(), 2);
        assert_eq!(Checksums::recorded("md5"), None);
        assert_eq!(Checksums::recorded("md5=AAAA"), None);
        assert_eq!(Checksums::recorded(""), Some(Checksums::default()));
    }

    #[test]
    fn a_bad_checksum_is_refused_by_its_name() {
        for (name, text) in [("md6", "AAAA"), ("md5", "AAAA"), ("crc64nvme", "?"), ("", "")] {
            let refused = Checksums::from_named([(name, text)], "checksums").unwrap_err();
            assert_eq!(refused.field, format!("checksums.{name}"));
        }
    }
}
