//! The verbs: the only code that changes an upload, and what every protocol talks to.
//!
//! Each verb is one file. A verb takes a [`Principal`], decides what they may touch, and does it: every look-up
//! is within one owner, every change of state is one conditional statement, and what must not be torn in half
//! by a client that goes away runs in a task of its own.

mod abort;
mod admin;
mod append;
mod asked;
mod browser;
mod claims;
mod complete;
mod create;
mod download;
mod expire;
mod figures;
mod finished;
mod gate;
mod guard;
mod hold;
mod holder;
mod integrity;
mod join;
mod lend;
mod log_budget;
mod notes;
mod outcome;
mod places;
mod quota;
mod rates;
mod receipt;
mod receive;
mod recheck;
mod record;
mod resume;
mod scan;
mod scanning;
mod sign;
mod slot;
mod sniff;
mod standing;
mod status;
mod strays;
mod terminate;
mod topic;
mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

// What the verbs hand out, so that protocols need to know neither the database nor the signers.
pub use crate::db::{OpenBytes, PartRecord, RecordedPart, SweepRecord, UploadSummary};
pub use crate::signing::policy::SignedForm;
pub use crate::signing::{
    HandedKey, ObjectHeaders, Operation, Refusal, Signable, Signature, SignedPolicy, SignedRequest,
};
pub use crate::storage::{BodyError, ByteStream, Receipt};
pub use admin::{Inspection, MOST_HOURS, StoreView};
pub use append::{Append, Appended, Ends, Rivals};
pub use asked::{SigningDoor, SigningFacts};
pub use create::Begun;
pub use expire::Swept;
pub use gate::{Gate, Terms, Wanted};
pub use hold::{Hold, HoldWatch};
pub use integrity::PartChecksum;
pub use lend::Lent;
pub use notes::Note;
pub use places::Bucket;
pub use rates::Rates;
pub use receive::{Grid, Incoming, Received};
pub use record::ArrivedPart;
pub use scan::{Quarantine, Scanner, Source, Subject};
pub use sign::SignedParts;
pub use status::{Detail, Listing, ListingQuery};
pub use topic::Topic;
pub use webhooks::{Outbox, Subscription, WebhookListing, WebhookQuery};

use crate::clock::Clock;
use crate::db::Database;
use crate::domain::{IdMark, KeyTemplate, Policy, Principal, State, StoredPart, Transfer, Upload, UploadId};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::signing::ReceiptKey;
use crate::storage::Storage;
use crate::telemetry;
use claims::Claims;

/// An upload is touched in the database at most this often by requests that change nothing else.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Longest wait of a check: who asks whether we are ready wants to know before their own patience ends.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// Everything the verbs need; clones share it.
#[derive(Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    parts: Parts,
    claims: Claims,
    health: strays::StorageHealth,
    figures: figures::Figures,
    notes: notes::Notes,
}

impl std::ops::Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What [`Uploads`] is made of.
pub struct Parts {
    /// Where uploads and parts are recorded.
    pub db: Database,
    /// The bucket that browsers send to with our signatures; `None` where all bytes pass through us into `relay`.
    pub bucket: Option<Bucket>,
    /// Where uploads go whose bytes pass through us; often that bucket.
    pub relay: Arc<dyn Storage>,
    /// The only source of now.
    pub clock: Clock,
    /// What may be uploaded.
    pub policy: Policy,
    /// How keys are made.
    pub template: KeyTemplate,
    /// How long an upload lives without any activity.
    pub time_to_live: TimeDelta,
    /// By which we know our own uploads in a storage that others use too.
    pub mark: IdMark,
    /// How long something must have been idle in a storage before it is taken for a leftover.
    pub orphan_grace: TimeDelta,
    /// How others are told.
    pub outbox: Outbox,
    /// Who is asked about new uploads.
    pub gate: Option<Arc<dyn Gate>>,
    /// Who looks at objects before they are announced.
    pub quarantine: Option<Quarantine>,
    /// What counts.
    pub metrics: Metrics,
    /// How often what may be done.
    pub rates: Rates,
    /// What receipts are signed with.
    pub receipts: ReceiptKey,
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
        Self(Arc::new(Inner {
            claims: Claims::new(parts.db.clone(), parts.clock.clone()),
            health: strays::StorageHealth::default(),
            figures: figures::Figures::default(),
            notes: notes::Notes::default(),
            parts,
        }))
    }

    /// What may be uploaded.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// What holds for this upload: the rules, as narrowed for whoever began it.
    fn policy_of(&self, upload: &Upload) -> Policy {
        self.0.policy.within(&upload.bounds)
    }

    /// Now, by the clock that the verbs use.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The upload, if this caller may reach it.
    async fn find(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let owner = caller.reach(id)?;
        let found = self.0.db.find_upload(id, owner).await?;
        // Also one that has run out: its client is told that there is none.
        found.iter().for_each(topic::is_about);
        self.alive(found)
    }

    /// What was found, unless it has run out: then it is gone at once, swept or not, where clients have no word for
    /// "expired".
    fn alive(&self, found: Option<Upload>) -> Result<Upload, Error> {
        let is_alive = |upload: &Upload| {
            upload.transfer == Transfer::Direct
                || !upload.state.is_unfinished()
                || upload.expires_at > self.now()
        };
        found.filter(is_alive).ok_or(Error::NotFound("upload"))
    }

    /// Notes that somebody still cares, at most once a minute, in the record and in `upload`.
    async fn touch(&self, upload: &mut Upload) -> Result<(), Error> {
        let now = self.now();
        if now - upload.updated_at < TOUCH_EVERY {
            return Ok(());
        }
        let expires_at = self.life_until(upload, now);
        if self.0.db.touch(&upload.id, now, expires_at).await? {
            upload.updated_at = now;
            upload.expires_at = expires_at;
        }
        Ok(())
    }

    /// Changes the state by condition; `true` if this call did it. To become complete has a way of its own, which
    /// writes the event.
    async fn change(&self, id: &UploadId, from: &[State], to: State) -> Result<bool, Error> {
        debug_assert!(
            to != State::Complete && from.iter().all(|state| state.may_become(to)),
            "{from:?} may not become {to}"
        );
        let events = self.events_of_end(id, to).await?;
        let tells = !events.is_empty();
        let changed = self.0.db.change_state(id, from, to, events, self.now()).await?;
        if changed {
            if tells {
                self.ring();
            }
            self.0.metrics.upload_ended(to);
        }
        Ok(changed)
    }

    /// Runs `work` to its end even if the client goes away: actix drops a handler whose connection is reset.
    async fn see_through<T: Send + 'static>(
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        tokio::spawn(telemetry::carry(topic::carry(work)))
            .await
            .map_err(Error::internal)?
    }
}

/// How something that we depend on answers.
#[derive(Debug)]
pub struct Check {
    /// What was asked: `database` or `store`.
    pub name: &'static str,
    /// [`Error::Unavailable`] or [`Error::StoreRefused`] where it is of no use just now.
    pub outcome: Result<(), Error>,
    /// How long the answer took.
    pub took: Duration,
}
