//! A request's body that comes back when nobody wants the rest of it.
//!
//! Separate because it works against a trait of TCP, not of S3: when a server answers and closes while the client
//! is still sending, the client's system often throws the answer away, and a browser reports a broken network in
//! place of the 403 it was told. So the rest of a refused body is read before the answer goes out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use s3s::{Body, StdError};
use tokio::sync::oneshot;

/// A body on loan: when dropped before its end, what is left of it goes back to the lender.
pub struct Lent {
    body: Option<Incoming>,
    give_back: Option<oneshot::Sender<Incoming>>,
}

impl Lent {
    /// Lends a body to `s3s`. One without content stays at home, and its lender hears that at once.
    pub fn wrap(body: Incoming, give_back: oneshot::Sender<Incoming>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::http_body(Self {
            body: Some(body),
            give_back: Some(give_back),
        })
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        Pin::new(body).poll_frame(cx).map_err(StdError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it after a success; then it is dropped as it would have been without us.
            let _ = give_back.send(body);
        }
    }
}

/// Reads and forgets a body, for at most so long.
pub async fn drain(mut body: Incoming, at_most: Duration) {
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    if tokio::time::timeout(at_most, reading).await.is_err() {
        tracing::debug!("a refused body was too long to be read to its end");
    }
}
