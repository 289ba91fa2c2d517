//! `UploadPartCopy`: a part whose bytes come from an object that is here already.
//!
//! Separate from parts that clients send, because the two share no more than where they end: here it is the range that
//! can be wrong, and not the body.

use std::ops::Range;
use std::sync::Arc;

use s3s::dto::{CopyPartResult, CopySource, UploadPartCopyInput, UploadPartCopyOutput};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::receive::{Claims, MAX_SIZE, receive_exactly};
use super::records::PartRecord;
use super::send;
use super::service::Service;
use super::store::{Object, run};
use super::upload_calls::{number_of, part_of};
use super::wire::{self, ReadConditions, set_sums};

/// Copies an object, or a range of it, as a part:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>.
pub async fn part(
    service: &Service,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let number = number_of(input.part_number)?;
    let upload = service
        .store
        .upload(&input.bucket, &input.key, &input.upload_id)?;
    let source = source_of(service, &input.copy_source)?;
    let conditions = ReadConditions {
        matching: input.copy_source_if_match,
        none_matching: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    // A read that finds nothing new answers 304; a copy has nobody to say so to.
    conditions
        .check(&source.record)
        .map_err(|error| match error.code() {
            S3ErrorCode::NotModified => s3_error!(
                PreconditionFailed,
                "At least one of the preconditions you specified did not hold"
            ),
            _ => error,
        })?;
    let wanted = input.copy_source_range.as_deref();
    let range = range_of(wanted, source.record.size, service.store.min_part_size)?;
    let claims = Claims {
        calculate: upload
            .record
            .checksum
            .map(|(algorithm, _)| algorithm)
            .into_iter()
            .collect(),
        ..Claims::default()
    };
    let length = range.end - range.start;
    let received = receive_exactly(&service.store, send::stream(&source, range), length, claims).await?;
    let part = part_of(number, received);
    let result = result_of(&part.record);
    run(move || upload.add(part)).await?;
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..Default::default()
    }))
}

fn result_of(record: &PartRecord) -> CopyPartResult {
    let mut result = CopyPartResult {
        e_tag: Some(wire::etag(&record.md5)),
        last_modified: Some(record.modified.into()),
        ..Default::default()
    };
    set_sums!(result, record.sums);
    result
}

fn source_of(service: &Service, source: &CopySource) -> S3Result<Arc<Object>> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id: None,
        } => service.store.object(bucket, key),
        _ => Err(s3_error!(
            NotImplemented,
            "A copy source is a bucket and a key here, without a version"
        )),
    }
}

/// The bytes that `x-amz-copy-source-range` means. S3 copies ranges only of objects that are larger than its least part,
/// and nothing beyond 5 GiB at once.
fn range_of(wanted: Option<&str>, size: u64, min_part_size: u64) -> S3Result<Range<u64>> {
    let range = match wanted {
        None => 0..size,
        Some(text) => {
            let range = parse(text).ok_or_else(|| {
                s3_error!(
                    InvalidArgument,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                     the zero-based offsets of the first and last bytes to copy"
                )
            })?;
            if range.end > size {
                return Err(s3_error!(
                    InvalidArgument,
                    "Range specified is not valid for source object of size: {size}"
                ));
            }
            if size <= min_part_size {
                return Err(s3_error!(
                    InvalidRequest,
                    "The specified copy source is not supported as a byte-range copy source"
                ));
            }
            range
        }
    };
    if range.end - range.start > MAX_SIZE {
        return Err(too_large());
    }
    Ok(range)
}

fn too_large() -> S3Error {
    s3_error!(
        InvalidRequest,
        "The specified copy source is larger than the maximum allowable size for a copy source: {MAX_SIZE}"
    )
}

fn parse(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let digits = |text: &str| -> Option<u64> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (first, last) = (digits(first)?, digits(last)?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_first_and_its_last_byte() {
        let code = |wanted, size| range_of(Some(wanted), size, 5).map_err(|error| error.code().clone());

        assert_eq!(code("bytes=0-9", 10), Ok(0..10));
        assert_eq!(code("bytes=3-3", 10), Ok(3..4));
        for bad in [
            "",
            "0-9",
            "bytes=5-",
            "bytes=-5",
            "bytes=5-4",
            "bytes=0-10",
            "bytes=0-1,3-4",
            "bytes=+0-1",
        ] {
            assert_eq!(code(bad, 10), Err(S3ErrorCode::InvalidArgument), "{bad}");
        }
        assert_eq!(code("bytes=0-1", 5), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(range_of(None, 5, 5).ok(), Some(0..5));
        assert!(range_of(None, MAX_SIZE + 1, 5).is_err());
    }
}
