//! The S3 operations that this product uses, each as method, query and headers.
//!
//! It is separate so that what an operation *is* stands in one place, whichever signature version signs it.

use std::borrow::Cow;

use http::Method;

use super::encoding::{self, Decimal};
use super::{BucketLocation, PART_NUMBERS, SignedRequest, SigningError};

/// What S3 is to store with an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjectHeaders<'a> {
    /// `Content-Type`; S3 stores `binary/octet-stream` without it.
    pub content_type: Option<&'a str>,
    /// `Content-Disposition`, in ASCII: a name beyond that goes into `filename*` (RFC 6266).
    pub content_disposition: Option<&'a str>,
    /// Any other header by name and value, such as `x-amz-meta-…` or `x-amz-server-side-encryption`.
    pub extra: &'a [(&'a str, &'a str)],
}

/// One request to S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>.
///
/// The operations on the bucket itself take no notice of the key that they are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Begins a multipart upload.
    CreateMultipartUpload {
        /// What to store with the object.
        headers: ObjectHeaders<'a>,
    },
    /// Sends one part, of exactly this length: S3 refuses any other, because `Content-Length` is signed.
    UploadPart {
        /// As S3 gave it.
        upload_id: &'a str,
        /// 1 to 10,000.
        part_number: u16,
        /// Bytes of the part.
        content_length: u64,
    },
    /// One page of the parts that S3 holds.
    ListParts {
        /// As S3 gave it.
        upload_id: &'a str,
        /// The last part number of the page before; `None` for the first page.
        marker: Option<u16>,
        /// Most parts on the page; S3 gives at most 1,000, and that many when it is `None`.
        max_parts: Option<u16>,
    },
    /// Joins the parts; their list is the body.
    CompleteMultipartUpload {
        /// As S3 gave it.
        upload_id: &'a str,
    },
    /// Drops the upload and its parts.
    AbortMultipartUpload {
        /// As S3 gave it.
        upload_id: &'a str,
    },
    /// Sends a whole object.
    PutObject {
        /// Bytes of the object; signed when given, so that S3 refuses any other length.
        content_length: Option<u64>,
        /// What to store with the object.
        headers: ObjectHeaders<'a>,
    },
    /// Reads an object.
    GetObject {
        /// A `Range` header, such as `bytes=0-9`.
        range: Option<&'a str>,
    },
    /// Asks for an object's size, ETag and headers.
    HeadObject,
    /// Removes an object.
    DeleteObject,
    /// One page of the multipart uploads under way in the bucket.
    ListMultipartUploads {
        /// Only uploads whose key starts so.
        prefix: Option<&'a str>,
        /// `NextKeyMarker` of the page before.
        key_marker: Option<&'a str>,
        /// `NextUploadIdMarker` of the page before.
        upload_id_marker: Option<&'a str>,
        /// Most uploads on the page; S3 gives at most 1,000.
        max_uploads: Option<u16>,
    },
    /// Asks whether the bucket is there and ours.
    HeadBucket,
    /// Makes the bucket.
    CreateBucket,
    /// Reads the bucket's CORS rules.
    GetBucketCors,
    /// Replaces the bucket's CORS rules; the rules are the body.
    PutBucketCors {
        /// Base64 of the body's MD5, which S3 demands here.
        content_md5: &'a str,
    },
}

/// An operation spelled out: what is sent before anything is signed.
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

impl<'a> Operation<'a> {
    /// Spells the operation out and checks everything that came from outside.
    pub(super) fn shape(self) -> Result<Shape<'a>, SigningError> {
        match self {
            Self::CreateMultipartUpload { headers } => Shape::object(Method::POST)
                .flag("uploads")
                .object_headers(headers),
            Self::UploadPart {
                upload_id,
                part_number,
                content_length,
            } => {
                if !PART_NUMBERS.contains(&part_number) {
                    return Err(SigningError::PartNumber(part_number));
                }
                let shape = Shape::object(Method::PUT).number("partNumber", part_number);
                Ok(shape.upload(upload_id)?.length(Some(content_length)))
            }
            Self::ListParts {
                upload_id,
                marker,
                max_parts,
            } => Ok(Shape::object(Method::GET)
                .upload(upload_id)?
                .optional_number("max-parts", max_parts)
                .optional_number("part-number-marker", marker)),
            Self::CompleteMultipartUpload { upload_id } => Shape::object(Method::POST).upload(upload_id),
            Self::AbortMultipartUpload { upload_id } => Shape::object(Method::DELETE).upload(upload_id),
            Self::PutObject {
                content_length,
                headers,
            } => Ok(Shape::object(Method::PUT)
                .object_headers(headers)?
                .length(content_length)),
            Self::GetObject { range } => Shape::object(Method::GET).header("range", range),
            Self::HeadObject => Ok(Shape::object(Method::HEAD)),
            Self::DeleteObject => Ok(Shape::object(Method::DELETE)),
            Self::ListMultipartUploads {
                prefix,
                key_marker,
                upload_id_marker,
                max_uploads,
            } => Ok(Shape::bucket(Method::GET)
                .flag("uploads")
                .text("prefix", prefix)
                .text("key-marker", key_marker)
                .text("upload-id-marker", upload_id_marker)
                .optional_number("max-uploads", max_uploads)),
            Self::HeadBucket => Ok(Shape::bucket(Method::HEAD)),
            Self::CreateBucket => Ok(Shape::bucket(Method::PUT)),
            Self::GetBucketCors => Ok(Shape::bucket(Method::GET).flag("cors")),
            Self::PutBucketCors { content_md5 } => Shape::bucket(Method::PUT)
                .flag("cors")
                .header("content-md5", Some(content_md5)),
        }
    }
}

impl<'a> Shape<'a> {
    fn object(method: Method) -> Self {
        Self {
            method,
            query: Vec::new(),
            headers: Vec::new(),
            content_length: None,
            on_bucket: false,
        }
    }

    fn bucket(method: Method) -> Self {
        Self {
            on_bucket: true,
            ..Self::object(method)
        }
    }

    fn flag(mut self, name: &'static str) -> Self {
        self.query.push((name, None));
        self
    }

    fn text(mut self, name: &'static str, value: Option<&'a str>) -> Self {
        self.query
            .extend(value.map(|value| (name, Some(Cow::Borrowed(value)))));
        self
    }

    fn number(self, name: &'static str, value: u16) -> Self {
        self.optional_number(name, Some(value))
    }

    fn optional_number(mut self, name: &'static str, value: Option<u16>) -> Self {
        let digits = value.map(|value| Cow::Owned(Decimal::new(value.into()).as_str().to_owned()));
        self.query.extend(digits.map(|digits| (name, Some(digits))));
        self
    }

    fn upload(self, upload_id: &'a str) -> Result<Self, SigningError> {
        check_upload_id(upload_id)?;
        Ok(self.text("uploadId", Some(upload_id)))
    }

    fn length(mut self, content_length: Option<u64>) -> Self {
        self.content_length = content_length;
        self
    }

    fn object_headers(self, headers: ObjectHeaders<'a>) -> Result<Self, SigningError> {
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

    fn header(mut self, name: &'a str, value: Option<&'a str>) -> Result<Self, SigningError> {
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
    use crate::signing::AddressingStyle;

    fn url(operation: Operation<'_>) -> Result<String, SigningError> {
        let location =
            BucketLocation::new("https://s3.example", "media", AddressingStyle::Path, "eu-west-1").unwrap();
        operation.shape()?.url(&location, "a b")
    }

    #[test]
    fn each_operation_has_the_query_that_s3_documents() {
        let upload_id = "up/load+1==";
        assert_eq!(
            url(Operation::UploadPart {
                upload_id,
                part_number: 7,
                content_length: 1
            })
            .unwrap(),
            "https://s3.example/media/a%20b?partNumber=7&uploadId=up%2Fload%2B1%3D%3D"
        );
        assert_eq!(
            url(Operation::ListParts {
                upload_id: "u",
                marker: Some(1000),
                max_parts: Some(50)
            })
            .unwrap(),
            "https://s3.example/media/a%20b?uploadId=u&max-parts=50&part-number-marker=1000"
        );
        assert_eq!(
            url(Operation::CreateMultipartUpload {
                headers: ObjectHeaders::default()
            })
            .unwrap(),
            "https://s3.example/media/a%20b?uploads"
        );
        let listing = Operation::ListMultipartUploads {
            prefix: Some("u/é"),
            key_marker: None,
            upload_id_marker: None,
            max_uploads: Some(10),
        };
        assert_eq!(
            url(listing).unwrap(),
            "https://s3.example/media?uploads&prefix=u%2F%C3%A9&max-uploads=10"
        );
    }

    #[test]
    fn part_numbers_outside_one_to_ten_thousand_are_refused() {
        for part_number in [0, 10_001] {
            let refused = url(Operation::UploadPart {
                upload_id: "u",
                part_number,
                content_length: 1,
            });
            assert!(matches!(refused, Err(SigningError::PartNumber(number)) if number == part_number));
        }
    }

    #[test]
    fn an_upload_id_that_could_pass_for_another_parameter_is_refused() {
        for upload_id in ["", "u&response-content-type=x", "u\n", "u?", "u v", "ü"] {
            assert!(matches!(
                url(Operation::AbortMultipartUpload { upload_id }),
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
