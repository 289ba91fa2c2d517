//! What goes out: JSON that every generation reads, and errors in the two members that they know.

use actix_web::HttpResponse;
use actix_web::http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ALLOW, CACHE_CONTROL};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::{StoredPart, bare_etag};
use crate::error::Error;
use crate::uploads::SignedForm;
use crate::web::cors::known_fields;
use crate::web::problem::{Kind, Tell, tell_pause};
use crate::web::trace::request_id;

/// Methods of all addresses together.
const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// Shortest life of a signature that is told, in seconds: versions 3 to 5 give a part no more time than that.
const LEAST_EXPIRES: i64 = 3590;

/// A part in a list. The numbers are numbers, and the names have capitals: versions 4 and 5 compare them as they are, and
/// version 2 adds the sizes up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPart {
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
}

impl From<&StoredPart> for ListedPart {
    fn from(part: &StoredPart) -> Self {
        Self {
            part_number: part.number.get(),
            etag: format!("\"{}\"", bare_etag(&part.etag)),
            size: part.size,
        }
    }
}

/// An answer that nothing may keep.
pub fn ok(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}

/// Members with how long what is signed lives, in seconds, where that is long enough not to be mistaken for the time that
/// a part may take.
pub fn expiring(mut members: Value, seconds: i64) -> Value {
    if seconds >= LEAST_EXPIRES {
        members["expires"] = seconds.into();
    }
    members
}

/// The fields of a form, by name.
pub fn fields(form: SignedForm) -> Value {
    let fields: Map<String, Value> = form
        .fields
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    fields.into()
}

/// Which methods and fields are taken, for clients that ask with a request of their own.
pub fn options() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ALLOW, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, known_fields()))
        .finish()
}

/// Errors as Companion tells them. Version 6 shows nothing but the status line's phrase, so that says what is wrong; the
/// others show `message`.
#[derive(Debug)]
pub struct Companion;

impl Tell for Companion {
    fn tell(error: &Error) -> HttpResponse {
        let kind = Kind::of(error);
        let mut answer = HttpResponse::build(kind.status());
        answer
            .reason(kind.title)
            .insert_header((CACHE_CONTROL, "no-store"));
        let request = request_id();
        let mut answer =
            answer.json(json!({ "message": error.to_string(), "error": kind.slug, "request_id": request }));
        tell_pause(&mut answer, error);
        answer
    }
}
