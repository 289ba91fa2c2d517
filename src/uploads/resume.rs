//! Resume: what the store has of an upload that its client cuts, whatever has become of it meanwhile.
//!
//! Separate from `status`, which only tells: clients of this kind know one id and never ask for another, so an upload
//! that the store lost, or that had run out, is begun again behind the id that they have.

use super::{Status, Uploads};
use crate::db::PartRecord;
use crate::domain::{Cut, Principal, State, StoredPart, Upload, UploadId};
use crate::error::Error;

impl Uploads {
    /// The upload with what the store has of it; of one that is lost or has run out, nothing, and it can be sent anew.
    /// Of a complete one the parts are those that it was made of.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that its client does not cut; [`Error::WrongState`] for one that was given
    /// up; [`Error::Forbidden`] for an admin who is not its owner; [`Error::Unavailable`], [`Error::StoreRefused`].
    pub async fn resume(&self, caller: &Principal, id: &UploadId) -> Result<Status, Error> {
        let upload = self.find(caller, id).await?;
        caller.may_send(&upload.owner)?;
        if upload.cut != Cut::Client {
            return Err(Error::NotFound("upload"));
        }
        let this = self.clone();
        Self::see_through(async move { this.resume_own(upload).await }).await
    }

    async fn resume_own(&self, upload: Upload) -> Result<Status, Error> {
        let status = match upload.state {
            State::Open | State::Completing => match self.holdings(upload.clone()).await {
                Err(Error::Vanished) => self.begin_again(upload).await?,
                status => status?,
            },
            State::Expired => self.begin_again(upload).await?,
            State::Complete => Status {
                upload,
                parts: Vec::new(),
            },
            state @ (State::Aborted | State::Failed) => {
                return Err(Error::WrongState {
                    state,
                    verb: "resumed",
                });
            }
        };
        if status.upload.state != State::Complete {
            return Ok(status);
        }
        let recorded = self.0.db.recorded_parts(&status.upload.id).await?;
        let parts = made_of(status.upload.size, recorded);
        Ok(Status { parts, ..status })
    }

    async fn begin_again(&self, upload: Upload) -> Result<Status, Error> {
        let (db, storage) = (&self.0.db, self.storage(&upload)?);
        let begun = storage.begin(&upload).await?.ok_or(Error::Vanished)?;
        let now = self.now();
        let expires_at = now + self.0.time_to_live;
        let known = upload.multipart_id.as_deref();
        let outcome = db.begin_again(&upload.id, known, &begun, now, expires_at).await;
        if !matches!(outcome, Ok(true)) {
            // Nobody will ever hear of this one.
            if let Err(error) = self.0.store.abort(&upload.key, &begun, now).await {
                tracing::warn!(upload = %upload.id, %error, "a superfluous multipart upload stays for now");
            }
        }
        let is_ours = outcome?;
        let upload = db
            .find_upload(&upload.id, None)
            .await?
            .ok_or(Error::NotFound("upload"))?;
        if is_ours {
            tracing::info!(upload = %upload.id, key = %upload.key, "begun again");
        } else if !upload.state.is_unfinished() && upload.state != State::Complete {
            return Err(Error::WrongState {
                state: upload.state,
                verb: "resumed",
            });
        }
        Ok(Status {
            upload,
            parts: Vec::new(),
        })
    }
}

/// The parts that an object of so many bytes was made of. What was written down behind them is of an attempt before, with
/// more parts.
fn made_of(size: u64, recorded: Vec<PartRecord>) -> Vec<StoredPart> {
    let mut end = 0;
    let parts = recorded.into_iter().map(|record| record.part);
    parts
        .take_while(|part| {
            end += part.size;
            end <= size
        })
        .map(|part| StoredPart {
            number: part.number,
            size: part.size,
            etag: part.etag.unwrap_or_default(),
        })
        .collect()
}
