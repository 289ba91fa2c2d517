//! Complete: see that everything is there, have the store join it, and be sure of the outcome.
//!
//! The answer to the store's completion may be lost, may come as a 200 that carries an error, and may come to a
//! second request that runs beside the first. So the list of parts is read before, the object itself is looked
//! at whenever the upload is gone, and every outcome can be asked for again.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;

use super::Uploads;
use super::claims::{Claim, Manner};
use crate::db::RecordedPart;
use crate::domain::{
    Checksum, Cut, Hasher, NamedPart, PartDefect, PartNumber, Principal, SNIFFED, State, StoredPart, Upload,
    UploadId, check_chosen, check_joinable, check_whole, told_size,
};
use crate::error::{Digested, Error};
use crate::storage::StoredObject;

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
        Self::see_through(async move { this.complete_in_turn(&upload.id, Some(claimed)).await }).await
    }

    /// Completes an upload that its client has cut, of the parts that the client names, or of all where it names none;
    /// asked again, it answers the same.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`Error::PartConflict`] for a tag that is not the stored one,
    /// [`Error::TooLarge`] where the parts are too many bytes together.
    pub async fn complete_of(
        &self,
        caller: &Principal,
        id: &UploadId,
        named: Vec<NamedPart>,
    ) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        let this = self.clone();
        Self::see_through(async move {
            let asked = Asked { claimed: None, named };
            let turn = this.turn_to_complete(&upload.id, Manner::TURN).await?;
            this.complete_asked(&turn, &upload.id, &asked).await
        })
        .await
    }

    /// Puts the upload together, unless somebody before us has by the time that it is our turn.
    pub(super) async fn complete_once(&self, id: &UploadId) -> Result<Upload, Error> {
        self.complete_in_turn(id, None).await
    }

    /// The same, once the whole has the digest that is claimed of it besides what was said when it began.
    pub(super) async fn complete_in_turn(
        &self,
        id: &UploadId,
        claimed: Option<Checksum>,
    ) -> Result<Upload, Error> {
        let named = Vec::new();
        let turn = self.turn_to_complete(id, Manner::TURN).await?;
        self.complete_asked(&turn, id, &Asked { claimed, named }).await
    }

    /// The same, unless somebody is at it.
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody is.
    pub(super) async fn complete_if_free(&self, id: &UploadId) -> Result<Upload, Error> {
        let turn = self.turn_to_complete(id, Manner::UNTAKEN).await?;
        self.complete_asked(&turn, id, &Asked::default()).await
    }

    /// Nobody else completes the upload while this is held, in no process: two that put one object together could each
    /// undo what the other has done.
    pub(super) async fn turn_to_complete(&self, id: &UploadId, manner: Manner) -> Result<Claim, Error> {
        self.0.claims.take(format!("complete:{id}"), manner).await
    }

    async fn complete_asked(&self, _turn: &Claim, id: &UploadId, asked: &Asked) -> Result<Upload, Error> {
        let upload = self.0.db.find_upload(id, None).await?;
        let upload = upload.ok_or(Error::NotFound("upload"))?;
        match upload.state {
            State::Complete => {
                let claimed: Vec<Checksum> = asked.claimed.iter().cloned().collect();
                if self.has_digests(&upload, claimed).await? {
                    Ok(upload)
                } else {
                    Err(Error::ChecksumMismatch { what: Digested::File })
                }
            }
            State::Open | State::Completing => self.put_together(upload, asked).await,
            state => Err(Error::WrongState {
                state,
                verb: "completed",
            }),
        }
    }

    async fn put_together(&self, mut upload: Upload, asked: &Asked) -> Result<Upload, Error> {
        let claimed = asked.claimed.as_ref();
        if upload.cut.is_ended_by_client() && upload.multipart_id.is_none() {
            let whole = self.find_whole_as(&upload, claimed).await?;
            return whole.map_or_else(|| check_chosen(&[], &[]).map(|()| upload), Ok);
        }
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
            if !upload.cut.is_ours() {
                // Boxed, so that completions of our own cut need no room for it.
                if let Err(error) = Box::pin(self.measure(&mut upload, &stored, &asked.named)).await {
                    Box::pin(self.drop_if_mixed(&upload, &error)).await?;
                    return Err(error);
                }
                stored
            } else if let Err(error) = check_whole(&upload.plan(), &stored) {
                self.forget_lost(&upload, &error, began - SETTLED).await?;
                return Err(error);
            } else {
                stored
            }
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

    /// Holds the parts of an upload of a client's own cut against what the client says of them, and learns its size. They
    /// are written down, since the store forgets them when it joins them, and a client may ask again.
    async fn measure(
        &self,
        upload: &mut Upload,
        stored: &[StoredPart],
        named: &[NamedPart],
    ) -> Result<(), Error> {
        check_chosen(stored, named)?;
        let size = stored.iter().map(|part| part.size).sum();
        let told = match upload.cut {
            // What is no size was refused when it began.
            Cut::Client => told_size(&upload.metadata).unwrap_or_default(),
            _ => None,
        };
        if let Some(told) = told.filter(|told| *told != size) {
            return Err(Error::MixedParts {
                why: format!("the parts have {size} bytes together, and the file was said to have {told}"),
            });
        }
        self.policy_of(upload).check_size(size)?;
        check_joinable(stored, self.0.policy.parts.min)?;
        upload.size = size;
        upload.part_size = stored.first().map_or(size, |first| first.size);
        let record = |part: &StoredPart| RecordedPart {
            number: part.number,
            size: part.size,
            etag: Some(part.etag.clone()).filter(|etag| !etag.is_empty()),
            sha256: None,
        };
        let (records, now) = (stored.iter().map(record).collect(), self.now());
        let expires_at = self.life_until(upload, now);
        self.0.db.record_parts(&upload.id, records, now, expires_at).await
    }

    async fn mark_complete(
        &self,
        mut upload: Upload,
        etag: Option<String>,
        claimed: Option<&Checksum>,
    ) -> Result<Upload, Error> {
        self.verify(&upload, claimed).await?;
        self.look_inside(&upload).await?;
        let now = self.now();
        if !upload.cut.is_ours() {
            let db = &self.0.db;
            db.measure_upload(&upload.id, upload.size, upload.part_size)
                .await?;
        }
        let unfinished = [State::Open, State::Completing];
        let event = self.completion_event(&upload, etag.as_deref(), now)?;
        let done = self
            .0
            .db
            .complete_upload(&upload.id, &unfinished, etag.clone(), event, now)
            .await?;
        if done {
            self.ring();
            self.0.metrics.upload_completed(upload.transfer, upload.size);
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

    async fn find_whole_as(
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
            upload.size = object.size;
            if upload.part_size == 0 {
                upload.part_size = object.size;
            }
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
    async fn reject(&self, upload: &Upload) -> Result<(), Error> {
        self.storage(upload)?.remove(&upload.key).await?;
        self.change(&upload.id, &[State::Open, State::Completing], State::Failed)
            .await
            .map(drop)
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
        self.reject(upload).await?;
        Err(Error::ChecksumMismatch { what: Digested::File })
    }

    /// Looks at the first bytes of the object, where the rules say so. Of an upload that goes straight to the store nobody
    /// could before; so this is the last moment before it is announced. What is refused is removed, and the upload has
    /// failed.
    ///
    /// # Errors
    /// [`Error::ContentRefused`]; [`Error::StoreRefused`] where we may not read it, and it is not announced.
    async fn look_inside(&self, upload: &Upload) -> Result<(), Error> {
        let policy = self.policy_of(upload);
        if !policy.sniffs() || upload.size == 0 {
            return Ok(());
        }
        let range = 0..upload.size.min(SNIFFED);
        let mut pieces = self.storage(upload)?.read(&upload.key, Some(range)).await?;
        let mut first = Vec::new();
        while let Some(piece) = pieces.next().await {
            first.extend_from_slice(&piece?);
        }
        // A share does not let go of a file's name while somebody has it open.
        drop(pieces);
        let verdict = policy.check_content(&upload.content_type, &first);
        if let Err(error) = &verdict {
            tracing::warn!(upload = %upload.id, key = %upload.key, %error, "an object is not what it may be, and is removed");
            self.reject(upload).await?;
        }
        verdict
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

/// What somebody asks for with a completion.
#[derive(Debug, Default)]
struct Asked {
    /// The digest that the whole must have, besides what was said when it began.
    claimed: Option<Checksum>,
    /// The parts that it is to be made of; empty for all.
    named: Vec<NamedPart>,
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
