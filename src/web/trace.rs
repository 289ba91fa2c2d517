//! One line in the log for each request, and the request id that its answer and its problem document carry.
//!
//! Separate, because the id must be known wherever an error is told, which may be far from the request.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use uuid::Uuid;

use super::peer::client_address;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// Addresses whose next piece is a secret, which no log may hold.
#[derive(Debug, Clone)]
pub struct SecretPaths(Arc<[String]>);

impl SecretPaths {
    /// Below these.
    pub fn new(addresses: Vec<String>) -> Self {
        Self(addresses.into())
    }

    /// The path without the secret.
    fn veil(&self, path: &str) -> String {
        let plain = path.trim_start_matches('/');
        for address in self.0.iter() {
            let rest = plain.strip_prefix(address.trim_start_matches('/'));
            let Some(rest) = rest.filter(|rest| rest.starts_with('/')) else {
                continue;
            };
            let after = rest.trim_start_matches('/').split_once('/');
            let after = after.map_or(String::new(), |(_, after)| format!("/{after}"));
            return format!("{address}/\u{2026}{after}");
        }
        path.to_owned()
    }
}

/// The id of the request that this task serves; empty outside of any.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Middleware: names the request, answers with its name, and logs one line. The query is left out: it may hold
/// signatures and tokens.
pub async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = Uuid::new_v4().simple().to_string();
    let began = Instant::now();
    let method = request.method().clone();
    let path = match request.app_data::<SecretPaths>() {
        Some(secrets) => secrets.veil(request.path()),
        None => request.path().to_owned(),
    };
    let peer = client_address(request.request());
    let received = request
        .headers()
        .get("content-length")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    // Some clients name their requests themselves; theirs is how they ask about one.
    let own_id = request.headers().get("x-request-id");
    let own_id = own_id
        .and_then(|value| value.to_str().ok())
        .filter(|id| id.len() <= 128)
        .map(str::to_owned);
    let mut outcome = REQUEST_ID.scope(id.clone(), next.call(request)).await;
    let status = match &outcome {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if let Ok(response) = &mut outcome
        && let Ok(value) = HeaderValue::from_str(&id)
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    let sent = match outcome.as_ref().map(|response| response.response().body().size()) {
        Ok(BodySize::Sized(size)) => size,
        _ => 0,
    };
    tracing::info!(
        request_id = %id,
        client_request_id = own_id,
        %method,
        path,
        status = status.as_u16(),
        ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        received = received.as_deref().unwrap_or("0"),
        sent,
        peer,
        "request"
    );
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_does_not_reach_the_log() {
        let secrets = SecretPaths::new(vec!["/t".into()]);

        for (path, shown) in [
            ("/t/SECRET/s3/multipart", "/t/\u{2026}/s3/multipart"),
            ("//t//SECRET//s3", "/t/\u{2026}//s3"),
            ("/t/SECRET", "/t/\u{2026}"),
            ("/tus/x", "/tus/x"),
        ] {
            assert_eq!(secrets.veil(path), shown);
        }
    }
}
