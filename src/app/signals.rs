//! How the server is told to stop.
//!
//! Separate, because systems differ in their signals, and actix would cut running requests short on SIGINT.

use actix_web::dev::ServerHandle;

use crate::uploads::Uploads;

/// SIGTERM or SIGINT lets running requests finish; a second one does not. Requests that append are ended at once: what
/// they have brought is kept, and they could go on for hours.
pub(super) async fn stop_on_signals(server: ServerHandle, uploads: Uploads) {
    next_signal().await;
    tracing::info!("stopping: running requests finish first");
    uploads.stop_appending();
    let graceful = server.stop(true);
    tokio::select! {
        () = graceful => {}
        () = next_signal() => server.stop(false).await,
    }
}

#[cfg(unix)]
async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "signals cannot be received");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
