//! What the store is told of the bytes that it should have, and what it says that it has.
//!
//! Separate from the requests themselves, because stores differ here more than anywhere: some verify every checksum,
//! some take and forget them, and some know `Content-MD5` alone. Who makes checksums of an upload's parts says so when
//! the upload is begun (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>); of all others
//! the tag of a part is compared, which is an MD5.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::answers::Answer;
use super::{S3Store, borrowed, object_headers};
use crate::domain::{Algorithm, Checksum, PartNumber, StoredPart, Upload, WantedChecksum};
use crate::error::{Digested, Error};
use crate::signing::{ChecksumHeader, Operation};
use crate::storage::{Body, Receipt};

/// The header of a checksum that parts are signed with; `None` for those that are sent unsigned or not at all.
pub(super) fn signed_header(algorithm: Algorithm) -> Option<ChecksumHeader> {
    match algorithm {
        Algorithm::Crc64Nvme => Some(ChecksumHeader::Crc64Nvme),
        Algorithm::Crc32c => Some(ChecksumHeader::Crc32c),
        _ => None,
    }
}

/// Whether parts are signed with this checksum, so that it must be known before; the others are sent unsigned.
pub fn is_signed(algorithm: Algorithm) -> bool {
    signed_header(algorithm).is_some()
}

impl S3Store {
    /// Begins a multipart upload of whose parts the store makes checksums, where it can; gives the store's id and the
    /// checksum that a client should send with each part, if any.
    pub async fn begin_checked(
        &self,
        upload: &Upload,
        now: DateTime<Utc>,
    ) -> Result<(String, Option<Algorithm>), Error> {
        let (algorithm, is_sure) = match self.settings.checksum {
            WantedChecksum::Auto => (Algorithm::Crc64Nvme, false),
            WantedChecksum::Of(algorithm) => (algorithm, true),
            WantedChecksum::None => return Ok((self.begin(upload, now).await?, None)),
        };
        if signed_header(algorithm).is_none() {
            return Ok((self.begin(upload, now).await?, Some(algorithm)));
        }
        let (disposition, mut fields) = (upload.filename.content_disposition(), upload.stored_fields());
        let name = algorithm.name().to_ascii_uppercase();
        fields.push(("x-amz-checksum-algorithm".to_owned(), name.clone()));
        fields.push(("x-amz-checksum-type".to_owned(), "FULL_OBJECT".to_owned()));
        let extra = borrowed(&fields);
        let headers = object_headers(&upload.content_type, &disposition, &extra);
        let create = Operation::CreateMultipartUpload { headers };
        let answer = self.send(create, upload.key.as_str(), now, Bytes::new()).await?;
        let echoed = answer.checksum_algorithm.as_deref();
        let makes_them = echoed.is_some_and(|echoed| echoed.eq_ignore_ascii_case(&name));
        self.makes_checksums.store(makes_them, Ordering::Relaxed);
        match answer.multipart_id() {
            Ok(id) if makes_them || is_sure => Ok((id, Some(algorithm))),
            // It knows no such checksum, and takes no notice.
            Ok(id) => Ok((id, Some(Algorithm::Md5))),
            // It knows no such checksum, and says so.
            Err(Error::StoreRefused { .. }) if !is_sure => {
                Ok((self.begin(upload, now).await?, Some(Algorithm::Md5)))
            }
            Err(error) => Err(error),
        }
    }

    /// Has checksums made of a body of ours while it passes, so that the store's answer can be held against it.
    pub(super) fn watched(&self, operation: Operation<'_>, body: Body) -> Body {
        if self.settings.checksum == WantedChecksum::None {
            return body;
        }
        let own = match self.settings.checksum {
            WantedChecksum::Of(algorithm) if is_signed(algorithm) => algorithm,
            _ => Algorithm::Crc64Nvme,
        };
        // An MD5 costs more than all else that is done with a part, so it is only made where nothing else can tell.
        let is_part = matches!(operation, Operation::UploadPart { .. });
        if is_part && self.makes_checksums.load(Ordering::Relaxed) {
            return body.also(own);
        }
        body.also(own).also(Algorithm::Md5)
    }

    /// Holds what the store says of the bytes that it got against those that were sent.
    ///
    /// # Errors
    /// [`Error::Unavailable`], so that they are sent again.
    pub(super) fn check_taken(&self, answer: &Answer, sent: &Receipt) -> Result<(), Error> {
        if self.settings.checksum == WantedChecksum::None {
            return Ok(());
        }
        if answer.is_encrypted {
            // Its tag, now and in every list, is no MD5: ours must not be kept to be held against it.
            sent.forget(Algorithm::Md5);
        }
        let etag = answer.etag.clone().filter(|_| !answer.is_encrypted);
        let stored = StoredPart {
            number: PartNumber::FIRST,
            size: 0,
            etag: etag.unwrap_or_default(),
            checksum: answer.checksum.clone(),
        };
        if stored.differs_from(&sent.sums()) == Some(true) {
            return Err(altered());
        }
        Ok(())
    }

    /// Joins the parts as [`finish`](Self::finish), if the whole has this checksum: the store is told it, and what it says
    /// of the object is compared.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`] for an object that was made of other bytes; and as [`finish`](Self::finish), where a
    /// store that sees it beforehand [refuses](is_mismatch).
    pub async fn finish_checked(
        &self,
        upload: &Upload,
        upload_id: &str,
        parts: &[StoredPart],
        whole: &Checksum,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Error> {
        let key = &upload.key;
        let Some(header) = signed_header(whole.algorithm()) else {
            return self.finish(key, upload_id, parts, now).await;
        };
        let value = whole.to_base64();
        let complete = Operation::CompleteChecked {
            upload_id,
            header: header.name(),
            value: &value,
        };
        let list = super::join::completion_list(parts);
        let completed = self.send(complete, key.as_str(), now, list).await?.completed()?;
        if completed.full_object.is_some_and(|own| own != *whole) {
            return Err(Error::ChecksumMismatch { what: Digested::File });
        }
        Ok(completed.etag)
    }
}

/// The store has got other bytes than were sent, which is no fault of whoever sent them: they are to be sent again.
pub(super) fn altered() -> Error {
    tracing::warn!("the store got other bytes than were sent");
    Error::unavailable("the store", "it got other bytes than were sent")
}

/// Whether a store's code means that the bytes are not those of the checksum that it was told.
pub(super) fn is_mismatch(code: &str) -> bool {
    matches!(
        code,
        "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch"
    )
}

/// The checksum among what an answer says of a body, the strongest first.
pub(super) fn told_checksum(crc64nvme: Option<&str>, crc32c: Option<&str>) -> Option<Checksum> {
    let read = |algorithm, text: Option<&str>| {
        // The composite ones have a number of parts at their end, and say nothing of bytes.
        Checksum::from_base64(algorithm, text?, "checksum").ok()
    };
    read(Algorithm::Crc64Nvme, crc64nvme).or_else(|| read(Algorithm::Crc32c, crc32c))
}
