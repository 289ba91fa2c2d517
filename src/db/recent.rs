//! Uploads that were looked up a moment ago, for those who ask for the same one again and again: each signature of a part
//! is a request of its own, and a look-up costs several times what signing does.
//!
//! Separate from `uploads`, because everything that changes a row has to go through [`Database::alter`]: what this process
//! changes is forgotten with the change. Of what another process changes one hears within [`FRESH`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use tracing::Instrument as _;

use super::Database;
use super::connection::AnyConnection;
use crate::domain::{Owner, Upload, UploadId};
use crate::error::Error;
use crate::telemetry;

/// How long what was looked up is good.
const FRESH: Duration = Duration::from_secs(1);

/// Most uploads that are remembered; the longest record takes some six KiB.
const MOST: usize = 1024;

/// What was looked up lately.
#[derive(Default)]
pub(super) struct Recent(Mutex<Known>);

#[derive(Default)]
struct Known {
    uploads: HashMap<UploadId, (Instant, Upload)>,
    /// Counts what was forgotten, so that nobody remembers what they read before a change and bring after it.
    forgotten: u64,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upload, if it was looked up within [`FRESH`]; else what [`remember`](Self::remember) must be told.
    fn find(&self, id: &UploadId, now: Instant) -> Result<Upload, u64> {
        let known = self.lock();
        match known.uploads.get(id) {
            Some((read_at, upload)) if now.duration_since(*read_at) < FRESH => Ok(upload.clone()),
            _ => Err(known.forgotten),
        }
    }

    /// Remembers what was read at `read_at`, unless something was forgotten since.
    fn remember(&self, upload: &Upload, read_at: Instant, forgotten: u64) {
        let mut known = self.lock();
        if known.forgotten != forgotten {
            return;
        }
        if known.uploads.len() >= MOST {
            known
                .uploads
                .retain(|_, (at, _)| read_at.saturating_duration_since(*at) < FRESH);
        }
        if known.uploads.len() < MOST {
            known.uploads.insert(upload.id.clone(), (read_at, upload.clone()));
        }
    }

    fn forget(&self, id: &UploadId) {
        let mut known = self.lock();
        known.forgotten += 1;
        known.uploads.remove(id);
    }
}

impl Database {
    /// As [`find_upload`](Database::find_upload), but what another process has changed within the last second may be
    /// missing: for what does no harm a second late, such as a signature, which outlives its upload anyway.
    ///
    /// # Errors
    /// As [`find_upload`](Database::find_upload).
    pub async fn find_recent_upload(
        &self,
        id: &UploadId,
        owner: Option<&Owner>,
    ) -> Result<Option<Upload>, Error> {
        let now = Instant::now();
        let found = match self.recent.find(id, now) {
            Ok(upload) => Some(upload),
            Err(forgotten) => {
                let found = self.find_upload(id, None).await?;
                if let Some(upload) = &found {
                    self.recent.remember(upload, now, forgotten);
                }
                found
            }
        };
        Ok(found.filter(|upload| owner.is_none_or(|owner| *owner == upload.owner)))
    }

    /// [Runs](Database::run) what changes one upload's row, with its id as the columns have it.
    pub(super) async fn alter<T, F>(&self, id: &UploadId, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut AnyConnection, String) -> QueryResult<T> + Send + 'static,
    {
        let (pool, recent, id) = (self.pool.clone(), self.recent.clone(), id.clone());
        // Within the work, since that ends even if nobody waits for it any more.
        super::blocking(move || {
            let outcome = super::on_pooled(&pool, |conn| work(conn, id.to_string()));
            recent.forget(&id);
            outcome
        })
        .instrument(telemetry::database_span())
        .await
    }
}
