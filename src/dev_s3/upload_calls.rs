//! The operations on multipart uploads.
//!
//! Separate from whole objects because this is the protocol that browsers speak with four workers: begin, send
//! parts in any order, list what came, complete or give up.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, StorageClass, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::address;
use super::complete::{Completion, WantedPart};
use super::listing::{self, Encoding, Filter, Start};
use super::multipart::{Part, Upload};
use super::receive::{Claims, Received, receive};
use super::records::{Moment, PartRecord, UploadRecord};
use super::service::Service;
use super::store::{Conditions, run};
use super::sums::{Algorithm, Coverage, announced_in_trailer};
use super::wire::{self, headers_of, set_sums, sums_of};

pub async fn create(
    service: &Service,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    let checksum = checksum_of(&input)?;
    let headers = headers_of!(input);
    let (store, bucket, key) = (service.store.clone(), input.bucket, input.key);
    let upload = run(move || store.begin_upload(bucket, key, headers, checksum)).await?;
    let (algorithm, coverage) = checksum_names(&upload.record);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(upload.record.bucket.clone()),
        key: Some(upload.record.key.clone()),
        upload_id: Some(upload.record.id.clone()),
        checksum_algorithm: algorithm,
        checksum_type: coverage,
        ..Default::default()
    }))
}

fn checksum_of(input: &CreateMultipartUploadInput) -> S3Result<Option<(Algorithm, Coverage)>> {
    let Some(name) = &input.checksum_algorithm else {
        return Ok(None);
    };
    let algorithm = Algorithm::parse(name.as_str())
        .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."))?;
    let coverage = match &input.checksum_type {
        None => Coverage::default_for(algorithm),
        Some(name) => Coverage::parse(name.as_str())
            .ok_or_else(|| s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid."))?,
    };
    if !coverage.suits(algorithm) {
        let (coverage, algorithm) = (coverage.name(), algorithm.name());
        return Err(s3_error!(
            InvalidRequest,
            "The {coverage} checksum type cannot be used with the {algorithm} checksum algorithm."
        ));
    }
    Ok(Some((algorithm, coverage)))
}

fn checksum_names(record: &UploadRecord) -> (Option<ChecksumAlgorithm>, Option<ChecksumType>) {
    record.checksum.map_or((None, None), |(algorithm, coverage)| {
        let names = (algorithm.name(), coverage.name());
        (
            Some(ChecksumAlgorithm::from_static(names.0)),
            Some(ChecksumType::from_static(names.1)),
        )
    })
}

pub async fn part(
    service: &Service,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let input = &mut request.input;
    let number = number_of(input.part_number)?;
    let upload = service
        .store
        .upload(&input.bucket, &input.key, &input.upload_id)?;
    let mut calculate = announced_in_trailer(&request.headers);
    calculate.extend(upload.record.checksum.map(|(algorithm, _)| algorithm));
    let claims = Claims {
        md5: input.content_md5.take(),
        sums: sums_of!(input),
        calculate,
        trailers: request.trailing_headers.take(),
    };
    let body = input
        .body
        .take()
        .ok_or_else(|| s3_error!(IncompleteBody, "There is no body"))?;
    let received = receive(&service.store, body, claims).await?;
    let mut output = UploadPartOutput {
        e_tag: Some(wire::etag(&received.md5)),
        ..Default::default()
    };
    set_sums!(output, received.sums);
    let part = part_of(number, received);
    run(move || upload.add(part)).await?;
    Ok(S3Response::new(output))
}

/// The number of a part, if it can be one.
pub fn number_of(wanted: i32) -> S3Result<u16> {
    let number = u16::try_from(wanted)
        .ok()
        .filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| {
        s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        )
    })
}

/// The part that a body makes.
pub fn part_of(number: u16, received: Received) -> Part {
    let record = PartRecord {
        number,
        size: received.size,
        md5: received.md5,
        sums: received.sums,
        segment: received.segment.id(),
        modified: Moment::now(),
    };
    Part {
        record,
        segment: received.segment,
    }
}

pub fn list_parts(
    service: &Service,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let upload = service
        .store
        .upload(&input.bucket, &input.key, &input.upload_id)?;
    let limit = listing::limit(input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    // Past the last number there is nothing, and before the first is the beginning.
    let first = u16::try_from(marker.max(0).saturating_add(1)).unwrap_or(u16::MAX);
    let parts = upload.parts();
    let mut behind = parts.range(first..);
    let page: Vec<_> = behind
        .by_ref()
        .take(usize::try_from(limit).unwrap_or_default())
        .collect();
    let truncated = limit > 0 && behind.next().is_some();
    let last = page.last().map(|(number, _)| i32::from(**number));
    let (algorithm, coverage) = checksum_names(&upload.record);
    Ok(S3Response::new(ListPartsOutput {
        parts: Some(page.into_iter().map(|(_, part)| listed(&part.record)).collect()),
        is_truncated: Some(truncated),
        next_part_number_marker: last.filter(|_| truncated),
        part_number_marker: Some(marker),
        max_parts: Some(limit),
        checksum_algorithm: algorithm,
        checksum_type: coverage,
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        ..Default::default()
    }))
}

fn listed(record: &PartRecord) -> s3s::dto::Part {
    let mut part = s3s::dto::Part {
        part_number: Some(i32::from(record.number)),
        size: Some(wire::size(record.size)),
        e_tag: Some(wire::etag(&record.md5)),
        last_modified: Some(record.modified.into()),
        ..Default::default()
    };
    set_sums!(part, record.sums);
    part
}

pub fn list(
    service: &Service,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    service.store.with_bucket(&input.bucket, |_| ())?;
    let limit = listing::limit(input.max_uploads)?;
    let filter = Filter {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        limit: usize::try_from(limit).unwrap_or_default(),
    };
    let encoding = Encoding::new(input.encoding_type)?;
    let key_marker = input.key_marker.unwrap_or_default();
    // Without a key marker the other one means nothing: so says S3.
    let id_marker = input
        .upload_id_marker
        .filter(|_| !key_marker.is_empty())
        .unwrap_or_default();
    let start = start_of(&key_marker, &filter);
    let uploads = service.store.uploads_of(&input.bucket);
    let behind = uploads
        .iter()
        .map(|upload| (upload.record.key.as_str(), upload))
        .filter(|(key, upload)| {
            let same_key = *key == key_marker && !id_marker.is_empty() && upload.record.id > id_marker;
            same_key || start.admits(key)
        });
    let page = listing::page(behind, &filter);
    let (next_key, next_id) = match page.last.filter(|_| page.truncated) {
        None => (None, None),
        Some(listing::Last::Prefix(prefix)) => (Some(encoding.write(prefix)), Some(String::new())),
        Some(listing::Last::Name(name)) => (
            Some(encoding.write(name)),
            page.entries.last().map(|upload| upload.record.id.clone()),
        ),
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        uploads: Some(
            page.entries
                .iter()
                .map(|upload| entry(upload, &encoding))
                .collect(),
        ),
        common_prefixes: encoding.prefixes(&page.prefixes),
        is_truncated: Some(page.truncated),
        next_key_marker: next_key,
        next_upload_id_marker: next_id,
        key_marker: Some(encoding.write(&key_marker)),
        upload_id_marker: Some(id_marker),
        max_uploads: Some(limit),
        prefix: Some(encoding.write(&filter.prefix)),
        delimiter: input.delimiter.map(|delimiter| encoding.write(&delimiter)),
        bucket: Some(input.bucket),
        encoding_type: encoding.echo(),
        ..Default::default()
    }))
}

/// A page that ended at a common prefix goes on behind all that the prefix hides.
fn start_of(key_marker: &str, filter: &Filter) -> Start {
    if key_marker.is_empty() {
        return Start::Beginning;
    }
    match filter.common_prefix(key_marker) {
        Some(prefix) if prefix == key_marker => Start::AfterPrefix(key_marker.to_owned()),
        _ => Start::After(key_marker.to_owned()),
    }
}

fn entry(upload: &Upload, encoding: &Encoding) -> MultipartUpload {
    let (checksum_algorithm, checksum_type) = checksum_names(&upload.record);
    MultipartUpload {
        key: Some(encoding.write(&upload.record.key)),
        upload_id: Some(upload.record.id.clone()),
        initiated: Some(upload.record.initiated.into()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm,
        checksum_type,
        ..Default::default()
    }
}

pub async fn complete(
    service: &Service,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let coverage = input
        .checksum_type
        .as_ref()
        .and_then(|name| Coverage::parse(name.as_str()));
    let sums = sums_of!(input);
    let parts = input
        .multipart_upload
        .and_then(|list| list.parts)
        .unwrap_or_default();
    let wanted = Completion {
        parts: parts.into_iter().map(wanted_part).collect::<S3Result<_>>()?,
        size: input.mpu_object_size,
        sums,
        coverage,
        conditions: Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        },
    };
    let host = request
        .headers
        .get(http::header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let location = address::location(host, &input.bucket, &input.key);

    let (store, bucket, key, id) = (service.store.clone(), input.bucket, input.key, input.upload_id);
    let object = run(move || store.complete(&bucket, &key, &id, &wanted)).await?;
    let record = &object.record;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(record.bucket.clone()),
        key: Some(record.key.clone()),
        location: Some(location),
        e_tag: Some(wire::etag(&record.etag)),
        checksum_type: record
            .coverage
            .map(|coverage| ChecksumType::from_static(coverage.name())),
        ..Default::default()
    };
    set_sums!(output, record.sums);
    Ok(S3Response::new(output))
}

fn wanted_part(part: CompletedPart) -> S3Result<WantedPart> {
    let sums = sums_of!(part);
    match (part.part_number, part.e_tag) {
        (Some(number), Some(etag)) => Ok(WantedPart {
            number,
            etag: ETag::into_value(etag),
            sums,
        }),
        _ => Err(s3_error!(
            MalformedXML,
            "Each part needs its PartNumber and its ETag"
        )),
    }
}

pub async fn abort(
    service: &Service,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let upload = service
        .store
        .upload(&input.bucket, &input.key, &input.upload_id)?;
    let store = service.store.clone();
    run(move || store.abort(&upload)).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}
