//! Digests that a client may claim and that we compute while bytes pass through us.
//!
//! Separate, because a digest is compared in several places (a part, a whole file, an answer) and written in two ways:
//! hexadecimal in JSON, base64 in headers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::FieldError;

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
        for member in value.split(',') {
            let Some((name, digest)) = member.trim().split_once('=') else {
                continue;
            };
            if !name.eq_ignore_ascii_case("sha-256") {
                continue;
            }
            let bytes = digest
                .strip_prefix(':')
                .and_then(|rest| rest.strip_suffix(':'))
                .and_then(|text| STANDARD.decode(text).ok())
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            return match bytes {
                Some(bytes) => Ok(Some(Self(bytes))),
                None => Err(FieldError::new(field, "looks like sha-256=:BASE64-OF-32-BYTES:")),
            };
        }
        Ok(None)
    }
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
