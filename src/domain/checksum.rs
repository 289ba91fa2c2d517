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
    /// CRC-32C (Castagnoli); 4 bytes, the highest first.
    Crc32c,
    /// CRC-64/NVME; 8 bytes, the highest first.
    Crc64Nvme,
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
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    const ALL: [Self; 7] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// Its name in settings, JSON and S3's headers, such as `crc64nvme`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The parameters of a CRC; `None` for the others, whose digests of pieces say nothing of the whole.
    pub(super) fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Md5 | Self::Sha1 | Self::Sha256 | Self::Sha512 => None,
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

    /// Reads base64, as S3 has it in its headers.
    ///
    /// # Errors
    /// [`FieldError`] on `field` for anything but as many bytes as the algorithm makes.
    pub fn from_base64(algorithm: Algorithm, text: &str, field: &str) -> Result<Self, FieldError> {
        let bytes = STANDARD.decode(text).ok();
        bytes
            .and_then(|bytes| Self::new(algorithm, bytes))
            .ok_or_else(|| {
                let detail = format!("is base64 of {} bytes", algorithm.length());
                FieldError::new(field, detail)
            })
    }

    /// Its bytes in base64.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.value)
    }

    /// The digest in a `Content-Digest` header; of several the strongest that we make, SHA-512 before SHA-256. `None`
    /// where it holds only others: <https://www.rfc-editor.org/rfc/rfc9530#section-2>.
    ///
    /// # Errors
    /// [`FieldError`] on `field` for a member that is no base64 of as many bytes as it must have.
    pub fn from_digest_header(value: &str, field: &str) -> Result<Option<Self>, FieldError> {
        for (algorithm, name) in [(Algorithm::Sha512, "sha-512"), (Algorithm::Sha256, "sha-256")] {
            if let Some(text) = digest_member(value, name) {
                let sum = bytes_of(text).and_then(|bytes| Self::new(algorithm, bytes));
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

    /// The SHA-256 that it is, if it is one.
    pub fn sha256(&self) -> Option<Sha256Sum> {
        let bytes = <[u8; 32]>::try_from(self.value.as_slice()).ok()?;
        (self.algorithm == Algorithm::Sha256).then_some(Sha256Sum(bytes))
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
    /// One of the CRCs.
    Crc(Algorithm, crc_fast::Digest),
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
        if let Some(crc) = algorithm.crc() {
            return Self::Crc(algorithm, crc_fast::Digest::new(crc));
        }
        match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
            // The CRCs were made above.
            _ => Self::Sha256(Sha256::new()),
        }
    }

    /// Of these bytes too.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Checksum {
        let (algorithm, value) = match self {
            Self::Crc(algorithm, digest) => (algorithm, crc_bytes(algorithm, digest.finalize())),
            Self::Md5(digest) => (Algorithm::Md5, digest.finalize().to_vec()),
            Self::Sha1(digest) => (Algorithm::Sha1, digest.finalize().to_vec()),
            Self::Sha256(digest) => (Algorithm::Sha256, digest.finalize().to_vec()),
            Self::Sha512(digest) => (Algorithm::Sha512, digest.finalize().to_vec()),
        };
        Checksum { algorithm, value }
    }
}

/// A CRC's bytes, the highest first; the value of a short one stands in the lower half.
pub(super) fn crc_bytes(algorithm: Algorithm, value: u64) -> Vec<u8> {
    value.to_be_bytes()[8 - algorithm.length()..].to_vec()
}

/// A SHA-256: <https://csrc.nist.gov/pubs/fips/180-4/upd1/final>.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// The digest of these 32 bytes as they are.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of these bytes, one after the other.
    pub fn of<B: AsRef<[u8]>>(pieces: impl IntoIterator<Item = B>) -> Self {
        let mut hash = Sha256::new();
        for piece in pieces {
            hash.update(piece);
        }
        Self(hash.finalize().into())
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
        let Some(text) = digest_member(value, "sha-256") else {
            return Ok(None);
        };
        let bytes = bytes_of(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(|bytes| Some(Self(bytes)))
            .ok_or_else(|| unreadable(field, "sha-256", 32))
    }
}

/// The text of one member of a digest header.
fn digest_member<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut members = value
        .split(',')
        .filter_map(|member| member.trim().split_once('='));
    members
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, text)| text)
}

/// The bytes that stand between colons: <https://www.rfc-editor.org/rfc/rfc9651#section-3.3.5>.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(inner).ok()
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
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
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
    fn of_several_digests_the_strongest_is_taken() {
        let (short, long) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 64]));
        let both = format!("md5=:AA==:, sha-256=:{short}:, sha-512=:{long}:");

        let sum = Checksum::from_digest_header(&both, "x").unwrap().unwrap();

        assert_eq!(sum.algorithm(), Algorithm::Sha512);
        assert_eq!(sum.as_bytes(), [2; 64]);
        let one = format!("sha-256=:{short}:");
        let sum = Checksum::from_digest_header(&one, "x").unwrap().unwrap();
        assert_eq!(sum.algorithm(), Algorithm::Sha256);
        assert_eq!(Checksum::from_digest_header("md5=:AA==:", "x").unwrap(), None);
        let swapped = format!("sha-512=:{short}:");
        assert!(Checksum::from_digest_header(&swapped, "x").is_err());
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
