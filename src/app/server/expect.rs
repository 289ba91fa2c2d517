//! `Expect: 100-continue`: who asks before sending a body is told to go on when a handler begins to read it, and not
//! before. A request that is refused for what its head says gets its final answer at once.
//!
//! RFC 9110, section 10.1.1: <https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1>. Separate from the server's
//! building, because what happens to a body that nobody has asked for is a story of its own.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_http::error::PayloadError;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, Response};
use actix_web::web::Bytes;
use futures_util::Stream;

use crate::web::interim::Interim;

/// A request's body, as whoever answers the request sees it from outside.
pub(super) struct Expected(Rc<Body>);

struct Body {
    payload: RefCell<Payload>,
    /// The client has been told to go on, or has begun without it.
    is_coming: Cell<bool>,
}

impl Expected {
    /// Puts a body into `request` whose first reading tells the client to go on.
    pub(super) fn within(request: &mut Request, interim: Option<Interim>) -> Self {
        let body = Rc::new(Body {
            payload: RefCell::new(request.take_payload()),
            is_coming: Cell::new(false),
        });
        *request.payload() = Payload::Stream {
            payload: Box::pin(Invited {
                body: Rc::clone(&body),
                interim,
                is_wanted: false,
            }),
        };
        Self(body)
    }

    /// `answer`, with the body kept until it has been sent, if the client was never told to send it.
    ///
    /// The client may send the body after all, or leave it and go on with another request: we cannot know which, so the
    /// connection must end with this answer. The HTTP stack ends it for a body that somebody still holds; one of chunks
    /// that nobody holds it would read and drop instead, however long it is.
    pub(super) fn hold_unread(self, answer: Response<BoxBody>) -> Response<BoxBody> {
        if self.0.is_coming.get() {
            return answer;
        }
        answer.map_body(|_, body| {
            BoxBody::new(Holding {
                body,
                _unread: self.0,
            })
        })
    }
}

/// The body of a client that waits to be told to go on.
struct Invited {
    body: Rc<Body>,
    interim: Option<Interim>,
    /// Somebody has begun to read.
    is_wanted: bool,
}

impl Stream for Invited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let was_wanted = std::mem::replace(&mut self.is_wanted, true);
        let next = Pin::new(&mut *self.body.payload.borrow_mut()).poll_next(cx);
        if next.is_ready() {
            // Who has sent something, or has nothing to send, does not wait.
            self.body.is_coming.set(true);
        } else if !was_wanted {
            // The body may have come with the head, and has not been looked at yet.
            cx.waker().wake_by_ref();
        } else if !self.body.is_coming.get()
            && let Some(interim) = self.interim.take()
        {
            self.body.is_coming.set(interim.send(100, "Continue", &[]));
        }
        next
    }
}

/// An answer that keeps a request's body.
struct Holding {
    body: BoxBody,
    _unread: Rc<Body>,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}
