//! What S3 says: its XML answers and its errors, turned into our words.
//!
//! Separate from the requests, because stores differ most in how they answer: error codes are no contract,
//! an ETag may be empty, and a 200 may carry an error.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::checks::told_checksum;
use crate::domain::{Checksum, PartNumber, StoredPart};
use crate::error::Error;

/// The error codes that are about credentials, and nothing else.
pub const ABOUT_THE_KEY: [&str; 4] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
];

/// Most bytes of an answer: a thousand keys of 1,024 bytes, each byte as a reference of six, and room.
const LARGEST: usize = 16 << 20;

/// An answer of the store, read whole.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Content-Length` header.
    pub content_length: Option<u64>,
    /// What the store has made of the body that it got.
    pub checksum: Option<Checksum>,
    /// The `x-amz-checksum-algorithm` header.
    pub checksum_algorithm: Option<String>,
    /// Whether the object is encrypted with a key of a KMS, so that its tag is no MD5.
    pub is_encrypted: bool,
    /// The body.
    pub body: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    upload_id: String,
}

/// One page of a part list: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartList {
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<u16>,
    #[serde(default)]
    part: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u64,
    size: u64,
    #[serde(rename = "ETag", default)]
    etag: String,
    last_modified: Option<DateTime<Utc>>,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
}

/// One page of objects: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    contents: Vec<ListedObject>,
}

/// An object in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its tag.
    #[serde(rename = "ETag", default)]
    pub etag: String,
    /// When it was written.
    pub last_modified: DateTime<Utc>,
}

/// One page of uploads: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadList {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    upload: Vec<ListedUpload>,
}

/// A multipart upload in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedUpload {
    /// Its object's key.
    pub key: String,
    /// The store's id of it.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Joined {
    #[serde(rename = "ETag", default)]
    etag: String,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    checksum_type: Option<String>,
}

/// An object that was made of parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its tag; `None` where the store leaves it out.
    pub etag: Option<String>,
    /// The checksum of all its bytes, where the store tells one.
    pub full_object: Option<Checksum>,
}

/// The text of an answer of `whose`.
///
/// # Errors
/// [`Error::Unavailable`] where it breaks off, and where it is larger than any that could be used.
pub(super) async fn text_of(mut response: reqwest::Response, whose: &'static str) -> Result<String, Error> {
    let lost = |error: reqwest::Error| Error::unavailable(whose, error.without_url());
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        if bytes.len() + piece.len() > LARGEST {
            let cause = format!("an answer has more than {LARGEST} bytes");
            return Err(Error::unavailable(whose, cause));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Answer {
    /// One of a status and a body alone.
    pub fn bare(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            etag: None,
            content_length: None,
            checksum: None,
            checksum_algorithm: None,
            is_encrypted: false,
            body: body.into(),
        }
    }

    /// Reads one whole.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it breaks off, and where it is larger than any that could be used.
    pub async fn of(response: reqwest::Response) -> Result<Self, Error> {
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        let named = http::HeaderName::from_static;
        let mut answer = Self {
            etag: header(http::header::ETAG).map(str::to_owned),
            content_length: header(http::header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            checksum: told_checksum(
                header(named("x-amz-checksum-crc64nvme")),
                header(named("x-amz-checksum-crc32c")),
            ),
            checksum_algorithm: header(named("x-amz-checksum-algorithm")).map(str::to_owned),
            is_encrypted: header(named("x-amz-server-side-encryption"))
                .is_some_and(|how| how.starts_with("aws:kms")),
            ..Self::bare(response.status().as_u16(), "")
        };
        answer.body = text_of(response, "the store").await?;
        Ok(answer)
    }

    /// Whether asking again may help: the store is overloaded or stumbled.
    pub fn is_transient(&self) -> bool {
        let is_passing = [
            "InternalError",
            "ServiceUnavailable",
            "SlowDown",
            "RequestTimeout",
        ];
        self.status >= 500 || self.status == 429 || is_passing.contains(&self.code().as_str())
    }

    /// Whether the store refuses the credentials, not what was asked with them: others may be taken.
    pub fn blames_credentials(&self) -> bool {
        self.status >= 400 && ABOUT_THE_KEY.contains(&self.code().as_str())
    }

    /// The store's error code; empty where the answer carries none.
    pub fn code(&self) -> String {
        self.error().and_then(|error| error.code).unwrap_or_default()
    }

    /// The error in the body. A 200 may carry one, when completing took longer than the store would wait:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>.
    fn error(&self) -> Option<ErrorBody> {
        if !root_is(&self.body, "Error") {
            return None;
        }
        quick_xml::de::from_str(&self.body).ok()
    }

    /// The answer, if it is the success it seems to be.
    ///
    /// # Errors
    /// [`Error::Vanished`] for an unknown multipart upload, [`Error::Unavailable`] for a stumbling store,
    /// [`Error::StoreRefused`] for all else.
    pub fn success(self) -> Result<Self, Error> {
        let error = self.error();
        if (200..300).contains(&self.status) && error.is_none() {
            return Ok(self);
        }
        let transient = self.is_transient();
        let ErrorBody { code, message } = error.unwrap_or(ErrorBody {
            code: None,
            message: None,
        });
        let code = code.unwrap_or_else(|| format!("status {}", self.status));
        // radosgw says NoSuchKey where AWS says NoSuchUpload.
        if matches!(code.as_str(), "NoSuchUpload" | "NoSuchKey") {
            return Err(Error::Vanished);
        }
        if transient {
            let cause = format!("{} {code}: {}", self.status, message.unwrap_or_default());
            return Err(Error::unavailable("the store", cause));
        }
        // A field called `message` would take the place of the line's own words.
        tracing::warn!(
            status = self.status,
            code,
            reason = message,
            "the store refused a request"
        );
        Err(Error::StoreRefused { code })
    }

    /// The id of a multipart upload that was just begun.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn multipart_id(self) -> Result<String, Error> {
        let answer = self.success()?;
        let initiated: Initiated = answer.read()?;
        Ok(initiated.upload_id)
    }

    /// The parts of one page, and the marker of the next page if there is one.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn parts(self) -> Result<(Vec<StoredPart>, Option<u16>), Error> {
        let answer = self.success()?;
        let list: PartList = answer.read()?;
        let mut parts = Vec::with_capacity(list.part.len());
        for part in list.part {
            let number = PartNumber::new(part.part_number, "PartNumber").map_err(Error::internal)?;
            parts.push(StoredPart {
                number,
                size: part.size,
                etag: part.etag,
                checksum: told_checksum(part.crc64nvme.as_deref(), part.crc32c.as_deref()),
            });
        }
        let last = parts.iter().map(|part| part.number.get()).max();
        let next = list.next_part_number_marker.or(last);
        Ok((parts, next.filter(|_| list.is_truncated)))
    }

    /// The objects of one page, and whether there is another.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn objects(self) -> Result<(Vec<ListedObject>, bool), Error> {
        let list: ObjectList = self.success()?.read()?;
        Ok((list.contents, list.is_truncated))
    }

    /// The multipart uploads of one page, and whether there is another.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn uploads(self) -> Result<(Vec<ListedUpload>, bool), Error> {
        let list: UploadList = self.success()?.read()?;
        Ok((list.upload, list.is_truncated))
    }

    /// When the youngest part of a page was written, and the marker of the next page if there is one.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn last_part_at(self) -> Result<(Option<DateTime<Utc>>, Option<u16>), Error> {
        let list: PartList = self.success()?.read()?;
        let youngest = list.part.iter().filter_map(|part| part.last_modified).max();
        let last = list.part.iter().map(|part| part.part_number).max();
        let last = last.and_then(|number| u16::try_from(number).ok());
        let next = list.next_part_number_marker.or(last);
        Ok((youngest, next.filter(|_| list.is_truncated)))
    }

    /// What became of a completion.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn completed(self) -> Result<Completed, Error> {
        let joined: Joined = self.success()?.read()?;
        let is_composite = joined.checksum_type.as_deref() == Some("COMPOSITE");
        let full_object = told_checksum(joined.crc64nvme.as_deref(), joined.crc32c.as_deref());
        Ok(Completed {
            etag: Some(joined.etag).filter(|etag| !etag.is_empty()),
            full_object: full_object.filter(|_| !is_composite),
        })
    }

    /// The tag of a part that was copied.
    ///
    /// # Errors
    /// As [`Answer::success`]; here too, a 200 may carry an error.
    pub fn copied_etag(self) -> Result<String, Error> {
        let copied: Joined = self.success()?.read()?;
        Ok(copied.etag)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Error> {
        quick_xml::de::from_str(&self.body)
            .map_err(|error| Error::unavailable("the store", format!("an answer cannot be read: {error}")))
    }
}

/// Whether the document's root element is `name`.
fn root_is(body: &str, name: &str) -> bool {
    let mut rest = body.trim_start_matches('\u{feff}').trim_start();
    if let Some(after) = rest.strip_prefix("<?") {
        rest = after.split_once("?>").map_or("", |(_, rest)| rest).trim_start();
    }
    rest.strip_prefix('<')
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.starts_with(['>', ' ', '/', '\n', '\t', '\r']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_that_carries_an_error_is_none() {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>x</Message></Error>";

        let result = Answer::bare(200, body).completed();

        assert!(matches!(result, Err(Error::Unavailable { .. })));
    }

    #[test]
    fn an_unknown_multipart_upload_is_known_by_either_code() {
        for code in ["NoSuchUpload", "NoSuchKey"] {
            let body = format!("<Error><Code>{code}</Code></Error>");
            assert!(matches!(Answer::bare(404, body).parts(), Err(Error::Vanished)));
        }
    }

    #[test]
    fn a_page_of_parts_names_the_next_one_even_where_the_store_forgets_the_marker() {
        let part =
            |n| format!("<Part><PartNumber>{n}</PartNumber><ETag>&quot;a&quot;</ETag><Size>5</Size></Part>");
        let body = format!(
            "<ListPartsResult xmlns=\"x\"><IsTruncated>true</IsTruncated>{}{}</ListPartsResult>",
            part(1),
            part(7)
        );

        let (parts, next) = Answer::bare(200, body).parts().unwrap();

        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].etag, "\"a\"");
        assert_eq!(next, Some(7));
    }

    #[test]
    fn an_empty_list_and_an_empty_tag_are_read() {
        let (parts, next) = Answer::bare(
            200,
            "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>",
        )
        .parts()
        .unwrap();
        assert!(parts.is_empty() && next.is_none());

        let body = "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>";
        assert_eq!(Answer::bare(200, body).completed().unwrap().etag, None);
    }
}
