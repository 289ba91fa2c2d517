//! `/metrics`, for Prometheus.
//!
//! Who may read it is decided here, since what is counted tells a stranger how busy we are: beside everything else, a
//! request must bring the token of the settings or an admin's API key, wherever it comes from. A proxy on this machine
//! makes the whole world look local, so loopback alone is no credential there.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use subtle::ConstantTimeEq as _;

use super::auth::{bearer, caller};
use super::methods::readable;
use super::problem::{Failure, ProblemDocument};
use crate::config::Secret;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::uploads::Uploads;

/// <https://prometheus.io/docs/instrumenting/exposition_formats/#basic-info>
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who may read.
#[derive(Debug, Clone)]
pub struct Access {
    token: Secret,
    is_open: bool,
}

impl Access {
    /// Beside everything else: never without a credential.
    pub fn beside(token: &Secret) -> Self {
        Self {
            token: token.clone(),
            is_open: false,
        }
    }

    /// On a listener of their own: whoever reaches it, unless there is a token.
    pub fn own_listener(token: &Secret) -> Self {
        Self {
            token: token.clone(),
            is_open: token.is_empty(),
        }
    }

    async fn check(&self, request: &HttpRequest) -> Result<(), Error> {
        if self.is_open {
            return Ok(());
        }
        let token = self.token.expose().as_bytes();
        if !token.is_empty() && bearer(request).is_ok_and(|sent| sent.trim().as_bytes().ct_eq(token).into()) {
            return Ok(());
        }
        match caller(request).await {
            Ok(principal) if principal.is_admin() => Ok(()),
            Ok(_) => Err(Error::Forbidden(
                "metrics are for holders of metrics.token or of an admin key",
            )),
            Err(Error::Unauthenticated(_)) => Err(Error::Unauthenticated(
                "metrics are read with metrics.token or an admin key, in Authorization: Bearer",
            )),
            Err(error) => Err(error),
        }
    }
}

/// The one address.
pub fn routes(services: &mut ServiceConfig, path: &str) {
    services.service(readable(path, scrape));
}

async fn scrape(
    request: HttpRequest,
    access: Data<Access>,
    metrics: Data<Metrics>,
    uploads: Data<Uploads>,
) -> Result<HttpResponse, Failure<ProblemDocument>> {
    access.check(&request).await?;
    uploads.refresh_figures().await;
    let text = metrics.render().ok_or(Error::NotFound("address"))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT_FORMAT))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}
