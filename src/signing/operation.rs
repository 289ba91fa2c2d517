//! The S3 operations that this product uses, each as method, query and headers.
//!
//! It is separate so that what an operation *is* stands in one place, whichever signature version signs it.

use http::Method;

use super::shape::Shape;
use super::{PART_NUMBERS, SigningError, encoding};

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
    /// Sends one part of whatever length.
    UploadAnyPart {
        /// As S3 gave it.
        upload_id: &'a str,
        /// 1 to 10,000.
        part_number: u16,
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
    /// Makes a part of an object that the store holds already:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>.
    UploadPartCopy {
        /// As S3 gave it.
        upload_id: &'a str,
        /// 1 to 10,000.
        part_number: u16,
        /// The object, as [`copy_source`] spells it.
        source: &'a str,
        /// Which bytes of it, such as `bytes=0-9`; S3 allows that only for one of more than 5 MiB.
        range: Option<&'a str>,
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
    /// Joins the parts, if the object has this checksum; their list is the body.
    CompleteChecked {
        /// As S3 gave it.
        upload_id: &'a str,
        /// The header of the checksum, such as `x-amz-checksum-crc64nvme`.
        header: &'a str,
        /// The checksum of the full object, in base64.
        value: &'a str,
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
    /// One page of the objects in the bucket, by name.
    ListObjects {
        /// Only objects whose key starts so.
        prefix: &'a str,
        /// The last key of the page before.
        start_after: Option<&'a str>,
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
    /// Reads the bucket's lifecycle rules.
    GetBucketLifecycle,
    /// Replaces the bucket's lifecycle rules; the rules are the body.
    PutBucketLifecycle {
        /// Base64 of the body's MD5, which S3 demands here.
        content_md5: &'a str,
    },
}

/// An object as the source of a copy: bucket and key, percent-encoded.
pub fn copy_source(bucket: &str, key: &str) -> String {
    let mut source = String::with_capacity(bucket.len() + key.len() + 1);
    encoding::push_path(&mut source, bucket);
    source.push('/');
    encoding::push_path(&mut source, key);
    source
}

/// What sending a part and copying one have in common.
fn part(upload_id: &str, part_number: u16) -> Result<Shape<'_>, SigningError> {
    if !PART_NUMBERS.contains(&part_number) {
        return Err(SigningError::PartNumber(part_number));
    }
    Shape::object(Method::PUT)
        .number("partNumber", part_number)
        .upload(upload_id)
}

/// Replaces a bucket's rules of one kind.
fn bucket_rules<'a>(kind: &'static str, content_md5: &'a str) -> Result<Shape<'a>, SigningError> {
    Shape::bucket(Method::PUT)
        .flag(kind)
        .header("content-md5", Some(content_md5))
}

/// Joins the parts of an object with a known checksum.
fn checked_completion<'a>(
    upload_id: &'a str,
    header: &'a str,
    value: &'a str,
) -> Result<Shape<'a>, SigningError> {
    Shape::object(Method::POST)
        .upload(upload_id)?
        .header(header, Some(value))?
        .header("x-amz-checksum-type", Some("FULL_OBJECT"))
}

/// Sends a whole object.
fn whole_object(content_length: Option<u64>, headers: ObjectHeaders<'_>) -> Result<Shape<'_>, SigningError> {
    Ok(Shape::object(Method::PUT)
        .object_headers(headers)?
        .length(content_length))
}

fn upload_list<'a>(
    prefix: Option<&'a str>,
    (key_marker, upload_id_marker): (Option<&'a str>, Option<&'a str>),
    max_uploads: Option<u16>,
) -> Shape<'a> {
    Shape::bucket(Method::GET)
        .flag("uploads")
        .text("prefix", prefix)
        .text("key-marker", key_marker)
        .text("upload-id-marker", upload_id_marker)
        .optional_number("max-uploads", max_uploads)
}

fn part_list(
    upload_id: &str,
    marker: Option<u16>,
    max_parts: Option<u16>,
) -> Result<Shape<'_>, SigningError> {
    Ok(Shape::object(Method::GET)
        .upload(upload_id)?
        .optional_number("max-parts", max_parts)
        .optional_number("part-number-marker", marker))
}

impl<'a> Operation<'a> {
    /// The names of all operations, as S3 has them.
    pub const NAMES: [&'static str; 18] = [
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "ListParts",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "PutObject",
        "GetObject",
        "HeadObject",
        "DeleteObject",
        "ListMultipartUploads",
        "ListObjectsV2",
        "HeadBucket",
        "CreateBucket",
        "GetBucketCors",
        "PutBucketCors",
        "GetBucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
    ];

    /// What S3 calls it: one of [`NAMES`](Self::NAMES).
    pub fn name(self) -> &'static str {
        let place = match self {
            Self::CreateMultipartUpload { .. } => 0,
            Self::UploadPart { .. } | Self::UploadAnyPart { .. } => 1,
            Self::UploadPartCopy { .. } => 2,
            Self::ListParts { .. } => 3,
            Self::CompleteMultipartUpload { .. } | Self::CompleteChecked { .. } => 4,
            Self::AbortMultipartUpload { .. } => 5,
            Self::PutObject { .. } => 6,
            Self::GetObject { .. } => 7,
            Self::HeadObject => 8,
            Self::DeleteObject => 9,
            Self::ListMultipartUploads { .. } => 10,
            Self::ListObjects { .. } => 11,
            Self::HeadBucket => 12,
            Self::CreateBucket => 13,
            Self::GetBucketCors => 14,
            Self::PutBucketCors { .. } => 15,
            Self::GetBucketLifecycle => 16,
            Self::PutBucketLifecycle { .. } => 17,
        };
        Self::NAMES[place]
    }

    /// Spells the operation out and checks everything that came from outside.
    pub(super) fn shape(self) -> Result<Shape<'a>, SigningError> {
        match self {
            Self::CreateMultipartUpload { headers } => Shape::object(Method::POST)
                .flag("uploads")
                .object_headers(headers),
            Self::UploadAnyPart {
                upload_id,
                part_number,
            } => part(upload_id, part_number),
            Self::UploadPart {
                upload_id,
                part_number,
                content_length,
            } => Ok(part(upload_id, part_number)?.length(Some(content_length))),
            // Some stores refuse a PUT that does not say that it brings nothing.
            Self::UploadPartCopy {
                upload_id,
                part_number,
                source,
                range,
            } => part(upload_id, part_number)?
                .length(Some(0))
                .header("x-amz-copy-source", Some(source))?
                .header("x-amz-copy-source-range", range),
            Self::ListParts {
                upload_id,
                marker,
                max_parts,
            } => part_list(upload_id, marker, max_parts),
            Self::CompleteMultipartUpload { upload_id } => Shape::object(Method::POST).upload(upload_id),
            Self::CompleteChecked {
                upload_id,
                header,
                value,
            } => checked_completion(upload_id, header, value),
            Self::AbortMultipartUpload { upload_id } => Shape::object(Method::DELETE).upload(upload_id),
            Self::PutObject {
                content_length,
                headers,
            } => whole_object(content_length, headers),
            Self::GetObject { range } => Shape::object(Method::GET).header("range", range),
            Self::HeadObject => Ok(Shape::object(Method::HEAD)),
            Self::DeleteObject => Ok(Shape::object(Method::DELETE)),
            Self::ListMultipartUploads {
                prefix,
                key_marker,
                upload_id_marker,
                max_uploads,
            } => Ok(upload_list(prefix, (key_marker, upload_id_marker), max_uploads)),
            Self::ListObjects { prefix, start_after } => Ok(Shape::bucket(Method::GET)
                .text("list-type", Some("2"))
                .text("prefix", Some(prefix))
                .text("start-after", start_after)),
            Self::HeadBucket => Ok(Shape::bucket(Method::HEAD)),
            Self::CreateBucket => Ok(Shape::bucket(Method::PUT)),
            Self::GetBucketCors => Ok(Shape::bucket(Method::GET).flag("cors")),
            Self::PutBucketCors { content_md5 } => bucket_rules("cors", content_md5),
            Self::GetBucketLifecycle => Ok(Shape::bucket(Method::GET).flag("lifecycle")),
            Self::PutBucketLifecycle { content_md5 } => bucket_rules("lifecycle", content_md5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{AddressingStyle, BucketLocation};

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
        let objects = Operation::ListObjects {
            prefix: "a/",
            start_after: Some("a/b"),
        };
        assert_eq!(
            url(objects).unwrap(),
            "https://s3.example/media?list-type=2&prefix=a%2F&start-after=a%2Fb"
        );
    }

    #[test]
    fn the_source_of_a_copy_is_encoded_but_for_its_slashes() {
        assert_eq!(copy_source("media", "a b/ü+c"), "media/a%20b/%C3%BC%2Bc");
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
}
