//! Webhooks as an admin sees them: which events there are, how their delivery stands, and sending one again.
//!
//! Separate from the uploads' handlers, because nobody but an admin has business here.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, fresh};
use crate::domain::{EventId, EventState, WebhookEvent};
use crate::error::{Error, FieldError};
use crate::uploads::{Uploads, WebhookListing, WebhookQuery};
use crate::web::{auth, body};

/// Which events to list; every parameter narrows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListWebhooks {
    /// `pending`, `delivered` or `parked`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Most events on the page: 50 if absent, at most 200.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
}

impl ListWebhooks {
    /// The query in the verbs' words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every bad parameter at once.
    fn parse(self) -> Result<WebhookQuery, Error> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut bad = Vec::new();
        let mut complain = |field: &str, detail: &str| bad.push(FieldError::new(field, detail));
        let state = given(self.state).and_then(|text| {
            let state = EventState::parse(&text);
            if state.is_none() {
                complain("state", "is one of pending, delivered, parked");
            }
            state
        });
        let cursor = given(self.cursor).and_then(|text| {
            let cursor = EventId::parse(&text).ok();
            if cursor.is_none() {
                complain("cursor", "is the next_cursor of an earlier page");
            }
            cursor
        });
        let limit = given(self.limit).and_then(|text| {
            let limit = text.parse().ok().filter(|limit| (1..=200).contains(limit));
            if limit.is_none() {
                complain("limit", "is 1 to 200");
            }
            limit
        });
        if !bad.is_empty() {
            return Err(Error::Invalid(bad));
        }
        Ok(WebhookQuery { state, cursor, limit })
    }
}

/// An event and how its delivery stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookView {
    /// The same on every delivery.
    id: String,
    /// The upload that it is about.
    upload_id: String,
    /// `upload.complete`
    kind: &'static str,
    /// Where it goes.
    url: String,
    /// `pending`, `delivered` or `parked`.
    state: &'static str,
    /// How often it was sent since it was made or replayed.
    attempts: u32,
    /// When it is sent next; `null` unless it is pending.
    next_attempt_at: Option<DateTime<Utc>>,
    /// The status of the last answer; `null` where there was none.
    last_status: Option<u16>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When anything last happened to it.
    updated_at: DateTime<Utc>,
    /// When its receiver took it.
    delivered_at: Option<DateTime<Utc>>,
}

impl From<WebhookEvent> for WebhookView {
    fn from(event: WebhookEvent) -> Self {
        Self {
            id: event.id.to_string(),
            upload_id: event.upload_id.to_string(),
            kind: event.kind.as_str(),
            url: event.url,
            state: event.state.as_str(),
            attempts: event.attempts,
            next_attempt_at: (event.state == EventState::Pending).then_some(event.next_attempt_at),
            last_status: event.last_status,
            last_error: event.last_error,
            created_at: event.created_at,
            updated_at: event.updated_at,
            delivered_at: event.delivered_at,
        }
    }
}

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookPage {
    /// Newest first.
    webhooks: Vec<WebhookView>,
    /// Ask with it as `cursor` for the next page; `null` on the last.
    next_cursor: Option<String>,
}

impl From<WebhookListing> for WebhookPage {
    fn from(listing: WebhookListing) -> Self {
        Self {
            next_cursor: listing.next.map(|id| id.to_string()),
            webhooks: listing.events.into_iter().map(WebhookView::from).collect(),
        }
    }
}

/// Events about completed uploads, newest first, in cursor pages. Needs the scope `admin`.
#[utoipa::path(tag = "webhooks", params(ListWebhooks), responses(
    (status = 200, body = WebhookPage),
    (status = 400, description = "`errors` names each bad parameter"),
    (status = 403, description = "The key lacks the scope `admin`"),
))]
#[get("/webhooks")]
pub(super) async fn list_webhooks(request: HttpRequest, uploads: Data<Uploads>) -> Answer {
    let query = body::query::<ListWebhooks>(&request)?.parse()?;
    let caller = auth::caller(&request).await?;
    let page = WebhookPage::from(uploads.webhooks(&caller, query).await?);
    Ok(fresh(HttpResponse::Ok(), &page))
}

/// Sends a delivered or parked event again, under the same id; a pending one is left as it is. Needs the scope `admin`.
#[utoipa::path(tag = "webhooks", params(("id" = String, Path, description = "The event")), responses(
    (status = 200, body = WebhookView),
    (status = 403, description = "The key lacks the scope `admin`"),
    (status = 404, description = "There is no such event"),
))]
#[post("/webhooks/{id}/replay")]
pub(super) async fn replay_webhook(
    request: HttpRequest,
    path: Path<String>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = auth::caller(&request).await?;
    let event = uploads.replay_webhook(&caller, &EventId::parse(&path)?).await?;
    Ok(fresh(HttpResponse::Ok(), &WebhookView::from(event)))
}
