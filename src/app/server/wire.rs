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

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::ends::Ends;
use super::socket::Socket;
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
}

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            outgoing: Arc::default(),
            ends: Rc::default(),
            ahead: BytesMut::new(),
            is_flowing: false,
            end: None,
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
        if !self.ahead.is_empty() {
            self.pass_on(buffer);
            return Poll::Ready(Ok(()));
        }
        if self.end.is_none() {
            let before = buffer.filled().len();
            let read = ready!(self.poll_socket(cx, buffer));
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
        ready!(this.outgoing.poll_due(cx, Pin::new(&mut this.socket)))?;
        Pin::new(&mut this.socket).poll_write(cx, bytes)
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
