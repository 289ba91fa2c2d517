//! One upload: everything that is known of it, and what an admin can do with it.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};

use super::advice::{self, Advice};
use super::parts::PartMap;
use super::session::{Fields, Sent, see_other, with_admin, with_form};
use super::timeline::{self, Line};
use super::words::{Moment, bytes};
use super::{Frame, MOUNT, VERSION, html};
use crate::domain::{State, SupportCode, Upload, UploadId, with_directions_shown};
use crate::error::Error;
use crate::uploads::{Inspection, MOST_HOURS, StoreView, Uploads};
use crate::web::peer::outer_prefix;

/// One thing that is known of an upload.
struct Fact {
    name: &'static str,
    value: String,
    /// Where it leads, for a value that other uploads share.
    address: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/upload.html")]
struct UploadPage {
    base: String,
    version: &'static str,
    frame: Frame,
    id: String,
    name: String,
    code: String,
    state: &'static str,
    is_unfinished: bool,
    /// Whether giving it up would change anything.
    may_abort: bool,
    began: Moment,
    touched: Moment,
    expires: Option<Moment>,
    facts: Vec<Fact>,
    advice: Advice,
    map: Option<PartMap>,
    /// What there is to say of the store's answer.
    store: String,
    lines: Vec<Line>,
    most_hours: u32,
    /// What was just done.
    done: Option<&'static str>,
}

/// `GET /admin/uploads/{id}`
pub(super) async fn show(
    request: HttpRequest,
    path: Path<String>,
    query: Query<Fields>,
    uploads: Data<Uploads>,
) -> HttpResponse {
    with_admin(&request, async |admin| {
        let id = UploadId::parse(&path)?;
        let inspection = uploads.inspect(&admin.caller, &id).await?;
        let (upload, now) = (&inspection.upload, uploads.now());
        let map = PartMap::new(&inspection, now);
        let is_unfinished = upload.state.is_unfinished();
        let page = UploadPage {
            base: outer_prefix(&request),
            version: VERSION,
            frame: Frame::new(&request, admin, "uploads"),
            id: upload.id.to_string(),
            name: upload.filename.shown(),
            code: SupportCode::of(&upload.id).to_string(),
            state: upload.state.as_str(),
            is_unfinished,
            may_abort: is_unfinished || upload.state == State::Failed,
            began: Moment::new(upload.created_at, now),
            touched: Moment::new(upload.updated_at, now),
            expires: is_unfinished.then(|| Moment::new(upload.expires_at, now)),
            facts: facts(upload, &uploads),
            advice: advice::on(&inspection, map.as_ref(), now),
            map,
            store: store_words(&inspection, now),
            lines: timeline::lines(&inspection, now),
            most_hours: MOST_HOURS,
            done: query.get("done").and_then(|done| done_words(done, upload.state)),
        };
        html(&page)
    })
    .await
}

/// `POST /admin/uploads/{id}/abort`
pub(super) async fn abort(
    request: HttpRequest,
    path: Path<String>,
    form: Sent,
    uploads: Data<Uploads>,
) -> HttpResponse {
    with_form(&request, form, async |admin, fields| {
        let id = UploadId::parse(&path)?;
        if fields.get("sure").map(String::as_str) != Some("yes") {
            return Err(Error::invalid("sure", "must be ticked: what is aborted is gone"));
        }
        uploads.abort_for_admin(&admin.caller, &id).await?;
        Ok(back_to(&request, &id, "aborted"))
    })
    .await
}

/// `POST /admin/uploads/{id}/extend`
pub(super) async fn extend(
    request: HttpRequest,
    path: Path<String>,
    form: Sent,
    uploads: Data<Uploads>,
) -> HttpResponse {
    with_form(&request, form, async |admin, fields| {
        let id = UploadId::parse(&path)?;
        let hours = fields.get("hours").and_then(|hours| hours.trim().parse().ok());
        let hours = hours.ok_or_else(|| Error::invalid("hours", format!("must be 1 to {MOST_HOURS}")))?;
        let is_longer = uploads.extend(&admin.caller, &id, hours).await?;
        Ok(back_to(
            &request,
            &id,
            if is_longer { "extended" } else { "unchanged" },
        ))
    })
    .await
}

/// `POST /admin/uploads/{id}/complete`
pub(super) async fn complete(
    request: HttpRequest,
    path: Path<String>,
    form: Sent,
    uploads: Data<Uploads>,
) -> HttpResponse {
    with_form(&request, form, async |admin, _| {
        let id = UploadId::parse(&path)?;
        uploads.complete_for_admin(&admin.caller, &id).await?;
        Ok(back_to(&request, &id, "completed"))
    })
    .await
}

fn back_to(request: &HttpRequest, id: &UploadId, done: &str) -> HttpResponse {
    see_other(request, &format!("{MOUNT}/uploads/{id}?done={done}"))
}

/// What is said after an act, as far as the upload still is as that left it: the address may be somebody's bookmark.
fn done_words(done: &str, state: State) -> Option<&'static str> {
    match (done, state) {
        ("aborted", State::Aborted) => Some("It was given up."),
        ("extended", State::Open | State::Completing) => Some("It lives longer now."),
        ("unchanged", State::Open | State::Completing) => Some("It already lives longer than that."),
        ("completed", State::Completing) => Some("It is being completed."),
        ("completed", State::Complete) => Some("It is complete."),
        _ => None,
    }
}

fn facts(upload: &Upload, uploads: &Uploads) -> Vec<Fact> {
    let plain = |name, value: String| Fact {
        name,
        value,
        address: None,
    };
    let search = |name, kind: &str, value: String| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("in", kind)
            .append_pair("q", &value)
            .finish();
        Fact {
            name,
            value,
            address: Some(format!("{MOUNT}?{query}")),
        }
    };
    let size = match upload.known_size() {
        Some(size) if size >= 1024 => format!("{} ({size} bytes)", bytes(size)),
        Some(size) => format!("{size} bytes"),
        None => "not known yet".to_owned(),
    };
    let mut facts = vec![
        search("Owner", "owner", upload.owner.to_string()),
        plain("Size", size),
        plain("Type", upload.content_type.as_str().to_owned()),
        plain(
            "Protocol",
            format!("{}, {}", upload.protocol, upload.transfer.as_str()),
        ),
    ];
    if let Some(address) = upload.client_ip {
        facts.push(search("Began from", "address", address.to_string()));
    }
    if upload.cut.is_ours() && upload.appending.is_none() && upload.plan().part_count() > 0 {
        let plan = upload.plan();
        facts.push(plain(
            "Parts",
            format!("{} of {}", plan.part_count(), bytes(upload.part_size)),
        ));
    }
    facts.push(plain(
        "Stored at",
        with_directions_shown(&uploads.address(upload)),
    ));
    if let Some(multipart_id) = &upload.multipart_id {
        facts.push(plain("S3 upload id", multipart_id.clone()));
    }
    if let Some(etag) = &upload.etag {
        facts.push(plain("ETag", etag.clone()));
    }
    facts.push(plain("Our id", upload.id.to_string()));
    facts
}

fn store_words(inspection: &Inspection, now: DateTime<Utc>) -> String {
    let at = now.format("%H:%M:%S UTC");
    match &inspection.store {
        StoreView::Lists(_) => format!("The store was asked at {at}."),
        StoreView::Lost => format!("The store, asked at {at}, knows no such multipart upload (any more)."),
        StoreView::Silent(why) => {
            format!("The store could not be asked: {why}. The map shows our record alone.")
        }
        StoreView::NotAsked if !inspection.upload.state.is_unfinished() => {
            "It has ended, so the store has no parts of it any more. The map shows what was recorded."
                .to_owned()
        }
        StoreView::NotAsked => "Its bytes come one after the other, not in numbered parts.".to_owned(),
    }
}
