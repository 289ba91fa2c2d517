//! Abort: give an upload up, in the store and in our record.

use super::Uploads;
use super::claims::{Claim, Manner};
use super::standing::append_claim;
use crate::domain::{Principal, State, Transfer, Upload, UploadId};
use crate::error::Error;
use crate::storage::Storage;

/// Nobody else appends to an upload, or completes it, until this is dropped.
pub(super) struct Alone {
    _sender: Option<Claim>,
    _completion: Claim,
}

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
        let ended = Self::see_through(async move {
            let (_alone, upload) = this.alone(&upload, Manner::TAKE_OVER, Manner::TURN).await?;
            if upload.state.is_unfinished() {
                this.give_up(&upload, State::Aborted).await
            } else {
                Ok(upload.state)
            }
        });
        match ended.await? {
            state @ State::Complete => Err(Error::WrongState {
                state,
                verb: "aborted",
            }),
            _ => Ok(()),
        }
    }

    /// Waits until nobody appends to the upload and nobody completes it, and keeps it so; gives the upload as it is then.
    /// What whoever appended before may still do counts for nothing.
    ///
    /// # Errors
    /// [`Error::Busy`] where that takes longer than these manners allow.
    pub(super) async fn alone(
        &self,
        upload: &Upload,
        sender: Manner,
        completion: Manner,
    ) -> Result<(Alone, Upload), Error> {
        let id = &upload.id;
        let sender = match upload.appending {
            Some(_) => Some(self.0.claims.take(append_claim(id), sender).await?),
            None => None,
        };
        let completion = self.turn_to_complete(id, completion).await?;
        if sender.is_some() {
            self.0.db.begin_append(id).await?;
        }
        let upload = self.0.db.find_upload(id, None).await?;
        let alone = Alone {
            _sender: sender,
            _completion: completion,
        };
        Ok((alone, upload.ok_or(Error::NotFound("upload"))?))
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
            match self.storage(upload) {
                Ok(storage) => {
                    if let Some(state) = self.drop_stored(upload, storage, end).await? {
                        return Ok(state);
                    }
                }
                // A place that the settings no longer name: there is no object yet, and its parts are leftovers, which are
                // dropped should it be named again.
                Err(_) if upload.state == State::Open => {}
                Err(error) => return Err(error),
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

    /// Drops what is stored of an upload; gives its state where that is not the end of it, as there is an object.
    async fn drop_stored(
        &self,
        upload: &Upload,
        storage: &dyn Storage,
        end: State,
    ) -> Result<Option<State>, Error> {
        storage.abort(upload).await?;
        // What was made of a partial one for others is nobody's object.
        if upload.is_partial() {
            return Ok(None);
        }
        match self.find_whole(upload).await {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Ok(Some(State::Complete)),
            // Nobody has been told of it, and nobody will be.
            Err(Error::StillCompleting) if end == State::Aborted => {
                storage.remove(&upload.key).await?;
                Ok(None)
            }
            // Its time is not over before somebody has looked at it.
            Err(Error::StillCompleting) => Ok(Some(State::Completing)),
            Err(error) => Err(error),
        }
    }
}
