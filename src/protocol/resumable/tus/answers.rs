//! The answers that go out: errors in this protocol's statuses, and the fields that every answer carries.
//!
//! Separate, because every answer passes here, whatever became of its request.

use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError as _};
use chrono::{DateTime, Utc};
use serde_json::Map;

use super::fields::{BYTES, VERSION};
use crate::domain::{State, Upload};
use crate::error::Error;
use crate::web::problem::{CHECKSUM_MISMATCH, Failure, Kind, ProblemDocument, Tell};

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What the verbs say, or a field that cannot be right.
    Error(Error),
    /// It speaks another version, or none.
    Version,
    /// Its body is of another type than a piece of a file has.
    ContentType,
    /// The address does not take its method, but these.
    Method(&'static str),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Refusal {
    /// As its client reads it: a problem document under the protocol's own status.
    pub(super) fn answer(self) -> HttpResponse {
        let document = |slug, detail: &str| Kind::named(slug).document(detail, Map::new());
        match self {
            Self::Error(error) => Failure::<Statuses>::from(error).error_response(),
            Self::Version => {
                let detail = format!("Tus-Resumable must be {VERSION}");
                let mut answer = document("unsupported-version", &detail);
                set(answer.headers_mut(), "tus-version", VERSION);
                answer
            }
            Self::ContentType => document(
                "unsupported-content-type",
                &format!("Content-Type must be {BYTES}"),
            ),
            Self::Method(allowed) => {
                let mut answer = document("method-not-allowed", &format!("this address takes {allowed}"));
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(allowed));
                answer
            }
        }
    }
}

/// The statuses that mean something to this protocol's clients. They try again after 409, 423 and every 5xx, and give
/// up an upload at any other 4xx.
#[derive(Debug)]
struct Statuses;

impl Tell for Statuses {
    fn tell(error: &Error) -> HttpResponse {
        let status = match error {
            Error::ChecksumMismatch { .. } => CHECKSUM_MISMATCH,
            Error::Busy(_) => 423,
            // What came is kept, and the upload can go on: nothing that its client did wrong.
            Error::Interrupted => 503,
            Error::WrongState {
                state: State::Aborted | State::Expired,
                ..
            } => 404,
            Error::WrongState {
                state: State::Failed, ..
            } => 410,
            other => Kind::of(other).status,
        };
        ProblemDocument::with_status(error, status)
    }
}

/// Gives an answer what all carry: <https://tus.io/protocols/resumable-upload#tus-resumable>.
pub(super) fn complete(mut answer: HttpResponse) -> HttpResponse {
    let headers = answer.headers_mut();
    set(headers, "tus-resumable", VERSION);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Sets a field of an answer.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Whatever stands in our fields came in as one, or is of digits and letters.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Tells until when an upload may go on, if that is limited.
pub(super) fn tell_expiry(answer: &mut HttpResponseBuilder, upload: &Upload) {
    if upload.state.is_unfinished() && !upload.is_joined() {
        answer.insert_header(("Upload-Expires", http_date(upload.expires_at)));
    }
}

/// A date as HTTP writes it: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>.
fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_writes_it() {
        let time = "2014-06-05T16:00:09.75Z".parse().unwrap();

        assert_eq!(http_date(time), "Thu, 05 Jun 2014 16:00:09 GMT");
    }
}
