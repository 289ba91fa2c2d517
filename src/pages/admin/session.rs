//! Who is logged in, and whether a form is of a page that we gave to them.
//!
//! Separate from the pages, so that none of them can forget it: a page gets its [`Admin`] here and nowhere else.

use std::collections::HashMap;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY};
use actix_web::web::{Data, Form};
use actix_web::{HttpRequest, HttpResponse};

use super::{MOUNT, error_page};
use crate::domain::Principal;
use crate::error::Error;
use crate::identity::{CookieSecret, Identity, SESSION_LIFE};
use crate::web::auth;
use crate::web::peer::{is_https, outer_prefix};

/// The session's cookie.
pub(super) const SESSION: &str = "muleteer_admin";

/// The field of every form that proves where it comes from.
const TOKEN_FIELD: &str = "token";

/// What a form brought.
pub(super) type Fields = HashMap<String, String>;

/// A form as actix reads it.
pub(super) type Sent = Result<Form<Fields>, actix_web::Error>;

/// Somebody who is logged in.
pub(super) struct Admin {
    /// Who it is, with admin rights.
    pub(super) caller: Principal,
    /// Their session.
    pub(super) cookie: CookieSecret,
}

/// Answers with `page` for whoever is logged in; others are led to the log-in and back.
pub(super) async fn with_admin(
    request: &HttpRequest,
    page: impl AsyncFnOnce(&Admin) -> Result<HttpResponse, Error>,
) -> HttpResponse {
    let outcome = match admin(request).await {
        Ok(Some(admin)) => page(&admin).await,
        Ok(None) => Ok(to_log_in(request)),
        Err(error) => Err(error),
    };
    guarded(outcome.unwrap_or_else(|error| error_page(request, &error)))
}

/// Does what a form asks for, for whoever is logged in and got that form from us.
pub(super) async fn with_form(
    request: &HttpRequest,
    form: Sent,
    act: impl AsyncFnOnce(&Admin, Fields) -> Result<HttpResponse, Error>,
) -> HttpResponse {
    let outcome = async {
        auth::refuse_foreign_forms(request)?;
        let Some(admin) = admin(request).await? else {
            return Ok(to_log_in(request));
        };
        let fields = checked(form, &admin.cookie)?;
        act(&admin, fields).await
    };
    guarded(outcome.await.unwrap_or_else(|error| error_page(request, &error)))
}

/// The fields of a form that we gave to the browser with this cookie.
///
/// # Errors
/// [`Error::Invalid`] for what is no form, [`Error::Forbidden`] for a form of anybody else.
pub(super) fn checked(form: Sent, cookie: &CookieSecret) -> Result<Fields, Error> {
    let Form(fields) = form.map_err(|_| Error::invalid("form", "must be a form of this page, and short"))?;
    let token = fields.get(TOKEN_FIELD).map_or("", String::as_str);
    if cookie.gave(token) {
        Ok(fields)
    } else {
        Err(Error::Forbidden(
            "this form is not of a page that you have just been given; go back, load the page anew and try again",
        ))
    }
}

/// What no page of ours may be without: nothing keeps it, and its own forms say where they come from.
pub(super) fn guarded(mut answer: HttpResponse) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

async fn admin(request: &HttpRequest) -> Result<Option<Admin>, Error> {
    let Some(cookie) = request.cookie(SESSION) else {
        return Ok(None);
    };
    let cookie = CookieSecret::sent(cookie.value());
    let caller = identity(request)?.by_session(&cookie).await?;
    Ok(caller.map(|caller| Admin {
        caller: auth::located(request, caller),
        cookie,
    }))
}

pub(super) fn identity(request: &HttpRequest) -> Result<&Data<Identity>, Error> {
    request
        .app_data::<Data<Identity>>()
        .ok_or_else(|| Error::internal("no identity in this app"))
}

/// Leads to the log-in, which leads back. Who follows a link from another site brings no strict cookie along, logged in
/// or not: for them the same page is asked for once more, by a page of our own.
fn to_log_in(request: &HttpRequest) -> HttpResponse {
    let site = request.headers().get("sec-fetch-site");
    let is_link = site.is_some_and(|site| site == "cross-site") && request.cookie(SESSION).is_none();
    if is_link && request.method().is_safe() {
        return HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .body("<!doctype html><meta http-equiv=\"refresh\" content=\"0\"><title>Muleteer</title>");
    }
    let way_back = if request.method().is_safe() {
        request
            .uri()
            .path_and_query()
            .map_or(MOUNT, |whole| whole.as_str())
    } else {
        MOUNT
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", way_back)
        .finish();
    see_other(request, &format!("{MOUNT}/login?{query}"))
}

/// Leads on to an address of ours, after a form.
pub(super) fn see_other(request: &HttpRequest, address: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, format!("{}{address}", outer_prefix(request))))
        .finish()
}

/// A cookie for the admin pages alone; an empty one is taken away.
pub(super) fn cookie(request: &HttpRequest, name: &'static str, value: &str) -> Cookie<'static> {
    let life = if value.is_empty() {
        Duration::ZERO
    } else {
        Duration::seconds(SESSION_LIFE.num_seconds())
    };
    Cookie::build(name, value.to_owned())
        .path(format!("{}{MOUNT}", outer_prefix(request)))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https(request))
        .max_age(life)
        .finish()
}
