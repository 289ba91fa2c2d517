//! What an admin does besides what every owner can: look an upload through, let it live longer, see what lies open and
//! what the sweeper did.
//!
//! Separate, because all of it asks for admin rights first, and what is asked for is written to the upload's log with the
//! name of whoever asked, before it is done.

use std::time::Duration;

use chrono::TimeDelta;

use super::Uploads;
use crate::db::{OpenBytes, PartRecord, SweepRecord};
use crate::domain::{LogDetail, LogEntry, LogKind, Principal, StoredPart, Upload, UploadId, WebhookEvent};
use crate::error::Error;

/// Longest that a page waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(4);

/// Most hours that an upload's life is prolonged by at once.
pub const MOST_HOURS: u32 = 24 * 30;

const ADMINS_ONLY: Error = Error::Forbidden("this takes an admin key");

/// What the store says of an upload's parts.
#[derive(Debug, Clone)]
pub enum StoreView {
    /// It lists these, ascending.
    Lists(Vec<StoredPart>),
    /// It knows no such multipart upload.
    Lost,
    /// It did not answer, or refused; why, in words for an admin.
    Silent(String),
    /// It was not asked: an upload that has ended has no parts any more, and one that is appended to has none of its
    /// client's.
    NotAsked,
}

/// Everything that is known of an upload.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The upload.
    pub upload: Upload,
    /// What is recorded of its parts, ascending.
    pub recorded: Vec<PartRecord>,
    /// What the store says.
    pub store: StoreView,
    /// Whether its object is whole, and waits for its scanner's verdict.
    pub is_scanned: bool,
    /// What happened, in order.
    pub log: Vec<LogEntry>,
    /// Its webhooks.
    pub webhooks: Vec<WebhookEvent>,
}

impl Uploads {
    /// Looks an upload through. Nothing is changed by looking: it lives no longer than before.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights, [`Error::NotFound`], [`Error::Unavailable`] from the database. A store
    /// that does not answer is no error.
    pub async fn inspect(&self, caller: &Principal, id: &UploadId) -> Result<Inspection, Error> {
        check_admin(caller)?;
        let db = &self.0.db;
        self.write_notes(false).await?;
        let upload = db.find_upload(id, None).await?.ok_or(Error::NotFound("upload"))?;
        let (store, is_scanned, recorded, log, webhooks) = futures_util::join!(
            self.ask_store(&upload),
            self.is_being_scanned(&upload),
            db.recorded_parts(id),
            db.log_of(id),
            db.events_of(id),
        );
        Ok(Inspection {
            store,
            is_scanned: is_scanned?,
            recorded: recorded?,
            log: log?,
            webhooks: webhooks?,
            upload,
        })
    }

    async fn ask_store(&self, upload: &Upload) -> StoreView {
        let has_parts = upload.multipart_id.is_some() || upload.cut.is_ours();
        if !upload.state.is_unfinished() || upload.appending.is_some() || !has_parts {
            return StoreView::NotAsked;
        }
        let storage = match self.storage(upload) {
            Ok(storage) => storage,
            Err(error) => return StoreView::Silent(error.to_string()),
        };
        match tokio::time::timeout(STORE_PATIENCE, storage.parts(upload)).await {
            Ok(Ok(parts)) => StoreView::Lists(parts),
            Ok(Err(Error::Vanished)) => StoreView::Lost,
            Ok(Err(error)) => StoreView::Silent(error.to_string()),
            Err(_) => {
                let seconds = STORE_PATIENCE.as_secs();
                StoreView::Silent(format!("it did not answer within {seconds} seconds"))
            }
        }
    }

    /// Lets an unfinished upload live for so many hours from now at least. False where it lives longer than that anyhow.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights, [`Error::Invalid`] naming `hours`, [`Error::NotFound`],
    /// [`Error::WrongState`] for one that has ended.
    pub async fn extend(&self, caller: &Principal, id: &UploadId, hours: u32) -> Result<bool, Error> {
        check_admin(caller)?;
        if !(1..=MOST_HOURS).contains(&hours) {
            return Err(Error::invalid("hours", format!("must be 1 to {MOST_HOURS}")));
        }
        let (db, now) = (&self.0.db, self.now());
        let asked = now + TimeDelta::hours(hours.into());
        let entry = LogEntry {
            actor: Some(caller.owner.to_string()),
            ..LogEntry::new(now, LogKind::Extended)
        };
        if let Some(until) = db.extend(id, asked, entry).await? {
            tracing::info!(upload = %id, admin = %caller.owner, %until, "extended");
            return Ok(until <= asked);
        }
        let upload = db.find_upload(id, None).await?.ok_or(Error::NotFound("upload"))?;
        upload.check_unfinished("extended")?;
        Err(Error::Busy("the upload was changed just now; try again"))
    }

    /// [Aborts](Self::abort) an upload in an admin's name.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights, and as `abort`.
    pub async fn abort_for_admin(&self, caller: &Principal, id: &UploadId) -> Result<(), Error> {
        self.log_admin(caller, id, "abort").await?;
        self.abort(caller, id).await
    }

    /// [Completes](Self::complete) an upload in an admin's name, of all the parts that the store has.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights, and as `complete`.
    pub async fn complete_for_admin(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        self.log_admin(caller, id, "complete").await?;
        self.complete(caller, id).await
    }

    async fn log_admin(&self, caller: &Principal, id: &UploadId, asked: &str) -> Result<(), Error> {
        check_admin(caller)?;
        tracing::info!(upload = %id, admin = %caller.owner, asked, "an admin's wish");
        let entry = LogEntry {
            detail: LogDetail {
                asked: Some(asked.to_owned()),
                ..LogDetail::default()
            },
            actor: Some(caller.owner.to_string()),
            ..LogEntry::new(self.now(), LogKind::Admin)
        };
        self.0.db.log_wish(id, entry).await
    }

    /// The protocols through which uploads have begun.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights.
    pub async fn protocols(&self, caller: &Principal) -> Result<Vec<String>, Error> {
        check_admin(caller)?;
        self.0.db.protocols().await
    }

    /// What lies open, the owner of the most bytes first; at most 200 owners.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights.
    pub async fn open_bytes(&self, caller: &Principal) -> Result<Vec<OpenBytes>, Error> {
        check_admin(caller)?;
        self.0.db.open_bytes(200).await
    }

    /// What the sweeper did, newest first; at most 200 rounds.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights.
    pub async fn sweeps(&self, caller: &Principal) -> Result<Vec<SweepRecord>, Error> {
        check_admin(caller)?;
        self.0.db.sweeps(200).await
    }
}

fn check_admin(caller: &Principal) -> Result<(), Error> {
    if caller.is_admin() {
        Ok(())
    } else {
        Err(ADMINS_ONLY)
    }
}
