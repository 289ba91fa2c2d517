//! What lies open, by owner: bytes that are paid for and belong to no object yet.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::session::with_admin;
use super::words::bytes;
use super::{Frame, VERSION, html};
use crate::uploads::Uploads;
use crate::web::peer::outer_prefix;

struct Line {
    owner: String,
    /// The query that finds the owner's open uploads.
    query: String,
    uploads: u64,
    declared: String,
    arrived: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/owners.html")]
struct OwnersPage {
    base: String,
    version: &'static str,
    frame: Frame,
    lines: Vec<Line>,
    uploads: u64,
    declared: String,
    arrived: Option<String>,
}

/// `GET /admin/owners`
pub(super) async fn list(request: HttpRequest, uploads: Data<Uploads>) -> HttpResponse {
    with_admin(&request, async |admin| {
        let open = uploads.open_bytes(&admin.caller).await?;
        let total =
            |of: fn(&crate::uploads::OpenBytes) -> u64| open.iter().map(of).fold(0, u64::saturating_add);
        let arrived: Option<u64> = open.iter().map(|owner| owner.arrived).sum();
        let page = OwnersPage {
            base: outer_prefix(&request),
            version: VERSION,
            frame: Frame::new(&request, admin, "owners"),
            uploads: total(|owner| owner.uploads),
            declared: bytes(total(|owner| owner.declared)),
            arrived: arrived.map(bytes),
            lines: open
                .iter()
                .map(|open| Line {
                    owner: open.owner.to_string(),
                    query: url::form_urlencoded::Serializer::new(String::new())
                        .append_pair("in", "owner")
                        .append_pair("q", open.owner.as_str())
                        .append_pair("state", "open")
                        .finish(),
                    uploads: open.uploads,
                    declared: bytes(open.declared),
                    arrived: open.arrived.map(bytes),
                })
                .collect(),
        };
        html(&page)
    })
    .await
}
