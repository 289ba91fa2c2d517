//! The native API, version 1: what the page and the kit speak.
//!
//! JSON both ways, times in RFC 3339, sizes in bytes, errors as problem documents. The OpenAPI document is made
//! from these handlers and shapes.

mod listing;
mod openapi;
mod requests;
mod signatures;
mod verdict;
mod views;
mod webhooks;

use std::collections::BTreeMap;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, Payload, ServiceConfig, scope};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, delete, get, post, put};
use serde::Serialize;

pub use openapi::document;
use requests::{CompleteUpload, CreateUpload, RecordOnePart, RecordParts};
use views::{ReceivedView, SessionView, Sums, UploadView};

use super::Protocol;
use crate::config::ProtocolsConfig;
use crate::domain::{Bounds, Principal, UploadId};
use crate::error::Error;
use crate::identity::Identity;
use crate::uploads::{Grid, Incoming, Status, Uploads};
use crate::web::methods::otherwise;
use crate::web::prefer::prefers_async;
use crate::web::problem::{Failure, ProblemDocument};
use crate::web::{auth, body};

/// The native API.
pub const PROTOCOL: Protocol = Protocol {
    name: "native",
    title: "Native API",
    mounts,
    routes,
};

type Answer = Result<HttpResponse, Failure<ProblemDocument>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    if settings.native.enabled {
        vec![format!("{}/v1", settings.native.path)]
    } else {
        Vec::new()
    }
}

fn routes(services: &mut ServiceConfig, _: &ProtocolsConfig, mount: &str) {
    let doors = scope(mount)
        .service(session)
        .service(create)
        .service(listing::list)
        .service(signatures::sign)
        .service(record_one)
        .service(receive)
        .service(record_many)
        .service(complete)
        .service(verdict::give_verdict)
        .service(show)
        .service(receipt)
        .service(receipt_key)
        .service(abort)
        .service(webhooks::list_webhooks)
        .service(webhooks::replay_webhook);
    // Each method is a route of its own; what none of them takes is refused by address.
    let doors = openapi::methods()
        .into_iter()
        .fold(doors, |doors, (path, allowed)| {
            doors.service(otherwise(&path, allowed))
        });
    services.service(doors);
}

/// Who is asking, and what they may send. Never refuses: a wrong key is answered with kind `none`.
#[utoipa::path(tag = "session", responses((status = 200, body = SessionView)))]
#[get("/session")]
async fn session(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = match auth::caller_or_newcomer(&request).await {
        Ok(caller) => Some(caller),
        Err(Error::Unauthenticated(_) | Error::Forbidden(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let bounds = caller.as_ref().map(|caller| &caller.bounds);
    let view = SessionView::new(
        caller.as_ref(),
        identity.admits_anonymous(),
        &uploads.policy().within(bounds.unwrap_or(&Bounds::default())),
        uploads.transfer(),
        uploads.now(),
    );
    Ok(fresh(HttpResponse::Ok(), &view))
}

/// Begins an upload, or goes on with the unfinished one of the same file: then `parts` is what the store holds.
#[utoipa::path(tag = "uploads", request_body = CreateUpload, responses(
    (status = 201, description = "A new upload", body = UploadView),
    (status = 200, description = "An unfinished upload of the same file goes on", body = UploadView),
    (status = 400, description = "`errors` names each bad field"),
    (status = 401, description = "Nobody we know is asking"),
    (status = 403, description = "The application does not want it, or the credential may not; it may choose other statuses"),
    (status = 413, description = "`limit` is the most bytes of one file"),
    (status = 415, description = "The media type is not accepted"),
    (status = 429, description = "`limit` of `what` are open already, or too many are begun; `Retry-After` says when"),
))]
#[post("/uploads")]
async fn create(
    request: HttpRequest,
    payload: Payload,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let wanted: CreateUpload = body::json(&request, payload).await?;
    let resume = wanted.resume;
    let new = wanted.parse(PROTOCOL.name)?;
    let caller = auth::caller_or_newcomer(&request).await?;
    let begun = uploads.create(&caller, new, resume).await?;
    let answer = if begun.resumed {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    let view = view(&caller, &begun.status, &uploads, &identity).await?;
    Ok(fresh(answer, &view))
}

/// Records that a part has arrived in the store (`chunk_loaded`); the same again does no harm.
#[utoipa::path(tag = "uploads", request_body = RecordOnePart,
    params(("id" = String, Path, description = "The upload"), ("number" = u32, Path, description = "The part, from 1")),
    responses(
        (status = 204, description = "Recorded, durably"),
        (status = 400, description = "The upload has no such part, or it has another size"),
        (status = 404, description = "Not there, or not yours"),
        (status = 409, description = "The upload was given up"),
    ))]
#[put("/uploads/{id}/parts/{number}")]
async fn record_one(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    uploads: Data<Uploads>,
) -> Answer {
    let (id, number) = path.into_inner();
    let (caller, id) = caller_and_id(&request, &id).await?;
    let number = part_number(&number)?;
    let part: RecordOnePart = body::json(&request, payload).await?;
    uploads.record(&caller, &id, vec![part.parse(number)?]).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes one part's bytes, of an upload whose `transfer` is `relay`, or for a browser that cannot reach the store: then it puts
/// them into the same multipart upload. It is recorded as well. `Content-Digest` may claim a SHA-256, or `x-amz-checksum-…` and `Content-MD5` what S3 knows by these
/// names; it is then verified before the part is stored.
#[utoipa::path(tag = "uploads", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("id" = String, Path, description = "The upload"), ("number" = u32, Path, description = "The part, from 1")),
    responses(
        (status = 200, description = "Stored and recorded", body = ReceivedView),
        (status = 400, description = "The body has another length than the part must have, or was cut off"),
        (status = 404, description = "Not there, or not yours"),
        (status = 409, description = "The upload has ended, or the bytes are not those of the claimed digest"),
        (status = 410, description = "The store has dropped the multipart upload; begin again"),
    ))]
#[put("/uploads/{id}/parts/{number}/content")]
async fn receive(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    uploads: Data<Uploads>,
) -> Answer {
    let (id, number) = path.into_inner();
    let (caller, id) = caller_and_id(&request, &id).await?;
    let incoming = Incoming {
        length: body::announced_length(&request),
        claimed: body::claimed_checksum(&request)?,
        pieces: body::detach(payload),
    };
    let received = uploads
        .receive_part(&caller, &id, part_number(&number)?, Grid::Fixed, incoming)
        .await?;
    Ok(fresh(HttpResponse::Ok(), &ReceivedView::new(&received.part)))
}

fn part_number(text: &str) -> Result<u64, Error> {
    text.parse()
        .map_err(|_| Error::invalid("number", "a part's number is made of digits"))
}

/// Records that several parts have arrived; all of them or none.
#[utoipa::path(tag = "uploads", request_body = RecordParts, params(("id" = String, Path, description = "The upload")),
    responses(
        (status = 204, description = "Recorded, durably"),
        (status = 400, description = "The upload has no such part, or it has another size"),
        (status = 404, description = "Not there, or not yours"),
        (status = 409, description = "The upload was given up"),
    ))]
#[post("/uploads/{id}/parts")]
async fn record_many(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    uploads: Data<Uploads>,
) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    let wanted: RecordParts = body::json(&request, payload).await?;
    uploads.record(&caller, &id, wanted.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The upload, with the parts that the store holds.
#[utoipa::path(tag = "uploads", params(("id" = String, Path, description = "The upload")), responses(
    (status = 200, body = UploadView),
    (status = 404, description = "Not there, or not yours"),
))]
#[get("/uploads/{id}")]
async fn show(
    request: HttpRequest,
    path: Path<String>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    let status = uploads.status(&caller, &id).await?;
    let view = view(&caller, &status, &uploads, &identity).await?;
    Ok(fresh(HttpResponse::Ok(), &view))
}

/// Completes the upload: we list the parts ourselves, refuse gaps, and compare the checksums that are on record with what the
/// store has. The body may be left out. Asked again, the answer is the same.
#[utoipa::path(tag = "uploads", request_body = CompleteUpload, params(("id" = String, Path, description = "The upload")),
    responses(
        (status = 200, body = UploadView),
        (status = 202, description = "With `Prefer: respond-async`: all is there, and a scanner looks at it; ask again", body = UploadView),
        (status = 400, description = "`errors` names each bad field"),
        (status = 404, description = "Not there, or not yours"),
        (status = 409, description = "`defects` names the parts that are missing, of another size or of other bytes"),
        (status = 410, description = "The store has dropped the multipart upload; begin again"),
        (status = 415, description = "The first bytes are of another type than is accepted; the upload has failed"),
        (status = 422, description = "A scanner has looked at the whole file and did not accept it"),
        (status = 503, description = "A scanner still looks at it; ask again after the seconds in `Retry-After`"),
    ))]
#[post("/uploads/{id}/complete")]
async fn complete(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    let wanted: CompleteUpload = body::optional_json(&request, payload).await?;
    let completed = match wanted.parse()? {
        Some(stated) => uploads.complete_stated(&caller, &id, stated).await,
        None => uploads.complete(&caller, &id).await,
    };
    let (answer, status) = match completed {
        // Who has not asked for that would take it for the end.
        Err(Error::StillCompleting) if prefers_async(&request) => {
            (HttpResponse::Accepted(), uploads.status(&caller, &id).await?)
        }
        upload => {
            let (upload, parts) = (upload?, Vec::new());
            (HttpResponse::Ok(), Status { upload, parts })
        }
    };
    let view = view(&caller, &status, &uploads, &identity).await?;
    Ok(fresh(answer, &view))
}

/// The receipt of a complete upload: what was stored, signed; always the same, as long as the object is. `muleteer verify`
/// holds a file against it.
#[utoipa::path(tag = "uploads", params(("id" = String, Path, description = "The upload")), responses(
    (status = 200, description = "`receipt` and its `signature`", body = Object),
    (status = 404, description = "Not there, or not yours"),
    (status = 409, description = "It is not complete; `state` says what it is"),
    (status = 415, description = "The object was replaced by one of a type that is not accepted; the upload has failed"),
    (status = 503, description = "The object was replaced, and is being looked at; ask again after `Retry-After`"),
))]
#[get("/uploads/{id}/receipt")]
async fn receipt(request: HttpRequest, path: Path<String>, uploads: Data<Uploads>) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    let text = uploads.receipt(&caller, &id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(text))
}

/// The key that receipts are verified with, as a JWK; for everybody. `previous` has those that were in use before, if any.
#[utoipa::path(tag = "receipts", responses((status = 200, description = "An Ed25519 key", body = Object)))]
#[get("/receipts/key")]
async fn receipt_key(uploads: Data<Uploads>) -> Answer {
    Ok(fresh(HttpResponse::Ok(), &uploads.receipt_keys()))
}

/// Gives the upload up and drops its parts; the same again does no harm.
#[utoipa::path(tag = "uploads", params(("id" = String, Path, description = "The upload")), responses(
    (status = 204, description = "Given up"),
    (status = 404, description = "Not there, or not yours"),
    (status = 409, description = "It is complete"),
))]
#[delete("/uploads/{id}")]
async fn abort(request: HttpRequest, path: Path<String>, uploads: Data<Uploads>) -> Answer {
    let (caller, id) = caller_and_id(&request, &path).await?;
    uploads.abort(&caller, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn caller_and_id(request: &HttpRequest, id: &str) -> Result<(Principal, UploadId), Error> {
    let caller = auth::caller(request).await?;
    Ok((caller, UploadId::parse(id)?))
}

async fn view(
    caller: &Principal,
    status: &Status,
    uploads: &Uploads,
    identity: &Identity,
) -> Result<UploadView, Error> {
    // A token sends in its owner's name, so nobody else is given one.
    let is_owner = caller.may_send(&status.upload.owner).is_ok();
    let token = is_owner
        .then(|| identity.upload_token(&status.upload))
        .transpose()?;
    let checksum = uploads.part_checksum(&status.upload).await?;
    let recorded = if checksum.is_some() && !status.parts.is_empty() {
        uploads.part_sums(&status.upload.id).await?
    } else {
        BTreeMap::new()
    };
    let sums = Sums { checksum, recorded };
    let scanning = uploads.is_being_scanned(&status.upload).await?;
    let location = uploads.location(&status.upload);
    Ok(UploadView::new(status, &sums, location, token, scanning))
}

/// Answers hold tokens and signatures: nothing may keep them.
fn fresh(mut answer: HttpResponseBuilder, body: &impl Serialize) -> HttpResponse {
    answer.insert_header((CACHE_CONTROL, "no-store")).json(body)
}
