//! Expire: sweep up what nobody came back for, and see through what was left half done.

use chrono::TimeDelta;

use super::Uploads;
use super::claims::Manner;
use crate::domain::{State, Upload};
use crate::error::Error;

/// Uploads that one round looks at.
const BATCH: u32 = 100;

/// The lease that makes one instance sweep.
const LEASE: &str = "sweeper";

/// How long that lease lasts; it is renewed with each batch.
const LEASED: TimeDelta = TimeDelta::minutes(10);

/// A completion that nothing was heard of for this long is asked for again.
const STUCK: TimeDelta = TimeDelta::minutes(2);

/// Leases that ran out this long ago are of processes that died.
const FORGOTTEN: TimeDelta = TimeDelta::hours(1);

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were given up.
    pub expired: usize,
    /// Uploads whose interrupted completion came to its end.
    pub completed: usize,
    /// Leftovers in the storage that were dropped.
    pub strays: usize,
}

impl Uploads {
    /// Gives up every unfinished upload whose time is over, ends completions that were interrupted, and, where
    /// `with_strays`, drops what lies in the storages and belongs to nothing. Of several instances one does it at a
    /// time; `None` where another is at it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database. What a storage does not take back is tried in the next round.
    pub async fn sweep(&self, with_strays: bool) -> Result<Option<Swept>, Error> {
        if !self.lead().await? {
            return Ok(None);
        }
        let outcome = self.sweep_all(with_strays).await;
        self.0.claims.release(LEASE).await?;
        outcome.map(Some)
    }

    async fn sweep_all(&self, with_strays: bool) -> Result<Swept, Error> {
        let mut swept = Swept {
            expired: self.sweep_expired().await?,
            completed: self.complete_stuck().await?,
            strays: 0,
        };
        if with_strays {
            swept.strays = self.sweep_strays().await?;
        }
        self.0.db.purge_leases(self.now() - FORGOTTEN).await?;
        Ok(swept)
    }

    /// Whether this instance is the one that sweeps.
    async fn lead(&self) -> Result<bool, Error> {
        self.0.claims.lease(LEASE, LEASED).await
    }

    async fn sweep_expired(&self) -> Result<usize, Error> {
        let (mut swept, mut failed) = (0, 0);
        loop {
            // What failed would come again at once, before all that follows it.
            let expired = self.0.db.expired_uploads(self.now(), BATCH, failed).await?;
            let full = expired.len() == BATCH as usize;
            for upload in expired {
                match self.expire(&upload).await {
                    Ok(State::Expired) => swept += 1,
                    // Somebody is at it again after all.
                    Ok(State::Open | State::Completing) | Err(Error::Busy(_)) => failed += 1,
                    Ok(_) => {}
                    Err(error) => {
                        failed += 1;
                        tracing::warn!(upload = %upload.id, %error, "an expired upload stays for now");
                    }
                }
            }
            if !full || !self.lead().await? {
                return Ok(swept);
            }
        }
    }

    /// Gives up an upload whose time is over, unless somebody sends to it or completes it just now; gives its state.
    async fn expire(&self, upload: &Upload) -> Result<State, Error> {
        let (_alone, upload) = self.alone(upload, Manner::UNTAKEN, Manner::UNTAKEN).await?;
        if !upload.state.is_unfinished() || upload.expires_at > self.now() {
            return Ok(upload.state);
        }
        self.give_up(&upload, State::Expired).await
    }

    /// A process that was killed while it completed an upload may have left it whole and unsaid.
    async fn complete_stuck(&self) -> Result<usize, Error> {
        let mut completed = 0;
        for upload in self.0.db.stuck_completions(self.now() - STUCK, BATCH).await? {
            match self.complete_if_free(&upload.id).await {
                Ok(_) => completed += 1,
                // It is not stuck: it takes that long.
                Err(Error::Busy(_)) => {}
                Err(error) => {
                    tracing::warn!(upload = %upload.id, %error, "a completion stays unfinished for now");
                }
            }
        }
        Ok(completed)
    }
}
