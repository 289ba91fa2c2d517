//! Interim answers, such as `104 Upload Resumption Supported`: what a request is told before its final answer.
//!
//! RFC 9110, section 15.2: <https://www.rfc-editor.org/rfc/rfc9110#section-15.2>. actix knows none but its own `100`, so
//! the connection itself writes them (`app/server/wire.rs`). Separate from it, because handlers and protocols know
//! [`Interim`] alone, and because what may be written when is a rule that needs no socket.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};
use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncWrite;

/// Most bytes that may wait for a client that does not read.
const MOST_WAITING: usize = 16 << 10;

/// Tells one request's client something before the final answer. Clones may go to any task or thread; once the final
/// answer has begun, they send nothing any more.
#[derive(Debug, Clone)]
pub struct Interim {
    outgoing: Arc<Outgoing>,
    turn: u64,
}

impl Interim {
    /// The way to the client of `request`. `None` where there is none: an HTTP/1.0 client knows no interim answers
    /// (<https://www.rfc-editor.org/rfc/rfc9110#section-15.2-2>), and a request without a connection has no client.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Sends one interim head, without ever waiting for the client. `status` is from 100 to 199, and not 101.
    ///
    /// Best effort, as RFC 9110 has it: `false` where nothing was sent, because the final answer has begun or the client
    /// does not read; and what was taken is dropped where an earlier request's answer was in the way until the end.
    pub fn send(&self, status: u16, reason: &'static str, headers: &[(HeaderName, HeaderValue)]) -> bool {
        debug_assert!(
            matches!(status, 100..=199) && status != 101,
            "{status} is no interim answer"
        );
        let mut head = BytesMut::from(format!("HTTP/1.1 {status} {reason}\r\n").as_bytes());
        for (name, value) in headers {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(piece);
            }
        }
        head.extend_from_slice(b"\r\n");
        self.outgoing.push(self.turn, &head)
    }
}

/// The interim heads of one connection: the requests put them in, the connection takes them out.
///
/// The HTTP stack above the connection gathers answers in a buffer of its own and hands them down when it likes. A head
/// must never get between the bytes of an answer that lies there, so it stays here until the stack has flushed that
/// buffer, which it does only once it is empty.
#[derive(Debug, Default)]
pub struct Outgoing(Mutex<Heads>);

#[derive(Debug, Default)]
struct Heads {
    /// Which request of the connection is being served, or was last.
    turn: u64,
    /// Between the request's head and its final answer.
    is_open: bool,
    /// Nothing of an earlier request's answer is left above us.
    is_clear: bool,
    /// To be written before whatever comes from above.
    due: BytesMut,
    /// Becomes due once it is clear.
    held: BytesMut,
    /// Wakes whoever serves the connection.
    waker: Option<Waker>,
}

impl Outgoing {
    /// Begins the next request's turn, which lasts until the guard is dropped.
    pub fn begin_turn(self: &Arc<Self>) -> Turn {
        let mut heads = self.heads();
        heads.turn += 1;
        heads.is_open = true;
        heads.is_clear = false;
        Turn(Interim {
            outgoing: Arc::clone(self),
            turn: heads.turn,
        })
    }

    /// Notes that whatever came from above has been written, and by whom the connection is served.
    pub fn note_flush(&self, waker: &Waker) {
        let mut guard = self.heads();
        let heads = &mut *guard;
        if heads.is_open {
            heads.is_clear = true;
            heads.due.unsplit(heads.held.split());
        }
        match &mut heads.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Writes what is due. Nothing else may be written before that is ready.
    ///
    /// # Errors
    /// What `socket` says.
    pub fn poll_due(
        &self,
        cx: &mut Context<'_>,
        mut socket: Pin<&mut impl AsyncWrite>,
    ) -> Poll<io::Result<()>> {
        let mut heads = self.heads();
        while !heads.due.is_empty() {
            let written = ready!(socket.as_mut().poll_write(cx, &heads.due))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            heads.due.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn push(&self, turn: u64, head: &[u8]) -> bool {
        let mut heads = self.heads();
        let waiting = heads.due.len() + heads.held.len();
        if heads.turn != turn || !heads.is_open || waiting + head.len() > MOST_WAITING {
            return false;
        }
        if heads.is_clear {
            heads.due.extend_from_slice(head);
        } else {
            heads.held.extend_from_slice(head);
        }
        let waker = heads.waker.clone();
        drop(heads);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn end_turn(&self, turn: u64) {
        let mut heads = self.heads();
        if heads.turn == turn {
            heads.is_open = false;
            // The final answer is about to join what lies above us: there is no place left before it.
            heads.held.clear();
        }
    }

    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's turn on its connection: while it lasts, the request's [`Interim`] sends.
#[derive(Debug)]
pub struct Turn(Interim);

impl Turn {
    /// What the request's handler sends with.
    pub fn interim(&self) -> Interim {
        self.0.clone()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.outgoing.end_turn(self.0.turn);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const LINK: &[u8] = b"HTTP/1.1 104 Upload Resumption Supported\r\nlocation: /a\r\n\r\n";

    fn send(interim: &Interim) -> bool {
        let header = (
            HeaderName::from_static("location"),
            HeaderValue::from_static("/a"),
        );
        interim.send(104, "Upload Resumption Supported", &[header])
    }

    /// What would be written before the next bytes from above.
    fn due(outgoing: &Outgoing) -> Vec<u8> {
        outgoing.heads().due.to_vec()
    }

    #[test]
    fn a_head_is_due_once_the_answer_before_it_has_been_written() {
        let outgoing = Arc::new(Outgoing::default());
        let turn = outgoing.begin_turn();

        assert!(send(&turn.interim()));
        assert_eq!(due(&outgoing), b"");

        outgoing.note_flush(Waker::noop());
        assert_eq!(due(&outgoing), LINK);
        assert!(send(&turn.interim()));
        assert_eq!(due(&outgoing), [LINK, LINK].concat());
    }

    #[test]
    fn a_head_that_found_no_place_before_the_final_answer_is_dropped() {
        let outgoing = Arc::new(Outgoing::default());
        let turn = outgoing.begin_turn();
        assert!(send(&turn.interim()));

        drop(turn);

        outgoing.note_flush(Waker::noop());
        assert_eq!(due(&outgoing), b"");
    }

    #[test]
    fn a_late_head_lands_neither_in_its_own_answer_nor_in_the_next_ones() {
        let outgoing = Arc::new(Outgoing::default());
        let late = outgoing.begin_turn().interim();
        assert!(!send(&late));

        let next = outgoing.begin_turn();
        outgoing.note_flush(Waker::noop());

        assert!(!send(&late));
        assert_eq!(due(&outgoing), b"");
        assert!(send(&next.interim()));
    }

    #[test]
    fn a_head_that_is_due_stays_first_when_the_next_request_has_begun() {
        let outgoing = Arc::new(Outgoing::default());
        let first = outgoing.begin_turn();
        outgoing.note_flush(Waker::noop());
        assert!(send(&first.interim()));
        drop(first);

        let second = outgoing.begin_turn();
        assert!(second.interim().send(100, "Continue", &[]));

        assert_eq!(due(&outgoing), LINK);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_gets_no_more_than_fits_and_whole_heads_alone() {
        let outgoing = Arc::new(Outgoing::default());
        let turn = outgoing.begin_turn();
        outgoing.note_flush(Waker::noop());
        let (mut ours, mut theirs) = tokio::io::duplex(10);
        let first = poll_fn(|cx| Poll::Ready(outgoing.poll_due(cx, Pin::new(&mut ours)))).await;
        assert!(first.is_ready());

        let sent = std::iter::repeat_with(|| send(&turn.interim()))
            .take(1000)
            .filter(|sent| *sent)
            .count();

        assert_eq!(sent, MOST_WAITING / LINK.len());
        let written = poll_fn(|cx| Poll::Ready(outgoing.poll_due(cx, Pin::new(&mut ours)))).await;
        assert!(written.is_pending(), "ten bytes fit");
        drop(turn);
        let mut read = vec![0; sent * LINK.len()];
        let (written, _) = tokio::join!(
            poll_fn(|cx| outgoing.poll_due(cx, Pin::new(&mut ours))),
            theirs.read_exact(&mut read),
        );
        written.expect("a client that reads again");
        assert!(read == LINK.repeat(sent));
    }
}
