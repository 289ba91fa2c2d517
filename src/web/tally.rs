//! Errors that clients are told outside of any answer, counted by their kind.
//!
//! Separate from the answers' own counting ([`trace`](super::trace)), because what is said over a WebSocket comes long after
//! the request's answer, from a task that serves no request.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::problem::Kind;
use crate::metrics::Metrics;

/// Counts such errors. Each has to be counted once, as it is told.
#[derive(Clone)]
pub struct Tally(Metrics);

impl Tally {
    /// That of the server which has this request.
    pub fn of(request: &HttpRequest) -> Self {
        let metrics = request.app_data::<Data<Metrics>>();
        Self(metrics.map_or_else(Metrics::off, |metrics| metrics.get_ref().clone()))
    }

    /// A client was told an error of this kind.
    pub fn count(&self, kind: &Kind) {
        self.0.error(kind.slug);
    }
}
