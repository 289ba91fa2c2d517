//! Is it up: `/health` says that the process answers, what it serves, and whether the storage of what passes through us can
//! be used; `/health/ready` that database and bucket answer as well, how fast, and that we are not about to stop;
//! `/health/live` nothing but that there is a process. All answer HEAD, too: many load balancers ask no other way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, ServiceConfig};
use serde_json::{Map, Value, json};

use super::methods::readable;
use super::problem::{Failure, Kind, ProblemDocument, log};
use crate::error::Error;
use crate::uploads::{Check, Uploads};

/// What a server says of itself, as it was started.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The protocols that are spoken.
    pub protocols: Vec<&'static str>,
    /// Whether the embedded S3 takes the place of a real store.
    pub embedded_store: bool,
}

/// Whether we have been told to stop: from then on we are not ready, so that nobody sends us more. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// We have been told.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The three addresses.
pub fn routes(config: &mut ServiceConfig) {
    config.service(readable("/health", alive));
    config.service(readable("/health/live", live));
    config.service(readable("/health/ready", ready));
}

/// Whether the process answers, whatever else is the matter: for those who would restart it otherwise.
async fn live() -> HttpResponse {
    fine(&json!({ "status": "OK" }))
}

/// As the chunk server's clients and scripts read it; what is wrong with the storage is in the log alone.
async fn alive(uploads: Data<Uploads>, facts: Data<Facts>) -> HttpResponse {
    let healthy = uploads.is_storage_healthy().await;
    let body = json!({
        "status": if healthy { "OK" } else { "DEGRADED" },
        "version": env!("CARGO_PKG_VERSION"),
        "protocols": facts.protocols,
        "embedded_store": facts.embedded_store,
        "storage": {
            "backend_type": uploads.relay_backend().as_str(),
            "status": if healthy { "healthy" } else { "unavailable" },
            "message": null,
        },
    });
    if healthy {
        return fine(&body);
    }
    HttpResponse::ServiceUnavailable()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}

async fn ready(
    uploads: Data<Uploads>,
    facts: Data<Facts>,
    draining: Data<Draining>,
) -> Result<HttpResponse, Failure<ProblemDocument>> {
    if draining.has_begun() {
        return Err(Error::Stopping.into());
    }
    let checks = uploads.check().await;
    let mut body: Map<String, Value> = checks
        .iter()
        .map(|check| (check.name.to_owned(), word(check).into()))
        .collect();
    let times = checks.iter().map(|check| {
        let ms = u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX);
        (check.name.to_owned(), ms.into())
    });
    body.insert("ms".into(), Value::Object(times.collect()));
    body.insert("embedded_store".into(), facts.embedded_store.into());
    for check in checks {
        if let Err(error) = check.outcome {
            log(&error);
            return Ok(Kind::of(&error).document(&error.to_string(), body));
        }
    }
    body.insert("status".into(), "ready".into());
    Ok(fine(&Value::Object(body)))
}

fn word(check: &Check) -> &'static str {
    match &check.outcome {
        Ok(()) => "ok",
        Err(Error::StoreRefused { .. }) => "refused",
        Err(_) => "unavailable",
    }
}

fn fine(body: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}
