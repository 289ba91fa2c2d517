//! Where in a request its credential stands: `X-API-Key`, `Authorization: Bearer` (a token, or a key as well), what the
//! application knows it by, or a visitor's cookie.
//!
//! Separate from `identity`, which knows what each is worth and nothing of requests.

mod application;

use actix_web::body::MessageBody;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderName, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::cors;
use super::failures::counted;
use super::peer::{client_ip, is_https, origin_of, own_origin};
use crate::domain::Principal;
use crate::error::Error;
use crate::identity::Identity;

/// The cookie that knows a visitor again.
const COOKIE: &str = "muleteer_visitor";

/// As long as browsers keep a cookie at all.
const COOKIE_LIFE: Duration = Duration::days(400);

const NOBODY: Error = Error::Unauthenticated(
    "say who you are: an API key in X-API-Key, or an upload's token in Authorization: Bearer",
);

const OTHER_SITE: Error = Error::Forbidden("pages of other sites must send an API key or an upload's token");

const FOREIGN_FORM: Error = Error::Forbidden(
    "this form was sent by a page of another site; behind a proxy, server.public_url says what our own address is",
);

/// A cookie that the answer must carry.
struct CookieToSend(String);

/// Who is asking, by a credential that they brought.
///
/// # Errors
/// [`Error::Unauthenticated`] without one or with a wrong one, [`Error::Forbidden`] for a cookie that another
/// site's page makes the browser send.
pub async fn caller(request: &HttpRequest) -> Result<Principal, Error> {
    known(request)
        .await?
        .ok_or(NOBODY)
        .map(|caller| located(request, caller))
}

/// Who is asking, where pages can send nothing but parameters: by a key that came as one, else as
/// [`caller_or_newcomer`] where `newcomers` are welcome, and as [`caller`] where not.
///
/// # Errors
/// As [`caller`].
pub async fn caller_with_key(
    request: &HttpRequest,
    key: Option<&str>,
    newcomers: bool,
) -> Result<Principal, Error> {
    match key {
        Some(key) => {
            let caller = counted(request, identity(request)?.by_credential(key)).await?;
            Ok(located(request, caller))
        }
        None if newcomers => caller_or_newcomer(request).await,
        None => caller(request).await,
    }
}

/// Who is asking; a newcomer becomes a visitor, where visitors are admitted, and the answer carries their cookie.
///
/// # Errors
/// As [`caller`].
pub async fn caller_or_newcomer(request: &HttpRequest) -> Result<Principal, Error> {
    if let Some(principal) = known(request).await? {
        return Ok(located(request, principal));
    }
    refuse_other_sites(request)?;
    let visitor = identity(request)?.new_visitor().ok_or(NOBODY)?;
    request.extensions_mut().insert(CookieToSend(visitor.cookie));
    Ok(located(request, visitor.principal))
}

/// Who is asking, for clients that keep no cookies: by an API key or a token, else
/// [anybody](Identity::anybody), where such are admitted. A visitor's cookie counts for nothing here, since whoever
/// began an upload without it must find it again with it.
///
/// A page of a site that may not call us is not anybody, as little as it is a visitor: without asking, it could use us
/// as a store of its own. What is only looked at is open to links from everywhere.
///
/// # Errors
/// As [`caller`].
pub async fn caller_without_cookies(request: &HttpRequest) -> Result<Principal, Error> {
    if let Some(principal) = credentialed(request).await? {
        return Ok(located(request, principal));
    }
    if !request.method().is_safe() && !cors::is_from_allowed_site(request) {
        refuse_other_sites(request)?;
    }
    let anybody = identity(request)?.anybody().ok_or(NOBODY)?;
    Ok(located(request, anybody))
}

/// Who is asking, at an address that pages of [listed](cors::is_from_listed_site) sites may use with their visitors'
/// cookies: by an API key or a token, by a cookie, else [anybody](Identity::anybody). Nobody becomes a visitor here: a page
/// that sends several files at once would become several.
///
/// # Errors
/// As [`caller`].
pub async fn caller_or_anybody(request: &HttpRequest) -> Result<Principal, Error> {
    if let Some(principal) = credentialed(request).await? {
        return Ok(located(request, principal));
    }
    let cookie = request.cookie(COOKIE);
    let identity = identity(request)?;
    let visitor = cookie.and_then(|cookie| identity.by_cookie(cookie.value()));
    let may_call = if visitor.is_some() {
        cors::is_from_listed_site(request)
    } else {
        cors::is_from_allowed_site(request)
    };
    if !may_call {
        refuse_other_sites(request)?;
    }
    let caller = visitor.or_else(|| identity.anybody()).ok_or(NOBODY)?;
    Ok(located(request, caller))
}

/// Who opens a connection that other sites' pages can open too, since a browser asks nobody about it: by an API key or
/// a token; and by a visitor's cookie where `own_page` says that one of our own pages asks. `None` where nothing says so.
///
/// # Errors
/// [`Error::Unauthenticated`] with a wrong credential.
pub async fn caller_at_handshake(request: &HttpRequest, own_page: bool) -> Result<Option<Principal>, Error> {
    if let Some(principal) = credentialed(request).await? {
        return Ok(Some(principal));
    }
    let cookie = request.cookie(COOKIE).filter(|_| own_page);
    let identity = identity(request)?;
    Ok(cookie.and_then(|cookie| identity.by_cookie(cookie.value())))
}

/// Refuses a page of another site that `cors.allowed_origins` does not list, whatever it brings. A browser names the
/// page's site with every request from elsewhere, and with every one that could change something.
///
/// # Errors
/// [`Error::Forbidden`] for such a page.
pub fn refuse_unlisted_sites(request: &HttpRequest) -> Result<(), Error> {
    Page::of(
        request,
        "pages of this site may not call here; cors.allowed_origins lists those that may",
    )
    .map(drop)
}

/// The page that asks, which may.
#[derive(Debug, Default)]
pub struct Page {
    /// Its origin; `None` where no page asks.
    pub origin: Option<String>,
    /// Whether it is one of our own.
    pub is_own: bool,
}

impl Page {
    /// Whose page asks.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with this text for a page of another site that `cors.allowed_origins` does not list.
    pub fn of(request: &HttpRequest, refusal: &'static str) -> Result<Self, Error> {
        let Some(value) = request.headers().get(ORIGIN) else {
            return Ok(Self::default());
        };
        let origin = value.to_str().ok().and_then(origin_of);
        let origin = origin.ok_or(Error::Forbidden(refusal))?;
        let is_own = own_origin(request).is_some_and(|own| own == origin);
        if is_own || cors::is_from_allowed_site(request) {
            Ok(Self {
                origin: Some(origin),
                is_own,
            })
        } else {
            Err(Error::Forbidden(refusal))
        }
    }
}

/// Who is asking, where visitors are not admitted: by an API key, or anything else that [`caller`] takes but a visitor's
/// cookie.
///
/// # Errors
/// As [`caller`].
pub async fn key_holder(request: &HttpRequest) -> Result<Principal, Error> {
    let caller = credentialed(request).await?;
    let caller = caller.ok_or(Error::Unauthenticated("an API key is needed, in X-API-Key"))?;
    Ok(located(request, caller))
}

/// The token in `Authorization: Bearer`.
///
/// # Errors
/// [`Error::Unauthenticated`] without one.
pub fn bearer(request: &HttpRequest) -> Result<&str, Error> {
    header(request, &AUTHORIZATION)?
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(Error::Unauthenticated(
            "a token is needed, in Authorization: Bearer",
        ))
}

/// The caller, with the address that they ask from.
pub fn located(request: &HttpRequest, caller: Principal) -> Principal {
    caller.at(client_ip(request))
}

/// Who is asking, if the request says so.
async fn known(request: &HttpRequest) -> Result<Option<Principal>, Error> {
    if let Some(principal) = credentialed(request).await? {
        return Ok(Some(principal));
    }
    let visitor = request
        .cookie(COOKIE)
        .and_then(|cookie| identity(request).ok()?.by_cookie(cookie.value()));
    if visitor.is_some() {
        refuse_other_sites(request)?;
    }
    Ok(visitor)
}

/// Who is asking, by something that no browser sends by itself; and by what the application knows, of pages that may bring
/// its cookies.
async fn credentialed(request: &HttpRequest) -> Result<Option<Principal>, Error> {
    let identity = identity(request)?;
    if let Some(key) = header(request, &HeaderName::from_static("x-api-key"))? {
        let holder = identity.by_credential(key.trim());
        return counted(request, holder).await.map(Some);
    }
    match header(request, &AUTHORIZATION)? {
        Some(value) => counted(request, authorized(request, identity, value))
            .await
            .map(Some),
        None => application::knows(request, identity).await,
    }
}

/// Who an `Authorization` header stands for.
async fn authorized(request: &HttpRequest, identity: &Identity, value: &str) -> Result<Principal, Error> {
    let token = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let outcome = match token {
        Some((_, token)) => identity.by_bearer(token.trim()).await,
        None => Err(Error::Unauthenticated("Authorization must be: Bearer TOKEN")),
    };
    match outcome {
        // What is nothing to us may be the application's own.
        Err(error @ Error::Unauthenticated(_)) if application::is_shown(identity, AUTHORIZATION.as_str()) => {
            let known = application::knows(request, identity).await?;
            known.ok_or(error)
        }
        outcome => outcome,
    }
}

/// A cookie comes along by itself, so a request that carries nothing else must come from our own pages or from
/// no page at all: <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>.
///
/// Browsers say so over HTTPS alone; over HTTP, and older ones, name the page's origin with all that could change
/// something.
fn refuse_other_sites(request: &HttpRequest) -> Result<(), Error> {
    if cors::is_from_site_with_cookies(request) {
        return Ok(());
    }
    match request
        .headers()
        .get("sec-fetch-site")
        .map(|value| value.to_str().unwrap_or_default())
    {
        Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(OTHER_SITE),
        None => refuse_other_origins(request),
    }
}

/// Refuses a form that another site's page sends: a browser says where it comes from in one way or the other.
///
/// # Errors
/// [`Error::Forbidden`] for such a form.
pub fn refuse_foreign_forms(request: &HttpRequest) -> Result<(), Error> {
    match header(request, &HeaderName::from_static("sec-fetch-site"))? {
        Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(FOREIGN_FORM),
        None => match header(request, &ORIGIN)? {
            Some(origin) if own_origin(request).as_deref() != Some(origin) => Err(FOREIGN_FORM),
            _ => Ok(()),
        },
    }
}

/// For browsers that do not say where a request comes from in any other way than this:
/// <https://www.rfc-editor.org/rfc/rfc6454#section-7>.
fn refuse_other_origins(request: &HttpRequest) -> Result<(), Error> {
    let Some(origin) = request.headers().get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().ok().and_then(origin_of);
    if origin.is_some() && own_origin(request) == origin {
        return Ok(());
    }
    Err(OTHER_SITE)
}

fn identity(request: &HttpRequest) -> Result<&Data<Identity>, Error> {
    request
        .app_data::<Data<Identity>>()
        .ok_or_else(|| Error::internal("no identity in this app"))
}

fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let Some(value) = request.headers().get(name) else {
        return Ok(None);
    };
    value
        .to_str()
        .map(Some)
        .map_err(|_| Error::Unauthenticated("a credential is made of visible ASCII characters"))
}

/// Middleware: gives a newcomer the cookie that [`caller_or_newcomer`] made.
pub async fn send_cookie(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let made = response.request().extensions_mut().remove::<CookieToSend>();
    if let Some(CookieToSend(value)) = made {
        let cookie = Cookie::build(COOKIE, value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(is_https(response.request()))
            .max_age(COOKIE_LIFE)
            .finish();
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response)
}
