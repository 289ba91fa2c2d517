//! Abort: give an upload up, in the store and in our record.

use super::Uploads;
use crate::domain::{Principal, State, Transfer, Upload, UploadId};
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
            State::Aborted | State::Expired => return Ok(()),
            State::Failed => return self.change(id, &[State::Failed], State::Aborted).await.map(drop),
            State::Open | State::Completing => {}
        }
        let this = self.clone();
        match Self::see_through(async move { this.give_up(&upload, State::Aborted).await }).await? {
            state @ State::Complete => Err(Error::WrongState {
                state,
                verb: "aborted",
            }),
            _ => Ok(()),
        }
    }

    /// Ends an unfinished upload as `end`, and says how it ended: `complete` where a completion was first.
    ///
    /// The parts in the store go first: if that fails, the upload is still there to be given up again. Once they are
    /// gone no completion can succeed any more, so whether there is an object then is the last word.
    pub(super) async fn give_up(&self, upload: &Upload, end: State) -> Result<State, Error> {
        let is_stored = upload.multipart_id.is_some()
            || upload.transfer == Transfer::Relay
            || upload.cut.is_ended_by_client();
        if is_stored {
            self.storage(upload)?.abort(upload).await?;
            // What was made of a partial one for others is nobody's object.
            if !upload.is_partial() && self.find_whole(upload).await?.is_some() {
                return Ok(State::Complete);
            }
        }
        // A part that is under way finds its place gone, and may have called the upload a failure before us.
        let from: &[State] = match end {
            State::Aborted => &[State::Open, State::Completing, State::Failed],
            _ => &[State::Open, State::Completing],
        };
        if self.change(&upload.id, from, end).await? {
            tracing::info!(upload = %upload.id, key = %upload.key, "{end}");
            return Ok(end);
        }
        // Somebody was first, and their outcome stands.
        let now = self.0.db.find_upload(&upload.id, None).await?;
        Ok(now.map_or(end, |now| now.state))
    }
}
