//! Webhooks: who is told of what happens to an upload, in which words, and what an admin sees of it.
//!
//! The event is written with the change that it tells of; the sending (`hooks`) reads it from the database later, so
//! that a receiver that is slow, or away, holds up nobody here.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::Notify;

use super::Uploads;
use crate::db::{EventQuery, NewEvent};
use crate::domain::{
    AllowedHosts, EventId, EventKind, EventState, NewUpload, Principal, State, Upload, UploadId,
    WebhookEvent, WebhookUrl,
};
use crate::error::Error;

/// Most events on one page.
const MAX_PAGE: u32 = 200;

const ADMINS_ONLY: Error = Error::Forbidden("only an admin key may look at webhooks and replay them");

/// What the verbs need to tell others.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    /// What may be called besides public addresses.
    pub allowed_hosts: AllowedHosts,
    /// Who is told of all uploads.
    pub operator: Option<Arc<Subscription>>,
    /// Rung when there is an event to send, so that nobody need wait for the next look.
    pub bell: Arc<Notify>,
}

/// The operator's own receiver, which hears of every upload.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its address, which is called wherever it is.
    pub url: String,
    /// The host in it.
    pub host: String,
    /// What it wants to hear of.
    pub kinds: Vec<EventKind>,
}

impl Subscription {
    /// Whether it hears of this. Who was told that an upload is complete hears whatever becomes of it when that was taken
    /// back.
    fn hears(&self, kind: EventKind, upload: &Upload) -> bool {
        self.kinds.contains(&kind) || (upload.was_announced() && self.kinds.contains(&EventKind::Complete))
    }
}

/// Which events to list; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct WebhookQuery {
    /// In which state.
    pub state: Option<EventState>,
    /// Older than this one: the last of the page before.
    pub cursor: Option<EventId>,
    /// Most events on the page; 50 if not given, at most 200.
    pub limit: Option<u32>,
}

/// One page of events, newest first.
#[derive(Debug, Clone)]
pub struct WebhookListing {
    /// The events.
    pub events: Vec<WebhookEvent>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<EventId>,
}

/// What a receiver is told: the chunk server's members first, then ours (`docs/webhooks.md`).
#[derive(Debug, Serialize)]
struct Payload<'a> {
    event: &'static str,
    file_id: String,
    filename: &'a str,
    total_size: u64,
    final_path: String,
    storage_backend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    upload_id: &'a str,
    owner: &'a str,
    protocol: &'a str,
    bucket: &'a str,
    key: &'a str,
    etag: Option<&'a str>,
    content_type: &'a str,
    metadata: &'a BTreeMap<String, String>,
}

impl Uploads {
    /// The upload's wishes with the address of its webhook judged, and written as it will be called.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that may not be called, [`Error::Forbidden`] for a visitor: whoever makes us
    /// call others must be somebody we know.
    pub(super) fn with_webhook_judged(
        &self,
        caller: &Principal,
        mut new: NewUpload,
    ) -> Result<NewUpload, Error> {
        let Some(text) = new.wishes.webhook_url.take() else {
            return Ok(new);
        };
        if caller.owner.is_visitor() {
            return Err(Error::Forbidden("a webhook_url takes an API key"));
        }
        let url = WebhookUrl::new(&text, &self.0.outbox.allowed_hosts)
            .map_err(|error| Error::Invalid(vec![error]))?;
        new.wishes.webhook_url = Some(url.as_str().to_owned());
        Ok(new)
    }

    /// The events of what happens to an upload at `now`: for the operator, if they want to hear of that, and of its end for
    /// the address that it began with.
    pub(super) fn events_of(
        &self,
        kind: EventKind,
        upload: &Upload,
        etag: Option<&str>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Vec<NewEvent>, Error> {
        let outbox = &self.0.outbox;
        let mut receivers: Vec<(String, String)> = Vec::new();
        if let Some(operator) = &outbox.operator
            && operator.hears(kind, upload)
        {
            receivers.push((operator.url.clone(), operator.host.clone()));
        }
        if let Some(url) = &upload.webhook_url
            && (matches!(kind, EventKind::Complete | EventKind::Rejected) || upload.was_announced())
            && receivers.iter().all(|(known, _)| known != url)
        {
            // An address that is no longer allowed is told of like any other failure to deliver.
            let host = WebhookUrl::new(url, &outbox.allowed_hosts)
                .map_or_else(|_| String::new(), |url| url.host().to_owned());
            receivers.push((url.clone(), host));
        }
        if receivers.is_empty() {
            return Ok(Vec::new());
        }
        let payload = Payload {
            event: kind.as_str(),
            file_id: upload.id.as_uuid_v4(),
            filename: upload.filename.as_str(),
            total_size: upload.size,
            final_path: self.address(upload),
            storage_backend: upload.storage.as_str(),
            completed_at: matches!(kind, EventKind::Complete | EventKind::Replaced).then_some(now),
            at: now,
            reason,
            upload_id: upload.id.as_str(),
            owner: upload.owner.as_str(),
            protocol: &upload.protocol,
            bucket: &upload.bucket,
            key: upload.key.as_str(),
            etag,
            content_type: upload.content_type.as_str(),
            metadata: &upload.metadata,
        };
        let payload = serde_json::to_string(&payload).map_err(Error::internal)?;
        let events = receivers.into_iter().map(|(url, host)| NewEvent {
            id: EventId::generate(now),
            kind,
            url,
            host,
            payload: payload.clone(),
        });
        Ok(events.collect())
    }

    /// The events of an upload that ends in this state without an object; it is looked up only if somebody wants to hear
    /// of that.
    pub(super) async fn events_of_end(&self, id: &UploadId, end: State) -> Result<Vec<NewEvent>, Error> {
        let kind = match end {
            State::Aborted => EventKind::Aborted,
            State::Expired => EventKind::Expired,
            State::Failed => EventKind::Failed,
            State::Open | State::Completing | State::Complete => return Ok(Vec::new()),
        };
        match &self.0.outbox.operator {
            // Which of both it takes is for the upload to say.
            Some(operator)
                if operator
                    .kinds
                    .iter()
                    .any(|own| [kind, EventKind::Complete].contains(own)) =>
            {
                let upload = self.as_recorded(id).await?;
                self.events_of(kind, &upload, None, None, self.now())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Has what was just written looked at.
    pub(super) fn ring(&self) {
        self.0.outbox.bell.notify_one();
    }

    /// Events, newest first, in cursor pages.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights.
    pub async fn webhooks(&self, caller: &Principal, query: WebhookQuery) -> Result<WebhookListing, Error> {
        if !caller.is_admin() {
            return Err(ADMINS_ONLY);
        }
        let limit = query.limit.unwrap_or(50).clamp(1, MAX_PAGE);
        let mut events = self
            .0
            .db
            .list_events(EventQuery {
                state: query.state,
                before: query.cursor,
                // One more than asked tells whether there is another page.
                limit: limit + 1,
            })
            .await?;
        let more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let next = events.last().filter(|_| more).map(|event| event.id.clone());
        Ok(WebhookListing { events, next })
    }

    /// Has a delivered or parked event sent again, under the same id; a pending one is left as it is.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without admin rights, [`Error::NotFound`].
    pub async fn replay_webhook(&self, caller: &Principal, id: &EventId) -> Result<WebhookEvent, Error> {
        if !caller.is_admin() {
            return Err(ADMINS_ONLY);
        }
        if self.0.db.replay_event(id, self.now()).await? {
            tracing::info!(event = %id, "a webhook is replayed");
            self.ring();
        }
        let event = self.0.db.find_event(id).await?;
        event.ok_or(Error::NotFound("webhook"))
    }
}
