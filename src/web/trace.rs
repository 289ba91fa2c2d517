//! One line in the log for each request, and the request id that its answer and its problem document carry.
//!
//! Separate, because the id must be known wherever an error is told, which may be far from the request.

use std::cell::Cell;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tracing::Span;
use uuid::Uuid;

use super::doors::Doors;
use super::peer::client_address;
use super::veil::SecretPaths;
use crate::metrics::Metrics;
use crate::telemetry::{self, TraceContext};

/// The header that names a request, ours and theirs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a request that we take over from whoever sends it.
const LONGEST_ID: usize = 128;

tokio::task_local! {
    static CURRENT: Current;
}

/// The request that a task serves.
struct Current {
    id: String,
    /// The kind of error that it is answered with.
    error: Cell<Option<&'static str>>,
}

/// The id of the request that this task serves; empty outside of any.
pub fn request_id() -> String {
    CURRENT.try_with(|current| current.id.clone()).unwrap_or_default()
}

/// Notes that the request which this task serves is answered with an error of this kind. The last word counts.
pub(super) fn note_error(kind: &'static str) {
    let _ = CURRENT.try_with(|current| current.error.set(Some(kind)));
}

/// The id that the client, or a proxy before us, has given its request, if it can stand in a header and in a log as it is.
fn given_id(request: &ServiceRequest) -> Option<&str> {
    let id = field(request, REQUEST_ID.as_str())?;
    let is_sane = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_sane.then_some(id)
}

/// Middleware: names the request, answers with its name, counts it, traces it, and logs one line. The query is left out: it
/// may hold signatures and tokens.
pub async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let began = Instant::now();
    let seen = Seen::new(&request);
    let logged = tracing::info_span!("request", request_id = %seen.id);
    let traced = seen.traced(&request);
    let metrics = request.app_data::<Data<Metrics>>().cloned();
    let in_flight = metrics.as_ref().map(|metrics| metrics.request_began());
    let current = Current {
        id: seen.id.clone(),
        error: Cell::new(None),
    };
    let answered = async {
        let outcome = next.call(request).await;
        let error = CURRENT.with(|current| current.error.get());
        (outcome, error)
    };
    let answered = CURRENT.scope(current, answered);
    let (mut outcome, error) = telemetry::within(logged, traced.clone(), answered).await;
    drop(in_flight);
    let status = match &outcome {
        Ok(response) => response.status().as_u16(),
        Err(error) => error.as_response_error().status_code().as_u16(),
    };
    if let Ok(response) = &mut outcome
        && let Ok(value) = HeaderValue::from_str(&seen.id)
    {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let sent = match outcome.as_ref().map(|response| response.response().body().size()) {
        Ok(BodySize::Sized(size)) => size,
        _ => 0,
    };
    let took = began.elapsed();
    if let Some(metrics) = metrics {
        metrics.request_answered(seen.door, seen.method.as_str(), status, took);
        if let Some(kind) = error.filter(|_| status >= 400) {
            metrics.error(kind);
        }
    }
    telemetry::answered(&traced, Some(status));
    seen.log(&traced, status, sent, took);
    outcome
}

/// What is seen of a request before it is answered.
struct Seen {
    id: String,
    method: Method,
    path: String,
    door: &'static str,
    peer: Option<String>,
    received: Option<String>,
}

impl Seen {
    fn new(request: &ServiceRequest) -> Self {
        let doors = request.app_data::<Doors>();
        Self {
            id: given_id(request).map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned),
            method: request.method().clone(),
            path: match request.app_data::<SecretPaths>() {
                Some(secrets) => secrets.veil(request.path()).into_owned(),
                None => request.path().to_owned(),
            },
            door: doors.map_or("other", |doors| doors.of(request.head())),
            peer: client_address(request.request()),
            received: field(request, "content-length").map(str::to_owned),
        }
    }

    /// The span of its trace.
    fn traced(&self, request: &ServiceRequest) -> Span {
        let caller = TraceContext {
            parent: field(request, "traceparent"),
            state: field(request, "tracestate"),
        };
        telemetry::request_span(self.method.as_str(), self.door, &self.path, &self.id, caller)
    }

    fn log(&self, traced: &Span, status: u16, sent: u64, took: Duration) {
        tracing::info!(
            request_id = self.id,
            trace_id = telemetry::trace_id(traced),
            door = self.door,
            method = %self.method,
            path = self.path,
            status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            received = self.received.as_deref().unwrap_or("0"),
            sent,
            peer = self.peer,
            "request"
        );
    }
}

fn field<'a>(request: &'a ServiceRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}
