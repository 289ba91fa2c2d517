//! Answers: where an upload stands, and what went wrong, in this protocol's fields and problem types.
//!
//! Separate, so that each field is written in one place, whatever the request was.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError as _};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::request::PARTIAL;
use super::version::NUMBER;
use super::{Desk, digests};
use crate::domain::{State, Upload};
use crate::error::Error;
use crate::web::mishaps::Told;
use crate::web::problem::{Failure, Kind, ProblemDocument, log};

/// Where the problem types of the draft are registered (section "Problem Types").
const REGISTRY: &str = "https://iana.org/assignments/http-problem-types#";

/// The largest integer of a structured field: <https://www.rfc-editor.org/rfc/rfc9651#section-3.3.1>.
const LARGEST: u64 = 999_999_999_999_999;

const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const LIMIT: HeaderName = HeaderName::from_static("upload-limit");

impl Desk<'_> {
    /// `Upload-Limit` (section "Limits"), for an upload or for those that can be made; `None` where the version has no
    /// such field.
    pub(super) fn limits(&self, upload: Option<&Upload>) -> Option<HeaderValue> {
        let age = self.version.age?;
        let size = self.door.max_size(self.uploads).min(LARGEST);
        let mut text = format!("max-size={size}, min-size=0");
        let seconds = match upload {
            Some(upload) if upload.state.is_unfinished() => {
                Some((upload.expires_at - self.uploads.now()).num_seconds().max(0))
            }
            // A finished one stays.
            Some(_) => None,
            None => i64::try_from(self.door.settings.ttl_hours.saturating_mul(3600)).ok(),
        };
        if let Some(seconds) = seconds {
            text = format!("{text}, {age}={seconds}");
        }
        HeaderValue::try_from(text).ok()
    }

    /// Where an upload stands, to whoever asks.
    pub(super) fn standing(&self, upload: &Upload) -> HttpResponse {
        let mut answer = HttpResponse::NoContent();
        self.tell_state(&mut answer, upload);
        if let Some(size) = upload.known_size() {
            answer.insert_header((LENGTH, size));
        }
        self.tell_limits(&mut answer, upload);
        answer.finish()
    }

    /// An upload was made, and more is to come.
    pub(super) fn made(&self, upload: &Upload, location: HeaderValue) -> HttpResponse {
        let mut answer = HttpResponse::Created();
        answer.insert_header((LOCATION, location));
        self.tell_state(&mut answer, upload);
        self.tell_limits(&mut answer, upload);
        answer.finish()
    }

    /// Content was appended, and more is to come.
    pub(super) fn appended(&self, upload: &Upload) -> HttpResponse {
        let mut answer = HttpResponse::build(self.version.appended);
        self.tell_state(&mut answer, upload);
        self.tell_limits(&mut answer, upload);
        answer.finish()
    }

    /// The upload is complete: this is the answer of what was uploaded to (section "Responses to Uploads").
    pub(super) async fn whole(&self, upload: &Upload, made_at: Option<HeaderValue>) -> HttpResponse {
        let (status, location) = match made_at {
            Some(location) => (self.version.made_whole, Some(location)),
            None => (StatusCode::OK, None),
        };
        let mut answer = HttpResponse::build(status);
        self.tell_state(&mut answer, upload);
        if self.door.settings.downloads {
            answer.insert_header((LOCATION, self.door.location(self.request, &upload.id)));
        } else if self.version.locates_whole
            && let Some(location) = location
        {
            answer.insert_header((LOCATION, location));
        }
        let headers = self.request.headers();
        if let Some(sum) = digests::of_whole(self.uploads, upload, headers).await {
            answer.insert_header((HeaderName::from_static("repr-digest"), sum));
        }
        answer.json(json!({
            "id": upload.id.as_str(),
            "state": upload.state.as_str(),
            "filename": upload.filename.as_str(),
            "size": upload.size,
            "content_type": upload.content_type.as_str(),
        }))
    }

    fn tell_state(&self, answer: &mut HttpResponseBuilder, upload: &Upload) {
        let offset = upload.appending.as_ref().map_or(0, |appending| appending.offset);
        let completeness = self.version.completeness;
        answer.insert_header((OFFSET, offset)).insert_header((
            completeness.field(),
            completeness.text(upload.state == State::Complete),
        ));
    }

    fn tell_limits(&self, answer: &mut HttpResponseBuilder, upload: &Upload) {
        if let Some(limits) = self.limits(Some(upload)) {
            answer.insert_header((LIMIT, limits));
        }
    }

    /// Sends an answer on its way, with what each carries.
    pub(super) fn send(&self, answer: Result<HttpResponse, Error>) -> HttpResponse {
        let mut answer = answer.unwrap_or_else(|error| self.refuse(error));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(number) = self.version.number {
            headers.insert(HeaderName::from_static(NUMBER), HeaderValue::from(number));
        }
        answer
    }

    fn refuse(&self, error: Error) -> HttpResponse {
        match error {
            // The client is gone, or was sent away to come back: an answer would be taken for the upload's end.
            Error::Interrupted | Error::Superseded | Error::Stopping => hang_up(&error),
            Error::OffsetMismatch { expected, provided } => {
                let members = json!({ "expected-offset": expected, "provided-offset": provided });
                let mut answer = registered("mismatching-upload-offset", &error, members);
                let headers = answer.headers_mut();
                headers.insert(OFFSET, HeaderValue::from(expected));
                self.say_incomplete(headers);
                answer
            }
            Error::LengthConflict { .. } => registered("inconsistent-upload-length", &error, Value::Null),
            Error::WrongSize { expected, actual, .. } => {
                let mut answer = registered("inconsistent-upload-length", &error, Value::Null);
                let headers = answer.headers_mut();
                if actual < expected {
                    // All of it is there to go on with.
                    headers.insert(OFFSET, HeaderValue::from(actual));
                }
                self.say_incomplete(headers);
                answer
            }
            Error::WrongState {
                state: State::Complete,
                ..
            } => registered(self.version.is_complete_already, &error, Value::Null),
            Error::WrongState {
                state: State::Aborted | State::Expired,
                ..
            } => plain(Error::NotFound("upload")),
            Error::WrongState {
                state: State::Failed, ..
            } => plain(Error::Vanished),
            Error::ChecksumMismatch { .. } => {
                let mut answer = ProblemDocument::with_status(&error, 400);
                answer.extensions_mut().insert(Told(Kind::of(&error).slug));
                self.say_incomplete(answer.headers_mut());
                answer
            }
            Error::TooLarge { .. } => {
                let mut answer = plain(error);
                if let Some(limits) = self.limits(None) {
                    answer.headers_mut().insert(LIMIT, limits);
                }
                answer
            }
            other => plain(other),
        }
    }

    fn say_incomplete(&self, headers: &mut HeaderMap) {
        let completeness = self.version.completeness;
        headers.insert(
            HeaderName::from_static(completeness.field()),
            HeaderValue::from_static(completeness.text(false)),
        );
    }
}

/// This address does not take that method.
pub(super) fn wrong_method(allowed: &'static str) -> HttpResponse {
    let detail = format!("this address takes {allowed}");
    let mut answer = Kind::named("method-not-allowed").document(&detail, Map::new());
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// A PATCH that is no piece of an upload by its type: <https://www.rfc-editor.org/rfc/rfc5789#section-2.2>.
pub(super) fn wrong_media_type() -> HttpResponse {
    let detail = format!("the content of a PATCH must be of type {PARTIAL}");
    let mut answer = Kind::named("unsupported-content-type").document(&detail, Map::new());
    answer.headers_mut().insert(
        HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(PARTIAL),
    );
    answer
}

/// An error as any door tells it.
fn plain(error: Error) -> HttpResponse {
    Failure::<ProblemDocument>::from(error).error_response()
}

/// An error under one of the draft's own types.
fn registered(slug: &'static str, error: &Error, extra: Value) -> HttpResponse {
    let mut extra = members(extra);
    extra.insert("type".to_owned(), Value::String(format!("{REGISTRY}{slug}")));
    let mut answer = Kind::named(slug).document(&error.to_string(), extra);
    answer.extensions_mut().insert(Told(slug));
    answer
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// No answer at all: the connection ends, as it does when a network breaks, after which clients come back. The status is
/// for the log alone; the content breaks off before the head that it stands in has left.
fn hang_up(error: &Error) -> HttpResponse {
    // Nobody is told of it, but operators see how often it happens.
    log(error);
    let broken = std::io::Error::other("the connection is ended on purpose");
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(broken) });
    HttpResponse::build(Kind::of(error).status()).streaming(broken)
}
