//! What operators see of our requests to the store: how many, how they went, how long they took.
//!
//! Separate, because every request passes here whatever it is for, and what is seen of it is never its key or its
//! signature.

use std::time::Instant;

use tracing::Instrument as _;

use super::S3Store;
use crate::error::Error;
use crate::metrics::StoreOutcome;
use crate::signing::Operation;
use crate::telemetry;

impl S3Store {
    /// Sees one request through, and counts how it went. What broke off because its client did is not the store's doing.
    pub(super) async fn observe<T>(
        &self,
        operation: Operation<'_>,
        status_of: impl FnOnce(&T) -> u16,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let span = telemetry::store_span(operation.name());
        let outcome = request.instrument(span.clone()).await;
        let went = match &outcome {
            Ok(answer) => {
                let status = status_of(answer);
                telemetry::answered(&span, Some(status));
                StoreOutcome::Answered(status)
            }
            Err(Error::Unavailable { .. }) => {
                telemetry::answered(&span, None);
                StoreOutcome::Lost
            }
            Err(_) => return outcome,
        };
        self.metrics
            .store_request(operation.name(), went, began.elapsed());
        outcome
    }
}
