//! Under which path the one who asks reaches us, known wherever an answer is made.
//!
//! Separate from `peer`, which needs the request: the types of problems are addresses, too, and told far from any request.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::peer::outer_prefix;

tokio::task_local! {
    static PREFIX: String;
}

/// The path below which a proxy serves the request of this task, such as `/uploads`; empty where there is none.
pub fn prefix() -> String {
    PREFIX.try_with(Clone::clone).unwrap_or_default()
}

/// Middleware: keeps it for as long as the request is served.
pub async fn remember(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    PREFIX
        .scope(outer_prefix(request.request()), next.call(request))
        .await
}
