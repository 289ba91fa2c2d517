//! Outcome: what came of a completion, or of an upload that its client ends itself, by the object that is there or not.
//!
//! Separate from `complete`, which asks for the object: here it is found, looked at and announced, or removed, whoever
//! asked for it, and whether or not an answer came back.

use super::Uploads;
use crate::domain::{Checksum, EventKind, State, Upload};
use crate::error::Error;
use crate::storage::StoredObject;

impl Uploads {
    /// Makes an upload complete whose object is there, once that has been looked at; or has a scanner look at it first.
    pub(super) async fn mark_complete(
        &self,
        upload: Upload,
        etag: Option<String>,
        claimed: Option<&Checksum>,
    ) -> Result<Upload, Error> {
        self.verify(&upload, claimed).await?;
        Box::pin(self.look_inside(&upload)).await?;
        if !upload.cut.is_ours() {
            let db = &self.0.db;
            db.measure_upload(&upload.id, upload.size, upload.part_size)
                .await?;
        }
        if self.0.quarantine.is_some() {
            return Err(self.begin_quarantine(&upload, etag).await?);
        }
        // Boxed: everybody who looks for an object comes by here, and hardly anybody gets this far.
        Box::pin(self.announce(upload, etag)).await
    }

    /// Makes an upload complete whose object is there and has been looked at, and tells of it: also that it is another
    /// object than was announced before, which does not count as one more.
    pub(super) async fn announce(&self, mut upload: Upload, etag: Option<String>) -> Result<Upload, Error> {
        let now = self.now();
        let unfinished = [State::Open, State::Completing];
        let is_first = !upload.was_announced();
        let kind = if is_first {
            EventKind::Complete
        } else {
            EventKind::Replaced
        };
        let events = self.events_of(kind, &upload, etag.as_deref(), None, now)?;
        let done = self
            .0
            .db
            .complete_upload(&upload.id, &unfinished, etag.clone(), events, now)
            .await?;
        if done {
            self.ring();
            if is_first {
                self.0.metrics.upload_completed(upload.transfer, upload.size);
            }
            tracing::info!(upload = %upload.id, key = %upload.key, size = upload.size, "complete");
            upload.state = State::Complete;
            upload.etag = etag;
            upload.updated_at = now;
            return Ok(upload);
        }
        // Somebody else was first, and their outcome stands.
        let current = self
            .0
            .db
            .find_upload(&upload.id, None)
            .await?
            .ok_or(Error::NotFound("upload"))?;
        let is_given_up = matches!(current.state, State::Aborted | State::Expired);
        if is_given_up && !upload.cut.is_ended_by_client() {
            // It was given up while the storage joined it: nobody will ever ask for what came of that. What its client
            // made may by now be another upload's, since a client that chooses keys may choose one again.
            self.storage(&upload)?.remove(&upload.key).await?;
        }
        match current.state {
            State::Complete => Ok(current),
            state => Err(Error::WrongState {
                state,
                verb: "completed",
            }),
        }
    }

    /// The complete upload behind a multipart upload that is gone, or [`Error::Vanished`].
    pub(super) async fn settled(&self, upload: &Upload, claimed: Option<&Checksum>) -> Result<Upload, Error> {
        let whole = self.settle_vanished_as(upload, claimed).await?;
        whole.ok_or(Error::Vanished)
    }

    /// The store no longer knows the multipart upload: either somebody's completion went through, which the
    /// object itself proves (the key is this upload's alone), or it was dropped there.
    pub(super) async fn settle_vanished(&self, upload: &Upload) -> Result<Option<Upload>, Error> {
        self.settle_vanished_as(upload, None).await
    }

    async fn settle_vanished_as(
        &self,
        upload: &Upload,
        claimed: Option<&Checksum>,
    ) -> Result<Option<Upload>, Error> {
        let whole = self.find_whole_as(upload, claimed).await?;
        if whole.is_none() {
            tracing::warn!(upload = %upload.id, key = %upload.key, "the store lost a multipart upload");
            let (from, to): (&[State], _) = if upload.cut.is_ours() {
                (&[State::Open, State::Completing], State::Failed)
            } else {
                // Whoever cuts the file can begin it again.
                (&[State::Completing], State::Open)
            };
            self.change(&upload.id, from, to).await?;
        }
        Ok(whole)
    }

    /// The upload, now complete, if its object is there, with the declared size where one was declared: a completion
    /// went through whose answer was lost, or that nobody told us of.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for an object that its client may not have made so large: it is removed.
    pub(super) async fn find_whole(&self, upload: &Upload) -> Result<Option<Upload>, Error> {
        self.find_whole_as(upload, None).await
    }

    /// The same, once the whole has the digest that is claimed of it.
    pub(super) async fn find_whole_as(
        &self,
        upload: &Upload,
        claimed: Option<&Checksum>,
    ) -> Result<Option<Upload>, Error> {
        let object = match self.storage(upload)?.find(&upload.key).await {
            // A credential that may not look at objects cannot tell; sending the file anew loses nothing, unless its
            // client alone ends the upload.
            Err(Error::StoreRefused { .. }) if !upload.cut.is_ended_by_client() => None,
            outcome => outcome?,
        };
        let is_its_own = |object: &StoredObject| !upload.cut.is_ours() || object.size == upload.size;
        let Some(object) = object.filter(is_its_own) else {
            return Ok(None);
        };
        let mut upload = upload.clone();
        if !upload.cut.is_ours() {
            self.check_made(&upload, object.size).await?;
            upload.measure(object.size);
        }
        self.mark_complete(upload, object.etag, claimed).await.map(Some)
    }

    /// Removes an object that is larger than any may be: nobody could refuse it before it was there.
    async fn check_made(&self, upload: &Upload, size: u64) -> Result<(), Error> {
        let verdict = self.policy_of(upload).check_size(size);
        if let Err(error) = &verdict {
            tracing::warn!(upload = %upload.id, key = %upload.key, %error, "an object is too large, and is removed");
            self.reject(upload).await?;
        }
        verdict
    }

    /// Removes the object of an upload that has failed by it. The object goes first: where it stays, the upload has not
    /// ended, and comes here again.
    pub(super) async fn reject(&self, upload: &Upload) -> Result<(), Error> {
        self.storage(upload)?.remove(&upload.key).await?;
        self.change(&upload.id, &[State::Open, State::Completing], State::Failed)
            .await
            .map(drop)
    }

    /// The object's tag from the object itself: some stores leave it out of the completion's answer.
    pub(super) async fn tag_of(&self, upload: &Upload) -> Option<String> {
        // A credential that may not read objects is no reason to call a finished upload a failure.
        let found = self.storage(upload).ok()?.find(&upload.key).await;
        found.ok().flatten().and_then(|object| object.etag)
    }
}
