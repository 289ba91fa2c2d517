//! Begin: find what can go on, or reserve a place for a new object.
//!
//! On a resume the store's own list of parts is what counts, not what we believe: a part that the store lost is
//! sent again, and one that it has is never asked for.

use super::{Status, Uploads};
use crate::domain::{
    Backend, NewUpload, ObjectKey, Owner, PartPlan, Principal, State, Transfer, Upload, UploadId,
};
use crate::error::Error;

/// An upload that may now be sent.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The upload and what the store holds of it.
    pub status: Status,
    /// Whether it was found rather than made.
    pub resumed: bool,
}

impl Uploads {
    /// Begins an upload, or goes on with the newest unfinished one of the same owner and fingerprint where
    /// `resume` allows it. The multipart upload is made with our own credentials, under a key that is ours alone.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::TypeRefused`], [`Error::Invalid`] for a bad part size,
    /// [`Error::Forbidden`], [`Error::Unavailable`] and [`Error::StoreRefused`] from the store.
    pub async fn create(&self, caller: &Principal, new: NewUpload, resume: bool) -> Result<Begun, Error> {
        caller.may_begin()?;
        let plan = self.0.policy.admit(new.size, &new.content_type, new.part_size)?;
        let (this, owner) = (self.clone(), caller.owner.clone());
        Self::see_through(async move {
            if resume && let Some(status) = this.find_resumable(&owner, &new).await? {
                return Ok(Begun {
                    status,
                    resumed: true,
                });
            }
            let upload = this.make(owner, new, plan).await?;
            Ok(Begun {
                status: Status {
                    upload,
                    parts: Vec::new(),
                },
                resumed: false,
            })
        })
        .await
    }

    /// The newest upload that can go on with this file, with its parts.
    pub(super) async fn find_resumable(
        &self,
        owner: &Owner,
        new: &NewUpload,
    ) -> Result<Option<Status>, Error> {
        let found = self
            .0
            .db
            .find_resumable(owner, &new.fingerprint(), self.now())
            .await?;
        // A bucket that is no longer ours to sign for holds nothing that could go on.
        let Some(upload) = found.filter(|found| found.bucket == self.0.store.bucket()) else {
            return Ok(None);
        };
        match self.holdings(upload).await {
            Ok(status) => Ok(Some(status)),
            // It ended elsewhere: the file begins anew.
            Err(Error::Vanished) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, owner: Owner, new: NewUpload, plan: PartPlan) -> Result<Upload, Error> {
        let now = self.now();
        let id = UploadId::generate(now);
        let key = self.0.template.key(&id, &new.filename, &owner, now)?;
        let multipart_id = self.reserve(&key, &new, &plan).await?;
        let upload = Upload {
            id,
            owner,
            state: State::Open,
            transfer: Transfer::Direct,
            protocol: new.protocol.to_owned(),
            size: new.size,
            fingerprint: new.fingerprint(),
            filename: new.filename,
            content_type: new.content_type,
            last_modified: new.last_modified,
            metadata: new.metadata,
            bucket: self.0.store.bucket().to_owned(),
            key,
            multipart_id,
            part_size: plan.part_size(),
            etag: None,
            storage: Backend::S3,
            sha256: new.wishes.sha256,
            webhook_url: new.wishes.webhook_url,
            created_at: now,
            updated_at: now,
            expires_at: now + self.0.time_to_live,
        };
        if let Err(error) = self.0.db.insert_upload(upload.clone()).await {
            self.discard(&upload).await;
            return Err(error);
        }
        Ok(upload)
    }

    /// An empty file needs no multipart upload, and some stores take none without any bytes.
    async fn reserve(
        &self,
        key: &ObjectKey,
        new: &NewUpload,
        plan: &PartPlan,
    ) -> Result<Option<String>, Error> {
        if plan.part_count() == 0 {
            return Ok(None);
        }
        self.0
            .store
            .begin(key, &new.content_type, &new.filename, self.now())
            .await
            .map(Some)
    }

    /// Drops a multipart upload that nobody will ever hear of.
    async fn discard(&self, upload: &Upload) {
        let Some(multipart_id) = &upload.multipart_id else {
            return;
        };
        if let Err(error) = self.0.store.abort(&upload.key, multipart_id, self.now()).await {
            tracing::warn!(upload = %upload.id, %error, "an unrecorded multipart upload stays in the store");
        }
    }
}
