//! Completion: every check that stands between the parts and the object, in the order in which S3 reports.
//!
//! Separate because the order is a contract of its own: existence, the list's order, each ETag, sizes, the declared
//! total, checksums, and last the condition under the lock that also puts the object in place. Nothing is touched
//! before the last of them: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use md5::{Digest as _, Md5};
use s3s::{S3Result, s3_error};

use super::multipart::{Part, Upload, no_such_upload};
use super::records::{Moment, ObjectRecord};
use super::store::{Conditions, Object, Store, lock};
use super::sums::{self, Algorithm, Coverage, Sums};

/// One entry of the list that the client sends.
#[derive(Debug, Clone)]
pub struct WantedPart {
    /// The part number.
    pub number: i32,
    /// Without quotes.
    pub etag: String,
    /// The checksums that the client repeats.
    pub sums: Sums,
}

/// What the client asks for.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// The parts in object order.
    pub parts: Vec<WantedPart>,
    /// `x-amz-mp-object-size`: the declared size of the object in bytes.
    pub size: Option<i64>,
    /// The claimed checksum of the object.
    pub sums: Sums,
    /// The claimed coverage of that checksum.
    pub coverage: Option<Coverage>,
    /// Conditions on the object that is there now.
    pub conditions: Conditions,
}

impl Store {
    /// Completes an upload. Asked again with the same parts after it was done, it answers with the same object, so
    /// that a client whose answer got lost may repeat itself.
    ///
    /// # Errors
    /// As S3 names them; after any of them the upload is as it was.
    pub fn complete(&self, bucket: &str, key: &str, id: &str, wanted: &Completion) -> S3Result<Arc<Object>> {
        let Ok(upload) = self.upload(bucket, key, id) else {
            return self.completed_before(bucket, key, id, wanted);
        };
        let mut log = lock(&upload.log);
        if log.is_none() {
            return self.completed_before(bucket, key, id, wanted);
        }
        let object = self.assemble(&upload, wanted)?;
        let kept: HashSet<_> = object.record.parts.iter().map(|part| part.segment).collect();
        let object = self.commit(object, &wanted.conditions)?;
        *log = None;
        self.close(&upload, &kept);
        Ok(object)
    }

    fn completed_before(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        wanted: &Completion,
    ) -> S3Result<Arc<Object>> {
        let same = |object: &Arc<Object>| {
            let parts = &object.record.parts;
            object.record.bucket == bucket
                && object.record.key == key
                && parts.len() == wanted.parts.len()
                && parts
                    .iter()
                    .zip(&wanted.parts)
                    .all(|(made, asked)| i32::from(made.number) == asked.number && made.md5 == asked.etag)
        };
        self.made_by(id).filter(same).ok_or_else(no_such_upload)
    }

    fn assemble(&self, upload: &Upload, wanted: &Completion) -> S3Result<Object> {
        if wanted.parts.is_empty() {
            return Err(s3_error!(MalformedXML, "The list of parts is empty"));
        }
        if !wanted
            .parts
            .windows(2)
            .all(|pair| pair[0].number < pair[1].number)
        {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order"
            ));
        }
        let parts = upload.parts();
        let chosen = wanted
            .parts
            .iter()
            .map(|asked| find(&parts, asked))
            .collect::<S3Result<Vec<&Part>>>()?;
        self.check_sizes(&chosen, wanted.size)?;
        let sums = check_sums(upload, wanted, &chosen)?;
        let numbers: Vec<u16> = chosen.iter().map(|part| part.record.number).collect();
        drop(parts);
        Ok(object_of(upload, &numbers, sums))
    }

    fn check_sizes(&self, parts: &[&Part], declared: Option<i64>) -> S3Result<()> {
        let (_, all_but_last) = parts.split_last().unwrap_or((&parts[0], &[]));
        if let Some(small) = all_but_last
            .iter()
            .find(|part| part.record.size < self.min_part_size)
        {
            return Err(s3_error!(
                EntityTooSmall,
                "Part {} has {} bytes; all parts but the last must have at least {}",
                small.record.number,
                small.record.size,
                self.min_part_size
            ));
        }
        let total: u64 = parts.iter().map(|part| part.record.size).sum();
        match declared {
            Some(declared) if u64::try_from(declared) != Ok(total) => Err(s3_error!(
                InvalidRequest,
                "The provided 'x-amz-mp-object-size' header value {declared} does not match what was computed: {total}"
            )),
            _ => Ok(()),
        }
    }
}

fn find<'a>(parts: &'a BTreeMap<u16, Part>, asked: &WantedPart) -> S3Result<&'a Part> {
    let number = u16::try_from(asked.number).ok();
    number
        .and_then(|number| parts.get(&number))
        .filter(|part| part.record.md5 == asked.etag)
        .ok_or_else(|| {
            s3_error!(
                InvalidPart,
                "Part {} could not be found: it was not uploaded, or its ETag is another one",
                asked.number
            )
        })
}

/// The object's own checksum, after everything that the client claims was compared.
fn check_sums(
    upload: &Upload,
    wanted: &Completion,
    parts: &[&Part],
) -> S3Result<Option<(Algorithm, Coverage, String)>> {
    for (asked, part) in wanted.parts.iter().zip(parts) {
        if asked.sums.first_difference(&part.record.sums).is_some() {
            return Err(s3_error!(
                InvalidPart,
                "The checksum of part {} is another one",
                asked.number
            ));
        }
    }
    let Some((algorithm, coverage)) = upload.record.checksum else {
        return if wanted.sums.is_empty() {
            Ok(None)
        } else {
            Err(s3_error!(
                InvalidRequest,
                "The upload was begun without a checksum algorithm"
            ))
        };
    };
    if wanted.coverage.is_some_and(|claimed| claimed != coverage) {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was begun with checksum type {}",
            coverage.name()
        ));
    }
    if coverage == Coverage::Composite
        && let Some(without) = wanted
            .parts
            .iter()
            .find(|asked| asked.sums.get(algorithm).is_none())
    {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was begun with {} checksums, and the one of part {} is missing in the request",
            algorithm.name(),
            without.number
        ));
    }
    let values = parts.iter().map(|part| {
        (
            part.record.sums.get(algorithm).unwrap_or_default(),
            part.record.size,
        )
    });
    let whole = sums::of_parts(algorithm, coverage, values)
        .ok_or_else(|| s3_error!(InvalidRequest, "The parts have no {} checksums", algorithm.name()))?;
    let claimed = wanted.sums.get(algorithm);
    // The count at the end of a composite checksum may be left out.
    let bare = whole.split_once('-').map_or(whole.as_str(), |(bare, _)| bare);
    if claimed.is_some_and(|claimed| claimed != whole && claimed != bare) {
        return Err(s3_error!(
            BadDigest,
            "The {} you specified is not that of the object",
            algorithm.name()
        ));
    }
    Ok(Some((algorithm, coverage, whole)))
}

/// The object that those parts make.
pub(super) fn object_of(
    upload: &Upload,
    numbers: &[u16],
    checksum: Option<(Algorithm, Coverage, String)>,
) -> Object {
    let all = upload.parts();
    let parts: Vec<&Part> = numbers.iter().filter_map(|number| all.get(number)).collect();
    let mut sums = Sums::default();
    let coverage = checksum.map(|(algorithm, coverage, value)| {
        sums.put(algorithm, Some(value));
        coverage
    });
    let record = ObjectRecord {
        bucket: upload.record.bucket.clone(),
        key: upload.record.key.clone(),
        size: parts.iter().map(|part| part.record.size).sum(),
        etag: etag_of(&parts),
        modified: Moment::now(),
        headers: upload.record.headers.clone(),
        sums,
        coverage,
        upload_id: Some(upload.record.id.clone()),
        parts: parts.iter().map(|part| part.record.clone()).collect(),
    };
    Object {
        record,
        segments: parts.iter().map(|part| part.segment.clone()).collect(),
    }
}

/// The MD5 of the parts' raw MD5s, and their number.
fn etag_of(parts: &[&Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(hex::decode(&part.record.md5).unwrap_or_default());
    }
    format!("{}-{}", hex::encode(md5.finalize()), parts.len())
}
