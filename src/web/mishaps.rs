//! What requests for an upload were refused with, noted in that upload's log: whoever is called about a stuck upload sees
//! what its client was told.
//!
//! Separate from the error table, because not every error is about an upload. The upload is known by the address, or, where
//! its client names it in a query or a body, or by the store's id, by what was looked up for that client.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::peer::client_ip;
use super::veil::SecretPaths;
use crate::domain::UploadId;
use crate::uploads::{Note, Topic, Uploads};

/// The kind of problem that an answer tells of; goes with the answer to whoever wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Told(pub &'static str);

/// Longest part of an address that is noted as the door.
const LONGEST_DOOR: usize = 100;

/// Middleware: notes what was refused.
pub async fn note(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let topic = Topic::default();
    let response = topic.learn(next.call(request)).await?;
    let told = response.response().extensions().get::<Told>().copied();
    if let Some(Told(problem)) = told {
        let request = response.request();
        // What an admin tries is in the log by itself.
        let is_of_client = !request.path().starts_with("/admin");
        if is_of_client
            && let Some(uploads) = request.app_data::<Data<Uploads>>()
            // Any 32 digits look like an id; one that we did not make is noted nowhere.
            && let Some(id) = UploadId::find_in(request.path())
                .filter(|id| uploads.made(id))
                .or_else(|| topic.upload())
        {
            let path = match request.app_data::<SecretPaths>() {
                Some(secret) => secret.veil(request.path()),
                None => request.path().into(),
            };
            let named = request.match_info().get("id");
            let door = format!("{} {}", request.method(), pattern(&path, &id, named));
            uploads.note(&id, Note::refused(problem, &door, client_ip(request)));
        }
    }
    Ok(response)
}

/// The address without the id, or whatever the upload is `named` in its place, and without anything a client could make it
/// long with.
fn pattern(path: &str, id: &UploadId, named: Option<&str>) -> String {
    let path = path
        .replace(id.as_str(), "{id}")
        .replace(&id.as_uuid_v4(), "{id}");
    let pieces = path.split('/').map(|piece| match named {
        Some(named) if !named.is_empty() && piece == named => "{id}",
        _ => piece,
    });
    let path = pieces.collect::<Vec<_>>().join("/");
    path.chars().take(LONGEST_DOOR).collect()
}
