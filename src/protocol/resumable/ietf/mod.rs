//! "Resumable Uploads for HTTP": <https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/>, in the interop
//! versions that devices and libraries speak, and as the RFC to come will be spoken.
//!
//! What differs between versions is one table ([`version`]). Section names in this folder are the draft's own, since their
//! numbers move. `docs/resumable-uploads.md` says what clients may rely on.

mod announce;
mod answers;
mod append;
mod create;
mod digests;
pub(crate) mod fields;
mod representation;
mod request;
mod state;
mod version;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use self::version::{NUMBER, Version};
use super::download;
use super::shared::{self, Door};
use crate::domain::{Principal, UploadId};
use crate::error::Error;
use crate::uploads::Uploads;

/// The protocol's name on record.
pub(super) const NAME: &str = "ietf";

/// Says in an answer to OPTIONS that uploads can be made here, and within which limits (section "Limits").
pub(super) fn tell_abilities(request: &HttpRequest, door: &Door, uploads: &Uploads, headers: &mut HeaderMap) {
    if !door.speaks_ietf() {
        return;
    }
    let desk = Desk {
        request,
        door,
        uploads,
        version: Version::told(request.headers()).unwrap_or(Version::newest()),
    };
    if let Some(limits) = desk.limits(None) {
        headers.insert(HeaderName::from_static("upload-limit"), limits);
    }
    headers.append(
        HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(request::PARTIAL),
    );
}

/// One request and where it came in.
struct Desk<'a> {
    request: &'a HttpRequest,
    door: &'a Door,
    uploads: &'a Uploads,
    version: &'static Version,
}

/// The address at which uploads are made (section "Upload Creation").
pub(super) async fn at_creation(
    request: HttpRequest,
    payload: Payload,
    door: &Door,
    uploads: &Uploads,
) -> HttpResponse {
    let desk = Desk {
        request: &request,
        door,
        uploads,
        version: Version::told(request.headers()).unwrap_or(Version::newest()),
    };
    let answer = match *request.method() {
        Method::POST | Method::PUT => desk.create(payload).await,
        _ => Ok(answers::wrong_method("OPTIONS, POST, PUT")),
    };
    desk.send(answer)
}

/// The address of one upload (section "Upload Resource").
pub(super) async fn at_upload(
    request: HttpRequest,
    id: &str,
    payload: Payload,
    door: &Door,
    uploads: &Uploads,
) -> HttpResponse {
    let told = Version::told(request.headers());
    let mut desk = Desk {
        request: &request,
        door,
        uploads,
        version: told.unwrap_or(Version::newest()),
    };
    let answer = async {
        let caller = shared::caller(&request).await?;
        let id = UploadId::parse(id)?;
        if told.is_none() {
            desk.version = version_of(uploads, &caller, &id).await?;
        }
        match *request.method() {
            Method::GET if told.is_none() && door.settings.downloads => {
                match download::download(&request, uploads, &caller, &id).await {
                    // It is not finished yet.
                    Err(Error::NotFound(_)) => desk.tell(&caller, &id).await,
                    answer => answer,
                }
            }
            Method::HEAD | Method::GET => desk.tell(&caller, &id).await,
            Method::PATCH => desk.append(&caller, &id, payload).await,
            Method::DELETE if door.settings.termination => desk.cancel(&caller, &id).await,
            _ => Ok(answers::wrong_method(if door.settings.termination {
                "DELETE, GET, HEAD, OPTIONS, PATCH"
            } else {
                "GET, HEAD, OPTIONS, PATCH"
            })),
        }
    };
    let answer = answer.await;
    desk.send(answer)
}

/// The version in which an upload was made, for requests that name none.
async fn version_of(uploads: &Uploads, caller: &Principal, id: &UploadId) -> Result<&'static Version, Error> {
    let upload = uploads.detail(caller, id).await?.upload;
    let number = upload
        .appending
        .as_ref()
        .and_then(|appending| appending.fields.get(NUMBER)?.parse().ok());
    Ok(number.map_or(Version::newest(), Version::numbered))
}
