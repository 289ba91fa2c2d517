//! Abort: give an upload up, in the store and in our record.

use super::Uploads;
use crate::domain::{Principal, State, Upload, UploadId};
use crate::error::Error;

impl Uploads {
    /// Gives an upload up; one that has ended without an object is fine as it is.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a complete one, [`Error::NotFound`], [`Error::Unavailable`] from the store.
    pub async fn abort(&self, caller: &Principal, id: &UploadId) -> Result<(), Error> {
        let upload = self.find(caller, id).await?;
        match upload.state {
            State::Complete => {
                return Err(Error::WrongState {
                    state: upload.state,
                    verb: "aborted",
                });
            }
            State::Aborted | State::Expired | State::Failed => return Ok(()),
            State::Open | State::Completing => {}
        }
        let this = self.clone();
        Self::see_through(async move { this.give_up(&upload, State::Aborted).await }).await
    }

    /// Drops the parts in the store first: if that fails, the upload is still there to be aborted again.
    pub(super) async fn give_up(&self, upload: &Upload, end: State) -> Result<(), Error> {
        if let Some(multipart_id) = &upload.multipart_id {
            match self.0.store.abort(&upload.key, multipart_id, self.now()).await {
                // A completion may have taken the parts a moment ago, or its answer may have been lost: an object
                // that stands must not be recorded as given up, for nobody would ever find it.
                Err(Error::Vanished) => {
                    if let Some(object) = self.standing(upload).await? {
                        self.mark_complete(upload.clone(), object.etag).await?;
                    }
                }
                outcome => outcome?,
            }
        }
        if self
            .change(&upload.id, &[State::Open, State::Completing], end)
            .await?
        {
            tracing::info!(upload = %upload.id, key = %upload.key, "{end}");
            return Ok(());
        }
        // A completion that ran beside this was first: what it stored stands.
        match self.0.db.find_upload(&upload.id, None).await? {
            Some(now) if now.state == State::Complete => Err(Error::WrongState {
                state: State::Complete,
                verb: "aborted",
            }),
            _ => Ok(()),
        }
    }
}
