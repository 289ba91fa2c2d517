//! Join: one object of several partial uploads, which were sent side by side.
//!
//! Separate from completion, because what is joined here are uploads and not parts: each has its own life, may serve
//! more than one object, and ends by itself.

use std::time::Duration;

use super::Uploads;
use super::append::Rivals;
use super::standing::appending;
use crate::domain::{NewUpload, Principal, Role, State, Upload, UploadId};
use crate::error::Error;

/// How long a request waits for the storage to join what it names; after that it goes on without it.
const PATIENCE: Duration = Duration::from_secs(50);

/// Most uploads that one object may be made of.
const MOST: usize = 1000;

impl Uploads {
    /// Makes an object of the bytes of these partial uploads, in this order. `new` says what it is called and what it
    /// is; its size is theirs. The answer is still [completing](State::Completing) where that takes longer than a
    /// request should wait.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `field` for one that is no whole partial upload of this caller; [`Error::TooLarge`] for
    /// more bytes than `most`; and as [`create`](Self::create) and [`complete`](Self::complete).
    pub async fn join(
        &self,
        caller: &Principal,
        mut new: NewUpload,
        ids: Vec<UploadId>,
        field: &'static str,
        most: u64,
    ) -> Result<Upload, Error> {
        caller.may_begin()?;
        if ids.is_empty() || ids.len() > MOST {
            return Err(Error::invalid(field, format!("names 1 to {MOST} uploads")));
        }
        let mut size: u64 = 0;
        for id in &ids {
            let part = self.whole_part(caller, id, field).await?;
            size = size.saturating_add(part);
        }
        if size > most {
            return Err(Error::TooLarge { limit: most, size });
        }
        new.size = size;
        new.wishes.appending.get_or_insert_default().role = Role::Joined(ids);
        let begun = self.create(caller, new, false).await?.status.upload;
        let (this, id) = (self.clone(), begun.id.clone());
        let joining = tokio::spawn(async move {
            let outcome = this.complete_once(&id).await;
            if let Err(error) = &outcome
                && !matches!(error, Error::StillCompleting)
            {
                // Its client asks for another rather than for this one.
                tracing::warn!(upload = %id, %error, "partial uploads could not be joined");
                if let Ok(Some(upload)) = this.0.db.find_upload(&id, None).await {
                    this.give_up(&upload, State::Aborted).await?;
                }
            }
            outcome
        });
        match tokio::time::timeout(PATIENCE, joining).await {
            Ok(outcome) => match outcome.map_err(Error::internal)? {
                Err(Error::StillCompleting) => Ok(begun),
                outcome => outcome,
            },
            Err(_) => Ok(begun),
        }
    }

    /// The bytes of a partial upload that is whole.
    async fn whole_part(&self, caller: &Principal, id: &UploadId, field: &'static str) -> Result<u64, Error> {
        let refused = |what: &str| Error::invalid(field, format!("{id} {what}"));
        let upload = match self.standing(caller, id, Rivals::Yield).await {
            Err(Error::NotFound(_)) => return Err(refused("is no upload of yours")),
            upload => upload?,
        };
        caller.may_send(&upload.owner)?;
        if !upload.is_partial() {
            return Err(refused("is no partial upload"));
        }
        if !upload.state.is_unfinished() {
            return Err(refused("is gone"));
        }
        match upload.known_size() {
            Some(size) if appending(&upload)?.offset == size => Ok(size),
            _ => Err(refused("is not finished")),
        }
    }

    /// The uploads that this one is made of, if it is made of others.
    pub(super) async fn sources(&self, upload: &Upload) -> Result<Option<Vec<Upload>>, Error> {
        let Role::Joined(ids) = upload.role() else {
            return Ok(None);
        };
        let mut sources = Vec::with_capacity(ids.len());
        for id in ids {
            let source = self.0.db.find_upload(id, None).await?;
            let source = source.filter(|source| source.state.is_unfinished());
            sources.push(source.ok_or(Error::NotFound("part"))?);
        }
        Ok(Some(sources))
    }
}
