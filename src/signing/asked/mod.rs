//! What a page asks to have signed, taken apart and written anew: a request to the store, in SigV4 or SigV2, or the policy
//! of a form.
//!
//! It is separate because here a stranger writes what our secret is used on. Nothing that was sent is ever signed: it is
//! read down to one of six operations on one key, held against the rules, and the text that is signed is built from what
//! was understood, with the store's real host. What cannot be read to the last byte is refused, and no refusal repeats a
//! piece of it.

mod address;
mod canonical;
mod dates;
mod fields;
mod policy;
mod string_v2;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use hmac::Mac;
use sha2::{Digest, Sha256};

use super::{BucketLocation, Credentials, PART_NUMBERS, SigningError, SigningKeys, encoding, v2};

pub use policy::{AskedPolicy, SignedPolicy};

/// The name of SigV4, which opens every string to sign in it.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A rule that something to be signed breaks: which piece of it, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub &'static str);

/// What may be signed, and for which bucket.
#[derive(Debug, Clone, Copy)]
pub struct AskRules<'a> {
    /// The bucket as browsers reach it.
    pub location: &'a BucketLocation,
    /// Now; what is signed was dated within [fifteen minutes](dates) of it.
    pub now: DateTime<Utc>,
    /// The only canned ACL that may be asked for.
    pub acl: &'a str,
    /// Further `x-amz-…` headers that may be stored with an object, in lower case; `x-amz-meta-*` for all of that kind.
    pub headers: &'a [String],
    /// Whether a page may ask if an object exists.
    pub existence: bool,
    /// The id of the key that signs.
    pub access_key_id: &'a str,
}

/// What a page asks to have signed, as it was sent and before anything is believed of it.
#[derive(Clone, Copy)]
pub enum Signable<'a> {
    /// SigV4: the second and third line of the string to sign, and the whole canonical request.
    V4 {
        /// Such as `20260505T100000Z`.
        date: &'a str,
        /// Such as `20260505/us-east-1/s3/aws4_request`.
        scope: &'a str,
        /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>, "canonical request".
        canonical: &'a str,
    },
    /// SigV2: the string to sign.
    V2(&'a str),
}

impl<'a> Signable<'a> {
    /// A string to sign of SigV4, and beside it the canonical request whose hash is its last line.
    ///
    /// # Errors
    /// [`Refusal`] where the string is no four lines, or the hash is of something else.
    pub fn hashed(to_sign: &'a str, canonical: &'a str) -> Result<Self, Refusal> {
        let mut lines = to_sign.split('\n');
        let (Some(ALGORITHM), Some(date), Some(scope), Some(hash), None) = (
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) else {
            return Err(Refusal("to_sign: must be the four lines of AWS4-HMAC-SHA256"));
        };
        if hash != hex::encode(Sha256::digest(canonical)) {
            return Err(Refusal(
                "to_sign: its last line must be the SHA-256 of canonical_request",
            ));
        }
        Ok(Self::V4 {
            date,
            scope,
            canonical,
        })
    }

    /// A text whose own first line says what it is: three lines of SigV4 and then the canonical request itself, else
    /// SigV2.
    ///
    /// # Errors
    /// [`Refusal`] where it begins as SigV4 and has no three lines.
    pub fn whole(text: &'a str) -> Result<Self, Refusal> {
        let Some(rest) = text.strip_prefix(ALGORITHM) else {
            return Ok(Self::V2(text));
        };
        let mut lines = rest.splitn(4, '\n');
        let (Some(""), Some(date), Some(scope), Some(canonical)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(Refusal(
                "headers: must have date, scope and canonical request behind AWS4-HMAC-SHA256",
            ));
        };
        Ok(Self::V4 {
            date,
            scope,
            canonical,
        })
    }

    /// Whether it is SigV2.
    pub fn is_v2(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    /// Whether this is the date that it is signed for.
    pub fn is_dated(&self, told: &str) -> bool {
        match self {
            Self::V4 { date, .. } => *date == told,
            Self::V2(text) => text
                .split('\n')
                .any(|line| line.strip_prefix("x-amz-date:") == Some(told)),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn read(self, rules: &AskRules<'_>) -> Result<Asked, Refusal> {
        match self {
            Self::V4 {
                date,
                scope,
                canonical,
            } => canonical::read(date, scope, canonical, rules),
            Self::V2(text) => string_v2::read(text, rules),
        }
    }
}

/// The operations that a page may have signed: exactly these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedOperation {
    /// `POST ?uploads`
    Begin,
    /// `PUT ?partNumber=N&uploadId=U`
    Part {
        /// As the store gave it.
        upload_id: String,
        /// 1 to 10,000.
        number: u16,
    },
    /// `GET ?uploadId=U`, in SigV4 with `part-number-marker`.
    List {
        /// As the store gave it.
        upload_id: String,
    },
    /// `POST ?uploadId=U`
    Complete {
        /// As the store gave it.
        upload_id: String,
    },
    /// `DELETE ?uploadId=U`
    Abort {
        /// As the store gave it.
        upload_id: String,
    },
    /// `HEAD`, where [`AskRules::existence`] allows it.
    Exists,
}

impl AskedOperation {
    /// The operation of a method with these parameters, each of them once and no other.
    fn of(method: &str, mut query: Vec<(&str, String)>, rules: &AskRules<'_>) -> Result<Self, Refusal> {
        const NOT_LISTED: Refusal = Refusal(
            "operation: only POST ?uploads, PUT ?partNumber&uploadId, GET ?uploadId, POST ?uploadId and DELETE \
             ?uploadId are signed",
        );
        query.sort_unstable();
        let names: Vec<&str> = query.iter().map(|(name, _)| *name).collect();
        let mut values = query.iter().map(|(_, value)| value.clone());
        let mut value = || values.next().unwrap_or_default();
        let operation = match (method, names.as_slice()) {
            ("POST", ["uploads"]) if value().is_empty() => return Ok(Self::Begin),
            ("HEAD", []) if rules.existence => return Ok(Self::Exists),
            ("PUT", ["partNumber", "uploadId"]) => Self::Part {
                number: part_number(&value())?,
                upload_id: value(),
            },
            ("GET", ["part-number-marker", "uploadId"]) => {
                marker(&value())?;
                Self::List { upload_id: value() }
            }
            ("GET", ["uploadId"]) => Self::List { upload_id: value() },
            ("POST", ["uploadId"]) => Self::Complete { upload_id: value() },
            ("DELETE", ["uploadId"]) => Self::Abort { upload_id: value() },
            _ => return Err(NOT_LISTED),
        };
        operation.upload_id().map_or(Ok(()), check_upload_id)?;
        Ok(operation)
    }

    /// The store's id of the upload, of all operations but the first and the last.
    pub fn upload_id(&self) -> Option<&str> {
        match self {
            Self::Begin | Self::Exists => None,
            Self::Part { upload_id, .. }
            | Self::List { upload_id }
            | Self::Complete { upload_id }
            | Self::Abort { upload_id } => Some(upload_id),
        }
    }
}

/// A number without a sign, a blank or a zero before it, since its digits are signed.
fn plain_number(text: &str) -> Option<u16> {
    let number = text.parse().ok()?;
    (text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0')))
        .then_some(number)
}

fn part_number(text: &str) -> Result<u16, Refusal> {
    plain_number(text)
        .filter(|number| PART_NUMBERS.contains(number))
        .ok_or(Refusal("partNumber: must be 1 to 10000"))
}

fn marker(text: &str) -> Result<(), Refusal> {
    plain_number(text)
        .filter(|number| number <= PART_NUMBERS.end())
        .map(drop)
        .ok_or(Refusal("part-number-marker: must be 0 to 10000"))
}

/// Ids of all stores are of these; in SigV2 they stand in what is signed as they are.
fn check_upload_id(text: &str) -> Result<(), Refusal> {
    let fits = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte));
    if fits && (1..=1024).contains(&text.len()) {
        Ok(())
    } else {
        Err(Refusal(
            "uploadId: must be 1 to 1024 of A-Z a-z 0-9 - . _ ~ + / = :",
        ))
    }
}

/// One request that may be signed. `Debug` shows nothing of what is signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it does.
    pub operation: AskedOperation,
    /// To which object, decoded.
    pub key: String,
    /// The object's type, where the request tells it.
    pub content_type: Option<String>,
    /// What is stored beside it: names without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    date: String,
    form: Form,
}

/// The text to be signed, ours to the byte.
#[derive(Clone, PartialEq, Eq)]
enum Form {
    V4 { canonical: String },
    V2 { text: String },
}

impl Asked {
    /// Signs it: 64 hex digits in SigV4, 28 characters of base64 in SigV2.
    ///
    /// # Errors
    /// [`SigningError::SessionToken`]: a page has no place for the token of a temporary key.
    pub fn sign(
        &self,
        keys: &SigningKeys,
        location: &BucketLocation,
        credentials: &Credentials,
    ) -> Result<String, SigningError> {
        if credentials.session_token.is_some() {
            return Err(SigningError::SessionToken);
        }
        Ok(match &self.form {
            Form::V2 { text } => v2::sign_text(text, &credentials.secret_access_key),
            Form::V4 { canonical } => {
                let date = &self.date;
                let (day, region) = (&date[..8], location.region());
                let hash = hex::encode(Sha256::digest(canonical));
                let text = format!("{ALGORITHM}\n{date}\n{day}/{region}/s3/aws4_request\n{hash}");
                let mac = keys.mac(credentials, day, region).chain_update(text);
                hex::encode(mac.finalize().into_bytes())
            }
        })
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Asked")
            .field("operation", &self.operation)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
