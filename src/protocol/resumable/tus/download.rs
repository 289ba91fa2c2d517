//! `GET`: the bytes of a finished upload, whole or in part. It is not part of the protocol, and off by default.
//!
//! Separate, because everything about it is plain HTTP: ranges (<https://www.rfc-editor.org/rfc/rfc9110#section-14>), a
//! name to save under, and no way to have a browser run what somebody uploaded.

use std::ops::Range;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::TryStreamExt as _;

use super::answers::Refusal;
use crate::domain::{Principal, UploadId};
use crate::error::Error;
use crate::uploads::Uploads;

/// Kinds of files that a browser would run.
const LIVELY: [&str; 6] = ["html", "svg", "xml", "script", "x-shockwave-flash", "pdf"];

/// Which bytes a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Piece(Range<u64>),
    Nothing,
}

/// Answers with the bytes of a finished upload.
pub(super) async fn download(
    request: &HttpRequest,
    uploads: &Uploads,
    caller: &Principal,
    id: &UploadId,
) -> Result<HttpResponse, Refusal> {
    let upload = uploads.finished(caller, id).await?;
    if upload.appending.is_none() {
        return Err(Error::NotFound("file").into());
    }
    // The bytes behind an id never change.
    let tag = format!("\"{id}\"");
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let range = header(RANGE).filter(|_| header(IF_RANGE).is_none_or(|known| known == tag));
    let wanted = range.map_or(Wanted::Whole, |range| wanted(range, upload.size));
    if wanted == Wanted::Nothing {
        let mut answer = HttpResponse::build(StatusCode::RANGE_NOT_SATISFIABLE);
        return Ok(answer
            .insert_header((CONTENT_RANGE, format!("bytes */{}", upload.size)))
            .finish());
    }
    let kind = upload.content_type.as_str();
    let is_lively = LIVELY
        .iter()
        .any(|lively| kind.to_ascii_lowercase().contains(lively));
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((
            CONTENT_TYPE,
            if is_lively {
                "application/octet-stream"
            } else {
                kind
            },
        ))
        .insert_header((CONTENT_DISPOSITION, upload.filename.content_disposition()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((ETAG, tag))
        // Ranges are of these very bytes: nothing may compress them on the way.
        .insert_header((CONTENT_ENCODING, "identity"));
    let (size, range) = match wanted {
        Wanted::Piece(range) => {
            let told = format!("bytes {}-{}/{}", range.start, range.end - 1, upload.size);
            answer
                .status(StatusCode::PARTIAL_CONTENT)
                .insert_header((CONTENT_RANGE, told));
            (range.end - range.start, Some(range))
        }
        _ => (upload.size, None),
    };
    let bytes = uploads.read(&upload, range).await?;
    Ok(answer.body(SizedStream::new(size, bytes.map_err(std::io::Error::other))))
}

/// What a `Range` means for a file of `size` bytes. What we do not understand, or several ranges at once, may be passed
/// over: then it is the whole.
fn wanted(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|set| set.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", "") => return Wanted::Whole,
        ("", length) => match number(length) {
            Some(length) => size.saturating_sub(length)..size,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::Whole,
        },
    };
    if range.start < range.end {
        Wanted::Piece(range)
    } else {
        Wanted::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_bytes_that_are_there() {
        for (text, expected) in [
            ("bytes=0-0", Wanted::Piece(0..1)),
            ("bytes=2-4", Wanted::Piece(2..5)),
            ("bytes=2-", Wanted::Piece(2..10)),
            ("bytes=-3", Wanted::Piece(7..10)),
            ("bytes=-99", Wanted::Piece(0..10)),
            ("bytes=9-99999999999999999999", Wanted::Piece(9..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(text, 10), expected, "{text}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
