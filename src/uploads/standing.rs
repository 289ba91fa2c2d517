//! Standing: where an upload stands that is appended to, and who may say so.
//!
//! Separate from appending, because who only asks, who joins, and who holds an upload for a whole conversation must know
//! it as well. The record says it where whoever appended last has written it down; else the storage is asked.

use super::Uploads;
use super::append::Rivals;
use super::claims::{Claim, Manner};
use crate::domain::{Appending, Principal, Role, State, Upload, UploadId};
use crate::error::Error;

impl Uploads {
    /// Where an upload stands for good. Whoever is sending to it is stopped where `rivals` yield, so that it stays there
    /// until its client goes on.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that is sent in parts; [`Error::Vanished`]; [`Error::Busy`] where
    /// whoever is sending does not make way in time; [`Error::Unavailable`].
    pub async fn standing(&self, caller: &Principal, id: &UploadId, rivals: Rivals) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        if appending(&upload)?.is_settled || !upload.state.is_unfinished() {
            return Ok(upload);
        }
        // Who only looks disturbs nobody who is sending.
        let manner = match rivals {
            Rivals::Yield => Manner::TAKE_OVER,
            Rivals::Stay => Manner::UNTAKEN,
        };
        let this = self.clone();
        Self::see_through(async move {
            let (_claim, mut upload) = this.claim(&upload.id, manner).await?;
            if !appending(&upload)?.is_settled && upload.state.is_unfinished() {
                let offset = this.begin_turn(&mut upload).await?;
                this.settle(&mut upload, offset).await?;
            }
            Ok(upload)
        })
        .await
    }

    /// The only one who may append to it just now, and the upload as they find it.
    pub(super) async fn claim(&self, id: &UploadId, manner: Manner) -> Result<(Claim, Upload), Error> {
        let claim = self.0.claims.take(append_claim(id), manner).await?;
        let upload = self.0.db.find_upload(id, None).await?;
        Ok((claim, upload.ok_or(Error::NotFound("upload"))?))
    }

    /// Voids what whoever appended before may still write down, and gives where the upload stands.
    pub(super) async fn begin_turn(&self, upload: &mut Upload) -> Result<u64, Error> {
        let turn = self.0.db.begin_append(&upload.id).await?;
        let (Some(turn), Some(appending)) = (turn, &mut upload.appending) else {
            return Err(Error::WrongState {
                state: upload.state,
                verb: "added to",
            });
        };
        appending.fence = turn.fence;
        appending.is_settled = false;
        match turn.offset {
            Some(offset) => Ok(offset),
            None => self.stored(upload).await,
        }
    }

    /// Where the upload stands by its storage's own word.
    async fn stored(&self, upload: &Upload) -> Result<u64, Error> {
        let offset = match self.storage(upload)?.offset(upload).await {
            Err(Error::Vanished) => {
                self.settle_vanished(upload).await?;
                return Err(Error::Vanished);
            }
            offset => offset?,
        };
        if offset < appending(upload)?.offset {
            return self.lost_bytes(upload, offset).await;
        }
        Ok(offset)
    }

    /// Ends an upload of which the storage has fewer bytes than its client was told: it must not go on from there, for its
    /// client will not send them again.
    pub(super) async fn lost_bytes<T>(&self, upload: &Upload, offset: u64) -> Result<T, Error> {
        tracing::error!(upload = %upload.id, offset, "the storage has lost bytes that were there");
        self.change(&upload.id, &[State::Open, State::Completing], State::Failed)
            .await?;
        Err(Error::Vanished)
    }

    /// Writes down where the upload stands.
    pub(super) async fn settle(&self, upload: &mut Upload, offset: u64) -> Result<(), Error> {
        let now = self.now();
        let expires_at = self.life_until(upload, now);
        let fence = appending(upload)?.fence;
        let is_ours = self
            .0
            .db
            .settle_append(&upload.id, fence, offset, now, expires_at)
            .await?;
        if !is_ours {
            if let Some(now) = self.0.db.find_upload(&upload.id, None).await? {
                now.check_unfinished("added to")?;
            }
            return Err(Error::Superseded);
        }
        if let Some(appending) = &mut upload.appending {
            appending.offset = offset;
            appending.is_settled = true;
        }
        upload.updated_at = now;
        upload.expires_at = expires_at;
        Ok(())
    }
}

/// The claim of whoever appends to an upload.
pub(super) fn append_claim(id: &UploadId) -> String {
    format!("append:{id}")
}

/// Where the upload stands, if it is one that is appended to.
pub(super) fn appending(upload: &Upload) -> Result<&Appending, Error> {
    upload.appending.as_ref().ok_or(Error::NotFound("upload"))
}

/// Where the upload stands, if bytes may be appended to it.
pub(super) fn taking(upload: &Upload) -> Result<&Appending, Error> {
    let known = appending(upload)?;
    if matches!(known.role, Role::Joined(_)) {
        return Err(Error::Forbidden(
            "this upload is made of others, and takes no bytes of its own",
        ));
    }
    Ok(known)
}
