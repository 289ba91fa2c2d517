//! Recheck: what has come of signatures that were good for longer than their upload.
//!
//! Separate from expiry, which ends uploads: these have ended. Who has a signature for a [whole](Cut::Whole) object may send
//! that once more until the signature dies, and no store knows that it was given up, or is finished. So each such upload is
//! looked at once when nothing can come any more; and a finished one until then whenever somebody asks for it. An object that
//! has taken the place of another goes through all that the first went through.
//!
//! Signing a condition into the request (`If-None-Match: *`) instead is no way: a form has no place for one, not every store
//! knows it, and a client that sends its file again because the answer was lost would be told that it has failed.

use super::Uploads;
use super::claims::{Claim, Manner};
use super::expire::BATCH;
use super::rates::Pace;
use crate::domain::{Cut, State, Upload, bare_etag};
use crate::error::Error;
use crate::metrics::Background;
use crate::storage::StoredObject;

impl Uploads {
    /// Looks at all that is due; how many objects were removed, of uploads that came to nothing.
    pub(super) async fn recheck_all(&self, turn: &Claim) -> Result<usize, Error> {
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
                        if !matches!(error, Error::Busy(_)) {
                            self.0.metrics.background_failed(Background::Sweep, 1);
                        }
                        tracing::warn!(upload = %upload.id, %error, "what may have come late is looked for again");
                    }
                }
            }
            if !full || !turn.is_ours() {
                return Ok(removed);
            }
        }
    }

    /// Removes what came after an upload was given up, and has looked at what came after it was complete. True if an object
    /// was removed.
    async fn recheck(&self, upload: &Upload) -> Result<bool, Error> {
        // One that has not ended is found by whoever looks for its object; and another bucket is no longer ours to tidy.
        if upload.state.is_unfinished() || !self.is_our_bucket(&upload.bucket) {
            return Ok(false);
        }
        if upload.state == State::Complete {
            let _turn = self.turn_to_complete(&upload.id, Manner::UNTAKEN).await?;
            let upload = self.as_recorded(&upload.id).await?;
            let Some(object) = self.successor_of(&upload).await? else {
                return Ok(false);
            };
            // Not paced: whoever uses up their own rate could put this off for ever.
            return match Box::pin(self.take_back(upload, object)).await {
                Ok(_) | Err(Error::StillCompleting) => Ok(false),
                Err(Error::TooLarge { .. } | Error::ContentRefused { .. }) => Ok(true),
                Err(error) => Err(error),
            };
        }
        let storage = self.storage(upload)?;
        let Some(object) = storage.find(&upload.key).await? else {
            return Ok(false);
        };
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

    /// Whether another object has taken the place of the one that was announced. Nobody is asked any more once all that was
    /// signed is dead: what changes then is not its client's doing.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    pub(super) async fn is_replaced(&self, upload: &Upload) -> Result<bool, Error> {
        Ok(self.successor_of(upload).await?.is_some())
    }

    async fn successor_of(&self, upload: &Upload) -> Result<Option<StoredObject>, Error> {
        let may_have_one = upload.state == State::Complete
            && upload.cut == Cut::Whole
            && self.is_our_bucket(&upload.bucket)
            && self.0.db.awaits_recheck(&upload.id).await?;
        if !may_have_one {
            return Ok(None);
        }
        let found = self.storage(upload)?.find(&upload.key).await?;
        Ok(found.filter(|object| !is_announced(upload, object)))
    }

    /// The upload as its object is by now, for whoever has the [turn](Self::turn_to_complete). One that was announced and
    /// has another object is complete no longer, until that one has been held against the same rules.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::ContentRefused`] where it is refused, and gone; [`Error::StillCompleting`] while a
    /// scanner looks at it; [`Error::TooFast`], since it costs what a new upload does; [`Error::Unavailable`],
    /// [`Error::StoreRefused`].
    pub(super) async fn as_it_is(&self, upload: Upload) -> Result<Upload, Error> {
        let Some(object) = self.successor_of(&upload).await? else {
            return Ok(upload);
        };
        self.pace(Pace::Create, &upload.owner, upload.client_ip, 1)?;
        self.take_back(upload, object).await
    }

    /// Has an upload complete no longer, and looks at its new object as at the first.
    async fn take_back(&self, upload: Upload, object: StoredObject) -> Result<Upload, Error> {
        tracing::warn!(
            upload = %upload.id, key = %upload.key, owner = %upload.owner, size = object.size,
            "a finished object was replaced with a signature that was still good, and is looked at like the first"
        );
        let told = |etag: &Option<String>| etag.clone().unwrap_or_else(|| "none".to_owned());
        let reason = format!(
            "{} bytes with the tag {} in place of {} bytes with the tag {}",
            object.size,
            told(&object.etag),
            upload.size,
            told(&upload.etag)
        );
        let (db, now) = (&self.0.db, self.now());
        db.take_back(&upload.id, reason, now, self.life_until(&upload, now))
            .await?;
        let upload = self.as_recorded(&upload.id).await?;
        if !upload.state.is_unfinished() {
            return Ok(upload);
        }
        Ok(Box::pin(self.find_whole(&upload)).await?.unwrap_or(upload))
    }
}

/// Whether this is the object that was announced, as far as a store tells.
fn is_announced(upload: &Upload, object: &StoredObject) -> bool {
    let has_its_tag = match (&object.etag, &upload.etag) {
        // Stores quote it in one answer, and not in another.
        (Some(now), Some(then)) => bare_etag(now) == bare_etag(then),
        _ => true,
    };
    has_its_tag && object.size == upload.size
}
