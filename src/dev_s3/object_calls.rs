//! The operations on whole objects.
//!
//! Separate from uploads in parts because these are what a client does with something finished: put it in one
//! piece, read it, list it, remove it.

use std::ops::Bound;
use std::sync::Arc;

use s3s::dto::{
    ChecksumType, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::listing::{self, Encoding, Filter, Start};
use super::receive::{Claims, Received, receive};
use super::records::{Moment, ObjectRecord, PartRecord};
use super::send::{self, Selection};
use super::service::Service;
use super::store::{Bucket, Conditions, Object, run};
use super::sums::{Algorithm, Coverage, announced_in_trailer};
use super::wire::{self, ReadConditions, headers_of, set_headers, set_sums, sums_of};

/// The most keys of one `DeleteObjects`.
const MAX_DELETES: usize = 1000;

pub async fn put(
    service: &Service,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let input = &mut request.input;
    service.store.with_bucket(&input.bucket, |_| ())?;
    let asked = input
        .checksum_algorithm
        .as_ref()
        .and_then(|name| Algorithm::parse(name.as_str()));
    let mut calculate = announced_in_trailer(&request.headers);
    calculate.extend(asked);
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

    let object = object_of(input, received);
    let conditions = Conditions {
        if_match: input.if_match.take(),
        if_none_match: input.if_none_match.take(),
    };
    let store = service.store.clone();
    let object = run(move || store.commit(object, &conditions)).await?;
    let record = &object.record;
    let mut output = PutObjectOutput {
        e_tag: Some(wire::etag(&record.etag)),
        checksum_type: record
            .coverage
            .map(|coverage| ChecksumType::from_static(coverage.name())),
        ..Default::default()
    };
    set_sums!(output, record.sums);
    Ok(S3Response::new(output))
}

/// The object that a body makes: one of a single part.
fn object_of(input: &PutObjectInput, received: Received) -> Object {
    let modified = Moment::now();
    let part = PartRecord {
        number: 1,
        size: received.size,
        md5: received.md5.clone(),
        sums: received.sums.clone(),
        segment: received.segment.id(),
        modified,
    };
    let record = ObjectRecord {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        size: received.size,
        etag: received.md5,
        modified,
        headers: headers_of!(input),
        coverage: (!received.sums.is_empty()).then_some(Coverage::FullObject),
        sums: received.sums,
        upload_id: None,
        parts: vec![part],
    };
    Object {
        record,
        segments: vec![received.segment],
    }
}

/// What `GetObject` and `HeadObject` have in common: the object, if the conditions let it through, and what of it.
macro_rules! find {
    ($service:expr, $input:expr) => {{
        let object = $service.store.object(&$input.bucket, &$input.key)?;
        let conditions = ReadConditions {
            matching: $input.if_match,
            none_matching: $input.if_none_match,
            modified_since: $input.if_modified_since,
            unmodified_since: $input.if_unmodified_since,
        };
        conditions.check(&object.record)?;
        let selection = send::select(&object, $input.range, $input.part_number)?;
        (object, selection)
    }};
}

/// The headers that `GetObject` and `HeadObject` have in common.
macro_rules! describe {
    ($output:expr, $object:expr, $selection:expr, $with_sums:expr, $part_number:expr) => {{
        let record = &$object.record;
        set_headers!($output, &record.headers);
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_length = Some(wire::size($selection.range.end - $selection.range.start));
        $output.content_range = $selection.content_range(&$object);
        $output.e_tag = Some(wire::etag(&record.etag));
        $output.last_modified = Some(record.modified.into());
        $output.parts_count = parts_count(record, $part_number);
        if $with_sums && covers_all(&$selection, record) {
            set_sums!($output, record.sums);
            $output.checksum_type = record
                .coverage
                .map(|coverage| ChecksumType::from_static(coverage.name()));
        }
    }};
}

pub fn get(service: &Service, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    let (object, selection) = find!(service, input);
    let mut output = GetObjectOutput::default();
    describe!(
        output,
        object,
        selection,
        input.checksum_mode.is_some(),
        input.part_number
    );
    output.body = Some(send::stream(&object, selection.range));
    Ok(S3Response::new(output))
}

pub fn head(
    service: &Service,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    let (object, selection) = find!(service, input);
    let mut output = HeadObjectOutput::default();
    describe!(
        output,
        object,
        selection,
        input.checksum_mode.is_some(),
        input.part_number
    );
    Ok(S3Response::new(output))
}

/// `x-amz-mp-parts-count`, which a request with `partNumber` gets for an object made of parts.
fn parts_count(record: &ObjectRecord, part_number: Option<i32>) -> Option<i32> {
    let made_of_parts = part_number.is_some() && record.upload_id.is_some();
    made_of_parts.then(|| i32::try_from(record.parts.len()).unwrap_or(i32::MAX))
}

/// A checksum of the whole would mislead a client that gets a piece.
fn covers_all(selection: &Selection, record: &ObjectRecord) -> bool {
    selection.range == (0..record.size)
}

pub async fn delete(
    service: &Service,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let (store, input) = (service.store.clone(), request.input);
    run(move || store.delete(&input.bucket, &input.key)).await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub async fn delete_many(
    service: &Service,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let (store, input) = (service.store.clone(), request.input);
    if input.delete.objects.len() > MAX_DELETES {
        return Err(s3_error!(
            MalformedXML,
            "At most {MAX_DELETES} objects can be deleted in one request"
        ));
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    let keys: Vec<_> = input
        .delete
        .objects
        .into_iter()
        .map(|object| object.key)
        .collect();
    let deleted = run(move || {
        keys.iter().try_for_each(|key| store.delete(&input.bucket, key))?;
        Ok(keys)
    })
    .await?;
    let deleted = deleted.into_iter().map(|key| DeletedObject {
        key: Some(key),
        ..Default::default()
    });
    let deleted = (!quiet).then(|| deleted.collect());
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted,
        ..Default::default()
    }))
}

pub fn list(
    service: &Service,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let start = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Start::from_token(token)?,
        (None, Some(name)) => Start::After(name.clone()),
        (None, None) => Start::Beginning,
    };
    let limit = listing::limit(input.max_keys)?;
    let filter = Filter {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        limit: usize::try_from(limit).unwrap_or_default(),
    };
    let encoding = Encoding::new(input.encoding_type)?;
    let mut output = service.store.with_bucket(&input.bucket, |bucket| {
        page_of(bucket, &filter, &start, &encoding)
    })?;
    output.name = Some(input.bucket);
    output.prefix = Some(encoding.write(&filter.prefix));
    output.delimiter = input.delimiter.map(|delimiter| encoding.write(&delimiter));
    output.start_after = input.start_after.map(|name| encoding.write(&name));
    output.continuation_token = input.continuation_token;
    output.max_keys = Some(limit);
    output.encoding_type = encoding.echo();
    Ok(S3Response::new(output))
}

fn page_of(bucket: &Bucket, filter: &Filter, start: &Start, encoding: &Encoding) -> ListObjectsV2Output {
    let floor = start.floor().max(&filter.prefix);
    let objects = bucket
        .objects
        .range::<str, _>((Bound::Included(floor), Bound::Unbounded))
        .map(|(key, object)| (key.as_str(), object))
        .take_while(|(key, _)| key.starts_with(&filter.prefix))
        .filter(|(key, _)| start.admits(key));
    let page = listing::page(objects, filter);
    let contents: Vec<_> = page
        .entries
        .iter()
        .map(|object| entry(object, encoding))
        .collect();
    ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + page.prefixes.len()).ok(),
        contents: (!contents.is_empty()).then_some(contents),
        common_prefixes: encoding.prefixes(&page.prefixes),
        is_truncated: Some(page.truncated),
        next_continuation_token: page.last.filter(|_| page.truncated).map(listing::token),
        ..Default::default()
    }
}

fn entry(object: &Arc<Object>, encoding: &Encoding) -> s3s::dto::Object {
    s3s::dto::Object {
        key: Some(encoding.write(&object.record.key)),
        size: Some(wire::size(object.record.size)),
        e_tag: Some(wire::etag(&object.record.etag)),
        last_modified: Some(object.record.modified.into()),
        ..Default::default()
    }
}
