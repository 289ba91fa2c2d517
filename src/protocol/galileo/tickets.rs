//! Tickets: an address for one upload, for pages whose script can be given nothing but an address.
//!
//! Separate, because this is ordinary HTTP, and says so with problem documents.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::json;

use super::Door;
use crate::error::Error;
use crate::identity::{Identity, TicketBounds};
use crate::web::peer::{is_https, origin_of, own_origin};
use crate::web::problem::{Failure, ProblemDocument};
use crate::web::{auth, body};

/// What a ticket shall be bound to.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    size: Option<u64>,
    origin: Option<String>,
}

/// `POST …/ticket`: an address with a ticket, good once and for a minute. Who asks is known as in the native API; the
/// answer must go to the page alone that will use it.
pub async fn make(
    request: HttpRequest,
    payload: Payload,
    door: Data<Door>,
    identity: Data<Identity>,
) -> Result<HttpResponse, Failure<ProblemDocument>> {
    let caller = auth::caller_or_newcomer(&request).await?;
    let has_body = body::announced_length(&request) != Some(0)
        && request
            .headers()
            .contains_key(actix_web::http::header::CONTENT_TYPE);
    let wanted = if has_body {
        body::json::<Wanted>(&request, payload).await?
    } else {
        Wanted::default()
    };
    let origin = wanted.origin.map(|text| {
        origin_of(&text).ok_or_else(|| Error::invalid("origin", "looks like https://app.example.org"))
    });
    let bounds = TicketBounds {
        name: wanted.name,
        size: wanted.size,
        origin: origin.transpose()?,
    };
    let ticket = identity.ticket(&caller, bounds)?;
    let path = format!("{}?ticket={}", door.mount, ticket.ticket);
    let own = own_origin(&request).unwrap_or_default();
    let host = own.split_once("://").map_or("", |(_, host)| host);
    let scheme = if is_https(&request) { "wss" } else { "ws" };
    Ok(HttpResponse::Created()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({
            "url": format!("{scheme}://{host}{path}"),
            "path": path,
            "ticket": ticket.ticket,
            "expires_at": ticket.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        })))
}
