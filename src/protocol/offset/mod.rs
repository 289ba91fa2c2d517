//! Offset chunks, in the style of koa-chunks and of the first Dropbox API: one address, `PUT` for everything, the session
//! and the position in the query, raw bytes in the body.
//!
//! A client that has lost an answer sends again, is told where the session stands, and goes on from there, so every answer
//! about a session carries its offset, errors as well. Of two chunks at once the first goes on. `docs/offset-chunks.md`
//! says what clients may rely on.

mod answers;
mod requests;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};

use self::answers::{Refusal, Session};
use self::requests::{Begin, Chunk, Query};
use super::Protocol;
use crate::config::{OffsetConfig, ProtocolsConfig};
use crate::domain::{Principal, State, Upload, UploadId};
use crate::error::Error;
use crate::uploads::{Append, Appended, BodyError, Ends, Receipt, Rivals, Uploads};
use crate::web::{auth, body};

/// Chunks that say where they belong.
pub const PROTOCOL: Protocol = Protocol {
    name: "offset",
    title: "Offset chunks",
    mounts,
    routes,
};

type Answer = Result<HttpResponse, Refusal>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    let offset = &settings.offset;
    offset.enabled.then(|| offset.path.clone()).into_iter().collect()
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let slashed = format!("{mount}/");
    let door = resource([mount, slashed.as_str()])
        .app_data(Data::new(settings.offset.clone()))
        .route(web::put().to(put))
        .route(web::get().to(look))
        .route(web::head().to(look))
        .route(web::delete().to(cancel))
        .default_service(web::to(async || answers::wrong_method()));
    services.service(door);
}

/// `PUT`: begins a session where none is named, and takes a chunk of the one that is.
async fn put(
    request: HttpRequest,
    payload: Payload,
    settings: Data<OffsetConfig>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = auth::caller_without_cookies(&request).await?;
    let query = Query::of(&request)?;
    let Some(session) = query.session else {
        let begin = Begin::read(&request, payload).await?;
        let new = begin.parse(&settings, PROTOCOL.name)?;
        let upload = uploads.create(&caller, new, false).await?.status.upload;
        return Ok(Session::new(upload, uploads.now()).answer(202));
    };
    let upload = find(&uploads, &caller, &session).await?;
    take(
        &request,
        payload,
        &query.offset,
        upload,
        &caller,
        &settings,
        &uploads,
    )
    .await
}

async fn take(
    request: &HttpRequest,
    payload: Payload,
    offset: &str,
    upload: Upload,
    caller: &Principal,
    settings: &OffsetConfig,
    uploads: &Uploads,
) -> Answer {
    let session = Session::new(upload, uploads.now());
    let chunk = match Chunk::read(request, offset) {
        Ok(chunk) => chunk,
        Err(error) => {
            // Where it stands is the answer that a client probes for with an offset that is none.
            let upload = match uploads.standing(caller, session.id(), Rivals::Stay).await {
                Ok(upload) => upload,
                Err(Error::Busy(_)) => return Err(session.refuses(Error::Busy(answers::BUSY))),
                Err(error) => return Err(session.refuses(error)),
            };
            return Err(Session::new(upload, uploads.now()).refuses(error));
        }
    };
    let most = settings.chunk_max_bytes();
    let limit = Error::BodyTooLarge { limit: most };
    if chunk.length.is_some_and(|length| length > most) {
        return Err(session.refuses(limit));
    }
    let receipt = Receipt::default();
    let append = Append {
        offset: chunk.offset,
        size: None,
        length: chunk.length,
        checksum: chunk.checksum,
        ends: Ends::WhenFull,
        most: session.upload().size.min(chunk.offset.saturating_add(most)),
        pieces: body::detach(payload),
        rivals: Rivals::Stay,
        // Whether it is too long is known at its end alone, and then nothing of it may count.
        is_whole: chunk.length.is_none(),
        receipt,
    };
    match uploads.append(caller, session.id(), append).await {
        Ok(Appended {
            upload,
            failure: None,
        }) => {
            let status = if upload.state == State::Complete { 200 } else { 201 };
            Ok(Session::new(upload, uploads.now()).answer(status))
        }
        Ok(Appended {
            upload,
            failure: Some(BodyError::TooLong { .. }),
        }) => {
            let error = if chunk.offset.saturating_add(most) < upload.size {
                limit
            } else {
                answers::past_end(&upload)
            };
            Err(Session::new(upload, uploads.now()).refuses(error))
        }
        Ok(Appended {
            upload,
            failure: Some(failure),
        }) => Err(Session::new(upload, uploads.now()).refuses(failure.into())),
        Err(error) => {
            let session = match find(uploads, caller, &session.name()).await {
                Ok(upload) => Session::new(upload, uploads.now()),
                Err(_) => session,
            };
            Err(session.refuses(answers::in_own_words(error, session.upload())))
        }
    }
}

/// `GET` and `HEAD`: where a session stands.
async fn look(request: HttpRequest, uploads: Data<Uploads>) -> Answer {
    let caller = auth::caller_without_cookies(&request).await?;
    let name = Query::of(&request)?.session.ok_or(answers::NO_SESSION)?;
    let upload = find(&uploads, &caller, &name).await?;
    let upload = match uploads.standing(&caller, &upload.id, Rivals::Stay).await {
        // Somebody is sending: where it stood before is true as well.
        Err(Error::Busy(_)) => upload,
        upload => upload?,
    };
    let session = Session::new(upload, uploads.now());
    Ok(session.details(*request.method() == Method::HEAD))
}

/// `DELETE`: gives a session up. A finished file stays.
async fn cancel(request: HttpRequest, uploads: Data<Uploads>) -> Answer {
    let caller = auth::caller_without_cookies(&request).await?;
    let name = Query::of(&request)?.session.ok_or(answers::NO_SESSION)?;
    let upload = find(&uploads, &caller, &name).await?;
    if upload.state == State::Complete {
        let error = Error::WrongState {
            state: upload.state,
            verb: "cancelled",
        };
        return Err(Session::new(upload, uploads.now()).refuses(error));
    }
    uploads.terminate(&caller, &upload.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The session of this name, unless it was given up or has run out.
async fn find(uploads: &Uploads, caller: &Principal, name: &str) -> Result<Upload, Error> {
    let gone = || Error::NotFound("session");
    let id = UploadId::parse_uuid_v4(name).map_err(|_| gone())?;
    let upload = uploads.detail(caller, &id).await.map_err(|error| match error {
        Error::NotFound(_) => gone(),
        error => error,
    })?;
    let upload = upload.upload;
    let is_alive = !matches!(upload.state, State::Aborted | State::Expired | State::Failed);
    if is_alive && upload.protocol == PROTOCOL.name {
        Ok(upload)
    } else {
        Err(gone())
    }
}
