//! The chunk server: a JSON API in which each part has a token of its own, and the bytes pass through us.
//!
//! Five addresses below one path, wire-compatible with the published server and its SDK; `docs/chunk-server.md` says
//! what clients may rely on, and where we go beyond. Parts are counted from 0 here and from 1 everywhere else.

mod errors;
mod requests;
mod views;

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig, scope};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use errors::ChunkError;
use requests::InitUpload;
use views::{CancelView, CompleteView, InitView, PartView, StatusView};

use super::{Protocol, mount_of};
use crate::config::{ChunksConfig, ProtocolsConfig};
use crate::domain::{Checksum, Grant, Owner, Principal, State, Upload, UploadId};
use crate::error::Error;
use crate::identity::{Identity, PartClaim};
use crate::uploads::{Detail, Grid, Incoming, Uploads};
use crate::web::prefer::prefers_async;
use crate::web::problem::Failure;
use crate::web::{auth, body};

/// The chunk server with a token for each part.
pub const PROTOCOL: Protocol = Protocol {
    name: "chunks",
    title: "Chunk server",
    mounts,
    routes,
};

/// What a request may have beyond its part: the published server allows as much.
const SLACK: u64 = 1 << 20;

/// How long `complete` is waited for: the SDK gives up after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(25);

/// The same for a client that says that it would rather not wait.
const IMPATIENCE: Duration = Duration::from_millis(500);

type Answer = Result<HttpResponse, Failure<ChunkError>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    mount_of(settings.chunks.enabled, &settings.chunks.path)
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let other = |allowed: &'static str| web::to(move || async move { errors::wrong_method(allowed) });
    let doors = scope(mount)
        .app_data(Data::new(settings.chunks.clone()))
        .service(
            web::resource("/init")
                .route(web::post().to(init))
                .default_service(other("POST")),
        )
        .service(
            web::resource("/{id}/part/{number}")
                .route(web::put().to(part))
                .default_service(other("PUT")),
        )
        .service(
            web::resource("/{id}/status")
                .route(web::get().to(status))
                .default_service(other("GET")),
        )
        .service(
            web::resource("/{id}/complete")
                .route(web::post().to(complete))
                .default_service(other("POST")),
        )
        .service(
            web::resource("/{id}")
                .route(web::delete().to(cancel))
                .default_service(other("DELETE")),
        )
        .default_service(web::to(nowhere));
    services.service(doors);
}

async fn nowhere() -> Answer {
    Err(Error::NotFound("address").into())
}

/// `POST /upload/init`: begins an upload, and gives a token for each of its parts.
async fn init(
    request: HttpRequest,
    payload: Payload,
    settings: Data<ChunksConfig>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    // The key before anything else: a stranger learns nothing of what we make of their JSON.
    let caller = auth::key_holder(&request).await?;
    let wanted: InitUpload = body::json(&request, payload).await?;
    let new = wanted.parse(&settings, PROTOCOL.name)?;
    let begun = uploads.create(&caller, new, false).await?;
    let upload = begun.status.upload;
    let view = InitView::new(&upload, |number| token(&identity, &upload, number))?;
    Ok(fresh(HttpResponse::Ok(), &view))
}

/// `PUT /upload/{id}/part/{n}`: takes one part from whoever has its token.
async fn part(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    settings: Data<ChunksConfig>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let claim = identity.by_part_token(auth::bearer(&request)?)?;
    let (id, number) = path.into_inner();
    let (id, number) = meant_for(&claim, &id, &number)?;
    let length = body::announced_length(&request);
    let limit = (settings.chunk_size_mb << 20)
        .max(claim.size)
        .saturating_add(SLACK);
    if length.is_some_and(|length| length > limit) {
        return Err(Error::BodyTooLarge { limit }.into());
    }
    let incoming = Incoming {
        length,
        claimed: body::claimed_sha256(&request)?.map(Checksum::from),
        pieces: body::detach(payload),
    };
    let caller = Principal::new(Owner::recorded(claim.owner), Grant::OneUpload(id.clone()));
    let received = uploads
        .receive_part(&caller, &id, number + 1, Grid::FixedOrEven, incoming)
        .await
        .map_err(gone_if_over)?;
    Ok(fresh(HttpResponse::Ok(), &PartView::new(&received)))
}

/// `GET /upload/{id}/status`: where it stands, with a fresh token for each part that is still to come.
async fn status(
    request: HttpRequest,
    path: Path<String>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = auth::key_holder(&request).await?;
    let Detail { upload, parts } = find(&uploads, &caller, &path).await?;
    let may_send = caller.may_send(&upload.owner).is_ok() && upload.state.is_unfinished();
    let give = |number| may_send.then(|| token(&identity, &upload, number)).transpose();
    let view = StatusView::new(&upload, &parts, uploads.address(&upload), give)?;
    Ok(fresh(HttpResponse::Ok(), &view))
}

/// `POST /upload/{id}/complete`: joins the parts. Every request for it waits for the same work, which goes on whether
/// they wait or not.
async fn complete(request: HttpRequest, path: Path<String>, uploads: Data<Uploads>) -> Answer {
    let caller = auth::key_holder(&request).await?;
    let upload = find(&uploads, &caller, &path).await?.upload;
    let prefers_not_to_wait = prefers_async(&request);
    let patience = if prefers_not_to_wait { IMPATIENCE } else { PATIENCE };
    let joined = tokio::time::timeout(patience, uploads.complete(&caller, &upload.id)).await;
    match joined {
        // The SDK would take this for a success without an address, so it is for those who ask for it.
        Ok(Err(Error::StillCompleting)) | Err(_) if prefers_not_to_wait => Ok(fresh(
            HttpResponse::Accepted(),
            &CompleteView::finalizing(&upload),
        )),
        Ok(outcome) => {
            let upload = outcome.map_err(gone_if_over)?;
            let view = CompleteView::new(&upload, uploads.address(&upload));
            Ok(fresh(HttpResponse::Ok(), &view))
        }
        Err(_) => Err(Error::StillCompleting.into()),
    }
}

/// `DELETE /upload/{id}`: gives it up. A complete one stays as it is.
async fn cancel(request: HttpRequest, path: Path<String>, uploads: Data<Uploads>) -> Answer {
    let caller = auth::key_holder(&request).await?;
    let upload = find(&uploads, &caller, &path).await?.upload;
    uploads.abort(&caller, &upload.id).await?;
    Ok(fresh(HttpResponse::Ok(), &CancelView::new(&upload.id)))
}

/// The upload, unless it was given up or has run out: then this protocol knows nothing of it any more.
async fn find(uploads: &Uploads, caller: &Principal, id: &str) -> Result<Detail, Error> {
    let found = uploads.detail(caller, &UploadId::parse_uuid_v4(id)?).await?;
    match found.upload.state {
        State::Aborted | State::Expired => Err(Error::NotFound("upload")),
        _ => Ok(found),
    }
}

/// An upload that was given up is none, in this protocol's words.
fn gone_if_over(error: Error) -> Error {
    match error {
        Error::WrongState {
            state: State::Aborted | State::Expired,
            ..
        } => Error::NotFound("upload"),
        error => error,
    }
}

/// The part that a token is for, if it is the one of the address.
fn meant_for(claim: &PartClaim, id: &str, number: &str) -> Result<(UploadId, u64), Error> {
    let is_meant = claim.upload_id == id && number.parse() == Ok(claim.number);
    if !is_meant {
        return Err(Error::Unauthenticated("this token is for another part"));
    }
    Ok((UploadId::parse_uuid_v4(id)?, claim.number))
}

/// The token of part `number`, counted from 0.
fn token(identity: &Identity, upload: &Upload, number: u64) -> Result<String, Error> {
    let size = crate::domain::PartNumber::new(number + 1, "part")
        .ok()
        .and_then(|number| upload.plan().size_of(number));
    let claim = PartClaim {
        upload_id: upload.id.as_uuid_v4(),
        owner: upload.owner.to_string(),
        number,
        size: size.unwrap_or(0),
    };
    identity.part_token(claim, upload.expires_at)
}

/// Answers hold tokens: nothing may keep them.
fn fresh(mut answer: HttpResponseBuilder, body: &impl Serialize) -> HttpResponse {
    answer.insert_header((CACHE_CONTROL, "no-store")).json(body)
}
