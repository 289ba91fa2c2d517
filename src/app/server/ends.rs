//! A client that hangs up in the middle of a body: the end of its connection is told once all that came before it has
//! been read.
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
use actix_web::dev::Payload;
use actix_web::web::Bytes;
use futures_util::Stream;

/// What the socket and the bodies of one connection know of each other.
#[derive(Default)]
pub(super) struct Ends {
    /// Bodies that are being read, or will be.
    bodies: Cell<usize>,
    /// Whoever reads has taken all that there is, and waits for more.
    is_read_up: Cell<bool>,
    /// Wakes whoever serves the connection, if it waits to tell of its end.
    waker: RefCell<Option<Waker>>,
}

impl Ends {
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
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(cx);
        self.ends.is_read_up.set(next.is_pending());
        if next.is_pending() {
            self.ends.wake();
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ends.bodies.set(self.ends.bodies.get().saturating_sub(1));
        self.ends.wake();
    }
}
