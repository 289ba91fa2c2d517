//! Quarantine: an object that is whole is not announced before a scanner has said that it may be.
//!
//! Separate from `complete`, which only knows that somebody looks. The upload stays `completing` all that time, so
//! no client has to learn a word: whoever asks for its completion waits a while for the verdict, and is told then that it
//! is still being completed. Who has the objects looked at is [`scanning`](super::scanning).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::claims::Manner;
use super::{Status, Uploads};
use crate::domain::{EventKind, Opinion, Scan, ScanState, State, StoredPart, Upload, UploadId, bare_etag};
use crate::error::Error;
use crate::storage::{ByteStream, StoredObject};

/// How often whoever waits for a verdict looks whether another instance has heard it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The verdict on an object that nobody could look at any more.
pub(super) const IS_GONE: &str = "the object is gone, or another one";

/// Somebody who looks at objects.
#[async_trait]
pub trait Scanner: Send + Sync {
    /// Whether it fetches objects of a bucket by itself, from an address that it is given.
    fn fetches(&self) -> bool;

    /// Looks at one; `None` where it will say later.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no answer that can be used.
    async fn scan(&self, subject: Subject<'_>) -> Result<Option<Opinion>, Error>;

    /// Whether `token` is what the scanner was given to say something later of this object.
    fn is_token(&self, id: &UploadId, etag: Option<&str>, token: &str) -> bool;
}

/// An object that is to be looked at.
pub struct Subject<'a> {
    /// Whose it is.
    pub upload: &'a Upload,
    /// Its tag, where it has one.
    pub etag: Option<&'a str>,
    /// Its address, for people and logs.
    pub address: String,
    /// Where it can be fetched, by whoever has this; else its bytes.
    pub source: Source,
}

/// How a scanner gets at the bytes.
pub enum Source {
    /// From here.
    Url(String),
    /// From us.
    Bytes(ByteStream),
}

/// Where objects are kept that nobody has looked at.
#[derive(Clone)]
pub struct Quarantine {
    /// Who looks at them.
    pub scanner: Arc<dyn Scanner>,
    /// How long a client waits for a verdict before it is told to ask again.
    pub patience: Duration,
    /// When a scanner is asked again that has said it would say later.
    pub later: Duration,
    /// Whether the object of a rejected upload stays, for the operator to look at.
    pub keeps: bool,
    /// Rung when there is something to look at.
    pub bell: Arc<Notify>,
    /// Rung for all who wait, when there is a verdict.
    pub decided: Arc<Notify>,
}

impl Uploads {
    /// Has the whole object of an upload looked at; gives what its client is told meanwhile.
    pub(super) async fn begin_quarantine(
        &self,
        upload: &Upload,
        etag: Option<String>,
    ) -> Result<Error, Error> {
        self.0.db.begin_scan(&upload.id, etag, self.now()).await?;
        if let Some(quarantine) = &self.0.quarantine {
            quarantine.bell.notify_one();
        }
        Ok(Error::StillCompleting)
    }

    /// Whether the object of an unfinished upload is there, and nobody has said yet that it may be announced.
    pub(super) async fn is_quarantined(&self, upload: &Upload) -> Result<bool, Error> {
        if self.0.quarantine.is_none() || upload.state != State::Completing {
            return Ok(false);
        }
        let scan = self.0.db.find_scan(&upload.id).await?;
        Ok(scan.is_some_and(|scan| scan.state.is_open()))
    }

    /// Whether a whole upload waits for its verdict.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn is_being_scanned(&self, upload: &Upload) -> Result<bool, Error> {
        self.is_quarantined(upload).await
    }

    /// What is told of an upload in quarantine: all of it is there, and nothing of it is to be sent again.
    pub(super) fn in_quarantine(upload: Upload) -> Status {
        let parts = if upload.appending.is_some() || !upload.cut.is_ours() {
            Vec::new()
        } else {
            let plan = upload.plan();
            plan.parts()
                .map(|(number, size)| StoredPart {
                    number,
                    size,
                    etag: String::new(),
                    checksum: None,
                })
                .collect()
        };
        Status { upload, parts }
    }

    /// The outcome of a completion, once there is a verdict, if one is waited for and comes soon.
    pub(super) async fn with_verdict(
        &self,
        id: &UploadId,
        outcome: Result<Upload, Error>,
    ) -> Result<Upload, Error> {
        match (&outcome, &self.0.quarantine) {
            (Err(Error::StillCompleting), Some(quarantine)) => {
                Box::pin(self.await_verdict(id, quarantine)).await
            }
            _ => outcome,
        }
    }

    async fn await_verdict(&self, id: &UploadId, quarantine: &Quarantine) -> Result<Upload, Error> {
        let began = Instant::now();
        loop {
            let decided = quarantine.decided.notified();
            let upload = self.as_recorded(id).await?;
            match upload.state {
                State::Complete => return Ok(upload),
                State::Open | State::Completing => {}
                state => return Err(self.why_ended(id, state).await?),
            }
            let left = quarantine.patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::StillCompleting);
            }
            let _ = tokio::time::timeout(left.min(LOOK_EVERY), decided).await;
        }
    }

    /// Why an upload cannot be completed that is in this state: what the scanner said, if it did.
    pub(super) async fn why_ended(&self, id: &UploadId, state: State) -> Result<Error, Error> {
        // A rejected scan without a reason is of an upload that has failed by our own rules meanwhile.
        if state == State::Failed
            && let Some(scan) = self.0.db.find_scan(id).await?
            && scan.state == ScanState::Rejected
            && let Some(reason) = scan.reason
        {
            return Ok(Error::Rejected { reason });
        }
        Ok(Error::WrongState {
            state,
            verb: "completed",
        })
    }

    /// Does what a scanner has said of the object that `judged` is of. Said again it changes nothing.
    ///
    /// # Errors
    /// [`Error::WrongState`] where something else has become of the upload; [`Error::Unavailable`],
    /// [`Error::StoreRefused`] from database and storage, after which it is done later.
    pub(super) async fn decide(&self, judged: &Scan, opinion: Opinion) -> Result<(), Error> {
        let this = self.clone();
        let judged = judged.clone();
        Self::see_through(async move { this.decide_in_turn(&judged, opinion).await }).await
    }

    async fn decide_in_turn(&self, judged: &Scan, opinion: Opinion) -> Result<(), Error> {
        let id = &judged.upload_id;
        let _turn = self.turn_to_complete(id, Manner::TURN).await?;
        let upload = self.as_recorded(id).await?;
        let scan = self.0.db.find_scan(id).await?.ok_or(Error::NotFound("scan"))?;
        match (&opinion, upload.state) {
            (Opinion::Accept, State::Complete) | (Opinion::Reject { .. }, State::Failed) => return Ok(()),
            (_, State::Open | State::Completing) => {}
            (_, state) => {
                return Err(Error::WrongState {
                    state,
                    verb: "judged",
                });
            }
        }
        if scan.state == ScanState::Rejecting && opinion == Opinion::Accept {
            return Err(Error::WrongState {
                state: State::Failed,
                verb: "accepted",
            });
        }
        if opinion == Opinion::Accept && scan.created_at != judged.created_at {
            tracing::warn!(upload = %id, "a verdict came for an object that another one has replaced");
            return Ok(());
        }
        let found = self.storage(&upload)?.find(&upload.key).await?;
        let is_judged = found
            .as_ref()
            .is_some_and(|object| match (&object.etag, &scan.etag) {
                // Stores quote it in one answer, and not in another.
                (Some(now), Some(then)) => bare_etag(now) == bare_etag(then),
                _ => true,
            });
        match (opinion, found) {
            (Opinion::Accept, Some(object)) if is_judged => {
                let mut upload = upload;
                if !upload.cut.is_ours() {
                    upload.size = object.size;
                }
                self.announce(upload, scan.etag).await?;
            }
            (Opinion::Accept, Some(object)) => return self.look_again(upload, object).await,
            (Opinion::Accept, None) => self.cast_out(&upload, IS_GONE.to_owned()).await?,
            (Opinion::Reject { reason }, _) => self.cast_out(&upload, reason).await?,
        }
        if let Some(quarantine) = &self.0.quarantine {
            quarantine.decided.notify_waiters();
        }
        Ok(())
    }

    /// Its client has sent another object since, with a signature that was still good: that one is held against the same
    /// rules, and waits in its turn.
    async fn look_again(&self, mut upload: Upload, object: StoredObject) -> Result<(), Error> {
        tracing::warn!(upload = %upload.id, key = %upload.key, "the object has changed since it was looked at");
        if !upload.cut.is_ours() {
            upload.size = object.size;
        }
        let verdict = match self.policy_of(&upload).check_size(upload.size) {
            Ok(()) => self.check_inside(&upload).await,
            too_large => too_large,
        };
        match verdict {
            Err(error @ (Error::ContentRefused { .. } | Error::TooLarge { .. })) => {
                self.cast_out(&upload, error.to_string()).await
            }
            Err(error) => Err(error),
            Ok(()) => self.begin_quarantine(&upload, object.etag).await.map(drop),
        }
    }

    /// Ends an upload whose object must go. That it must is written down first, and that it is gone last: after a kill in
    /// between, it goes on here.
    async fn cast_out(&self, upload: &Upload, reason: String) -> Result<(), Error> {
        let (db, now) = (&self.0.db, self.now());
        db.condemn(&upload.id, reason.clone(), now + super::scanning::LEASE)
            .await?;
        let keeps = self
            .0
            .quarantine
            .as_ref()
            .is_some_and(|quarantine| quarantine.keeps);
        if !keeps {
            self.storage(upload)?.remove(&upload.key).await?;
        }
        let events = self.events_of(EventKind::Rejected, upload, None, Some(&reason), now)?;
        if db.reject_upload(&upload.id, reason.clone(), events, now).await? {
            self.ring();
            self.0.metrics.upload_ended(State::Failed);
            tracing::warn!(upload = %upload.id, key = %upload.key, owner = %upload.owner, reason, "rejected");
        }
        Ok(())
    }

    /// What a scanner says later of an object, with the token that it was given for that.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an upload that there is not, nobody looks at, or whose token that is not;
    /// [`Error::WrongState`] where something else has become of it; [`Error::Unavailable`].
    pub async fn hear_verdict(&self, id: &UploadId, token: &str, opinion: Opinion) -> Result<(), Error> {
        const NONE: Error = Error::NotFound("upload");
        let quarantine = self.0.quarantine.as_ref().ok_or(NONE)?;
        let scan = self.0.db.find_scan(id).await?.ok_or(NONE)?;
        if !quarantine.scanner.is_token(id, scan.etag.as_deref(), token) {
            return Err(NONE);
        }
        self.decide(&scan, opinion).await
    }
}
