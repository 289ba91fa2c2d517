//! What the directory remembers, as JSON: buckets, objects, unfinished uploads and their parts.
//!
//! Separate because these shapes outlive the process: a field that changes here must still read yesterday's files.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cors::CorsRule;
use super::lifecycle::AbortRule;
use super::sums::{Algorithm, Coverage, Sums};

/// A moment, in whole milliseconds since 1970 as S3's own times have no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// Now. The crate's clock is not used on purpose: signatures are checked by the machine's time as well, and
    /// this server is a neighbour of the product, not a part of it.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long ago it was; zero for the future.
    pub fn age(self) -> Duration {
        Duration::from_millis(Self::now().0.saturating_sub(self.0))
    }

    /// The same moment without its milliseconds, as `Last-Modified` shows it.
    pub fn whole_seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl From<Moment> for s3s::dto::Timestamp {
    fn from(moment: Moment) -> Self {
        Self::from(UNIX_EPOCH + Duration::from_millis(moment.0))
    }
}

/// A bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Moment,
    /// The stored CORS rules; `None` means that every origin is welcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Vec<CorsRule>>,
    /// The stored lifecycle rules; `None` where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Vec<AbortRule>>,
}

/// The headers that a client gave an object and gets back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without the `aws-chunked` of the transfer.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `x-amz-meta-*`, names without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// One part, also the only one of an object that came in one piece.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartRecord {
    /// 1 to 10,000.
    pub number: u16,
    /// In bytes.
    pub size: u64,
    /// The MD5 of the bytes in hexadecimal, which is the part's ETag.
    pub md5: String,
    /// The checksums that were claimed or asked for, all verified.
    #[serde(default, skip_serializing_if = "Sums::is_empty")]
    pub sums: Sums,
    /// Where the bytes lie.
    pub segment: Uuid,
    /// When the part was whole.
    pub modified: Moment,
}

/// A finished object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was finished.
    pub modified: Moment,
    /// What the client said about it.
    pub headers: ObjectHeaders,
    /// Checksums of the whole.
    #[serde(default, skip_serializing_if = "Sums::is_empty")]
    pub sums: Sums,
    /// What those checksums cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// The multipart upload that made it, so that a repeated completion is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// In object order.
    pub parts: Vec<PartRecord>,
}

/// An unfinished multipart upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The upload id: sorts by age.
    pub id: String,
    /// The bucket of the object to be.
    pub bucket: String,
    /// The key of the object to be.
    pub key: String,
    /// When it was begun.
    pub initiated: Moment,
    /// The headers of the object to be.
    pub headers: ObjectHeaders,
    /// The checksum that every part gets, and how it will cover the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(Algorithm, Coverage)>,
}
