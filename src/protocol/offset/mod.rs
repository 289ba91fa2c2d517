//! Offset chunks, in the style of koa-chunks and of the first Dropbox API: one address, `PUT` for everything, the session
//! and the position in the query, raw bytes in the body.
//!
//! A client that has lost an answer sends again, is told where the session stands, and goes on from there, so every answer
//! about a session carries its offset, errors as well. Of two chunks at once the first goes on. `docs/offset-chunks.md`
//! says what clients may rely on.

mod answers;
pub(crate) mod requests;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};

use self::answers::{Refusal, Session};
use self::requests::{Begin, Chunk, Query};
use super::{Protocol, mount_of};
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
    mount_of(settings.offset.enabled, &settings.offset.path)
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
        let begun = uploads.create(&caller, new, false).await;
        let upload = begun
            .map_err(|error| error.calling("filename", "name"))?
            .status
            .upload;
        return Ok(Session::new(upload, uploads.now()).answer(202));
    };
    let upload = find(&uploads, &caller, &session).await?;
    let desk = Desk {
        caller,
        settings: &settings,
        uploads: &uploads,
    };
    desk.take(&request, payload, &query.offset, upload).await
}

/// Takes chunks for somebody.
struct Desk<'a> {
    caller: Principal,
    settings: &'a OffsetConfig,
    uploads: &'a Uploads,
}

impl Desk<'_> {
    fn session(&self, upload: Upload) -> Session {
        Session::new(upload, self.uploads.now())
    }

    async fn take(&self, request: &HttpRequest, payload: Payload, offset: &str, upload: Upload) -> Answer {
        let chunk = match Chunk::read(request, offset) {
            Ok(chunk) => chunk,
            Err(error) => return Err(self.refuse_probe(upload, error).await),
        };
        let session = self.session(upload);
        let most = self.settings.chunk_max_bytes();
        let over = || Error::BodyTooLarge { limit: most };
        if chunk.length.is_some_and(|length| length > most) {
            return Err(session.refuses(over()));
        }
        let append = Append {
            offset: chunk.offset,
            size: None,
            length: chunk.length,
            checksum: chunk.checksum,
            ends: Ends::WhenFull,
            most: session.upload().size,
            pieces: body::at_most(body::detach(payload), most),
            rivals: Rivals::Stay,
            // Whether it is too long is known at its end alone, and then nothing of it may count.
            is_whole: chunk.length.is_none(),
            receipt: Receipt::default(),
        };
        let Appended { upload, failure } = match self.uploads.append(&self.caller, session.id(), append).await
        {
            Ok(appended) => appended,
            Err(error) => {
                let error = answers::in_own_words(error, session.upload());
                return Err(match find(self.uploads, &self.caller, &session.name()).await {
                    Ok(upload) => self.refuse_chunk(upload, error).await,
                    // It has ended with this chunk: there is no session to speak of.
                    Err(Error::NotFound(_)) => error.into(),
                    Err(_) => session.refuses(error),
                });
            }
        };
        let is_complete = upload.state == State::Complete;
        let session = self.session(upload);
        match failure {
            None => Ok(session.answer(if is_complete { 200 } else { 201 })),
            Some(BodyError::TooLong { expected }) if expected == most => Err(session.refuses(over())),
            Some(BodyError::TooLong { .. }) => Err(session.refuses(answers::past_end(session.upload()))),
            Some(failure) => Err(session.refuses(failure.into())),
        }
    }

    /// The answer to a chunk that is not taken. Its client is done where that tells the file's size, so the file has to be there:
    /// whatever brought the last byte may have been killed before it had put the file together.
    async fn refuse_chunk(&self, upload: Upload, error: Error) -> Refusal {
        let tells_the_end =
            matches!(error, Error::OffsetMismatch { expected, .. } if expected == upload.size);
        if !tells_the_end || !upload.state.is_unfinished() {
            return self.session(upload).refuses(error);
        }
        match self.uploads.complete(&self.caller, &upload.id).await {
            Ok(upload) => self.session(upload).refuses(error),
            Err(why) => self.session(upload).refuses(why),
        }
    }

    /// The answer to a chunk that is none: where the session stands is what its client wants to know.
    async fn refuse_probe(&self, upload: Upload, error: Error) -> Refusal {
        match self
            .uploads
            .standing(&self.caller, &upload.id, Rivals::Stay)
            .await
        {
            Ok(upload) => self.session(upload).refuses(error),
            Err(Error::Busy(_)) => self.session(upload).refuses(Error::Busy(answers::BUSY)),
            Err(error) => self.session(upload).refuses(error),
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
