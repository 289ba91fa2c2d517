//! What goes out: a session in three members, and errors that say where it stands.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::domain::{State, Upload, UploadId};
use crate::error::{Digested, Error};
use crate::web::mishaps::Told;
use crate::web::problem::{Kind, log, tell_pause};
use crate::web::trace::request_id;

/// Where no session is named and one has to be.
pub const NO_SESSION: Error = Error::NotFound("session: name one in session_id");

/// Where another chunk is on its way.
pub const BUSY: &str = "another chunk of this session is being received";

/// A session as its client sees it.
pub struct Session {
    upload: Upload,
    now: DateTime<Utc>,
}

impl Session {
    /// A session at this moment.
    pub fn new(upload: Upload, now: DateTime<Utc>) -> Self {
        Self { upload, now }
    }

    /// The upload behind it.
    pub fn upload(&self) -> &Upload {
        &self.upload
    }

    /// The upload's own id.
    pub fn id(&self) -> &UploadId {
        &self.upload.id
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.upload.id.as_uuid_v4()
    }

    /// Bytes that are there.
    fn offset(&self) -> u64 {
        match &self.upload.appending {
            Some(appending) if self.upload.state != State::Complete => appending.offset,
            _ => self.upload.size,
        }
    }

    /// `session_id`, `offset`, and the seconds that it lives on, as text.
    fn members(&self) -> Map<String, Value> {
        // A second that has begun counts: a fresh session has all that the settings give it.
        let left = (self.upload.expires_at - self.now).num_milliseconds().max(0);
        let left = (left + 999) / 1000;
        let members = json!({
            "session_id": self.name(),
            "offset": self.offset(),
            "expires": left.to_string(),
        });
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The answer to what was done.
    pub fn answer(&self, status: u16) -> HttpResponse {
        answer(status, &Value::Object(self.members()))
    }

    /// All that there is to say of it; without a body for HEAD.
    pub fn details(&self, is_head: bool) -> HttpResponse {
        let mut members = self.members();
        members.insert("bytes".into(), self.upload.size.into());
        members.insert("name".into(), self.upload.filename.as_str().into());
        let mut answer = if is_head {
            HttpResponse::Ok()
                .insert_header((CACHE_CONTROL, "no-store"))
                .finish()
        } else {
            answer(200, &Value::Object(members))
        };
        let name = actix_web::http::header::HeaderName::from_static("upload-offset");
        answer.headers_mut().insert(name, self.offset().into());
        answer
    }

    /// An error that says where it stands.
    pub fn refuses(&self, error: Error) -> Refusal {
        Refusal {
            error,
            members: self.members(),
        }
    }
}

/// More bytes than the file has.
pub fn past_end(upload: &Upload) -> Error {
    Error::WrongSize {
        what: PAST_END,
        expected: upload.size,
        actual: upload.size.saturating_add(1),
    }
}

/// What an error of that kind is about.
const PAST_END: &str = "the file";

/// An error of a verb in the words of this protocol.
pub fn in_own_words(error: Error, upload: &Upload) -> Error {
    match error {
        Error::BodyTooLarge { .. } => past_end(upload),
        Error::Busy(_) => Error::Busy(BUSY),
        // Its client has lost the last answer.
        Error::WrongState {
            state: State::Complete,
            ..
        } => Error::OffsetMismatch {
            expected: upload.size,
            provided: upload.size,
        },
        error => error,
    }
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct Refusal {
    error: Error,
    /// What there is to say of the session.
    members: Map<String, Value>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            members: Map::new(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Refusal {
    fn status_and_code(&self) -> (u16, String) {
        let kind = Kind::of(&self.error);
        match &self.error {
            Error::OffsetMismatch { .. } => (400, "offset".into()),
            Error::WrongSize { what: PAST_END, .. } => (409, "past_end".into()),
            Error::ChecksumMismatch {
                what: Digested::Part | Digested::Parts | Digested::File,
            } => (400, "digest".into()),
            Error::Busy(_) => (409, "busy".into()),
            Error::Vanished => (404, "not_found".into()),
            _ => (kind.status, kind.slug.replace('-', "_")),
        }
    }

    fn text(&self) -> String {
        match &self.error {
            Error::OffsetMismatch { expected, .. } => format!("the next chunk must begin at {expected}"),
            Error::WrongSize {
                what: PAST_END,
                expected,
                ..
            } => {
                format!("the file has {expected} bytes, and this chunk goes beyond")
            }
            error => error.to_string(),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status_and_code().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        log(&self.error);
        let (status, code) = self.status_and_code();
        let mut members = self.members.clone();
        members.insert("error".into(), self.text().into());
        members.insert("status".into(), status.into());
        members.insert("code".into(), code.into());
        members.insert("request_id".into(), request_id().into());
        if let Error::Invalid(fields) = &self.error {
            let list: Vec<Value> = fields
                .iter()
                .map(|field| json!({ "field": field.field, "detail": field.detail }))
                .collect();
            members.insert("details".into(), list.into());
        }
        let mut answer = answer(status, &Value::Object(members));
        tell_pause(&mut answer, &self.error);
        answer.extensions_mut().insert(Told(Kind::of(&self.error).slug));
        answer
    }
}

/// The answer to a method that the address does not take.
pub fn wrong_method() -> HttpResponse {
    Kind::named("method-not-allowed").note();
    let allowed = "PUT, GET, HEAD, DELETE";
    let text = format!("this address takes {allowed}");
    let mut answer = answer(
        405,
        &json!({ "error": text, "status": 405, "code": "method_not_allowed", "request_id": request_id() }),
    );
    let allowed = actix_web::http::header::HeaderValue::from_static("PUT, GET, HEAD, DELETE");
    answer.headers_mut().insert(ALLOW, allowed);
    answer
}

fn answer(status: u16, members: &Value) -> HttpResponse {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(code);
    answer.insert_header((CACHE_CONTROL, "no-store"));
    if status == 401 {
        answer.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    answer.json(members)
}
