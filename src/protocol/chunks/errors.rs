//! Errors as the chunk server's clients read them: `error` for people, `status` as a number, `code` for programs, and
//! `details` where there is more to say.
//!
//! Separate, because the published server has rules of its own on which status means what.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::domain::State;
use crate::error::{Digested, Error};
use crate::web::problem::{Kind, Tell, tell_pause};
use crate::web::trace::request_id;

/// The chunk server's way to tell of an error.
#[derive(Debug)]
pub struct ChunkError;

impl Tell for ChunkError {
    fn tell(error: &Error) -> HttpResponse {
        let kind = Kind::of(error);
        let status = match error {
            // Its clients take a conflict for one with bytes that are stored.
            Error::Incomplete { .. } | Error::ChecksumMismatch { what: Digested::Part } => 400,
            Error::Vanished => 404,
            _ => kind.status,
        };
        let code = match error {
            Error::StillCompleting => "finalizing".to_owned(),
            Error::Incomplete { .. } => "parts_missing".to_owned(),
            Error::WrongState {
                state: State::Complete,
                ..
            } => "already_complete".to_owned(),
            _ => kind.slug.replace('-', "_"),
        };
        let mut answer = answer(status, &code, &text(error), &details(error));
        tell_pause(&mut answer, error);
        answer
    }
}

/// The error in words; parts are counted from 0 here.
fn text(error: &Error) -> String {
    match error {
        Error::PartConflict { number } => {
            format!("part {} is stored already, with other bytes", number.get() - 1)
        }
        Error::Incomplete {
            total, part_count, ..
        } => {
            let there = (*part_count as usize).saturating_sub(*total);
            format!("only {there} of {part_count} parts are uploaded")
        }
        other => other.to_string(),
    }
}

fn details(error: &Error) -> Value {
    match error {
        Error::Invalid(fields) => fields
            .iter()
            .map(|field| json!({ "field": field.field, "detail": field.detail }))
            .collect(),
        Error::TooLarge { limit, size } => json!({ "limit": limit, "size": size }),
        Error::BodyTooLarge { limit } => json!({ "limit": limit }),
        Error::WrongSize { expected, .. } => json!({ "expected": expected }),
        Error::WrongState { state, .. } => json!({ "state": state.as_str() }),
        Error::NoSpace { needed } => json!({ "needed": needed }),
        Error::TooManyParts { limit, .. } => json!({ "limit": limit }),
        Error::QuotaReached { what, limit, held } => {
            json!({ "what": what.name(), "limit": limit, "held": held })
        }
        // Counted from 0, as everything here.
        Error::Incomplete { defects, total, .. } => {
            let parts: Vec<u16> = defects.iter().map(|defect| defect.number().get() - 1).collect();
            json!({ "missing": total, "parts": parts })
        }
        _ => Value::Null,
    }
}

/// The answer to a method that an address does not take.
pub fn wrong_method(allowed: &'static str) -> HttpResponse {
    Kind::named("method-not-allowed").note();
    let text = format!("this address takes {allowed}");
    let mut answer = answer(405, "method_not_allowed", &text, &Value::Null);
    answer
        .headers_mut()
        .insert(ALLOW, actix_web::http::header::HeaderValue::from_static(allowed));
    answer
}

fn answer(status: u16, code: &str, text: &str, details: &Value) -> HttpResponse {
    let mut body = json!({ "error": text, "status": status, "code": code, "request_id": request_id() });
    if let (Value::Object(members), false) = (&mut body, details.is_null()) {
        members.insert("details".into(), details.clone());
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    answer.insert_header((CACHE_CONTROL, "no-store"));
    if status == StatusCode::UNAUTHORIZED {
        answer.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    answer.json(body)
}
