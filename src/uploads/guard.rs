//! Guard: a request's bytes for as long as it may send, and the ways in which it is cut off.
//!
//! Separate from the claims, which say who may send: this is what that means for whoever is sending.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};

use super::claims::Claim;
use super::slot::Watch;
use crate::storage::BodyError;

/// A holder that has received nothing for this long makes way for a newcomer.
const IDLE: Duration = Duration::from_secs(1);

/// Who is asked to make way takes for this long what has come already, for as long as it goes on coming without a pause
/// such as this: bytes that have reached us are not thrown away because their client was quick to come back.
const LAST_BYTES: Duration = Duration::from_millis(250);

/// See [`LAST_BYTES`].
const A_PAUSE: Duration = Duration::from_millis(20);

/// A client that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_mins(1);

/// Tells a holder that receives nothing just now when it must let go.
pub(super) struct Loss(Watch);

impl Loss {
    /// Waits until somebody wants the claim, its lease has run out, or this process is about to end.
    pub(super) async fn wait(&mut self) -> BodyError {
        loop {
            tokio::select! {
                reason = self.0.must_leave_if_idle() => return reason,
                () = tokio::time::sleep(IDLE) => {}
            }
            if self.0.has_run_out() {
                return BodyError::Superseded;
            }
        }
    }
}

impl Claim {
    /// What tells when it is lost.
    pub(super) fn loss(&self) -> Loss {
        Loss(self.watch())
    }

    /// The pieces of a request for as long as it may send: a silent one is cut off, one makes way where somebody
    /// waits, and none goes on whose lease has run out.
    pub(super) fn guard(
        &self,
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    ) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let guarded = Guarded {
            pieces,
            watch: self.watch(),
            leaving: None,
            has_ended: false,
        };
        stream::unfold(guarded, async |mut guarded| {
            if guarded.has_ended {
                return None;
            }
            let mut outcome = guarded.next().await?;
            if guarded.watch.has_run_out() {
                outcome = Err(BodyError::Superseded);
            }
            guarded.has_ended = outcome.is_err();
            Some((outcome, guarded))
        })
        .boxed()
    }
}

/// The pieces of a holder's request.
struct Guarded {
    pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    watch: Watch,
    /// Why it makes way, and since when.
    leaving: Option<(BodyError, Instant)>,
    has_ended: bool,
}

impl Guarded {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        // Most pieces have come already: for those nothing need be armed that would wake us.
        if self.leaving.is_none()
            && !self.watch.is_wanted_at_once()
            && !self.watch.ends_now()
            && let Some(piece) = self.pieces.next().now_or_never()
        {
            return piece;
        }
        let began = Instant::now();
        while self.leaving.is_none() {
            let reason = tokio::select! {
                biased;
                reason = self.watch.must_leave() => Some(reason),
                piece = self.pieces.next() => return piece,
                () = tokio::time::sleep(IDLE) => None,
            };
            self.leaving = reason.map(|reason| (reason, Instant::now()));
            if self.leaving.is_none() && self.watch.is_wanted() {
                return Some(Err(BodyError::Superseded));
            }
            if began.elapsed() > SILENCE {
                return Some(Err(BodyError::Cut));
            }
        }
        let (reason, since) = self.leaving.clone()?;
        if since.elapsed() < LAST_BYTES
            && let Ok(piece) = tokio::time::timeout(A_PAUSE, self.pieces.next()).await
        {
            return piece;
        }
        Some(Err(reason))
    }
}
