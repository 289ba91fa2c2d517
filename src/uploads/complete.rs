//! Complete: see that everything is there, have the store join it, and be sure of the outcome.
//!
//! The answer to the store's completion may be lost, may come as a 200 that carries an error, and may come to a
//! second request that runs beside the first. So the list of parts is read before, the object itself is looked
//! at whenever the upload is gone, and every outcome can be asked for again.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;

use super::Uploads;
use super::claims::{Claim, Manner};
use crate::domain::{
    Checksum, Hasher, PartDefect, PartNumber, Principal, State, Upload, UploadId, check_whole,
};
use crate::error::{Digested, Error};

/// A record this much older than a listing is of a part that the listing must have had, whichever instance made it.
const SETTLED: TimeDelta = TimeDelta::seconds(30);

impl Uploads {
    /// Completes an upload; asked again, it answers the same.
    ///
    /// # Errors
    /// [`Error::Incomplete`] naming the parts that are missing or of another size, [`Error::Vanished`],
    /// [`Error::WrongState`] for one that was given up, [`Error::StoreRefused`], [`Error::Unavailable`].
    pub async fn complete(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        match upload.state {
            State::Complete => return Ok(upload),
            State::Open | State::Completing => {}
            state => {
                return Err(Error::WrongState {
                    state,
                    verb: "completed",
                });
            }
        }
        let this = self.clone();
        Self::see_through(async move { this.complete_once(&upload.id).await }).await
    }

    /// Completes an upload of which the whole must have the digest that is claimed of it. One with another is removed,
    /// unless it was complete before.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`], and as [`complete`](Self::complete).
    pub async fn complete_claimed(
        &self,
        caller: &Principal,
        id: &UploadId,
        claimed: Checksum,
    ) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        let this = self.clone();
        Self::see_through(async move { this.complete_in_turn(&upload.id, Some(&claimed)).await }).await
    }

    /// Puts the upload together, unless somebody before us has by the time that it is our turn.
    pub(super) async fn complete_once(&self, id: &UploadId) -> Result<Upload, Error> {
        self.complete_in_turn(id, None).await
    }

    /// The same, once the whole has the digest that is claimed of it besides what was said when it began.
    pub(super) async fn complete_in_turn(
        &self,
        id: &UploadId,
        claimed: Option<&Checksum>,
    ) -> Result<Upload, Error> {
        let turn = self.turn_to_complete(id, Manner::TURN).await?;
        self.complete_now(&turn, id, claimed).await
    }

    /// The same, unless somebody is at it.
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody is.
    pub(super) async fn complete_if_free(&self, id: &UploadId) -> Result<Upload, Error> {
        let turn = self.turn_to_complete(id, Manner::UNTAKEN).await?;
        self.complete_now(&turn, id, None).await
    }

    /// Nobody else completes the upload while this is held, in no process: two that put one object together could each
    /// undo what the other has done.
    pub(super) async fn turn_to_complete(&self, id: &UploadId, manner: Manner) -> Result<Claim, Error> {
        self.0.claims.take(format!("complete:{id}"), manner).await
    }

    async fn complete_now(
        &self,
        _turn: &Claim,
        id: &UploadId,
        claimed: Option<&Checksum>,
    ) -> Result<Upload, Error> {
        let upload = self.0.db.find_upload(id, None).await?;
        let upload = upload.ok_or(Error::NotFound("upload"))?;
        match upload.state {
            State::Complete => {
                let claimed: Vec<Checksum> = claimed.into_iter().cloned().collect();
                if self.has_digests(&upload, claimed).await? {
                    Ok(upload)
                } else {
                    Err(Error::ChecksumMismatch { what: Digested::File })
                }
            }
            State::Open | State::Completing => self.put_together(upload, claimed).await,
            state => Err(Error::WrongState {
                state,
                verb: "completed",
            }),
        }
    }

    async fn put_together(&self, upload: Upload, claimed: Option<&Checksum>) -> Result<Upload, Error> {
        let storage = self.storage(&upload)?;
        let stored = if upload.appending.is_some() {
            check_ended(&upload)?;
            Vec::new()
        } else {
            let began = self.now();
            let stored = match storage.parts(&upload).await {
                Err(Error::Vanished) => return self.settled(&upload, claimed).await,
                stored => stored?,
            };
            if let Err(error) = check_whole(&upload.plan(), &stored) {
                self.forget_lost(&upload, &error, began - SETTLED).await?;
                return Err(error);
            }
            stored
        };
        self.change(&upload.id, &[State::Open], State::Completing).await?;
        let finished = match self.sources(&upload).await? {
            Some(sources) => storage.join(&upload, &sources).await,
            None => storage.finish(&upload, &stored).await,
        };
        match finished {
            Ok(etag) => {
                let etag = match etag {
                    Some(etag) => Some(etag),
                    None => self.tag_of(&upload).await,
                };
                self.mark_complete(upload, etag, claimed).await
            }
            Err(Error::Vanished) => self.settled(&upload, claimed).await,
            Err(Error::StoreRefused { code }) => {
                // Nothing was joined: parts may be sent again, or the operator mends what was refused.
                self.change(&upload.id, &[State::Completing], State::Open).await?;
                Err(Error::StoreRefused { code })
            }
            Err(error @ Error::OffsetMismatch { .. }) => {
                // Bytes are missing that may still come.
                self.change(&upload.id, &[State::Completing], State::Open).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn mark_complete(
        &self,
        mut upload: Upload,
        etag: Option<String>,
        claimed: Option<&Checksum>,
    ) -> Result<Upload, Error> {
        self.verify(&upload, claimed).await?;
        let now = self.now();
        let unfinished = [State::Open, State::Completing];
        let event = self.completion_event(&upload, etag.as_deref(), now)?;
        let done = self
            .0
            .db
            .complete_upload(&upload.id, &unfinished, etag.clone(), event, now)
            .await?;
        if done {
            self.ring();
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
        if matches!(current.state, State::Aborted | State::Expired) {
            // It was given up while the storage joined it: nobody will ever ask for what came of that.
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
    async fn settled(&self, upload: &Upload, claimed: Option<&Checksum>) -> Result<Upload, Error> {
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
            self.change(&upload.id, &[State::Open, State::Completing], State::Failed)
                .await?;
        }
        Ok(whole)
    }

    /// The upload, now complete, if its object is there with the declared size: a completion went through whose
    /// answer was lost.
    pub(super) async fn find_whole(&self, upload: &Upload) -> Result<Option<Upload>, Error> {
        self.find_whole_as(upload, None).await
    }

    async fn find_whole_as(
        &self,
        upload: &Upload,
        claimed: Option<&Checksum>,
    ) -> Result<Option<Upload>, Error> {
        let object = match self.storage(upload)?.find(&upload.key).await {
            // A credential that may not look at objects cannot tell; sending the file anew loses nothing.
            Err(Error::StoreRefused { .. }) => None,
            outcome => outcome?,
        };
        match object.filter(|object| object.size == upload.size) {
            Some(object) => {
                let done = self.mark_complete(upload.clone(), object.etag, claimed);
                done.await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// What the storage has lost must be sent again, so our record must not say that it is there. A record that is
    /// younger than `before` may be of a part that came after the storage was asked.
    async fn forget_lost(&self, upload: &Upload, error: &Error, before: DateTime<Utc>) -> Result<(), Error> {
        if let Error::Incomplete { defects, .. } = error {
            let numbers: Vec<PartNumber> = defects.iter().map(PartDefect::number).collect();
            self.0.db.forget_parts(&upload.id, &numbers, before).await?;
        }
        Ok(())
    }

    /// The object's tag from the object itself: some stores leave it out of the completion's answer.
    async fn tag_of(&self, upload: &Upload) -> Option<String> {
        // A credential that may not read objects is no reason to call a finished upload a failure.
        let found = self.storage(upload).ok()?.find(&upload.key).await;
        found.ok().flatten().and_then(|object| object.etag)
    }

    /// Holds the finished object against the digests that the whole file must have, if any were given: with the first
    /// word of it, or with the last. An object with another is removed, and the upload has failed.
    async fn verify(&self, upload: &Upload, claimed: Option<&Checksum>) -> Result<(), Error> {
        let mut expected: Vec<Checksum> = upload.sha256.map(Checksum::from).into_iter().collect();
        expected.extend(claimed.cloned());
        if self.has_digests(upload, expected).await? {
            return Ok(());
        }
        tracing::warn!(upload = %upload.id, key = %upload.key, "the object is not what its client claimed");
        // The object goes first: where it stays, the upload is still being completed, and comes here again.
        self.storage(upload)?.remove(&upload.key).await?;
        self.change(&upload.id, &[State::Open, State::Completing], State::Failed)
            .await?;
        Err(Error::ChecksumMismatch { what: Digested::File })
    }

    /// Whether the finished object has these digests. Where there are none it is not read.
    async fn has_digests(&self, upload: &Upload, expected: Vec<Checksum>) -> Result<bool, Error> {
        if expected.is_empty() {
            return Ok(true);
        }
        let mut bytes = self.storage(upload)?.read(&upload.key, None).await?;
        let mut hashers: Vec<Hasher> = expected
            .iter()
            .map(|checksum| Hasher::new(checksum.algorithm()))
            .collect();
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            for hasher in &mut hashers {
                hasher.update(&piece);
            }
        }
        // A share does not let go of a file's name while somebody has it open.
        drop(bytes);
        Ok(hashers.into_iter().map(Hasher::finish).eq(expected))
    }
}

/// Whether an upload that is appended to can be put together at all; its storage knows whether all bytes are there.
fn check_ended(upload: &Upload) -> Result<(), Error> {
    if upload.is_partial() {
        return Err(Error::Forbidden(
            "this upload is a piece of another, and is never complete by itself",
        ));
    }
    let Some(size) = upload.known_size() else {
        return Err(Error::invalid("Upload-Length", "has not been told yet"));
    };
    match &upload.appending {
        Some(appending) if appending.is_settled && !upload.is_joined() && appending.offset != size => {
            Err(Error::WrongSize {
                what: "the upload",
                expected: size,
                actual: appending.offset,
            })
        }
        _ => Ok(()),
    }
}
