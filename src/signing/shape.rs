//! An operation spelled out: method, query and headers, each checked, before anything is signed.
//!
//! It is separate from the list of operations because it is the gate: whatever came from a client passes here
//! before it becomes part of a URL, a header or a signature.

use std::borrow::Cow;

use http::Method;

use super::encoding::{self, Decimal};
use super::{BucketLocation, ObjectHeaders, SignedRequest, SigningError};

/// What is sent, without its signature.
pub(super) struct Shape<'a> {
    pub(super) method: Method,
    /// In the order of the URL; `None` writes the bare name.
    pub(super) query: Vec<(&'static str, Option<Cow<'a, str>>)>,
    /// Lower-case names; without `host` and `content-length`.
    pub(super) headers: Vec<(Cow<'a, str>, &'a str)>,
    /// The only length that the body may have, where it is signed.
    pub(super) content_length: Option<u64>,
    on_bucket: bool,
}

impl<'a> Shape<'a> {
    pub(super) fn object(method: Method) -> Self {
        Self {
            method,
            query: Vec::new(),
            headers: Vec::new(),
            content_length: None,
            on_bucket: false,
        }
    }

    pub(super) fn bucket(method: Method) -> Self {
        Self {
            on_bucket: true,
            ..Self::object(method)
        }
    }

    pub(super) fn flag(mut self, name: &'static str) -> Self {
        self.query.push((name, None));
        self
    }

    pub(super) fn text(mut self, name: &'static str, value: Option<&'a str>) -> Self {
        self.query
            .extend(value.map(|value| (name, Some(Cow::Borrowed(value)))));
        self
    }

    pub(super) fn number(self, name: &'static str, value: u16) -> Self {
        self.optional_number(name, Some(value))
    }

    pub(super) fn optional_number(mut self, name: &'static str, value: Option<u16>) -> Self {
        let digits = value.map(|value| Cow::Owned(Decimal::new(value.into()).as_str().to_owned()));
        self.query.extend(digits.map(|digits| (name, Some(digits))));
        self
    }

    pub(super) fn upload(self, upload_id: &'a str) -> Result<Self, SigningError> {
        check_upload_id(upload_id)?;
        Ok(self.text("uploadId", Some(upload_id)))
    }

    pub(super) fn length(mut self, content_length: Option<u64>) -> Self {
        self.content_length = content_length;
        self
    }

    pub(super) fn object_headers(self, headers: ObjectHeaders<'a>) -> Result<Self, SigningError> {
        let mut shape = self
            .header("content-type", headers.content_type)?
            .header("content-disposition", headers.content_disposition)?;
        for (name, value) in headers.extra {
            if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                return Err(SigningError::Header {
                    name: (*name).to_owned(),
                    problem: "is not the caller's to set",
                });
            }
            shape = shape.header(name, Some(value))?;
        }
        Ok(shape)
    }

    pub(super) fn header(mut self, name: &'a str, value: Option<&'a str>) -> Result<Self, SigningError> {
        let Some(value) = value else { return Ok(self) };
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(SigningError::Header {
                name: name.to_owned(),
                problem: "is not a header name",
            });
        }
        check_header_value(name, value)?;
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        // Blanks at the ends are no part of a value (RFC 9110 section 5.5).
        self.headers.push((name, value.trim_matches(' ')));
        Ok(self)
    }

    /// `key` as this operation uses it: checked, or empty where it acts on the bucket.
    pub(super) fn object_key<'k>(&self, key: &'k str) -> Result<&'k str, SigningError> {
        if self.on_bucket {
            return Ok("");
        }
        check_key(key)?;
        Ok(key)
    }

    /// The unsigned URL: origin, path, query.
    pub(super) fn url(&self, location: &BucketLocation, key: &str) -> Result<String, SigningError> {
        let mut url = location.url(self.object_key(key)?);
        for (name, value) in &self.query {
            encoding::push_pair(&mut url, name, value.as_deref());
        }
        Ok(url)
    }

    /// The finished request: `url` carries the signature, or `signature_headers` do.
    pub(super) fn signed(self, url: String, signature_headers: Vec<(String, String)>) -> SignedRequest {
        let own = self
            .headers
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.to_owned()));
        SignedRequest {
            method: self.method,
            url,
            headers: own.chain(signature_headers).collect(),
            content_length: self.content_length,
        }
    }
}

/// Headers that the signer or the HTTP client sets.
const OURS: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// S3 documents ASCII alone; and a line break would add a header of somebody else's choice.
pub(super) fn check_header_value(name: &str, value: &str) -> Result<(), SigningError> {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    Err(SigningError::Header {
        name: name.to_owned(),
        problem: "must have a value of printable ASCII",
    })
}

/// Without a key, a signature for an object would be one for its bucket.
pub(super) fn check_key(key: &str) -> Result<(), SigningError> {
    if key.is_empty() {
        Err(SigningError::EmptyKey)
    } else {
        Ok(())
    }
}

/// Stores issue upload ids of very different looks, all of them printable ASCII. What must not come through is
/// what would read as another parameter in a SigV2 canonical resource, where ids stand unencoded.
pub(super) fn check_upload_id(upload_id: &str) -> Result<(), SigningError> {
    let fits = upload_id
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"&?#".contains(&byte));
    if fits && !upload_id.is_empty() {
        Ok(())
    } else {
        Err(SigningError::UploadId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{AddressingStyle, Operation};

    #[test]
    fn an_upload_id_that_could_pass_for_another_parameter_is_refused() {
        for upload_id in ["", "u&response-content-type=x", "u\n", "u?", "u v", "ü"] {
            assert!(matches!(
                Operation::AbortMultipartUpload { upload_id }.shape(),
                Err(SigningError::UploadId)
            ));
        }
    }

    #[test]
    fn an_object_operation_without_a_key_is_refused_and_a_bucket_operation_needs_none() {
        let location =
            BucketLocation::new("https://s3.example", "media", AddressingStyle::Path, "eu-west-1").unwrap();
        let delete = Operation::DeleteObject.shape().unwrap();
        assert!(matches!(delete.url(&location, ""), Err(SigningError::EmptyKey)));
        assert_eq!(
            Operation::HeadBucket.shape().unwrap().url(&location, "").unwrap(),
            "https://s3.example/media"
        );
    }

    #[test]
    fn headers_that_could_smuggle_another_one_or_replace_ours_are_refused() {
        for (name, value) in [
            ("x-amz-meta-title", "a\r\nx-amz-acl: public-read"),
            ("x-amz-meta-title", "日本"),
            ("x amz", "v"),
            ("", "v"),
            ("Host", "elsewhere"),
            ("X-Amz-Date", "20260505T100000Z"),
        ] {
            let extra = [(name, value)];
            let headers = ObjectHeaders {
                extra: &extra,
                ..ObjectHeaders::default()
            };
            let refused = Operation::CreateMultipartUpload { headers }.shape();
            assert!(
                matches!(refused, Err(SigningError::Header { .. })),
                "{name}: {value}"
            );
        }
    }
}
