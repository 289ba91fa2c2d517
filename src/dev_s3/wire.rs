//! Between the shapes of `s3s` and ours: headers, checksums, sizes, times.
//!
//! Separate because the generated shapes repeat the same fields in every operation; each translation stands here
//! once.

use std::collections::HashMap;
use std::time::Duration;

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::records::{Moment, ObjectHeaders, ObjectRecord};
use super::store::names;

/// The five checksum fields of an input.
macro_rules! sums_of {
    ($from:expr) => {{
        use $crate::dev_s3::sums::{Algorithm, Sums};
        let mut sums = Sums::default();
        sums.put(Algorithm::Crc32, $from.checksum_crc32.clone());
        sums.put(Algorithm::Crc32c, $from.checksum_crc32c.clone());
        sums.put(Algorithm::Crc64Nvme, $from.checksum_crc64nvme.clone());
        sums.put(Algorithm::Sha1, $from.checksum_sha1.clone());
        sums.put(Algorithm::Sha256, $from.checksum_sha256.clone());
        sums
    }};
}

/// Sets the five checksum fields of an output.
macro_rules! set_sums {
    ($to:expr, $sums:expr) => {{
        use $crate::dev_s3::sums::Algorithm;
        let value = |algorithm| $sums.get(algorithm).map(str::to_owned);
        $to.checksum_crc32 = value(Algorithm::Crc32);
        $to.checksum_crc32c = value(Algorithm::Crc32c);
        $to.checksum_crc64nvme = value(Algorithm::Crc64Nvme);
        $to.checksum_sha1 = value(Algorithm::Sha1);
        $to.checksum_sha256 = value(Algorithm::Sha256);
    }};
}

/// The headers of an object to be, from an input that has them.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::dev_s3::records::ObjectHeaders {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $crate::dev_s3::wire::stored_encoding($input.content_encoding.as_deref()),
            content_language: $input.content_language.clone(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
        }
    };
}

/// The headers of an object on its answer.
macro_rules! set_headers {
    ($output:expr, $headers:expr) => {{
        let headers = $headers;
        $output.content_type = Some($crate::dev_s3::wire::content_type(headers));
        $output.cache_control = headers.cache_control.clone();
        $output.content_disposition = headers.content_disposition.clone();
        $output.content_encoding = headers.content_encoding.clone();
        $output.content_language = headers.content_language.clone();
        $output.metadata = $crate::dev_s3::wire::metadata(headers);
    }};
}

pub(super) use {headers_of, set_headers, set_sums, sums_of};

/// `Content-Encoding` without `aws-chunked`, which belongs to the transfer and not to the object.
pub fn stored_encoding(sent: Option<&str>) -> Option<String> {
    let kept: Vec<_> = sent?
        .split(',')
        .map(str::trim)
        .filter(|name| *name != "aws-chunked")
        .collect();
    let kept = kept.join(", ");
    (!kept.is_empty()).then_some(kept)
}

/// The media type, or what S3 says where a client gave none.
pub fn content_type(headers: &ObjectHeaders) -> String {
    headers
        .content_type
        .clone()
        .unwrap_or_else(|| "binary/octet-stream".to_owned())
}

/// The `x-amz-meta-*` headers, if any.
pub fn metadata(headers: &ObjectHeaders) -> Option<HashMap<String, String>> {
    let metadata: HashMap<_, _> = headers.metadata.clone().into_iter().collect();
    (!metadata.is_empty()).then_some(metadata)
}

/// An ETag as the wire has it, in quotes.
pub fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

/// A size as the wire has it.
pub fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Conditions on a read: the headers `If-Match` and so on.
#[derive(Debug, Default)]
pub struct ReadConditions {
    /// The ETag that the object must have.
    pub matching: Option<ETagCondition>,
    /// The ETag that the object must not have.
    pub none_matching: Option<ETagCondition>,
    /// The object must have changed after that.
    pub modified_since: Option<Timestamp>,
    /// The object must not have changed after that.
    pub unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Compares an object, in the order of <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2>.
    ///
    /// # Errors
    /// `PreconditionFailed`, `NotModified`.
    pub fn check(&self, object: &ObjectRecord) -> S3Result<()> {
        let changed_since = |limit: &Timestamp| seconds(object.modified) > timestamp_seconds(limit);
        let matched = match &self.matching {
            Some(condition) => names(condition, &object.etag),
            None => !self.unmodified_since.as_ref().is_some_and(changed_since),
        };
        if !matched {
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the preconditions you specified did not hold"
            ));
        }
        let fresh = match &self.none_matching {
            Some(condition) => !names(condition, &object.etag),
            None => self.modified_since.as_ref().is_none_or(changed_since),
        };
        if fresh { Ok(()) } else { Err(not_modified(object)) }
    }
}

fn not_modified(object: &ObjectRecord) -> S3Error {
    let mut error = s3_error!(NotModified);
    if let Ok(value) = etag(&object.etag).to_http_header() {
        error.set_headers(http::HeaderMap::from_iter([(http::header::ETAG, value)]));
    }
    error
}

fn seconds(moment: Moment) -> Duration {
    Duration::from_secs(moment.whole_seconds())
}

/// A time of the wire since 1970; its type shows itself as text only.
fn timestamp_seconds(time: &Timestamp) -> Duration {
    let mut text = Vec::new();
    let written = time.format(s3s::dto::TimestampFormat::EpochSeconds, &mut text);
    let text = String::from_utf8_lossy(&text);
    let whole = text.split('.').next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(whole.filter(|_| written.is_ok()).unwrap_or_default())
}
