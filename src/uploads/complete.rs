//! Complete: see that everything is there, have the store join it, and be sure of the outcome.
//!
//! The answer to the store's completion may be lost, may come as a 200 that carries an error, and may come to a
//! second request that runs beside the first. So the list of parts is read before, the object itself is looked
//! at whenever the upload is gone, and every outcome can be asked for again.

use super::Uploads;
use crate::domain::{PartDefect, Principal, State, StoredPart, Upload, UploadId, defects};
use crate::error::Error;

/// Most defects that an error spells out.
const MAX_NAMED: usize = 100;

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
        Self::see_through(async move { this.join(upload).await }).await
    }

    async fn join(&self, upload: Upload) -> Result<Upload, Error> {
        let Some(multipart_id) = upload.multipart_id.clone() else {
            return self.join_nothing(upload).await;
        };
        let stored = match self
            .0
            .store
            .list_parts(&upload.key, &multipart_id, self.now())
            .await
        {
            Err(Error::Vanished) => return self.settled(&upload).await,
            stored => stored?,
        };
        check_whole(&upload, &stored)?;
        self.change(&upload.id, &[State::Open], State::Completing).await?;
        match self
            .0
            .store
            .finish(&upload.key, &multipart_id, &stored, self.now())
            .await
        {
            Ok(etag) => {
                let etag = match etag {
                    Some(etag) => Some(etag),
                    None => self.tag_of(&upload).await,
                };
                self.mark_complete(upload, etag).await
            }
            Err(Error::Vanished) => self.settled(&upload).await,
            Err(Error::StoreRefused { code }) => {
                // Nothing was joined: parts may be sent again, or the operator mends what was refused.
                self.change(&upload.id, &[State::Completing], State::Open).await?;
                Err(Error::StoreRefused { code })
            }
            Err(error) => Err(error),
        }
    }

    /// An empty file is one small request of ours.
    async fn join_nothing(&self, upload: Upload) -> Result<Upload, Error> {
        let etag = self
            .0
            .store
            .put_empty(&upload.key, &upload.content_type, &upload.filename, self.now())
            .await?;
        self.mark_complete(upload, etag).await
    }

    async fn mark_complete(&self, mut upload: Upload, etag: Option<String>) -> Result<Upload, Error> {
        let now = self.now();
        let unfinished = [State::Open, State::Completing];
        let done = self
            .0
            .db
            .change_state(&upload.id, &unfinished, State::Complete, etag.clone(), now)
            .await?;
        if done {
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
        match current.state {
            State::Complete => Ok(current),
            state => Err(Error::WrongState {
                state,
                verb: "completed",
            }),
        }
    }

    /// The complete upload behind a multipart upload that is gone, or [`Error::Vanished`].
    async fn settled(&self, upload: &Upload) -> Result<Upload, Error> {
        self.settle_vanished(upload).await?.ok_or(Error::Vanished)
    }

    /// The store no longer knows the multipart upload: either somebody's completion went through, which the
    /// object itself proves (the key is this upload's alone), or it was dropped there.
    pub(super) async fn settle_vanished(&self, upload: &Upload) -> Result<Option<Upload>, Error> {
        let whole = self.find_whole(upload).await?;
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
        let object = match self.0.store.head(&upload.key, self.now()).await {
            // A credential that may not look at objects cannot tell; sending the file anew loses nothing.
            Err(Error::StoreRefused { .. }) => None,
            outcome => outcome?,
        };
        match object.filter(|object| object.size == upload.size) {
            Some(object) => self.mark_complete(upload.clone(), object.etag).await.map(Some),
            None => Ok(None),
        }
    }

    /// The object's tag from the object itself: some stores leave it out of the completion's answer.
    async fn tag_of(&self, upload: &Upload) -> Option<String> {
        // A credential that may not read objects is no reason to call a finished upload a failure.
        self.0
            .store
            .head(&upload.key, self.now())
            .await
            .ok()
            .flatten()
            .and_then(|object| object.etag)
    }
}

fn check_whole(upload: &Upload, stored: &[StoredPart]) -> Result<(), Error> {
    let mut found: Vec<PartDefect> = defects(&upload.plan(), stored);
    let total = found.len();
    if total == 0 {
        return Ok(());
    }
    found.truncate(MAX_NAMED);
    Err(Error::Incomplete {
        defects: found,
        total,
    })
}
