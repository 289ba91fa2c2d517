//! What the script reads: a signature and a date, in SigV2 or, for front ends that ask for it, in SigV4.
//!
//! Separate from the actions, so that each of them says only which operation it signs.

use actix_web::HttpResponse;
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::{Principal, Upload};
use crate::error::Error;
use crate::uploads::{Operation, SignedRequest, Uploads};
use crate::web::problem::{Kind, Tell, tell_pause};

/// Which signature the caller can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HMAC-SHA1 in headers that the unmodified script builds itself.
    V2,
    /// A presigned URL.
    V4,
}

impl Version {
    /// From the parameter `signature_version`; the unmodified script sends none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but 2 and 4.
    pub fn parse(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("2") => Ok(Self::V2),
            Some("4") => Ok(Self::V4),
            Some(_) => Err(Error::invalid("signature_version", "is 2 or 4")),
        }
    }
}

/// A signature as its members: `signature` and `date`, and with SigV4 the whole request beside them.
pub async fn signature(
    uploads: &Uploads,
    caller: &Principal,
    upload: &Upload,
    operation: Operation<'_>,
    version: Version,
) -> Result<Value, Error> {
    uploads.count_signatures_of(caller, upload, 1)?;
    counted_signature(uploads, upload, operation, version).await
}

async fn counted_signature(
    uploads: &Uploads,
    upload: &Upload,
    operation: Operation<'_>,
    version: Version,
) -> Result<Value, Error> {
    match version {
        Version::V2 => {
            let kind = sent_content_type(&operation, upload);
            let signed = uploads.sign_v2(upload, operation, kind)?.ok_or(V2_IS_OFF)?;
            Ok(json!({ "signature": signed.signature, "date": signed.date }))
        }
        Version::V4 => {
            let (request, expires_at) = uploads.presign(upload, operation).await?;
            Ok(presigned(&request, expires_at))
        }
    }
}

/// As [`signature`], in the short form of `get_all_signatures`, which counts its signatures itself: `[signature, date]` in
/// SigV2.
pub async fn listed_signature(
    uploads: &Uploads,
    upload: &Upload,
    operation: Operation<'_>,
    version: Version,
) -> Result<Value, Error> {
    let signed = counted_signature(uploads, upload, operation, version).await?;
    match version {
        Version::V2 => Ok(json!([signed["signature"], signed["date"]])),
        Version::V4 => Ok(signed),
    }
}

/// The refusal where the operator has not switched SigV2 on.
pub const V2_IS_OFF: Error = Error::Forbidden(
    "SigV2 is switched off here (protocols.mule.signature_v2); ask with signature_version=4",
);

/// The script sets the page's `content_type` on parts and on the completion, and none on all else.
fn sent_content_type<'a>(operation: &Operation<'_>, upload: &'a Upload) -> &'a str {
    match operation {
        Operation::UploadPart { .. } | Operation::CompleteMultipartUpload { .. } => {
            upload.content_type.as_str()
        }
        _ => "",
    }
}

fn presigned(request: &SignedRequest, expires_at: DateTime<Utc>) -> Value {
    let headers: serde_json::Map<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "signature": parameter(&request.url, "X-Amz-Signature"),
        "date": parameter(&request.url, "X-Amz-Date"),
        "url": request.url,
        "method": request.method.as_str(),
        "headers": headers,
        "expires_at": expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    })
}

/// A parameter of a URL of ours whose value needs no encoding.
fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, query) = url.split_once('?').unwrap_or(("", ""));
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or("")
}

/// The date as the script sends it on: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>.
pub fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The script asks the same address again for a fresh signature, so nothing may keep an answer.
pub fn fresh(body: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(body)
}

/// An answer that the script does not read.
pub fn noted() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain")
        .body("")
}

/// The script only ever sends GET.
pub fn wrong_method() -> HttpResponse {
    Kind::named("method-not-allowed").note();
    HttpResponse::MethodNotAllowed()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ALLOW, "GET"))
        .content_type("text/plain; charset=utf-8")
        .body("refused: every action is a GET\n")
}

/// Refusals in plain text: the script takes any JSON for a signature and would go on with it, but stops cleanly
/// where it can read none.
#[derive(Debug)]
pub struct PlainText;

impl Tell for PlainText {
    fn tell(error: &Error) -> HttpResponse {
        let mut answer = HttpResponse::build(Kind::of(error).status())
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/plain; charset=utf-8")
            .body(format!("refused: {error}\n"));
        tell_pause(&mut answer, error);
        answer
    }
}
