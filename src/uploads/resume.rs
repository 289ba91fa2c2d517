//! Resume: what the store has of an upload that its client cuts, whatever has become of it meanwhile.
//!
//! Separate from `status`, which only tells: clients of this kind know one id and never ask for another, so an upload
//! that the store lost, or that had run out, is begun again behind the id that they have.

use super::claims::Manner;
use super::{Status, Uploads};
use crate::db::{PartRecord, Room};
use crate::domain::{Cut, Principal, State, StoredPart, Upload, UploadId, check_one_cut, told_size};
use crate::error::Error;

impl Uploads {
    /// The upload with what the store has of it; of one that is lost, has run out or was given up, nothing, and it can be
    /// sent anew. So can one whose parts are of two cuts: they are dropped, since nothing can be made of them. Of a
    /// complete one the parts are those that it was made of.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that its client does not cut; [`Error::WrongState`] for one that has
    /// failed; [`Error::Forbidden`] for an admin who is not its owner; [`Error::Unavailable`], [`Error::StoreRefused`].
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
                Ok(status) if status.parts.is_empty() && status.upload.state != State::Complete => {
                    self.without_mixed(status).await?
                }
                status => status?,
            },
            State::Expired | State::Aborted => self.begin_again(upload).await?,
            State::Complete => Status {
                upload,
                parts: Vec::new(),
            },
            state @ State::Failed => {
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

    /// The upload, of which nothing can go on: what is stored of it nevertheless is of two cuts, and would keep it from
    /// ever being joined. It is left to whoever is putting the upload together just now.
    async fn without_mixed(&self, status: Status) -> Result<Status, Error> {
        let id = &status.upload.id;
        let _turn = match self.turn_to_complete(id, Manner::LOOK).await {
            Err(Error::Busy(_)) => return Ok(status),
            turn => turn?,
        };
        let upload = self.as_recorded(id).await?;
        if !upload.state.is_unfinished() {
            return Ok(status);
        }
        let stored = match self.storage(&upload)?.parts(&upload).await {
            Err(Error::Vanished) => return Ok(status),
            stored => stored?,
        };
        match check_one_cut(&stored) {
            Ok(()) => Ok(status),
            Err(_) => self.begin_over(upload).await,
        }
    }

    /// After a refusal of parts that are not of one file as it is cut now: drops them, and the same upload can be sent
    /// anew. Whoever calls has the turn to complete it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    pub(super) async fn drop_if_mixed(&self, upload: &Upload, error: &Error) -> Result<(), Error> {
        if !matches!(error, Error::MixedParts { .. }) {
            return Ok(());
        }
        tracing::info!(upload = %upload.id, key = %upload.key, %error, "parts are dropped");
        if upload.cut == Cut::Client {
            return self.begin_over(upload.clone()).await.map(drop);
        }
        // Its client begins it again itself, once the store does not know it any more.
        let Some(id) = &upload.multipart_id else {
            return Ok(());
        };
        self.store()?.abort(&upload.key, id, self.now()).await
    }

    /// Begins an upload again whose multipart upload is still there, and drops that.
    async fn begin_over(&self, upload: Upload) -> Result<Status, Error> {
        let (key, earlier) = (upload.key.clone(), upload.multipart_id.clone());
        let status = self.begin_again(upload).await?;
        let is_ours = status.upload.multipart_id != earlier;
        if let Some(id) = earlier.filter(|_| is_ours)
            && let Err(error) = self.store()?.abort(&key, &id, self.now()).await
        {
            tracing::warn!(upload = %status.upload.id, %error, "an earlier multipart upload stays for now");
        }
        Ok(status)
    }

    async fn begin_again(&self, upload: Upload) -> Result<Status, Error> {
        let (db, storage) = (&self.0.db, self.storage(&upload)?);
        let begun = storage.begin(&upload).await?.ok_or(Error::Vanished)?;
        let now = self.now();
        let expires_at = now + self.0.time_to_live;
        let room = Room {
            quota: self.policy_of(&upload).quotas.of(&upload.owner),
            told: told_size(&upload.metadata).ok().flatten().unwrap_or_default(),
        };
        let outcome = db.begin_again(&upload, &begun, now, expires_at, room).await;
        if !matches!(outcome, Ok(true)) {
            // Nobody will ever hear of this one.
            if let Err(error) = self.store()?.abort(&upload.key, &begun, now).await {
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
            checksum: None,
        })
        .collect()
}
