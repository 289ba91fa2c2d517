//! How the server is told to stop.
//!
//! Separate, because systems differ in their signals, and actix would cut running requests short on SIGINT.

use std::time::Duration;

use actix_web::dev::ServerHandle;

use crate::uploads::Uploads;
use crate::web::health::Draining;

/// What stops when a signal comes.
pub(super) struct Stopping {
    pub(super) server: ServerHandle,
    pub(super) uploads: Uploads,
    /// Who asks whether we are ready learns it at once.
    pub(super) draining: Draining,
    /// For how long we serve on all the same, so that load balancers have time to ask.
    pub(super) drain: Duration,
}

impl Stopping {
    /// SIGTERM or SIGINT lets running requests finish; a second one does not. Requests that append are ended at once: what
    /// they have brought is kept, and they could go on for hours.
    pub(super) async fn on_signals(self) {
        next_signal().await;
        self.draining.begin();
        if !self.drain.is_zero() {
            let seconds = self.drain.as_secs();
            tracing::info!(
                seconds,
                "stopping soon: we are not ready any more, and serve on until then"
            );
            tokio::select! {
                () = tokio::time::sleep(self.drain) => {}
                () = next_signal() => {}
            }
        }
        tracing::info!("stopping: running requests finish first");
        self.uploads.stop_appending();
        let graceful = self.server.stop(true);
        tokio::select! {
            () = graceful => {}
            () = next_signal() => self.server.stop(false).await,
        }
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
