//! Webhook deliveries, and having one sent again.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::session::{Fields, Sent, see_other, with_admin, with_form};
use super::words::{Moment, span};
use super::{Frame, MOUNT, VERSION, html};
use crate::domain::{EventId, EventState};
use crate::error::Error;
use crate::uploads::{Uploads, WebhookQuery};
use crate::web::peer::outer_prefix;

/// Deliveries on one page.
const PAGE: u32 = 50;

struct Line {
    id: String,
    state: &'static str,
    may_replay: bool,
    url: String,
    upload: String,
    attempts: u32,
    outcome: String,
    written: Moment,
    /// When the next attempt is, in words.
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/webhooks.html")]
struct WebhooksPage {
    base: String,
    version: &'static str,
    frame: Frame,
    /// The state that the list is narrowed to; empty for none.
    state: String,
    states: Vec<&'static str>,
    lines: Vec<Line>,
    next: Option<String>,
    done: bool,
}

/// `GET /admin/webhooks`
pub(super) async fn list(request: HttpRequest, query: Query<Fields>, uploads: Data<Uploads>) -> HttpResponse {
    with_admin(&request, async |admin| {
        let given = |name: &str| {
            query
                .get(name)
                .map(String::as_str)
                .filter(|text| !text.is_empty())
        };
        let state = match given("state") {
            None => None,
            Some(text) => {
                let state = EventState::parse(text);
                Some(state.ok_or_else(|| Error::invalid("state", "must be a state of the list"))?)
            }
        };
        let cursor = given("before").map(EventId::parse).transpose();
        let wanted = WebhookQuery {
            state,
            cursor: cursor.map_err(|_| Error::invalid("before", "must be the cursor of a page"))?,
            limit: Some(PAGE),
        };
        let (listing, now) = (uploads.webhooks(&admin.caller, wanted).await?, uploads.now());
        let line = |event: crate::domain::WebhookEvent| Line {
            state: event.state.as_str(),
            may_replay: event.state != EventState::Pending,
            upload: event.upload_id.to_string(),
            attempts: event.attempts,
            outcome: match (event.last_status, event.last_error) {
                (_, Some(error)) => error,
                (Some(status), None) => format!("answered {status}"),
                (None, None) => String::new(),
            },
            written: Moment::new(event.created_at, now),
            next: (event.state == EventState::Pending).then(|| next_words(event.next_attempt_at, now)),
            url: event.url,
            id: event.id.to_string(),
        };
        let page = WebhooksPage {
            base: outer_prefix(&request),
            version: VERSION,
            frame: Frame::new(&request, admin, "webhooks"),
            state: state.map_or("", EventState::as_str).to_owned(),
            states: EventState::ALL.iter().map(|state| state.as_str()).collect(),
            lines: listing.events.into_iter().map(line).collect(),
            next: listing.next.map(|next| next.to_string()),
            done: given("done").is_some(),
        };
        html(&page)
    })
    .await
}

/// A time that is over says no more than that it is somebody's turn.
fn next_words(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let left = at - now;
    if left < TimeDelta::seconds(1) {
        "due now".to_owned()
    } else {
        format!("next in {}", span(left))
    }
}

/// `POST /admin/webhooks/{id}/replay`
pub(super) async fn replay(
    request: HttpRequest,
    path: Path<String>,
    form: Sent,
    uploads: Data<Uploads>,
) -> HttpResponse {
    with_form(&request, form, async |admin, _| {
        let id = EventId::parse(&path)?;
        uploads.replay_webhook(&admin.caller, &id).await?;
        Ok(see_other(&request, &format!("{MOUNT}/webhooks?done=1")))
    })
    .await
}
