//! The verbs: the only code that changes an upload, and what every protocol talks to.
//!
//! Each verb is one file. A verb takes a [`Principal`], decides what they may touch, and does it: every look-up
//! is within one owner, every change of state is one conditional statement, and what must not be torn in half
//! by a client that goes away runs in a task of its own.

mod abort;
mod complete;
mod create;
mod expire;
mod record;
mod sign;
mod status;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

// What the verbs hand out, so that protocols need to know neither the database nor the signers.
pub use crate::db::UploadSummary;
pub use crate::signing::{Operation, Signature, SignedRequest};
pub use create::Begun;
pub use record::ArrivedPart;
pub use sign::SignedParts;
pub use status::{Listing, ListingQuery};

use crate::clock::Clock;
use crate::db::Database;
use crate::domain::{KeyTemplate, ObjectKey, Policy, Principal, State, StoredPart, Upload, UploadId};
use crate::error::Error;
use crate::storage::S3Store;

/// An upload is touched in the database at most this often by requests that change nothing else.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Longest wait of a check: who asks whether we are ready wants to know before their own patience ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// Everything the verbs need; clones share it.
#[derive(Clone)]
pub struct Uploads(Arc<Parts>);

/// What [`Uploads`] is made of.
pub struct Parts {
    /// Where uploads and parts are recorded.
    pub db: Database,
    /// Where the bytes end up.
    pub store: S3Store,
    /// The only source of now.
    pub clock: Clock,
    /// What may be uploaded.
    pub policy: Policy,
    /// How keys are made.
    pub template: KeyTemplate,
    /// How long an upload lives without any activity.
    pub time_to_live: TimeDelta,
}

/// An upload with what the store holds of it.
#[derive(Debug, Clone)]
pub struct Status {
    /// The upload.
    pub upload: Upload,
    /// Its parts in the store, ascending, each of the right size. Empty once it has ended.
    pub parts: Vec<StoredPart>,
}

impl Uploads {
    /// The verbs over these.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// What may be uploaded.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Now, by the clock that the verbs use.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The finished object's address as browsers reach it.
    pub fn location(&self, key: &ObjectKey) -> String {
        self.0.store.public_url(key)
    }

    /// Where browsers send parts to, as `scheme://host[:port]`.
    pub fn store_origin(&self) -> String {
        self.0.store.public_origin()
    }

    /// Whether database and store answer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::StoreRefused`] for the one that does not.
    pub async fn check(&self) -> Result<(), Error> {
        in_time("the database", self.0.db.ping()).await?;
        in_time("the store", self.0.store.check(self.now())).await
    }

    /// The upload, if this caller may reach it.
    async fn find(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let owner = caller.reach(id)?;
        self.0
            .db
            .find_upload(id, owner)
            .await?
            .ok_or(Error::NotFound("upload"))
    }

    /// Notes that somebody still cares, at most once a minute, in the record and in `upload`.
    async fn touch(&self, upload: &mut Upload) -> Result<(), Error> {
        let now = self.now();
        if now - upload.updated_at < TOUCH_EVERY {
            return Ok(());
        }
        let expires_at = now + self.0.time_to_live;
        if self.0.db.touch(&upload.id, now, expires_at).await? {
            upload.updated_at = now;
            upload.expires_at = expires_at;
        }
        Ok(())
    }

    /// Changes the state by condition; `true` if this call did it.
    async fn change(&self, id: &UploadId, from: &[State], to: State) -> Result<bool, Error> {
        debug_assert!(
            from.iter().all(|state| state.may_become(to)),
            "{from:?} may not become {to}"
        );
        self.0.db.change_state(id, from, to, None, self.now()).await
    }

    /// Runs `work` to its end even if the client goes away: actix drops a handler whose connection is reset.
    async fn see_through<T: Send + 'static>(
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        tokio::spawn(work).await.map_err(Error::internal)?
    }
}

/// The outcome of a check, or that `what` does not answer.
async fn in_time(what: &'static str, check: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::time::timeout(CHECK_PATIENCE, check)
        .await
        .unwrap_or_else(|late| Err(Error::unavailable(what, late)))
}
