//! Terminate: have an upload gone, whatever has become of it.
//!
//! Separate from aborting, which leaves a finished object alone: here its owner wants that removed too.

use super::Uploads;
use super::claims::Manner;
use crate::domain::{Principal, State, Upload, UploadId};
use crate::error::Error;

impl Uploads {
    /// Ends an upload that is appended to, and removes what was stored of it, the finished object as well. Whoever is
    /// sending to it is stopped; a completion that is under way is waited for.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that is sent in parts, or is gone already; [`Error::Busy`],
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    pub async fn terminate(&self, caller: &Principal, id: &UploadId) -> Result<(), Error> {
        let upload = self.find(caller, id).await?;
        super::standing::appending(&upload)?;
        let this = self.clone();
        Self::see_through(async move { this.end_for_good(&upload).await }).await
    }

    async fn end_for_good(&self, upload: &Upload) -> Result<(), Error> {
        let (_alone, upload) = self.alone(upload, Manner::TAKE_OVER, Manner::TURN).await?;
        let id = &upload.id;
        let state = if upload.state.is_unfinished() {
            self.give_up(&upload, State::Aborted).await?
        } else {
            upload.state
        };
        match state {
            State::Complete => {
                self.storage(&upload)?.remove(&upload.key).await?;
                self.change(id, &[State::Complete], State::Aborted).await?;
                tracing::info!(upload = %id, key = %upload.key, "removed");
                Ok(())
            }
            State::Failed => {
                // An object that was not what its client claimed may have been in the way of its own removal.
                self.storage(&upload)?.remove(&upload.key).await?;
                self.change(id, &[State::Failed], State::Aborted).await.map(drop)
            }
            _ if upload.state.is_unfinished() => Ok(()),
            _ => Err(Error::NotFound("upload")),
        }
    }
}
