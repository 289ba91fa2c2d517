//! Recheck: what has come of signatures that were good for longer than their upload.
//!
//! Separate from expiry, which ends uploads: these have ended. Who has a signature for a [whole](crate::domain::Cut::Whole)
//! object may send that once more until the signature dies, and no store knows that it was given up, or is finished. So
//! each such upload is looked at once when nothing can come any more.
//!
//! Signing a condition into the request (`If-None-Match: *`) instead is no way: a form has no place for one, not every store
//! knows it, and a client that sends its file again because the answer was lost would be told that it has failed.

use super::Uploads;
use super::expire::BATCH;
use crate::domain::{State, Upload, bare_etag};
use crate::error::Error;

impl Uploads {
    /// Looks at all that is due; how many objects of uploads that came to nothing were removed.
    pub(super) async fn recheck_all(&self) -> Result<usize, Error> {
        let (mut removed, mut failed) = (0, 0);
        loop {
            let due = self.0.db.due_rechecks(self.now(), BATCH, failed).await?;
            let full = due.len() == BATCH as usize;
            for upload in due {
                match self.recheck(&upload).await {
                    Ok(is_removed) => {
                        removed += usize::from(is_removed);
                        self.0.db.settle_recheck(&upload.id, self.now()).await?;
                    }
                    Err(error) => {
                        // It would come again at once, before all that follows it.
                        failed += 1;
                        tracing::warn!(upload = %upload.id, %error, "what may have come late is looked for again");
                    }
                }
            }
            if !full || !self.lead().await? {
                return Ok(removed);
            }
        }
    }

    /// Removes what came after an upload was given up, and tells the operator of what came after it was complete: whose
    /// bytes those are, nobody can know. True if an object was removed.
    async fn recheck(&self, upload: &Upload) -> Result<bool, Error> {
        // One that has not ended is found by whoever looks for its object; and another bucket is no longer ours to tidy.
        if upload.state.is_unfinished() || !self.is_our_bucket(&upload.bucket) {
            return Ok(false);
        }
        let storage = self.storage(upload)?;
        let Some(object) = storage.find(&upload.key).await? else {
            return Ok(false);
        };
        if upload.state == State::Complete {
            // Stores quote it in one answer, and not in another.
            let bare = |etag: &Option<String>| etag.as_deref().map(|etag| bare_etag(etag).to_owned());
            if bare(&object.etag) != bare(&upload.etag) {
                tracing::warn!(
                    upload = %upload.id, key = %upload.key, owner = %upload.owner, size = object.size,
                    "a finished object was replaced with a signature that was still good; nothing was removed"
                );
            }
            return Ok(false);
        }
        // Asked after the object was seen: nobody begins under a key while an object has it.
        let newest = self.0.db.find_by_key(None, upload.key.as_str()).await?;
        if newest.is_some_and(|newest| newest.id != upload.id) {
            return Ok(false);
        }
        storage.remove(&upload.key).await?;
        tracing::warn!(
            upload = %upload.id, key = %upload.key, owner = %upload.owner, size = object.size,
            "an object came after its upload was given up, and is removed"
        );
        Ok(true)
    }
}
