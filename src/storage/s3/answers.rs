//! What S3 says: its answers, told apart as successes and errors, and the errors turned into our words.
//!
//! Separate from the requests, because stores differ most in how they answer: error codes are no contract,
//! and a 200 may carry an error.

use serde::Deserialize;

use super::checks::told_checksum;
use crate::domain::Checksum;
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
}
