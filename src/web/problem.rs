//! Errors as HTTP: the only table from variant to status and problem type, and the RFC 9457 document.
//!
//! Separate from `error`, which knows no HTTP. A protocol whose clients expect another shape renders the same
//! [`Kind`] its own way through [`Failure`].

mod kinds;

use std::fmt;
use std::marker::PhantomData;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};

pub use self::kinds::{CHECKSUM_MISMATCH, KINDS};
use super::mishaps::Told;
use super::outer;
use super::trace::{note_error, request_id};
use crate::error::Error;

/// One kind of problem: <https://www.rfc-editor.org/rfc/rfc9457#section-3.1.1>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The last piece of its type's address, `/problems/<slug>`.
    pub slug: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// What it is, the same for every occurrence.
    pub title: &'static str,
    /// What to do about it, for its page.
    pub advice: &'static str,
}

impl Kind {
    /// The kind of an error, with the status that it is told with here.
    pub fn of(error: &Error) -> Self {
        let kind = *Self::named(match error {
            Error::Invalid(_) => "invalid-request",
            Error::TooLarge { .. } => "too-large",
            Error::BodyTooLarge { .. } => "body-too-large",
            Error::TypeRefused { .. } => "type-refused",
            Error::ContentRefused { .. } => "content-refused",
            Error::TooManyParts { .. } => "too-many-parts",
            Error::QuotaReached { .. } => "quota-reached",
            Error::TooFast { .. } => "too-fast",
            Error::NotFound(_) => "not-found",
            Error::Unauthenticated(_) => "unauthenticated",
            Error::Forbidden(_) => "forbidden",
            Error::Refused { .. } => "refused",
            Error::Rejected { .. } => "rejected",
            Error::WrongState { .. } => "wrong-state",
            Error::Incomplete { .. } => "incomplete",
            Error::MixedParts { .. } => "mixed-parts",
            Error::KeyTaken { .. } => "key-taken",
            Error::Vanished => "vanished",
            Error::WrongSize { .. } => "wrong-size",
            Error::PartConflict { .. } => "part-conflict",
            Error::ChecksumMismatch { .. } => "checksum-mismatch",
            Error::OffsetMismatch { .. } => "mismatching-upload-offset",
            Error::Interrupted => "interrupted",
            Error::LengthConflict { .. } => "inconsistent-upload-length",
            Error::BodyStalled { .. } => "body-stalled",
            Error::Superseded => "superseded",
            Error::Stopping => "stopping",
            Error::NoSpace { .. } => "no-space",
            Error::StillCompleting => "still-completing",
            Error::StoreRefused { .. } => "store-refused",
            Error::CredentialsExpired => "credentials-expired",
            Error::Busy(_) => "busy",
            Error::Unavailable { .. } => "unavailable",
            Error::Internal(_) => "internal",
        });
        match error {
            Error::Refused { status, .. } => Self {
                status: *status,
                ..kind
            },
            _ => kind,
        }
    }

    /// The kind with this slug; `internal` for one that does not exist.
    pub fn named(slug: &str) -> &'static Self {
        KINDS
            .iter()
            .find(|kind| kind.slug == slug)
            .unwrap_or(&KINDS[KINDS.len() - 1])
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A whole answer of this kind and this status, for a connection on which there is no request; it ends with that.
    pub fn raw(&self, status: u16, detail: &str) -> Vec<u8> {
        let document = json!({
            "type": format!("/problems/{}", self.slug),
            "title": self.title,
            "status": status,
            "detail": detail,
        })
        .to_string();
        let reason = StatusCode::from_u16(status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("");
        let later = match status {
            429 | 503 => "retry-after: 1\r\n",
            _ => "",
        };
        let length = document.len();
        format!(
            "HTTP/1.1 {status} {reason}\r\nconnection: close\r\n{later}content-type: application/problem+json\r\n\
             x-content-type-options: nosniff\r\ncache-control: no-store\r\ncontent-length: {length}\r\n\r\n{document}"
        )
        .into_bytes()
    }

    /// Has this kind counted as that of the request's answer. Answers in a protocol's own shape say so themselves; what tells
    /// of an [`Error`] has done so with [`log`].
    pub fn note(&self) {
        note_error(self.slug);
    }

    /// A document of this kind.
    pub fn document(&self, detail: &str, extra: Map<String, Value>) -> HttpResponse {
        self.note();
        let mut document = json!({
            "type": format!("{}/problems/{}", outer::prefix(), self.slug),
            "title": self.title,
            "status": self.status,
            "detail": detail,
            "request_id": request_id(),
        });
        if let Value::Object(members) = &mut document {
            members.extend(extra);
        }
        let mut response = HttpResponse::build(self.status());
        if self.status == CHECKSUM_MISMATCH {
            response.reason("Checksum Mismatch");
        }
        response
            .content_type("application/problem+json")
            .insert_header((CACHE_CONTROL, "no-store"));
        if matches!(self.status, 429 | 503) {
            response.insert_header((RETRY_AFTER, "1"));
        }
        if self.status == 401 {
            // A scheme that no browser asks the person about.
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(document.to_string())
    }
}

/// How one protocol tells its clients of an error.
pub trait Tell: 'static {
    /// The answer for `error`.
    fn tell(error: &Error) -> HttpResponse;
}

/// The default shape: a problem document.
#[derive(Debug)]
pub struct ProblemDocument;

impl Tell for ProblemDocument {
    fn tell(error: &Error) -> HttpResponse {
        Self::with_status(error, Kind::of(error).status)
    }
}

impl ProblemDocument {
    /// The document of `error` under a status of the protocol's own.
    pub fn with_status(error: &Error, status: u16) -> HttpResponse {
        let extra = match error {
            Error::Invalid(fields) => {
                let list: Vec<Value> = fields
                    .iter()
                    .map(|f| json!({ "field": f.field, "detail": f.detail }))
                    .collect();
                json!({ "errors": list })
            }
            Error::TooLarge { limit, size } => json!({ "limit": limit, "size": size }),
            Error::BodyTooLarge { limit } => json!({ "limit": limit }),
            Error::WrongState { state, .. } => json!({ "state": state.as_str() }),
            Error::Incomplete { defects, total, .. } => json!({ "defects": defects, "total": total }),
            Error::StoreRefused { code } => json!({ "code": code }),
            Error::WrongSize { expected, .. } => json!({ "expected": expected }),
            Error::OffsetMismatch { expected, provided } => {
                json!({ "expected-offset": expected, "provided-offset": provided })
            }
            Error::LengthConflict { known, .. } => json!({ "expected": known }),
            Error::NoSpace { needed } => json!({ "needed": needed }),
            Error::ContentRefused { found, declared } => json!({ "found": found, "declared": declared }),
            Error::TooManyParts { limit, .. } => json!({ "limit": limit }),
            Error::QuotaReached { what, limit, held } => {
                json!({ "what": what.name(), "limit": limit, "held": held })
            }
            _ => Value::Null,
        };
        let extra = if let Value::Object(members) = extra {
            members
        } else {
            Map::new()
        };
        let kind = Kind {
            status,
            ..Kind::of(error)
        };
        let mut answer = kind.document(&error.to_string(), extra);
        tell_pause(&mut answer, error);
        answer
    }
}

/// Says in `Retry-After` how long to wait before the same request is worth another try, where the answer says to wait.
pub fn tell_pause(answer: &mut HttpResponse, error: &Error) {
    if matches!(answer.status().as_u16(), 429 | 503) {
        let seconds = error.retry_after().unwrap_or(1);
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
}

/// An error on its way to a client of the protocol `P`.
pub struct Failure<P>(Error, PhantomData<P>);

impl<P> From<Error> for Failure<P> {
    fn from(error: Error) -> Self {
        Self(error, PhantomData)
    }
}

impl<P> fmt::Debug for Failure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<P> fmt::Display for Failure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<P: Tell> ResponseError for Failure<P> {
    fn status_code(&self) -> StatusCode {
        Kind::of(&self.0).status()
    }

    fn error_response(&self) -> HttpResponse {
        log(&self.0);
        let mut answer = P::tell(&self.0);
        answer.extensions_mut().insert(Told(Kind::of(&self.0).slug));
        answer
    }
}

/// Logs the cause of what the client only hears in general words, and has its kind counted.
pub fn log(error: &Error) {
    note_error(Kind::of(error).slug);
    match error {
        Error::Internal(cause) => tracing::error!(request_id = request_id(), %cause, "internal error"),
        Error::Unavailable { what, cause } => {
            tracing::warn!(
                request_id = request_id(),
                what,
                cause = chain(cause.as_ref()),
                "unavailable"
            );
        }
        Error::StoreRefused { code } => {
            tracing::warn!(request_id = request_id(), code, "the storage refused");
        }
        _ => {}
    }
}

/// An error with everything behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_slug_and_an_error_status() {
        for (n, kind) in KINDS.iter().enumerate() {
            assert!((400..600).contains(&kind.status), "{}", kind.slug);
            assert!(
                KINDS[n + 1..].iter().all(|other| other.slug != kind.slug),
                "{}",
                kind.slug
            );
        }
    }

    #[test]
    fn the_cause_of_an_internal_error_never_leaves() {
        let error = Error::internal("password=hunter2");

        let response = ProblemDocument::tell(&error);

        assert!(!format!("{:?}{error}", response.body()).contains("hunter2"));
    }
}
