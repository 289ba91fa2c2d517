//! What every answer carries for the browser's own protection.
//!
//! Separate, because the policy must know one thing of the settings: the store's origin, which our pages talk to.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

/// The content security policies of our pages: <https://www.w3.org/TR/CSP3/>.
#[derive(Debug, Clone)]
pub struct Policies {
    page: HeaderValue,
    reference: HeaderValue,
}

impl Policies {
    /// Pages load nothing but our own files, and talk to us and to `store_origin` alone.
    pub fn new(store_origin: &str) -> Self {
        let common = "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      form-action 'self'; manifest-src 'self'";
        let page =
            format!("{common}; style-src 'self'; img-src 'self' data:; connect-src 'self' {store_origin}");
        // The API's reference page sets styles of its own.
        let reference =
            format!("{common}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'");
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
        };
        Self {
            page: value(&page),
            reference: value(&reference),
        }
    }
}

/// Middleware: adds the headers to every answer.
pub async fn protect(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let is_reference = request.path().starts_with("/docs");
    let mut response = next.call(request).await?;
    let policy = response.request().app_data::<Policies>().map(|policies| {
        if is_reference {
            policies.reference.clone()
        } else {
            policies.page.clone()
        }
    });
    let headers = response.headers_mut();
    if let Some(policy) = policy {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(REFERRER_POLICY) {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    Ok(response)
}
