//! tus 1.0, with creation (with bytes, with a length to come), expiration, checksums, termination and concatenation:
//! <https://tus.io/protocols/resumable-upload>.
//!
//! The version comes first, then who is asking, then the fields, and only then a verb; the body is not looked at before
//! a verb has found that it may come.

mod answers;
mod concat;
pub(crate) mod fields;

use std::collections::BTreeMap;

use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, LOCATION, TRANSFER_ENCODING};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use uuid::Uuid;

use self::answers::{Refusal, set, tell_expiry};
use self::concat::Concat;
use self::fields::{Fields, Told, VERSION};
use super::download;
use super::metadata::{self, Metadata};
use super::shared::{self, Door};
use crate::domain::{NewAppending, NewUpload, Principal, Role, State, Transfer, Upload, UploadId, Wishes};
use crate::error::Error;
use crate::uploads::{Append, Appended, BodyError, Ends, Receipt, Rivals, Uploads};
use crate::web::body;

/// The protocol's name on record.
pub(super) const NAME: &str = "tus";

type Answer = Result<HttpResponse, Refusal>;

/// What can be done here: <https://tus.io/protocols/resumable-upload#options>. What is switched off is not listed.
pub(super) fn tell_abilities(door: &Door, uploads: &Uploads, headers: &mut HeaderMap) {
    let extensions = [
        ("creation", true),
        ("creation-with-upload", true),
        ("creation-defer-length", true),
        ("expiration", true),
        ("checksum", true),
        ("termination", door.settings.termination),
        ("concatenation", door.settings.concatenation),
    ];
    let extensions: Vec<&str> = extensions
        .iter()
        .filter_map(|(name, is_on)| is_on.then_some(*name))
        .collect();
    set(headers, "tus-resumable", VERSION);
    set(headers, "tus-version", VERSION);
    set(headers, "tus-extension", &extensions.join(","));
    set(headers, "tus-max-size", &door.max_size(uploads).to_string());
    set(headers, "tus-checksum-algorithm", &fields::algorithms());
}

/// The address at which uploads are made.
pub(super) async fn at_creation(
    request: HttpRequest,
    payload: Payload,
    door: &Door,
    uploads: &Uploads,
) -> HttpResponse {
    let answer = async {
        match fields::method_of(&request)? {
            Method::OPTIONS => Ok(shared::discovery(&request, door, uploads)),
            Method::POST => create(&request, payload, door, uploads).await,
            _ => Err(Refusal::Method("POST, OPTIONS")),
        }
    };
    render(&request, answer.await)
}

/// The address of one upload.
pub(super) async fn at_upload(
    request: HttpRequest,
    id: &str,
    payload: Payload,
    door: &Door,
    uploads: &Uploads,
) -> HttpResponse {
    let answer = async {
        let settings = &door.settings;
        match fields::method_of(&request)? {
            Method::OPTIONS => Ok(shared::discovery(&request, door, uploads)),
            Method::HEAD => look(&request, id, uploads).await,
            Method::PATCH => append(&request, id, payload, door, uploads).await,
            Method::DELETE if settings.termination => terminate(&request, id, uploads).await,
            // No page that links to a file sends our field.
            Method::GET if settings.downloads => {
                let caller = shared::caller(&request).await?;
                let id = UploadId::parse(id)?;
                Ok(download::download(&request, uploads, &caller, &id).await?)
            }
            _ => Err(Refusal::Method(
                match (settings.termination, settings.downloads) {
                    (true, true) => "HEAD, PATCH, DELETE, GET, OPTIONS",
                    (true, false) => "HEAD, PATCH, DELETE, OPTIONS",
                    (false, true) => "HEAD, PATCH, GET, OPTIONS",
                    (false, false) => "HEAD, PATCH, OPTIONS",
                },
            )),
        }
    };
    render(&request, answer.await)
}

/// Anywhere else below our addresses.
pub(super) fn nowhere(request: &HttpRequest) -> HttpResponse {
    render(request, Err(Error::NotFound("address").into()))
}

fn render(request: &HttpRequest, answer: Answer) -> HttpResponse {
    let answer = answers::complete(answer.unwrap_or_else(Refusal::answer));
    if *request.method() == Method::HEAD {
        // What is told of a body that is not sent only confuses.
        return answer.map_body(|_, _| BoxBody::new(()));
    }
    answer
}

/// Who is asking, once it is clear that they speak our version.
async fn greet(request: &HttpRequest) -> Result<Principal, Refusal> {
    if !Fields::of(request).speaks_our_version()? {
        return Err(Refusal::Version);
    }
    Ok(shared::caller(request).await?)
}

/// `POST`: makes an upload, perhaps with its first bytes, perhaps of others:
/// <https://tus.io/protocols/resumable-upload#post>.
async fn create(request: &HttpRequest, payload: Payload, door: &Door, uploads: &Uploads) -> Answer {
    let caller = greet(request).await?;
    let fields = Fields::of(request);
    let concat = concat_of(&fields, door)?;
    let mut new = described(&fields, door)?;
    let upload = if let Some(Concat::Final(parts)) = concat {
        must_be_bare(request, &fields)?;
        let most = door.max_size(uploads);
        uploads.join(&caller, new, parts, concat::NAME, most).await?
    } else {
        let told = fields.length()?;
        let appending = new.wishes.appending.get_or_insert_default();
        appending.is_deferred = told == Told::Later;
        if concat.is_some() {
            appending.role = Role::Partial;
        }
        if let Told::Now(size) = told {
            new.size = size;
        }
        let first = first_bytes(request, payload, &fields, told, door, uploads)?;
        begin(&caller, new, first, uploads).await?
    };
    let mut answer = HttpResponse::Created();
    answer.insert_header((LOCATION, door.location(request, &upload.id)));
    if let Some(offset) = offset_of(&upload) {
        answer.insert_header(("Upload-Offset", offset));
    }
    tell_expiry(&mut answer, &upload);
    Ok(answer.finish())
}

/// What the field says that the upload is among others.
fn concat_of(fields: &Fields<'_>, door: &Door) -> Result<Option<Concat>, Error> {
    let Some(text) = fields.text(concat::NAME)? else {
        return Ok(None);
    };
    if !door.settings.concatenation {
        return Err(Error::invalid(concat::NAME, "uploads are not joined here"));
    }
    Concat::parse(text, &door.mounts).map(Some)
}

/// An upload as its fields describe it, but for its length and for what it is among others.
fn described(fields: &Fields<'_>, door: &Door) -> Result<NewUpload, Error> {
    let told = fields.text(metadata::NAME)?.unwrap_or("");
    let metadata = Metadata::parse(told)?;
    let mut raw = BTreeMap::new();
    for name in [metadata::NAME, concat::NAME] {
        if let Some(text) = fields.text(name)?.filter(|text| !text.is_empty()) {
            raw.insert(name.to_owned(), text.to_owned());
        }
    }
    Ok(NewUpload {
        filename: metadata.filename()?,
        size: 0,
        content_type: metadata.media_type(),
        last_modified: None,
        // Every upload of this protocol stands for itself: it is its address that goes on.
        fingerprint: Some(format!("tus\0{}", Uuid::new_v4())),
        metadata: metadata.texts(),
        part_size: None,
        transfer: Transfer::Relay,
        wishes: Wishes {
            time_to_live: Some(TimeDelta::hours(
                i64::try_from(door.settings.ttl_hours).unwrap_or(i64::MAX / 3600),
            )),
            appending: Some(NewAppending {
                fields: raw,
                ..NewAppending::default()
            }),
            ..Wishes::default()
        },
        protocol: NAME,
    })
}

/// An upload that is made of others has neither a length of its own nor bytes.
fn must_be_bare(request: &HttpRequest, fields: &Fields<'_>) -> Result<(), Error> {
    for name in ["Upload-Length", "Upload-Defer-Length"] {
        if fields.text(name)?.is_some() {
            return Err(Error::invalid(
                name,
                "must not stand where uploads are joined: it is their sum",
            ));
        }
    }
    let is_bare = body::announced_length(request).is_none_or(|length| length == 0)
        && !request.headers().contains_key(TRANSFER_ENCODING);
    if is_bare {
        Ok(())
    } else {
        Err(Error::Forbidden(
            "an upload that is made of others takes no bytes of its own",
        ))
    }
}

/// The bytes that come with a creation, held against what it says itself: what cannot go well begins nothing.
fn first_bytes(
    request: &HttpRequest,
    payload: Payload,
    fields: &Fields<'_>,
    told: Told,
    door: &Door,
    uploads: &Uploads,
) -> Result<Option<Append>, Error> {
    let checksum = fields.checksum()?;
    let most = door.max_size(uploads);
    if let Told::Now(size) = told
        && size > most
    {
        return Err(Error::TooLarge { limit: most, size });
    }
    if !fields.brings_bytes()? {
        return Ok(None);
    }
    let length = body::announced_length(request);
    let room = match told {
        Told::Now(size) => size,
        Told::Later => most,
    };
    if length.is_some_and(|length| length > room) {
        return Err(Error::BodyTooLarge { limit: room });
    }
    Ok(Some(Append {
        offset: 0,
        size: None,
        length,
        checksum,
        ends: Ends::WhenFull,
        most,
        pieces: body::detach(payload),
        rivals: Rivals::Yield,
        is_whole: false,
        receipt: Receipt::default(),
    }))
}

/// Makes the upload, and gives it what bytes came along. One whose first bytes are wrong is none: nobody has its address.
async fn begin(
    caller: &Principal,
    new: NewUpload,
    first: Option<Append>,
    uploads: &Uploads,
) -> Result<Upload, Error> {
    let upload = uploads.create(caller, new, false).await?.status.upload;
    let filled = async {
        match first {
            Some(first) => {
                let appended = uploads.append(caller, &upload.id, first).await?;
                match appended.failure {
                    Some(BodyError::TooLong { expected }) => Err(Error::BodyTooLarge { limit: expected }),
                    // What came is kept, and the answer says how much that is.
                    _ => Ok(appended.upload),
                }
            }
            // No bytes will ever come: it is whole now.
            None if upload.known_size() == Some(0) && !upload.is_partial() => {
                uploads.complete(caller, &upload.id).await
            }
            None => Ok(upload.clone()),
        }
    };
    match filled.await {
        // All bytes are there, and nobody may drop them before somebody has looked at them.
        Err(Error::StillCompleting) => uploads.standing(caller, &upload.id, Rivals::Stay).await,
        // It has ended, and its record says why.
        Err(error @ Error::Rejected { .. }) => Err(error),
        Err(error) => {
            if let Err(error) = uploads.abort(caller, &upload.id).await {
                tracing::warn!(upload = %upload.id, %error, "an upload that nobody knows of stays until it expires");
            }
            Err(error)
        }
        filled => filled,
    }
}

/// `HEAD`: where an upload stands: <https://tus.io/protocols/resumable-upload#head>.
async fn look(request: &HttpRequest, id: &str, uploads: &Uploads) -> Answer {
    let caller = greet(request).await?;
    let upload = uploads
        .standing(&caller, &UploadId::parse(id)?, Rivals::Yield)
        .await?;
    match upload.state {
        State::Aborted | State::Expired => return Err(Error::NotFound("upload").into()),
        State::Failed => return Err(Error::Vanished.into()),
        State::Open | State::Completing | State::Complete => {}
    }
    let mut answer = HttpResponse::Ok();
    if let Some(offset) = offset_of(&upload) {
        answer.insert_header(("Upload-Offset", offset));
    }
    match upload.known_size() {
        Some(size) => answer.insert_header(("Upload-Length", size)),
        None => answer.insert_header(("Upload-Defer-Length", "1")),
    };
    let told = upload.appending.iter().flat_map(|appending| &appending.fields);
    for (name, value) in told.filter(|(name, _)| [metadata::NAME, concat::NAME].contains(&name.as_str())) {
        answer.insert_header((name.as_str(), value.as_str()));
    }
    tell_expiry(&mut answer, &upload);
    Ok(answer.finish())
}

/// Where an upload stands; nowhere yet while it is being made of others.
fn offset_of(upload: &Upload) -> Option<u64> {
    match (&upload.appending, upload.state) {
        (_, State::Complete) => Some(upload.size),
        (Some(appending), _) if !upload.is_joined() => Some(appending.offset),
        _ => None,
    }
}

/// `PATCH`: bytes at the end of what is there: <https://tus.io/protocols/resumable-upload#patch>.
async fn append(request: &HttpRequest, id: &str, payload: Payload, door: &Door, uploads: &Uploads) -> Answer {
    let caller = greet(request).await?;
    let id = UploadId::parse(id)?;
    let fields = Fields::of(request);
    if !fields.brings_bytes()? {
        return Err(Refusal::ContentType);
    }
    let offset = fields
        .bytes("Upload-Offset")?
        .ok_or_else(|| Error::invalid("Upload-Offset", "is required"))?;
    let append = Append {
        offset,
        size: fields.bytes("Upload-Length")?,
        length: body::announced_length(request),
        checksum: fields.checksum()?,
        ends: Ends::WhenFull,
        most: door.max_size(uploads),
        pieces: body::detach(payload),
        rivals: Rivals::Yield,
        is_whole: false,
        receipt: Receipt::default(),
    };
    let Appended { upload, failure } = uploads.append(&caller, &id, append).await?;
    match failure {
        None => {}
        Some(BodyError::TooLong { expected }) => {
            return Err(Error::BodyTooLarge { limit: expected }.into());
        }
        Some(failure) => return Err(Error::from(failure).into()),
    }
    let mut answer = HttpResponse::NoContent();
    if let Some(offset) = offset_of(&upload) {
        answer.insert_header(("Upload-Offset", offset));
    }
    tell_expiry(&mut answer, &upload);
    Ok(answer.finish())
}

/// `DELETE`: has an upload gone, a finished one as well: <https://tus.io/protocols/resumable-upload#delete>.
async fn terminate(request: &HttpRequest, id: &str, uploads: &Uploads) -> Answer {
    let caller = greet(request).await?;
    uploads.terminate(&caller, &UploadId::parse(id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
