//! Terminate: have an upload gone, whatever has become of it.
//!
//! Separate from aborting, which leaves a finished object alone: here its owner wants that removed too.

use super::Uploads;
use super::append::Rivals;
use crate::domain::{Principal, State, UploadId};
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
        super::append::appending(&upload)?;
        let this = self.clone();
        Self::see_through(async move { this.end_for_good(&upload.id).await }).await
    }

    async fn end_for_good(&self, id: &UploadId) -> Result<(), Error> {
        let (_claim, mut upload) = self.claim(id, Rivals::Yield).await?;
        let lock = self.0.joining.lock_of(id);
        let _turn = lock.lock().await;
        if upload.state.is_unfinished() {
            match self.fence(&mut upload).await {
                // It has ended while we waited for our turn.
                Err(Error::WrongState { .. }) => {}
                outcome => outcome?,
            }
        }
        let upload = self.0.db.find_upload(id, None).await?;
        let upload = upload.ok_or(Error::NotFound("upload"))?;
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
            State::Failed => self.change(id, &[State::Failed], State::Aborted).await.map(drop),
            _ if upload.state.is_unfinished() => Ok(()),
            _ => Err(Error::NotFound("upload")),
        }
    }
}
