//! A client that hangs up in the middle of a body: the end of its connection is told once all that came before it has
//! been read. And whether a connection serves a request at all, or waits for the next.
//!
//! Separate from both sides that meet here, the socket and the body of the request that it carries. actix reads ahead of
//! whoever takes a body, and when it meets the end of the connection it drops what it has read and not yet passed on:
//! up to 128 KiB that had reached us.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::Request;
use actix_http::error::PayloadError;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::time::Instant;

/// What the socket and the bodies of one connection know of each other.
#[derive(Default)]
pub(super) struct Ends {
    /// Bodies that are being read, or will be.
    bodies: Cell<usize>,
    /// Whoever reads has taken all that there is, and waits for more.
    is_read_up: Cell<bool>,
    /// Wakes whoever serves the connection, if it waits to tell of its end.
    waker: RefCell<Option<Waker>>,
    /// Requests that have no whole answer yet.
    answers: Cell<usize>,
    /// How often the connection has begun to wait for a request, and since when it waits.
    waits: Cell<(u64, Option<Instant>)>,
    /// A body was left before its end, and the rest of it may be what comes next.
    is_unread: Cell<bool>,
}

impl Ends {
    /// A request's head is whole; what is returned goes with its answer.
    pub(super) fn begin_answer(self: &Rc<Self>) -> Answering {
        self.answers.set(self.answers.get() + 1);
        self.is_unread.set(false);
        Answering(Rc::clone(self))
    }

    /// Whether no request is being served, so that what comes is the head of the next.
    pub(super) fn is_waiting(&self) -> bool {
        self.answers.get() == 0 && self.bodies.get() == 0
    }

    /// How often a request was waited for, and since when the last one is; `None` before the first.
    pub(super) fn waits(&self) -> (u64, Option<Instant>) {
        self.waits.get()
    }

    /// Whether what comes may be the rest of a body that nobody has read.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread.get()
    }

    /// The client takes an answer that lies above us.
    pub(super) fn note_written(&self) {
        if let (count, Some(_)) = self.waits.get() {
            self.waits.set((count, Some(Instant::now())));
        }
    }

    fn note_end(&self) {
        if self.is_waiting() {
            self.waits.set((self.waits.get().0 + 1, Some(Instant::now())));
        }
    }

    /// Whether the end of the connection may be told now; who may not is woken when that changes.
    pub(super) fn may_be_told(&self, cx: &Context<'_>) -> bool {
        let may = self.bodies.get() == 0 || self.is_read_up.get();
        if !may {
            self.waker.replace(Some(cx.waker().clone()));
        }
        may
    }

    /// Watches how far the body of `request` is read.
    pub(super) fn watch(self: &Rc<Self>, request: &mut Request) {
        let payload = match request.take_payload() {
            Payload::None => return,
            payload => payload,
        };
        self.bodies.set(self.bodies.get() + 1);
        self.is_read_up.set(false);
        *request.payload() = Payload::Stream {
            payload: Box::pin(Watched {
                payload,
                ends: Rc::clone(self),
                is_over: false,
            }),
        };
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A body that says how far it is read.
struct Watched {
    payload: Payload,
    ends: Rc<Ends>,
    /// All of it was read.
    is_over: bool,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(cx);
        self.ends.is_read_up.set(next.is_pending());
        self.is_over |= matches!(next, Poll::Ready(None));
        if next.is_pending() {
            self.ends.wake();
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ends.bodies.set(self.ends.bodies.get().saturating_sub(1));
        if !self.is_over {
            self.ends.is_unread.set(true);
        }
        self.ends.note_end();
        self.ends.wake();
    }
}

/// One request that is being answered, until its answer has gone up to its last byte.
pub(super) struct Answering(Rc<Ends>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.set(self.0.answers.get().saturating_sub(1));
        self.0.note_end();
    }
}

/// An answer that says when all of it was taken.
pub(super) struct Answer {
    body: BoxBody,
    _answering: Option<Answering>,
}

impl Answer {
    pub(super) fn new(body: impl MessageBody + 'static, answering: Option<Answering>) -> Self {
        Self {
            body: BoxBody::new(body),
            _answering: answering,
        }
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}
