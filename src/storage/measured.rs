//! A storage whose operations are counted and timed: how many, how they went, how long they took.
//!
//! Separate, so that no storage counts by itself and none forgets to. The bucket needs none of this: of it every request is
//! seen (`s3/observed.rs`), and to count the operations that these are made for would count S3 twice.
//!
//! What is measured is the whole call. [`put`](Storage::put) and [`append`](Storage::append) wait for the client's bytes;
//! [`read`](Storage::read) is over when the object is open, and its bytes come later.

use std::ops::Range;
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Body, ByteStream, Storage, StoredObject, Stray};
use crate::domain::{Algorithm, Backend, Checksum, ObjectKey, PartLimits, PartNumber, StoredPart, Upload};
use crate::error::{Error, FieldError};
use crate::metrics::{Metrics, StorageOperation, StorageOutcome};

/// A storage of which everything is measured.
pub struct Measured<S> {
    inner: S,
    metrics: Metrics,
}

impl<S: Storage> Measured<S> {
    /// Measures `inner`.
    pub fn new(inner: S, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    /// Sees one operation through, and counts how it went.
    async fn measure<T>(
        &self,
        operation: StorageOperation,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let outcome = work.await;
        let went = match &outcome {
            Ok(_) => Some(StorageOutcome::Done),
            Err(error) => outcome_of(error),
        };
        if let Some(went) = went {
            self.metrics
                .storage_operation(self.inner.backend(), operation, went, began.elapsed());
        }
        outcome
    }
}

/// What an error says of the storage; nothing where it is of the body that came.
fn outcome_of(error: &Error) -> Option<StorageOutcome> {
    match error {
        Error::Interrupted
        | Error::Superseded
        | Error::Stopping
        | Error::BodyStalled { .. }
        | Error::WrongSize { .. }
        | Error::ChecksumMismatch { .. } => None,
        Error::NotFound(_)
        | Error::Vanished
        | Error::OffsetMismatch { .. }
        | Error::KeyTaken { .. }
        | Error::Invalid(_) => Some(StorageOutcome::Refused),
        Error::NoSpace { .. } => Some(StorageOutcome::Full),
        _ => Some(StorageOutcome::Failed),
    }
}

#[async_trait]
impl<S: Storage> Storage for Measured<S> {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    fn limits(&self) -> PartLimits {
        self.inner.limits()
    }

    fn address(&self, key: &ObjectKey) -> String {
        self.inner.address(key)
    }

    fn check_key(&self, key: &ObjectKey) -> Result<(), FieldError> {
        self.inner.check_key(key)
    }

    async fn check(&self) -> Result<(), Error> {
        self.measure(StorageOperation::Check, self.inner.check()).await
    }

    async fn begin(&self, upload: &Upload) -> Result<Option<String>, Error> {
        self.measure(StorageOperation::Begin, self.inner.begin(upload))
            .await
    }

    async fn begin_checked(&self, upload: &Upload) -> Result<(Option<String>, Option<Algorithm>), Error> {
        self.measure(StorageOperation::Begin, self.inner.begin_checked(upload))
            .await
    }

    async fn put(&self, upload: &Upload, number: PartNumber, body: Body) -> Result<StoredPart, Error> {
        self.measure(StorageOperation::Put, self.inner.put(upload, number, body))
            .await
    }

    async fn append(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        self.measure(StorageOperation::Append, self.inner.append(upload, offset, body))
            .await
    }

    async fn offset(&self, upload: &Upload) -> Result<u64, Error> {
        self.measure(StorageOperation::Offset, self.inner.offset(upload))
            .await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        self.measure(StorageOperation::Parts, self.inner.parts(upload))
            .await
    }

    async fn finish(&self, upload: &Upload, parts: &[StoredPart]) -> Result<Option<String>, Error> {
        self.measure(StorageOperation::Finish, self.inner.finish(upload, parts))
            .await
    }

    async fn finish_checked(
        &self,
        upload: &Upload,
        parts: &[StoredPart],
        whole: Option<&Checksum>,
    ) -> Result<Option<String>, Error> {
        let work = self.inner.finish_checked(upload, parts, whole);
        self.measure(StorageOperation::Finish, work).await
    }

    async fn join(&self, upload: &Upload, sources: &[Upload]) -> Result<Option<String>, Error> {
        self.measure(StorageOperation::Join, self.inner.join(upload, sources))
            .await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), Error> {
        self.measure(StorageOperation::Abort, self.inner.abort(upload))
            .await
    }

    async fn find(&self, key: &ObjectKey) -> Result<Option<StoredObject>, Error> {
        self.measure(StorageOperation::Find, self.inner.find(key)).await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        self.measure(StorageOperation::Read, self.inner.read(key, range))
            .await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<(), Error> {
        self.measure(StorageOperation::Remove, self.inner.remove(key))
            .await
    }

    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        self.measure(StorageOperation::Strays, self.inner.strays()).await
    }

    async fn last_active(&self, stray: &Stray) -> Result<DateTime<Utc>, Error> {
        // What lies in a folder was looked at as it was found: nobody is asked.
        self.inner.last_active(stray).await
    }

    async fn discard(&self, stray: &Stray) -> Result<(), Error> {
        self.measure(StorageOperation::Discard, self.inner.discard(stray))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Digested;

    #[test]
    fn what_the_storage_does_is_told_apart_from_what_came_and_from_what_is_not_there() {
        for (error, went) in [
            (Error::Interrupted, None),
            (Error::Superseded, None),
            (Error::Stopping, None),
            (Error::ChecksumMismatch { what: Digested::Part }, None),
            (Error::Vanished, Some(StorageOutcome::Refused)),
            (Error::NotFound("file"), Some(StorageOutcome::Refused)),
            (Error::NoSpace { needed: 1 }, Some(StorageOutcome::Full)),
            (
                Error::unavailable("the folder", "it is gone"),
                Some(StorageOutcome::Failed),
            ),
            (Error::internal("a thread is gone"), Some(StorageOutcome::Failed)),
        ] {
            assert_eq!(outcome_of(&error), went, "{error:?}");
        }
    }
}
