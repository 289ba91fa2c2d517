//! Signs the parts of one upload, thousands at a time, at a small fraction of the cost of signing each alone.
//!
//! It is separate because it is the product's hot path and the only SigV4 arithmetic of our own. Between two
//! parts of an upload only the part number and the length differ. `X-Amz-*` sorts before `partNumber` and
//! `uploadId`, and headers come after the query, so everything before the number is hashed once and that state
//! is cloned for each part; the same goes for the string to sign up to the hash. The rest is some 200 bytes.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::credentials::some_lifetime;
use super::encoding::{self, Decimal};
use super::key::SERVICE;
use super::shape::{check_key, check_upload_id};
use super::{BucketLocation, Credentials, SigningError, SigningKeys};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A multipart upload that S3 has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipartUpload<'a> {
    /// The object's key.
    pub key: &'a str,
    /// As S3 gave it.
    pub upload_id: &'a str,
}

/// Signs the parts of one upload at one moment with one credential: make one for each request for signatures.
///
/// A part's URL is [`head`](Self::head), part number, [`middle`](Self::middle), signature, [`tail`](Self::tail):
/// a client that has the three texts needs number and signature alone for each part. `Debug` shows none of it.
#[derive(Clone)]
pub struct PartSigner {
    head: String,
    middle: String,
    tail: String,
    /// Has eaten the canonical request up to the part number.
    request: Sha256,
    /// Of the canonical request, what stands between part number and length.
    after_number: String,
    /// Of the canonical request, what stands behind the length.
    after_length: String,
    /// Of the canonical request, what stands behind the checksum; `None` where none is signed.
    after_checksum: Option<&'static str>,
    /// Whether the length is signed; where it is not, all of the canonical request stands in `after_number`.
    binds_length: bool,
    /// Has eaten the string to sign up to the hash of the canonical request.
    mac: Hmac<Sha256>,
    expires_at: DateTime<Utc>,
}

impl PartSigner {
    /// Prepares to sign parts of `upload` at `now`, for [`lifetime`](super::lifetime) of `ttl`.
    ///
    /// # Errors
    /// [`SigningError::EmptyKey`], [`SigningError::UploadId`] or [`SigningError::NoLifetime`].
    pub fn new(
        keys: &SigningKeys,
        location: &BucketLocation,
        credentials: &Credentials,
        upload: MultipartUpload<'_>,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<Self, SigningError> {
        Self::prepare(keys, location, credentials, upload, (now, ttl), Bound::Length)
    }

    /// The same for parts whose length and checksum are signed: S3 takes no other bytes. Which checksum that is, each part
    /// is [signed with](Self::sign_claimed).
    ///
    /// # Errors
    /// As [`PartSigner::new`].
    pub fn with_checksum(
        keys: &SigningKeys,
        location: &BucketLocation,
        credentials: &Credentials,
        upload: MultipartUpload<'_>,
        (now, ttl): (DateTime<Utc>, Duration),
        checksum: ChecksumHeader,
    ) -> Result<Self, SigningError> {
        let bound = Bound::Checksum(checksum);
        Self::prepare(keys, location, credentials, upload, (now, ttl), bound)
    }

    /// The same for parts of whatever length: S3 takes what comes. The length that is given to [`sign`](Self::sign) and
    /// [`url`](Self::url) then plays no part.
    ///
    /// # Errors
    /// As [`PartSigner::new`].
    pub fn of_any_length(
        keys: &SigningKeys,
        location: &BucketLocation,
        credentials: &Credentials,
        upload: MultipartUpload<'_>,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<Self, SigningError> {
        Self::prepare(keys, location, credentials, upload, (now, ttl), Bound::Nothing)
    }

    fn prepare(
        keys: &SigningKeys,
        location: &BucketLocation,
        credentials: &Credentials,
        upload: MultipartUpload<'_>,
        (now, ttl): (DateTime<Utc>, Duration),
        bound: Bound,
    ) -> Result<Self, SigningError> {
        check_key(upload.key)?;
        check_upload_id(upload.upload_id)?;
        let lifetime = some_lifetime(ttl, credentials, now)?;
        let time = encoding::timestamp(now);
        let day = &time[..8];
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", location.region());
        let query = Query::new(credentials, &scope, &time, lifetime, bound);
        let path = location.path(upload.key);
        let mut upload_id = String::from("&uploadId=");
        encoding::push_query(&mut upload_id, upload.upload_id);

        let host = location.host();
        let after_number = format!("{upload_id}\ncontent-length:");
        let (after_number, after_length) = match bound {
            Bound::Length => {
                let rest = format!("\nhost:{host}\n\ncontent-length;host\nUNSIGNED-PAYLOAD");
                (after_number, rest)
            }
            Bound::Checksum(checksum) => (after_number, format!("\nhost:{host}\n{}:", checksum.name())),
            Bound::Nothing => {
                let rest = format!("{upload_id}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
                (rest, String::new())
            }
        };
        let after_checksum = match bound {
            Bound::Checksum(checksum) => Some(checksum.end()),
            _ => None,
        };
        let canonical_head = format!("PUT\n{path}\n{}&partNumber=", query.canonical());
        let string_to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n");
        Ok(Self {
            head: format!("{}{path}?partNumber=", location.origin()),
            middle: format!("{upload_id}&{}&X-Amz-Signature=", query.in_url()),
            tail: query.token_in_url(),
            request: Sha256::new_with_prefix(canonical_head),
            after_number,
            after_length,
            after_checksum,
            binds_length: bound != Bound::Nothing,
            mac: keys
                .mac(credentials, day, location.region())
                .chain_update(string_to_sign),
            expires_at: now.trunc_subsecs(0) + lifetime,
        })
    }

    /// When the URLs stop working, to the second.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    /// What comes before the part number in every URL.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// What stands between part number and signature in every URL.
    pub fn middle(&self) -> &str {
        &self.middle
    }

    /// What comes behind the signature in every URL: the session token, or nothing.
    pub fn tail(&self) -> &str {
        &self.tail
    }

    /// Signs part `number` of exactly `content_length` bytes; S3 refuses a body of any other length. Nothing is
    /// allocated. The caller keeps to [`PART_NUMBERS`](super::PART_NUMBERS): S3 refuses the others.
    pub fn sign(&self, number: u16, content_length: u64) -> Signature {
        self.sign_claimed(number, content_length, "")
    }

    /// The same for a part with this checksum in base64, which plays a part only where
    /// [one is signed](Self::with_checksum). It must be printable ASCII.
    pub fn sign_claimed(&self, number: u16, content_length: u64, checksum: &str) -> Signature {
        let mut request = self.request.clone();
        request.update(Decimal::new(number.into()).as_bytes());
        request.update(&self.after_number);
        if self.binds_length {
            request.update(Decimal::new(content_length).as_bytes());
            request.update(&self.after_length);
        }
        if let Some(after_checksum) = self.after_checksum {
            request.update(checksum);
            request.update(after_checksum);
        }
        let hash = Signature::new(request.finalize().into());

        let mac = self.mac.clone().chain_update(hash.0);
        Signature::new(mac.finalize().into_bytes().into())
    }

    /// The URL to send part `number` of exactly `content_length` bytes to, with `PUT` and no further header.
    pub fn url(&self, number: u16, content_length: u64) -> String {
        self.url_claimed(number, content_length, "")
    }

    /// The same for a part with this checksum, which must be sent in its header; as [`sign_claimed`](Self::sign_claimed).
    pub fn url_claimed(&self, number: u16, content_length: u64, checksum: &str) -> String {
        let number_text = Decimal::new(number.into());
        let signature = self.sign_claimed(number, content_length, checksum);
        let pieces = [
            &self.head,
            number_text.as_str(),
            &self.middle,
            signature.as_str(),
            &self.tail,
        ];
        pieces.concat()
    }
}

impl fmt::Debug for PartSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PartSigner")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A header of S3's with the checksum of a body, as far as parts are signed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumHeader {
    /// `x-amz-checksum-crc64nvme`
    Crc64Nvme,
    /// `x-amz-checksum-crc32c`
    Crc32c,
}

impl ChecksumHeader {
    /// The header's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Crc32c => "x-amz-checksum-crc32c",
        }
    }

    /// How the list of signed headers looks in a query.
    fn in_query(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-crc64nvme",
            Self::Crc32c => "X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-crc32c",
        }
    }

    /// What stands behind its value in a canonical request.
    fn end(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "\n\ncontent-length;host;x-amz-checksum-crc64nvme\nUNSIGNED-PAYLOAD",
            Self::Crc32c => "\n\ncontent-length;host;x-amz-checksum-crc32c\nUNSIGNED-PAYLOAD",
        }
    }
}

/// What a part's signature holds of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Nothing,
    Length,
    Checksum(ChecksumHeader),
}

/// The parameters of the signature, which stand in another order in the URL than in the canonical request.
struct Query {
    algorithm_to_expires: String,
    token: Option<String>,
    signed_headers: &'static str,
}

impl Query {
    fn new(credentials: &Credentials, scope: &str, time: &str, lifetime: Duration, bound: Bound) -> Self {
        let mut text = format!("X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=");
        encoding::push_query(&mut text, &credentials.access_key_id);
        text.push_str("%2F");
        encoding::push_query(&mut text, scope);
        text.push_str("&X-Amz-Date=");
        text.push_str(time);
        text.push_str("&X-Amz-Expires=");
        text.push_str(Decimal::new(lifetime.as_secs()).as_str());
        let token = credentials.session_token.as_ref().map(|token| {
            let mut text = String::from("&X-Amz-Security-Token=");
            encoding::push_query(&mut text, token.expose_secret());
            text
        });
        Self {
            algorithm_to_expires: text,
            token,
            signed_headers: match bound {
                Bound::Length => "X-Amz-SignedHeaders=content-length%3Bhost",
                Bound::Checksum(checksum) => checksum.in_query(),
                Bound::Nothing => "X-Amz-SignedHeaders=host",
            },
        }
    }

    /// Sorted by name.
    fn canonical(&self) -> String {
        let token = self.token.as_deref().unwrap_or_default();
        format!("{}{token}&{}", self.algorithm_to_expires, self.signed_headers)
    }

    /// Up to the signature.
    fn in_url(&self) -> String {
        format!("{}&{}", self.algorithm_to_expires, self.signed_headers)
    }

    /// Behind the signature.
    fn token_in_url(self) -> String {
        self.token.unwrap_or_default()
    }
}

/// A SigV4 signature: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Arithmetic and no table, which the compiler turns into vector instructions.
    fn new(digest: [u8; 32]) -> Self {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
            pair[0] = digit(byte >> 4);
            pair[1] = digit(byte & 0xF);
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        encoding::ascii(&self.0)
    }
}

impl AsRef<str> for Signature {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signature(…)")
    }
}
