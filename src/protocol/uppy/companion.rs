//! The endpoints that Companion has under `/s3`.
//!
//! Each looks the upload up by its id, within its caller's uploads, and holds the key that comes with it against the
//! record: what is signed follows from the record alone.

use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;
use actix_web::web::{Data, Payload};
use serde_json::{Map, Value, json};

use super::access::caller;
use super::replies::{ListedPart, expiring, fields, ok};
use super::requests::{Completion, NewFile, Query, part_set};
use super::stored::{headers_of, sign_put};
use super::sts::naming;
use super::{Answer, PROTOCOL};
use crate::config::UppyConfig;
use crate::domain::{Cut, NamedPart, Naming, PartSet, Principal, State, Upload, UploadId};
use crate::error::Error;
use crate::identity::Identity;
use crate::uploads::{SignedParts, Uploads};
use crate::web::body;

/// How long a completion is tried for before its client hears of a failure: versions 3 to 5 then throw away everything
/// that was sent.
const PATIENCE: Duration = Duration::from_mins(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// `POST /multipart`: begins an upload whose parts the client cuts.
pub async fn create(
    request: HttpRequest,
    payload: Payload,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = caller(&request, &identity).await?;
    let file: NewFile = body::json(&request, payload).await?;
    let mut new = file.upload(Cut::Client)?;
    new.wishes.naming = naming(&caller, &identity, &uploads);
    let signs_itself = matches!(new.wishes.naming, Naming::Below(_));
    let begun = uploads.create(&caller, new, false).await?;
    let upload = begun.status.upload;
    // Who signs parts without us can do nothing with our own id.
    let stores = upload.multipart_id.as_deref().filter(|_| signs_itself);
    Ok(ok(&json!({
        "key": upload.key.as_str(),
        "uploadId": stores.unwrap_or(upload.id.as_str()),
        "bucket": upload.bucket,
    })))
}

/// `GET /params`: a form with which the browser posts a whole file to the store; or, for a store whose answer to a form
/// lacks what versions 4 and 5 wait for, a PUT. Version 6 posts forms alone, and does not mind.
pub async fn params(
    request: HttpRequest,
    settings: Data<UppyConfig>,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = caller(&request, &identity).await?;
    let file = NewFile::of_query(&Query::of(&request));
    let new = file.upload(Cut::Whole)?;
    uploads.count_signatures(&caller, 1)?;
    let begun = uploads.create(&caller, new, false).await?;
    let upload = begun.status.upload;
    if !settings.forms && takes_put(&request) {
        let (signed, expires_at) = sign_put(&uploads, &upload, true).await?;
        let seconds = (expires_at - uploads.now()).num_seconds();
        let headers = headers_of(&signed);
        let answer = json!({ "method": "PUT", "url": signed.url, "fields": {}, "headers": headers });
        return Ok(ok(&expiring(answer, seconds)));
    }
    let (form, expires_at) = uploads.sign_form(&upload).await?;
    let seconds = (expires_at - uploads.now()).num_seconds();
    let url = form.url.clone();
    let answer = json!({ "method": "POST", "url": url, "fields": fields(form) });
    Ok(ok(&expiring(answer, seconds)))
}

/// `GET /multipart/{id}`: the parts that need not be sent again; none of an upload that had to begin again.
pub async fn list(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = caller(&request, &identity).await?;
    let upload = find(&request, &caller, &uploads).await?;
    let status = uploads.resume(&caller, &upload.id).await?;
    let parts: Vec<ListedPart> = status.parts.iter().map(ListedPart::from).collect();
    Ok(ok(&parts))
}

/// `GET /multipart/{id}/{number}`: where to send one part.
pub async fn sign_part(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = caller(&request, &identity).await?;
    let signed = sign(&request, &caller, part_set(named(&request, "number"))?, &uploads).await?;
    let (_, url) = signed.urls().next().ok_or(Error::NotFound("part"))?;
    let seconds = (signed.expires_at() - uploads.now()).num_seconds();
    Ok(ok(&expiring(json!({ "url": url }), seconds)))
}

/// `GET /multipart/{id}/batch`: the same for several parts at once, as version 2 asks.
pub async fn sign_batch(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = caller(&request, &identity).await?;
    let numbers = Query::of(&request).part_numbers()?;
    let signed = sign(&request, &caller, numbers, &uploads).await?;
    let urls: Map<String, Value> = signed
        .urls()
        .map(|(number, url)| (number.to_string(), url.into()))
        .collect();
    Ok(ok(&json!({ "presignedUrls": urls })))
}

/// `POST /multipart/{id}/complete`: makes the object of the parts that the client has sent.
pub async fn complete(
    request: HttpRequest,
    payload: Payload,
    identity: Data<Identity>,
    uploads: Data<Uploads>,
) -> Answer {
    let caller = caller(&request, &identity).await?;
    let upload = find(&request, &caller, &uploads).await?;
    let completion: Completion = body::json(&request, payload).await?;
    let upload = complete_patiently(&uploads, &caller, &upload.id, completion.named()?).await?;
    Ok(ok(&json!({
        "location": uploads.location(&upload),
        "key": upload.key.as_str(),
        "bucket": upload.bucket,
    })))
}

/// `DELETE /multipart/{id}`: gives an upload up. One that is complete stays: its client believes that completing has
/// failed, and is wrong.
pub async fn abort(request: HttpRequest, identity: Data<Identity>, uploads: Data<Uploads>) -> Answer {
    let caller = caller(&request, &identity).await?;
    let upload = find(&request, &caller, &uploads).await?;
    if uploads.is_being_scanned(&upload).await? {
        // It is whole, and its client has only lost its patience.
        return Ok(ok(&json!({})));
    }
    match uploads.abort(&caller, &upload.id).await {
        Ok(())
        | Err(Error::WrongState {
            state: State::Complete,
            ..
        }) => Ok(ok(&json!({}))),
        Err(error) => Err(error.into()),
    }
}

/// Whether a client is one of those before version 6, which all say what answers they take.
fn takes_put(request: &HttpRequest) -> bool {
    let accepted = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    accepted.is_some_and(|text| text.contains("application/json"))
}

/// A piece of the address.
fn named<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.match_info().get(name).unwrap_or_default()
}

/// The caller's own upload with the id in the address, begun here and known by the key that comes with the request. An id
/// that is not ours is the store's, of a page that may sign by itself; it may have changed since, so the key decides.
async fn find(request: &HttpRequest, caller: &Principal, uploads: &Uploads) -> Result<Upload, Error> {
    let id = id_of(request);
    let found = match &id {
        Ok(id) => uploads.record_of(caller, id).await,
        Err(_) => Err(Error::NotFound("upload")),
    };
    match found {
        Err(Error::NotFound(_)) => match uploads.lent_upload(caller, Query::of(request).key()?).await? {
            Some(upload) => known(request, upload),
            None => Err(id.err().unwrap_or(Error::NotFound("upload"))),
        },
        found => known(request, found?),
    }
}

/// The same, for what happens hundreds of times to one upload.
async fn find_to_sign(request: &HttpRequest, caller: &Principal, uploads: &Uploads) -> Result<Upload, Error> {
    let recent = match id_of(request) {
        Ok(id) => uploads.record_to_sign(caller, &id).await,
        Err(_) => Err(Error::NotFound("upload")),
    };
    match recent {
        Err(Error::NotFound(_)) => find(request, caller, uploads).await,
        found => known(request, found?),
    }
}

fn id_of(request: &HttpRequest) -> Result<UploadId, Error> {
    UploadId::parse(named(request, "id"))
}

/// The upload that was found, if this protocol began it and it is the one with the key in the query.
fn known(request: &HttpRequest, upload: Upload) -> Result<Upload, Error> {
    let query = Query::of(request);
    let key = query.key()?;
    let is_it = upload.protocol == PROTOCOL.name && upload.cut == Cut::Client && upload.key.as_str() == key;
    if is_it {
        Ok(upload)
    } else {
        Err(Error::NotFound("upload"))
    }
}

async fn sign(
    request: &HttpRequest,
    caller: &Principal,
    numbers: PartSet,
    uploads: &Uploads,
) -> Result<SignedParts, Error> {
    let upload = find_to_sign(request, caller, uploads).await?;
    uploads.sign_any_parts(caller, upload, numbers).await
}

/// Completes an upload, and waits where the store does not answer: what this client does with an error cannot be undone.
async fn complete_patiently(
    uploads: &Uploads,
    caller: &Principal,
    id: &UploadId,
    named: Vec<NamedPart>,
) -> Result<Upload, Error> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(500);
    loop {
        match uploads.complete_of(caller, id, named.clone()).await {
            Err(Error::Unavailable { what, cause }) if began.elapsed() < PATIENCE => {
                tracing::warn!(upload = %id, what, %cause, "a completion is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}
