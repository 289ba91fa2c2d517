//! Figures: those that are looked up rather than counted, and the bytes that come in.
//!
//! Separate from the verbs, because these serve operators. Whoever scrapes must not hurt the database: it is asked at
//! most every few seconds, by one task at a time, and nobody waits for it for long.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::Uploads;
use crate::domain::Upload;
use crate::storage::BodyError;

/// How long what the database said is good.
const FRESH: Duration = Duration::from_secs(5);

/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the database answered last, and since when it is being asked.
#[derive(Default)]
pub(super) struct Figures(Mutex<State>);

#[derive(Default)]
struct State {
    answered: Option<Instant>,
    asked: Option<Instant>,
}

impl Figures {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uploads {
    /// Brings up to date what is not counted but looked up: the pool's connections, what is left of the store's credentials,
    /// and, from the database, what is open and what is yet to be delivered.
    pub async fn refresh_figures(&self) {
        let inner = &self.0;
        inner.metrics.connections(inner.db.connections());
        let left = inner
            .bucket
            .as_ref()
            .and_then(|bucket| bucket.store.credentials_left(self.now()));
        inner.metrics.credentials_left(left);
        {
            let mut figures = inner.figures.lock();
            if figures.answered.is_some_and(|at| at.elapsed() < FRESH) {
                return;
            }
            if let Some(since) = figures.asked {
                // A second question would take one more connection; and one that waits for long is an answer of its own.
                if since.elapsed() > PATIENCE {
                    inner.metrics.backlog(None);
                }
                return;
            }
            figures.asked = Some(Instant::now());
        }
        let this = self.clone();
        let asked = tokio::spawn(async move {
            let outcome = this.0.db.backlog(this.now()).await;
            if let Err(error) = &outcome {
                tracing::warn!(%error, "what is open could not be counted");
            }
            let mut figures = this.0.figures.lock();
            figures.asked = None;
            figures.answered = outcome.is_ok().then(Instant::now);
            this.0.metrics.backlog(outcome.ok());
        });
        if tokio::time::timeout(PATIENCE, asked).await.is_err() {
            inner.metrics.backlog(None);
        }
    }

    /// The pieces of a request, counted as they come.
    pub(super) fn counted(
        &self,
        upload: &Upload,
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    ) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let count = self.0.metrics.received(upload.storage);
        pieces
            .inspect(move |piece| {
                if let Ok(bytes) = piece {
                    count.add(bytes.len());
                }
            })
            .boxed()
    }
}
