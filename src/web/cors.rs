//! What pages of other sites may ask of us, and read of our answers: <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! One middleware round everything instead of one for each route, because errors need the same fields as successes: a
//! browser reports an answer without them as a failure of the network, and a client then tries again what it should not.

use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse};

use super::problem::{ProblemDocument, Tell as _};
use crate::error::Error;

/// Methods that other sites' pages may use, at whatever address takes them.
const METHODS: &str = "POST, HEAD, PATCH, DELETE, GET, PUT, OPTIONS";

/// Fields that other sites' pages may send, besides those that their browser asks for by name.
const REQUEST_FIELDS: &str = "Authorization, Content-Type, Origin, Range, X-API-Key, X-HTTP-Method-Override, \
    X-Requested-With, X-Request-ID, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, \
    Upload-Defer-Length, Upload-Concat, Upload-Checksum, Upload-Complete, Upload-Incomplete, \
    Upload-Draft-Interop-Version, Repr-Digest, Content-Digest, Want-Repr-Digest, Want-Content-Digest, Prefer, \
    Accept, Uppy-Auth-Token, Uppy-Credentials-Params, Uppy-Versions";

/// Fields of our answers that other sites' pages may read.
const ANSWER_FIELDS: &str = "Location, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, \
    Upload-Concat, Upload-Expires, Tus-Version, Tus-Resumable, Tus-Max-Size, Tus-Extension, \
    Tus-Checksum-Algorithm, Upload-Complete, Upload-Limit, Upload-Draft-Interop-Version, Upload-Incomplete, \
    Repr-Digest, Content-Disposition, Content-Range, Accept-Ranges, ETag, Retry-After, X-Request-Id, Date, \
    Access-Control-Allow-Headers";

/// How long a browser may keep what a preflight told it: a day.
const MAX_AGE: &str = "86400";

/// Which sites' pages may call us.
#[derive(Debug, Clone)]
pub struct Sites {
    origins: Arc<[String]>,
    /// Addresses at which `OPTIONS` means something without a browser, too.
    discoverable: Arc<[String]>,
    /// Addresses at which listed sites' pages may use the cookies of their visitors.
    with_cookies: Arc<[String]>,
}

impl Sites {
    /// From the settings; below the addresses `discoverable` a preflight is answered by the address itself, and below
    /// those `with_cookies` pages of sites that are listed by name may send cookies.
    pub fn new(origins: &[String], discoverable: Vec<String>, with_cookies: Vec<String>) -> Self {
        Self {
            origins: origins.into(),
            discoverable: discoverable.into(),
            with_cookies: with_cookies.into(),
        }
    }

    /// Whether a request comes from a page of a site that is listed by name.
    fn lists(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(ORIGIN);
        origin.is_some_and(|origin| {
            let mut origins = self.origins.iter();
            origins.any(|allowed| allowed != "*" && allowed.as_bytes() == origin.as_bytes())
        })
    }

    /// The origin of a request, if its pages may call us.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let is_allowed = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_allowed).then_some(origin)
    }

    fn is_discoverable(&self, path: &str) -> bool {
        is_below(&self.discoverable, path)
    }

    /// Whether a request's page may bring cookies to this path.
    fn lets_bring_cookies(&self, headers: &HeaderMap, path: &str) -> bool {
        self.lists(headers) && self.takes_cookies(path)
    }

    fn takes_cookies(&self, path: &str) -> bool {
        // Some clients double the first slash.
        let path = path.trim_start_matches('/');
        is_below(&self.with_cookies, &format!("/{path}"))
    }
}

/// Whether a path is one of these addresses or lies below one.
fn is_below(addresses: &[String], path: &str) -> bool {
    addresses.iter().any(|address| {
        path.strip_prefix(address.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether a request comes from a page of a site that is listed by name, and so may use its visitors' cookies.
pub fn is_from_listed_site(request: &HttpRequest) -> bool {
    request
        .app_data::<Sites>()
        .is_some_and(|sites| sites.lists(request.headers()))
}

/// Whether a visitor's cookie counts although a page of another site asks: the site is listed by name, and the address is
/// of those that its pages call with cookies.
pub fn is_from_site_with_cookies(request: &HttpRequest) -> bool {
    request
        .app_data::<Sites>()
        .is_some_and(|sites| sites.lets_bring_cookies(request.headers(), request.path()))
}

/// Whether a request comes from a page of another site that may call us.
pub fn is_from_allowed_site(request: &HttpRequest) -> bool {
    request
        .app_data::<Sites>()
        .is_some_and(|sites| sites.allowed(request.headers()).is_some())
}

/// Middleware: answers preflights, and lets allowed sites read every answer.
pub async fn share(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(sites) = request.app_data::<Sites>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let origin = sites.allowed(request.headers()).cloned();
    let takes_cookies = sites.lets_bring_cookies(request.headers(), request.path());
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response: ServiceResponse<EitherBody<_>> = if !is_preflight {
        next.call(request).await?.map_into_left_body()
    } else if sites.is_discoverable(request.path()) {
        let answered = next.call(request).await?;
        if origin.is_some() && answered.status().is_success() {
            answered.map_into_left_body()
        } else {
            let headers = answered.headers().clone();
            let mut answer = preflight_answer(origin.is_some());
            for (name, value) in headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("tus-"))
            {
                answer.headers_mut().insert(name.clone(), value.clone());
            }
            answered.into_response(answer).map_into_right_body()
        }
    } else {
        request
            .into_response(preflight_answer(origin.is_some()))
            .map_into_right_body()
    };
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if takes_cookies {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(ANSWER_FIELDS),
        );
        if is_preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_fields(asked.as_ref()));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
    }
    if !sites.origins.is_empty() {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if is_preflight {
        headers.append(
            VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
    }
    Ok(response)
}

fn preflight_answer(is_allowed: bool) -> HttpResponse {
    if is_allowed {
        HttpResponse::new(StatusCode::NO_CONTENT)
    } else {
        ProblemDocument::tell(&Error::Forbidden(
            "pages of this site may not call us; the operator lists those that may in cors.allowed_origins",
        ))
    }
}

/// All fields that we know of, and those that the browser asks for by name: an application may have fields of its own.
fn allowed_fields(asked: Option<&HeaderValue>) -> HeaderValue {
    let known: Vec<&str> = REQUEST_FIELDS.split(',').map(str::trim).collect();
    let is_known = |name: &str| known.iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_token = |name: &&str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b))
    };
    let asked = asked.and_then(|value| value.to_str().ok()).unwrap_or("");
    let others = asked
        .split(',')
        .map(str::trim)
        .filter(is_token)
        .filter(|name| !is_known(name));
    let all: Vec<&str> = known.iter().copied().chain(others).collect();
    HeaderValue::from_str(&all.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("Authorization"))
}

/// All fields that pages of other sites may send, for clients that ask for them with a request of their own.
pub fn known_fields() -> HeaderValue {
    HeaderValue::from_static(REQUEST_FIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(origins: &[&str]) -> Sites {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        Sites::new(&origins, vec!["/files".into()], vec!["/s3".into()])
    }

    fn from(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers
    }

    #[test]
    fn an_origin_is_allowed_exactly_or_all_are() {
        let own = sites(&["https://app.example.org"]);

        assert!(own.allowed(&from("https://app.example.org")).is_some());
        for other in [
            "https://app.example.org.evil.example",
            "http://app.example.org",
            "null",
            "",
        ] {
            assert!(own.allowed(&from(other)).is_none(), "{other}");
        }
        assert!(own.allowed(&HeaderMap::new()).is_none());
        assert!(sites(&["*"]).allowed(&from("https://any.example")).is_some());
    }

    #[test]
    fn an_address_is_discoverable_with_all_below_it() {
        let sites = sites(&[]);

        for (path, expected) in [
            ("/files", true),
            ("/files/", true),
            ("/files/x", true),
            ("/filesx", false),
        ] {
            assert_eq!(sites.is_discoverable(path), expected, "{path}");
        }
    }

    #[test]
    fn cookies_are_for_sites_listed_by_name_at_addresses_that_take_them() {
        let sites = sites(&["https://app.example.org", "*"]);

        assert!(sites.lists(&from("https://app.example.org")));
        assert!(!sites.lists(&from("https://any.example")));
        for (path, expected) in [
            ("/s3/multipart", true),
            ("//s3/multipart", true),
            ("/files", false),
        ] {
            assert_eq!(sites.takes_cookies(path), expected, "{path}");
        }
    }

    #[test]
    fn fields_that_are_asked_for_are_allowed_too_but_nothing_that_is_no_field() {
        let asked = HeaderValue::from_static("x-own, authorization, bad header, , x-own2");

        let allowed = allowed_fields(Some(&asked));

        let allowed = allowed.to_str().unwrap();
        assert!(allowed.ends_with("Uppy-Versions, x-own, x-own2"), "{allowed}");
    }
}
