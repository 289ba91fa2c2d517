//! Errors as HTTP: the only table from variant to status and problem type, and the RFC 9457 document.
//!
//! Separate from `error`, which knows no HTTP. A protocol whose clients expect another shape renders the same
//! [`Kind`] its own way through [`Failure`].

use std::fmt;
use std::marker::PhantomData;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};

use super::mishaps::Told;
use super::outer;
use super::trace::{note_error, request_id};
use crate::error::Error;

/// tus's status for bytes that do not have the digest that was claimed; outside of the registered ones:
/// <https://tus.io/protocols/resumable-upload#checksum>.
pub const CHECKSUM_MISMATCH: u16 = 460;

/// One kind of problem: <https://www.rfc-editor.org/rfc/rfc9457#section-3.1.1>.
#[derive(Debug, PartialEq, Eq)]
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

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        slug: "invalid-request",
        status: 400,
        title: "The request has fields that cannot be right",
        advice: "The list \"errors\" names each field and its limit. Correct them and send the request again.",
    },
    Kind {
        slug: "too-large",
        status: 413,
        title: "The file is too large",
        advice: "\"limit\" is the most bytes that one file may have here. Send a smaller file, or ask the operator \
                 to raise limits.max_size.",
    },
    Kind {
        slug: "body-too-large",
        status: 413,
        title: "The request is too large",
        advice: "\"limit\" is the most bytes that one request to this server may have. The bytes of a file go to the \
                 store; long lists of parts can be told in several requests.",
    },
    Kind {
        slug: "type-refused",
        status: 415,
        title: "Files of this type are not accepted",
        advice: "The operator accepts certain media types only (limits.types).",
    },
    Kind {
        slug: "content-refused",
        status: 415,
        title: "The file is not what it is said to be",
        advice: "Its first bytes are those of \"found\", which is not accepted here (limits.types, limits.sniff). The upload has \
                 failed, and nothing of it is kept. Is the file's name or type right?",
    },
    Kind {
        slug: "too-many-parts",
        status: 413,
        title: "The file is cut into too many parts",
        advice: "\"limit\" is the most parts that one file may have here. Cut the file into larger parts.",
    },
    Kind {
        slug: "quota-reached",
        status: 429,
        title: "You have as much open as you may have at once",
        advice: "\"limit\" is the most of what \"what\" names, and \"held\" is how much is open. An upload that completes, is \
                 aborted or expires makes room: complete or abort one, or try again after the seconds in Retry-After. \
                 Uploads that were begun before can go on.",
    },
    Kind {
        slug: "too-fast",
        status: 429,
        title: "This is done too often",
        advice: "Send the same request again after the seconds in Retry-After. The operator says how often is too often \
                 (limits.rates).",
    },
    Kind {
        slug: "not-found",
        status: 404,
        title: "There is no such thing, or it is not yours",
        advice: "Check the id, and that the request carries the credential that began the upload.",
    },
    Kind {
        slug: "method-not-allowed",
        status: 405,
        title: "This address does not take that method",
        advice: "The API is described at /docs.",
    },
    Kind {
        slug: "unauthenticated",
        status: 401,
        title: "We do not know who is asking",
        advice: "Send an API key in X-API-Key, or the token of the upload in Authorization: Bearer. \
                 `muleteer keys create` makes a key.",
    },
    Kind {
        slug: "forbidden",
        status: 403,
        title: "You may not do this",
        advice: "The credential is good, but not for this. \"detail\" says what it lacks.",
    },
    Kind {
        slug: "wrong-state",
        status: 409,
        title: "The upload's state does not allow this",
        advice: "\"state\" says where the upload stands. One that was aborted or has expired must begin anew; a \
                 complete one cannot be changed.",
    },
    Kind {
        slug: "incomplete",
        status: 409,
        title: "The upload is not whole",
        advice: "\"defects\" names the parts that are missing or of another size. Send them again, then complete.",
    },
    Kind {
        slug: "mixed-parts",
        status: 409,
        title: "The stored parts are not of one file and one chunk size",
        advice: "Somebody went on with another chunk size, or with another file. What was stored is dropped, and the \
                 same upload takes the file again from its first part.",
    },
    Kind {
        slug: "key-taken",
        status: 409,
        title: "The object key is taken",
        advice: "Another upload has it, or there is an object under it already, and nothing is overwritten. Propose \
                 another key.",
    },
    Kind {
        slug: "vanished",
        status: 410,
        title: "The store has dropped the multipart upload",
        advice: "It was aborted in the store, or a lifecycle rule removed it. Begin the upload again; nothing of it \
                 is left.",
    },
    Kind {
        slug: "wrong-size",
        status: 400,
        title: "The bytes have another length than they must have",
        advice: "\"expected\" is the length. Nothing was stored; send exactly those bytes.",
    },
    Kind {
        slug: "part-conflict",
        status: 409,
        title: "The part is stored already, with other bytes",
        advice: "A part that has been acknowledged is never overwritten. Has the file changed since? Then begin a new \
                 upload.",
    },
    Kind {
        slug: "checksum-mismatch",
        status: 409,
        title: "The bytes have another digest than was claimed",
        advice: "They were changed on the way, or the digest is of something else. A part was not stored and can be \
                 sent again; a whole file must be uploaded anew.",
    },
    Kind {
        slug: "unsupported-version",
        status: 412,
        title: "This version of the protocol is not spoken here",
        advice: "Tus-Version lists the versions that are. Every request but OPTIONS says its own in Tus-Resumable.",
    },
    Kind {
        slug: "unsupported-content-type",
        status: 415,
        title: "The body is of another type than this request takes",
        advice: "\"detail\" names the Content-Type that the bytes of a file come with. Nothing was stored.",
    },
    Kind {
        slug: "mismatching-upload-offset",
        status: 409,
        title: "The upload stands elsewhere",
        advice: "\"expected-offset\" is where it stands: send the bytes from there.",
    },
    Kind {
        slug: "inconsistent-upload-length",
        status: 400,
        title: "The file's length is told differently than before",
        advice: "A length is told once: by Upload-Length, or by the last request's offset and length together. Send \
                 the one that was told first, or begin a new upload.",
    },
    Kind {
        slug: "completed-upload",
        status: 400,
        title: "The upload is complete already",
        advice: "It takes no more bytes. Begin a new upload for another file.",
    },
    Kind {
        slug: "interrupted",
        status: 400,
        title: "The request's body did not arrive whole",
        advice: "Send it again. Nothing that was acknowledged is lost.",
    },
    Kind {
        slug: "body-stalled",
        status: 408,
        title: "The request's body stopped coming",
        advice: "Send the request again, its body at once. Nothing of it was done.",
    },
    Kind {
        slug: "superseded",
        status: 409,
        title: "A newer request has taken over",
        advice: "A newer request sends to the same place, and that one counts. Ask where the upload stands before \
                 you send again.",
    },
    Kind {
        slug: "stopping",
        status: 503,
        title: "The server is being stopped",
        advice: "What came is kept. Ask where the upload stands, and go on from there.",
    },
    Kind {
        slug: "no-space",
        status: 507,
        title: "There is no room for the file",
        advice: "\"needed\" is how many bytes would be. The operator has to make room in the storage.",
    },
    Kind {
        slug: "still-completing",
        status: 503,
        title: "The upload is being completed",
        advice: "All bytes are there, and the storage joins them. Ask for completion again after the seconds in \
                 Retry-After; every request joins the same work.",
    },
    Kind {
        slug: "store-refused",
        status: 502,
        title: "The store refused our request",
        advice: "\"code\" is the store's own error code. Check bucket, region, credentials and their policy.",
    },
    Kind {
        slug: "busy",
        status: 503,
        title: "Too much at once",
        advice: "Send the request again after the seconds in Retry-After.",
    },
    Kind {
        slug: "too-many-attempts",
        status: 429,
        title: "Too many attempts",
        advice: "Wait for the seconds in Retry-After, then try once more.",
    },
    Kind {
        slug: "unavailable",
        status: 503,
        title: "The database or the store does not answer",
        advice: "Nothing that was acknowledged is lost. Send the request again after the seconds in Retry-After.",
    },
    Kind {
        slug: "internal",
        status: 500,
        title: "Something went wrong on our side",
        advice: "Tell the operator the \"request_id\": the log has the cause under it.",
    },
];

impl Kind {
    /// The kind of an error.
    pub fn of(error: &Error) -> &'static Self {
        Self::named(match error {
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
            Error::Busy(_) => "busy",
            Error::Unavailable { .. } => "unavailable",
            Error::Internal(_) => "internal",
        })
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

    /// A document of this kind.
    pub fn document(&self, detail: &str, extra: Map<String, Value>) -> HttpResponse {
        note_error(self.slug);
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
            ..*Kind::of(error)
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
