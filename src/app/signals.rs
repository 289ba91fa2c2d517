//! How the server is told to stop.
//!
//! Separate, because systems differ in their signals, and actix would cut running requests short on SIGINT.

use std::time::Duration;

use actix_web::dev::ServerHandle;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::uploads::Uploads;
use crate::web::health::Draining;

/// What stops when a signal comes.
pub(super) struct Stopping {
    pub(super) signals: Signals,
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
    pub(super) async fn on_signals(mut self) {
        self.signals.next().await;
        self.draining.begin();
        if !self.drain.is_zero() {
            let seconds = self.drain.as_secs();
            tracing::info!(
                seconds,
                "stopping soon: we are not ready any more, and serve on until then"
            );
            tokio::select! {
                () = tokio::time::sleep(self.drain) => {}
                () = self.signals.next() => {}
            }
        }
        tracing::info!("stopping: running requests finish first");
        self.uploads.stop_appending();
        let graceful = self.server.stop(true);
        tokio::select! {
            () = graceful => {}
            () = self.signals.next() => self.server.stop(false).await,
        }
    }
}

/// The signals that stop us. They are caught from the moment that this is made: before anybody is told that we listen, for
/// whoever was told may stop us at once.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: Option<Signal>,
    #[cfg(unix)]
    interrupt: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn catch() -> Self {
        let caught = |kind| match signal(kind) {
            Ok(caught) => Some(caught),
            Err(error) => {
                tracing::warn!(%error, "signals cannot be received");
                None
            }
        };
        Self {
            terminate: caught(SignalKind::terminate()),
            interrupt: caught(SignalKind::interrupt()),
        }
    }

    async fn next(&mut self) {
        async fn wait(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = wait(&mut self.terminate) => {}
            () = wait(&mut self.interrupt) => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) fn catch() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
