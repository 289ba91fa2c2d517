//! Digests that a client may claim and that we compute while bytes pass through us.
//!
//! Separate, because a digest is compared in several places (a part, a whole file, an answer) and written in two ways:
//! hexadecimal in JSON, base64 in headers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use crate::error::FieldError;

/// A way to make a digest of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), as zip and Ethernet have it; 4 bytes, the highest first.
    Crc32,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Bytes of a digest.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A digest that somebody claims some bytes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl Checksum {
    /// A digest as its raw bytes; `None` where it has not as many as the algorithm makes.
    pub fn new(algorithm: Algorithm, value: Vec<u8>) -> Option<Self> {
        (value.len() == algorithm.length()).then_some(Self { algorithm, value })
    }

    /// The digest in a `Content-Digest` header; of several the strongest that we make, SHA-512 before SHA-256. `None`
    /// where it holds only others: <https://www.rfc-editor.org/rfc/rfc9530#section-2>.
    ///
    /// # Errors
    /// [`FieldError`] on `field` for a member that is no base64 of as many bytes as it must have.
    pub fn from_digest_header(value: &str, field: &str) -> Result<Option<Self>, FieldError> {
        for (algorithm, name) in [(Algorithm::Sha512, "sha-512"), (Algorithm::Sha256, "sha-256")] {
            if let Some(digest) = digest_member(value, name) {
                let sum = digest.and_then(|bytes| Self::new(algorithm, bytes));
                return sum
                    .map(Some)
                    .ok_or_else(|| unreadable(field, name, algorithm.length()));
            }
        }
        Ok(None)
    }

    /// How it was made.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.value
    }
}

impl From<Sha256Sum> for Checksum {
    fn from(sum: Sha256Sum) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            value: sum.0.to_vec(),
        }
    }
}

/// A digest in the making.
pub enum Hasher {
    /// CRC-32.
    Crc32(crc_fast::Digest),
    /// MD5.
    Md5(Md5),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Of these bytes too.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Checksum {
        let (algorithm, value) = match self {
            Self::Crc32(digest) => {
                // The value of a 32-bit CRC stands in the lower half.
                (Algorithm::Crc32, digest.finalize().to_be_bytes()[4..].to_vec())
            }
            Self::Md5(digest) => (Algorithm::Md5, digest.finalize().to_vec()),
            Self::Sha1(digest) => (Algorithm::Sha1, digest.finalize().to_vec()),
            Self::Sha256(digest) => (Algorithm::Sha256, digest.finalize().to_vec()),
            Self::Sha512(digest) => (Algorithm::Sha512, digest.finalize().to_vec()),
        };
        Checksum { algorithm, value }
    }
}

/// A SHA-256: <https://csrc.nist.gov/pubs/fips/180-4/upd1/final>.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// The digest of these 32 bytes as they are.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`FieldError`] on `field` for anything else.
    pub fn from_hex(text: &str, field: &str) -> Result<Self, FieldError> {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(FieldError::new(field, "a SHA-256 has 64 hexadecimal digits")),
        }
    }

    /// The `sha-256` member of a `Content-Digest` or `Repr-Digest` header, `None` where it holds only others:
    /// <https://www.rfc-editor.org/rfc/rfc9530#section-2>.
    ///
    /// # Errors
    /// [`FieldError`] on `field` for a member that is no base64 of 32 bytes.
    pub fn from_digest_header(value: &str, field: &str) -> Result<Option<Self>, FieldError> {
        let Some(digest) = digest_member(value, "sha-256") else {
            return Ok(None);
        };
        let bytes = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(|bytes| Some(Self(bytes)))
            .ok_or_else(|| unreadable(field, "sha-256", 32))
    }
}

/// The bytes of one member of a digest header; `Some(None)` for one that is no byte sequence.
fn digest_member(value: &str, name: &str) -> Option<Option<Vec<u8>>> {
    let members = value
        .split(',')
        .filter_map(|member| member.trim().split_once('='));
    let (_, digest) = members
        .into_iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    let text = digest.strip_prefix(':').and_then(|rest| rest.strip_suffix(':'));
    Some(text.and_then(|text| STANDARD.decode(text).ok()))
}

fn unreadable(field: &str, name: &str, length: usize) -> FieldError {
    FieldError::new(field, format!("looks like {name}=:BASE64-OF-{length}-BYTES:"))
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_algorithm_makes_the_digest_that_others_make() {
        // The digests of "123456789", the usual check of a CRC.
        for (algorithm, expected) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (
                Algorithm::Sha512,
                "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
            ),
        ] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"12345");
            hasher.update(b"6789");

            let sum = hasher.finish();

            assert_eq!(hex::encode(sum.as_bytes()), expected, "{algorithm:?}");
            assert_eq!(Checksum::new(algorithm, sum.value.clone()), Some(sum));
            assert_eq!(Checksum::new(algorithm, vec![0; algorithm.length() + 1]), None);
        }
    }

    #[test]
    fn hexadecimal_of_either_case_is_the_same_digest() {
        let sum = Sha256Sum::from_hex(EMPTY, "x").unwrap();

        assert_eq!(Sha256Sum::from_hex(&EMPTY.to_uppercase(), "x").unwrap(), sum);
        assert_eq!(sum.to_string(), EMPTY);
    }

    #[test]
    fn a_header_may_hold_other_digests_too() {
        let header = "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

        let sum = Sha256Sum::from_digest_header(header, "x").unwrap().unwrap();

        assert_eq!(sum.to_string(), EMPTY);
        assert!(
            Sha256Sum::from_digest_header("md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", "x")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_is_no_digest_is_refused_by_the_name_of_its_field() {
        for text in ["", "e3", "zz", &EMPTY[1..]] {
            assert_eq!(
                Sha256Sum::from_hex(text, "checksum_sha256").unwrap_err().field,
                "checksum_sha256"
            );
        }
        for text in ["sha-256=abc", "sha-256=:abc:", "sha-256=::"] {
            assert!(
                Sha256Sum::from_digest_header(text, "Content-Digest").is_err(),
                "{text}"
            );
        }
    }
}
