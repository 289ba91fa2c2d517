//! A connection on which interim answers come between others at the right places, and which ends for those above when
//! they have read what came before.
//!
//! Separate, because it knows nothing of HTTP: bytes from above pass through, what is due goes first.
//!
//! actix asks for 8 KiB at a time. Where a body flows, most of what a relay costs would be those many small reads, so
//! here it is read in larger ones.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::io::poll_read_buf;

use super::LINGER;
use super::crowd::Seat;
use super::ends::Ends;
use super::heads::{HeadLimits, Heads, Refusal};
use super::socket::Socket;
use crate::metrics::Metrics;
use crate::web::interim::Outgoing;

/// Bytes that are read at once where a body flows.
const BULK: usize = 256 << 10;

/// The socket of one client.
pub(super) struct Wire {
    socket: Socket,
    outgoing: Arc<Outgoing>,
    ends: Rc<Ends>,
    /// What was read and not yet asked for; empty on connections that do not flow.
    ahead: BytesMut,
    /// Whether the last read brought all that was asked for, so that there is probably more.
    is_flowing: bool,
    /// How the client's side has ended, while that may not be told yet.
    end: Option<io::Result<()>>,
    /// What the head may take that is waited for.
    heads: Heads,
    limits: HeadLimits,
    refused: Option<Refused>,
    /// How long a client may still take nothing of what is written.
    writing: Option<Pin<Box<Sleep>>>,
    /// Counts why it was ended.
    metrics: Metrics,
    _seat: Seat,
}

/// A connection from which nothing is taken any more: it is told why, and read on for a moment, so that a client that is
/// still sending finds that and no reset.
struct Refused {
    answer: BytesMut,
    lingers: Pin<Box<Sleep>>,
}

impl Wire {
    pub(super) fn new(socket: Socket, limits: HeadLimits, seat: Seat, metrics: Metrics) -> Self {
        Self {
            socket,
            outgoing: Arc::default(),
            ends: Rc::default(),
            ahead: BytesMut::new(),
            is_flowing: false,
            end: None,
            heads: Heads::new(limits),
            limits,
            refused: None,
            writing: None,
            metrics,
            _seat: seat,
        }
    }

    /// What tells of its end and of the bodies before it.
    pub(super) fn ends(&self) -> Rc<Ends> {
        Rc::clone(&self.ends)
    }

    /// Reads what is there, much at once where much came before.
    fn poll_socket(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let asked = buffer.remaining();
        if !self.is_flowing || asked >= BULK {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
            self.is_flowing = buffer.remaining() == 0 && asked > 0;
            return Poll::Ready(Ok(()));
        }
        self.ahead.reserve(BULK);
        let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.ahead) else {
            // A connection that waits holds no memory.
            self.ahead = BytesMut::new();
            return Poll::Pending;
        };
        self.is_flowing = read? > asked;
        self.pass_on(buffer);
        Poll::Ready(Ok(()))
    }

    /// Gives what was read ahead, as much as is asked for.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
    }

    /// Reads as long as there is a request to read.
    fn poll_within_limits(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = if self.ahead.is_empty() {
            self.poll_socket(cx, buffer)
        } else {
            self.pass_on(buffer);
            Poll::Ready(Ok(()))
        };
        let Poll::Ready(read) = read else {
            let refusal = ready!(self.heads.poll_over(cx, &self.ends));
            self.refuse(refusal);
            return self.poll_refused(cx);
        };
        let came = &buffer.filled()[before..];
        if read.is_ok()
            && !came.is_empty()
            && self.ends.is_waiting()
            && let Err(refusal) = self.heads.note(came, &self.ends)
        {
            buffer.set_filled(before);
            self.refuse(refusal);
            return self.poll_refused(cx);
        }
        Poll::Ready(read)
    }

    fn refuse(&mut self, refusal: Refusal) {
        tracing::debug!(?refusal, "a connection is ended");
        if let Some(kind) = refusal.kind() {
            self.metrics.error(kind.slug);
        }
        let answer = refusal.answer().unwrap_or_default();
        let linger = if answer.is_empty() { Duration::ZERO } else { LINGER };
        self.ahead = BytesMut::new();
        self.refused = Some(Refused {
            answer: BytesMut::from(&answer[..]),
            lingers: Box::pin(sleep(linger)),
        });
    }

    /// Tells why, and is ready when that was heard or has taken too long.
    fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refused) = &mut self.refused else {
            return Poll::Ready(Ok(()));
        };
        if refused.lingers.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.outgoing.poll_due(cx, Pin::new(&mut self.socket)))?;
        while !refused.answer.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &refused.answer))?;
            refused.answer.advance(written.max(1).min(refused.answer.len()));
        }
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        loop {
            let mut scrap = [0; 4096];
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut scrap))?;
            if scrap.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// What becomes of an answer that the client does not take just now.
    fn poll_taken<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            self.ends.note_written();
            return written;
        }
        let patience = self.limits.writing;
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(writing.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Where the requests of this connection leave their interim answers.
    pub(super) fn outgoing(&self) -> Arc<Outgoing> {
        Arc::clone(&self.outgoing)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.refused.is_some() {
            return self.poll_refused(cx);
        }
        if self.end.is_none() {
            let before = buffer.filled().len();
            let read = ready!(self.poll_within_limits(cx, buffer));
            if self.refused.is_some() {
                return Poll::Ready(read);
            }
            if read.is_ok() && buffer.filled().len() > before {
                return Poll::Ready(read);
            }
            self.end = Some(read);
        }
        if !self.ends.may_be_told(cx) {
            return Poll::Pending;
        }
        Poll::Ready(self.end.take().unwrap_or(Ok(())))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match this.outgoing.poll_due(cx, Pin::new(&mut this.socket)) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.socket).poll_write(cx, bytes),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.poll_taken(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.note_flush(cx.waker());
        ready!(this.outgoing.poll_due(cx, Pin::new(&mut this.socket)))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
