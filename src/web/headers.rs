//! What every answer carries for the browser's own protection.
//!
//! Separate, because the policy must know one thing of the settings: the store's origin, which our pages talk to.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;

use super::peer::is_https;

/// What of a browser's powers no page of ours needs: <https://www.w3.org/TR/permissions-policy/>.
const UNUSED: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()";

/// The content security policies of our pages: <https://www.w3.org/TR/CSP3/>.
#[derive(Debug, Clone)]
pub struct Policies {
    page: HeaderValue,
    reference: HeaderValue,
    /// What browsers that came over HTTPS are told of the future, if anything.
    transport: Option<HeaderValue>,
}

impl Policies {
    /// Pages load nothing but our own files, and talk to us and to `store_origin` alone, if there is one. Browsers keep to HTTPS for
    /// `hsts_max_age_s` seconds (<https://www.rfc-editor.org/rfc/rfc6797>); 0 does not ask them to.
    pub fn new(store_origin: Option<&str>, hsts_max_age_s: u64) -> Self {
        let common = "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      form-action 'self'; manifest-src 'self'";
        let store = store_origin
            .map(|origin| format!(" {origin}"))
            .unwrap_or_default();
        let page = format!("{common}; style-src 'self'; img-src 'self' data:; connect-src 'self'{store}");
        // The API's reference page sets styles of its own.
        let reference =
            format!("{common}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'");
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
        };
        Self {
            page: value(&page),
            reference: value(&reference),
            transport: (hsts_max_age_s > 0).then(|| value(&format!("max-age={hsts_max_age_s}"))),
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
    let is_secure = is_https(response.request());
    let policies = response.request().app_data::<Policies>().cloned();
    let headers = response.headers_mut();
    if let Some(policies) = policies {
        let policy = if is_reference {
            policies.reference
        } else {
            policies.page
        };
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        if let Some(transport) = policies.transport.filter(|_| is_secure) {
            headers.insert(STRICT_TRANSPORT_SECURITY, transport);
        }
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(REFERRER_POLICY) {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", UNUSED),
        // For browsers that know no `frame-ancestors`.
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Ok(response)
}
