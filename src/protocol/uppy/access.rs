//! Who is asking, where a page may be able to send nothing but an address; and the tokens for those.
//!
//! Version 6 sends no header of the page's choice, and cookies to its own origin alone. So whoever has an API key, which
//! no page should have, makes a token that stands in the page's address.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use serde_json::json;

use super::Answer;
use super::replies::ok;
use crate::config::UppyConfig;
use crate::domain::Principal;
use crate::error::Error;
use crate::identity::Identity;
use crate::web::failures::counted;
use crate::web::peer::{outer_origin, outer_prefix};
use crate::web::{auth, body};

/// Whoever the token in the address is of, else whoever the request says.
pub async fn caller(request: &HttpRequest, identity: &Identity) -> Result<Principal, Error> {
    match token(request) {
        Some(token) => {
            let caller = counted(request, identity.by_pass(token)).await?;
            Ok(auth::located(request, caller))
        }
        None => auth::caller_or_anybody(request).await,
    }
}

fn token(request: &HttpRequest) -> Option<&str> {
    request.match_info().get("token")
}

/// `POST /token`: a token with which a page acts in the caller's name, for callers with a credential of their own.
pub async fn make_token(
    request: HttpRequest,
    payload: Payload,
    settings: Data<UppyConfig>,
    identity: Data<Identity>,
) -> Answer {
    // A token must not prolong itself.
    if token(&request).is_some() {
        return Err(Error::Forbidden("a token is made with an API key, not with another token").into());
    }
    let caller = auth::caller(&request).await?;
    let _: serde_json::Map<String, serde_json::Value> = body::json(&request, payload).await?;
    let seconds = i64::try_from(settings.token_ttl_s).unwrap_or(i64::MAX / 1000);
    let made = identity.pass(&caller, TimeDelta::seconds(seconds))?;
    // Clients put the last piece of our address behind it themselves.
    let before = settings.path.strip_suffix("/s3").unwrap_or(&settings.path);
    let base = format!(
        "{}{}{}/{}{before}",
        outer_origin(&request).unwrap_or_default(),
        outer_prefix(&request),
        settings.token_path,
        made.ticket,
    );
    let mut answer = ok(&json!({
        "token": made.ticket,
        "base": base,
        "expires_at": made.expires_at,
    }));
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

/// `DELETE /token` below the token's own address: from now on it is good for nothing.
pub async fn revoke_token(request: HttpRequest, identity: Data<Identity>) -> Answer {
    let token = token(&request).ok_or(Error::NotFound("token in this address"))?;
    identity.revoke_pass(token).await?;
    Ok(HttpResponse::NoContent().finish())
}
