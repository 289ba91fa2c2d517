//! Strays: what lies in a storage and belongs to no upload any more; and whether the storage can be used at all.
//!
//! Separate from expiry, which knows uploads and asks nothing of the storage: here the storage is asked what it has,
//! and the database whether anybody still wants it. Only what bears our mark is ever touched.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{CHECK_PATIENCE, Swept, Uploads};
use crate::domain::{Backend, Upload, UploadId};
use crate::error::Error;
use crate::storage::{Storage, Stray};

/// How long an answer about a storage's health is good.
const FRESH: Duration = Duration::from_secs(5);

/// The last answer about the relay's storage, and whether it is being asked just now.
#[derive(Default)]
pub(super) struct StorageHealth(Mutex<Health>);

#[derive(Default)]
struct Health {
    last: Option<(Instant, bool)>,
    is_asked: bool,
}

impl StorageHealth {
    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uploads {
    /// Whether the relay's storage answers; asked at most every five seconds, and by one task at a time, whoever wants to
    /// know: a disk that hangs must not get a thread more with every question.
    pub async fn is_storage_healthy(&self) -> bool {
        {
            let mut health = self.0.health.lock();
            match health.last {
                Some((at, healthy)) if at.elapsed() < FRESH => return healthy,
                // Somebody asks already; until then what was true last is the best that is known.
                Some((_, healthy)) if health.is_asked => return healthy,
                None if health.is_asked => return true,
                _ => health.is_asked = true,
            }
        }
        let this = self.clone();
        let asked = tokio::spawn(async move {
            let outcome = this.0.relay.check().await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, cause = ?std::error::Error::source(error), "the storage cannot be used");
            }
            let mut health = this.0.health.lock();
            health.is_asked = false;
            health.last = Some((Instant::now(), outcome.is_ok()));
            outcome.is_ok()
        });
        if let Ok(healthy) = tokio::time::timeout(CHECK_PATIENCE, asked).await {
            return healthy.unwrap_or(false);
        }
        self.0.health.lock().last = Some((Instant::now(), false));
        false
    }

    /// Drops what lies in the storages, bears our mark, and belongs to no unfinished upload. A storage that cannot be looked
    /// through, or does not let go of something, is counted as failed.
    pub(super) async fn sweep_strays(&self, swept: &mut Swept) -> Result<(), Error> {
        let bucket = self.0.bucket.as_ref().map(|bucket| &bucket.storage);
        let relay = (self.0.relay.backend() != Backend::S3).then_some(&self.0.relay);
        let storages = bucket.into_iter().chain(relay);
        for storage in storages {
            match storage.strays().await {
                Ok(strays) => self.drop_unwanted(storage.as_ref(), strays, swept).await?,
                Err(error) => {
                    swept.failed += 1;
                    tracing::warn!(storage = %storage.backend(), %error, "leftovers could not be looked for");
                }
            }
        }
        Ok(())
    }

    /// Whether an id is one of ours, by the mark that only we can make.
    pub fn made(&self, id: &UploadId) -> bool {
        self.0.mark.is_on(id)
    }

    async fn drop_unwanted(
        &self,
        storage: &dyn Storage,
        strays: Vec<Stray>,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        for stray in strays {
            let is_old = |last_active| last_active <= self.now() - self.0.orphan_grace;
            if !self.0.mark.is_on(&stray.upload) || !is_old(stray.last_active) {
                continue;
            }
            let upload = self.0.db.find_upload(&stray.upload, None).await?;
            if upload.is_some_and(|upload| is_wanted(&upload, storage.backend(), &stray)) {
                continue;
            }
            let outcome = match storage.last_active(&stray).await {
                Ok(last_active) if is_old(last_active) => storage.discard(&stray).await,
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    swept.strays += 1;
                    tracing::info!(upload = %stray.upload, place = stray.place, "a leftover was dropped");
                }
                Err(error) => {
                    swept.failed += 1;
                    tracing::warn!(upload = %stray.upload, %error, "a leftover stays for now");
                }
            }
        }
        Ok(())
    }
}

/// Whether an upload may still need what lies there.
fn is_wanted(upload: &Upload, backend: Backend, stray: &Stray) -> bool {
    let is_its_own = stray.multipart_id.is_none() || stray.multipart_id == upload.multipart_id;
    upload.state.is_unfinished() && upload.storage == backend && is_its_own
}
