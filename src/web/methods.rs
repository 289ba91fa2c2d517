//! Methods that an address does not take: answered with 405, a problem document, and those that it takes.
//!
//! Separate, because actix answers them with an empty body, or, where each method has a route of its own, as if the
//! address did not exist.

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{get, head, resource, to};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};
use serde_json::Map;

use super::problem::Kind;

/// An address that can be read and nothing else: GET, and HEAD as load balancers ask.
pub fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path)
        .route(get().to(handler.clone()))
        .route(head().to(handler))
        .default_service(to(async || refuse("GET, HEAD")))
}

/// Takes every method of an address that no route before it took; `allowed` is for the header
/// [`Allow`](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.1).
pub fn otherwise(path: &str, allowed: String) -> Resource {
    resource(path).to(move || {
        let answer = refuse(&allowed);
        async move { answer }
    })
}

fn refuse(allowed: &str) -> HttpResponse {
    let detail = format!("this address takes {allowed}");
    let mut answer = Kind::named("method-not-allowed").document(&detail, Map::new());
    if let Ok(value) = HeaderValue::from_str(allowed) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}
