//! What the sweeper did.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::session::with_admin;
use super::words::Moment;
use super::{Frame, VERSION, html};
use crate::uploads::{SweepRecord, Uploads};
use crate::web::peer::outer_prefix;

struct Line {
    ended: Moment,
    since: String,
    record: SweepRecord,
    is_idle: bool,
}

#[derive(Template)]
#[template(path = "admin/sweeps.html")]
struct SweepsPage {
    base: String,
    version: &'static str,
    frame: Frame,
    lines: Vec<Line>,
}

/// `GET /admin/sweeps`
pub(super) async fn list(request: HttpRequest, uploads: Data<Uploads>) -> HttpResponse {
    with_admin(&request, async |admin| {
        let (records, now) = (uploads.sweeps(&admin.caller).await?, uploads.now());
        let line = |record: SweepRecord| Line {
            ended: Moment::new(record.ended_at, now),
            since: Moment::new(record.began_at, now).plain,
            is_idle: record.is_idle(),
            record,
        };
        let page = SweepsPage {
            base: outer_prefix(&request),
            version: VERSION,
            frame: Frame::new(&request, admin, "sweeps"),
            lines: records.into_iter().map(line).collect(),
        };
        html(&page)
    })
    .await
}
