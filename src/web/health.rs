//! Is it up: `/health` says that the process answers, `/health/ready` that database and store answer as well.
//! Both answer HEAD, too: many load balancers ask no other way.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, ServiceConfig};
use serde_json::json;

use super::methods::readable;
use super::problem::{Failure, ProblemDocument};
use crate::uploads::Uploads;

/// The two addresses.
pub fn routes(config: &mut ServiceConfig) {
    config.service(readable("/health", alive));
    config.service(readable("/health/ready", ready));
}

async fn alive() -> HttpResponse {
    fine(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
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
