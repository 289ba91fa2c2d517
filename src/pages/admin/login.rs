//! Logging in with an admin key, and out again.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::session::{self, Fields, SESSION, Sent, checked, guarded, see_other, with_form};
use super::throttle::Attempts;
use super::{MOUNT, VERSION, error_page, html};
use crate::error::Error;
use crate::identity::CookieSecret;
use crate::uploads::Uploads;
use crate::web::auth;
use crate::web::peer::{client_ip, outer_prefix};

/// The cookie that the log-in's form is bound to, before there is a session.
const FORM: &str = "muleteer_admin_form";

#[derive(Template)]
#[template(path = "admin/login.html")]
struct LoginPage {
    base: String,
    version: &'static str,
    token: String,
    next: String,
    complaint: Option<String>,
}

/// `GET /admin/login`
pub(super) async fn show(request: HttpRequest, query: Query<Fields>) -> HttpResponse {
    let next = query.get("next").cloned().unwrap_or_default();
    let answer = page(&request, &next, None, StatusCode::OK);
    guarded(answer.unwrap_or_else(|error| error_page(&request, &error)))
}

fn page(
    request: &HttpRequest,
    next: &str,
    complaint: Option<String>,
    status: StatusCode,
) -> Result<HttpResponse, Error> {
    let sent = request
        .cookie(FORM)
        .map(|cookie| CookieSecret::sent(cookie.value()));
    let secret = sent.clone().unwrap_or_else(CookieSecret::generate);
    let page = LoginPage {
        base: outer_prefix(request),
        version: VERSION,
        token: secret.form_token(),
        next: way_back(next).to_owned(),
        complaint,
    };
    let mut answer = html(&page)?;
    *answer.status_mut() = status;
    if sent.is_none() {
        let cookie = session::cookie(request, FORM, secret.as_str());
        answer.add_cookie(&cookie).map_err(Error::internal)?;
    }
    Ok(answer)
}

/// `POST /admin/login`
pub(super) async fn log_in(
    request: HttpRequest,
    form: Sent,
    attempts: Data<Attempts>,
    uploads: Data<Uploads>,
) -> HttpResponse {
    let outcome = try_to_log_in(&request, form, &attempts, &uploads).await;
    guarded(outcome.unwrap_or_else(|error| error_page(&request, &error)))
}

async fn try_to_log_in(
    request: &HttpRequest,
    form: Sent,
    attempts: &Attempts,
    uploads: &Uploads,
) -> Result<HttpResponse, Error> {
    auth::refuse_foreign_forms(request)?;
    let address = client_ip(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if let Err(seconds) = attempts.begin(address, uploads.now()) {
        let complaint = format!("Too many attempts. Try again in {seconds} seconds.");
        let mut answer = page(request, "", Some(complaint), StatusCode::TOO_MANY_REQUESTS)?;
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        return Ok(answer);
    }
    let cookie = request.cookie(FORM);
    let cookie = CookieSecret::sent(cookie.as_ref().map_or("", |cookie| cookie.value()));
    let fields = checked(form, &cookie)?;
    let given = |name: &str| fields.get(name).map_or("", String::as_str);
    match session::identity(request)?.log_in(given("key").trim()).await {
        Ok((admin, session)) => {
            attempts.forgive(address);
            tracing::info!(admin = %admin.owner, %address, "an admin has logged in");
            let mut answer = see_other(request, way_back(given("next")));
            for (name, value) in [(SESSION, session.as_str()), (FORM, "")] {
                let cookie = session::cookie(request, name, value);
                answer.add_cookie(&cookie).map_err(Error::internal)?;
            }
            Ok(answer)
        }
        Err(error @ (Error::Unauthenticated(_) | Error::Forbidden(_))) => {
            tracing::warn!(%address, "a log-in was refused");
            let status = match error {
                Error::Forbidden(_) => StatusCode::FORBIDDEN,
                _ => StatusCode::UNAUTHORIZED,
            };
            page(
                request,
                given("next"),
                Some(capitalized(&error.to_string())),
                status,
            )
        }
        Err(error) => Err(error),
    }
}

/// `POST /admin/logout`
pub(super) async fn log_out(request: HttpRequest, form: Sent) -> HttpResponse {
    with_form(&request, form, async |admin, _| {
        session::identity(&request)?.log_out(&admin.cookie).await?;
        let mut answer = see_other(&request, &format!("{MOUNT}/login"));
        let cookie = session::cookie(&request, SESSION, "");
        answer.add_cookie(&cookie).map_err(Error::internal)?;
        Ok(answer)
    })
    .await
}

/// The address to go on with: one of our own pages and nothing else.
fn way_back(next: &str) -> &str {
    let rest = next.strip_prefix(MOUNT).unwrap_or("x");
    let is_ours = rest.is_empty() || rest.starts_with(['/', '?']);
    let is_plain = next.bytes().all(|b| (b'!'..=b'~').contains(&b) && b != b'\\');
    if is_ours && is_plain && !next.contains("//") && !rest.starts_with("/login") {
        next
    } else {
        MOUNT
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_a_page_of_ours() {
        for own in ["/admin", "/admin/uploads/0190?x=1", "/admin?q=a%20b"] {
            assert_eq!(way_back(own), own);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/administrator",
            "https://evil.example/admin",
            "/admin//evil.example",
            "/admin/\\evil",
            "/admin\r\nSet-Cookie:x",
            "/admin/login?next=/admin",
        ] {
            assert_eq!(way_back(other), MOUNT, "{other}");
        }
    }
}
