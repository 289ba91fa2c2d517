//! Is it up: `/health` says that the process answers and whether the storage of what passes through us can be used,
//! `/health/ready` that database and bucket answer as well, `/health/live` nothing but that there is a process.
//! All answer HEAD, too: many load balancers ask no other way.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, ServiceConfig};
use serde_json::json;

use super::methods::readable;
use super::problem::{Failure, ProblemDocument};
use crate::uploads::Uploads;

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
async fn alive(uploads: Data<Uploads>) -> HttpResponse {
    let healthy = uploads.is_storage_healthy().await;
    let body = json!({
        "status": if healthy { "OK" } else { "DEGRADED" },
        "version": env!("CARGO_PKG_VERSION"),
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

async fn ready(uploads: Data<Uploads>) -> Result<HttpResponse, Failure<ProblemDocument>> {
    uploads.check().await?;
    Ok(fine(
        &json!({ "status": "ready", "database": "ok", "store": "ok" }),
    ))
}

fn fine(body: &serde_json::Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}
