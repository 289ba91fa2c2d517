//! Fine Uploader for S3: a page writes policies and requests to the store itself, and asks for their signatures.
//!
//! `POST /signature` signs, `POST /success` looks at the object, `GET /session` lists the finished files of whoever asks,
//! `GET /settings` tells what the page's author has to know. Only the last word of the client, which calls success, is
//! believed in nothing.

mod requests;

use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::web::{Data, Payload, ServiceConfig, delete, get, post, resource, scope, to};
use actix_web::{HttpRequest, HttpResponse, Resource};
use serde_json::{Value, json};

use requests::Told;

use super::{Protocol, mount_of};
use crate::config::{FineUploaderConfig, ProtocolsConfig};
use crate::domain::Upload;
use crate::error::Error;
use crate::uploads::{Refusal, Signable, SigningDoor, Uploads};
use crate::web::problem::{Failure, Kind, Tell, tell_pause};
use crate::web::trace::request_id;
use crate::web::{auth, body};

/// Fine Uploader for S3.
pub const PROTOCOL: Protocol = Protocol {
    name: "fine-uploader",
    title: "Fine Uploader S3",
    mounts,
    routes,
};

type Answer = Result<HttpResponse, Failure<Json>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    mount_of(settings.fine_uploader.enabled, &settings.fine_uploader.path)
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let Some(door) = door(&settings.fine_uploader) else {
        return;
    };
    let mut routes = scope(mount)
        .app_data(Data::new(door))
        .service(only("/signature", "POST").route(post().to(signature)))
        .service(only("/success", "POST").route(post().to(success)))
        .service(only("/session", "GET").route(get().to(session)))
        .service(only("/settings", "GET").route(get().to(page_settings)));
    if settings.fine_uploader.delete {
        routes = routes
            .service(only("/files", "POST").route(post().to(remove_by_form)))
            .service(only("/files/{uuid}", "DELETE").route(delete().to(remove)));
    }
    services.service(routes.default_service(to(nowhere)));
}

/// How this door signs.
fn door(settings: &FineUploaderConfig) -> Option<SigningDoor> {
    let door = SigningDoor::new(PROTOCOL.name, settings.signing())?;
    Some(SigningDoor {
        name_field: Some("qqfilename"),
        ..door
    })
}

fn only(path: &str, method: &'static str) -> Resource {
    resource(path).default_service(to(move || {
        Kind::named("method-not-allowed").note();
        let text = format!("this address takes {method} alone");
        let answer = HttpResponse::MethodNotAllowed()
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((ALLOW, method))
            .json(json!({ "error": text, "request_id": request_id(), "preventRetry": true }));
        std::future::ready(answer)
    }))
}

async fn nowhere() -> Answer {
    Err(Error::NotFound("address").into())
}

/// `signature.endpoint`. What is to be signed says itself whether it is a policy or a request, and in which version:
/// the parameter `v4` is the page's, and is not looked at.
async fn signature(
    request: HttpRequest,
    payload: Payload,
    door: Data<SigningDoor>,
    uploads: Data<Uploads>,
) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let asked: Value = body::json(&request, payload).await?;
    let caller = auth::caller(&request).await?;
    let Some(headers) = asked.get("headers") else {
        let signed = uploads.sign_asked_policy(&caller, &door, &asked).await?;
        return Ok(fresh(
            &json!({ "policy": signed.policy, "signature": signed.signature }),
        ));
    };
    let text = headers
        .as_str()
        .filter(|_| asked.as_object().is_some_and(|members| members.len() == 1))
        .ok_or(Error::Forbidden("headers: must be text, and the only member"))?;
    let signable = Signable::whole(text).map_err(|Refusal(rule)| Error::Forbidden(rule))?;
    let signature = uploads.sign_asked(&caller, &door, signable).await?;
    Ok(fresh(&json!({ "signature": signature })))
}

/// `uploadSuccess.endpoint`: the object is looked at, and nothing of what is told is believed but the key's name.
async fn success(
    request: HttpRequest,
    payload: Payload,
    door: Data<SigningDoor>,
    uploads: Data<Uploads>,
) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let caller = auth::caller(&request).await?;
    let told = Told::from_form(&request, payload).await?;
    let upload = uploads
        .confirm_asked(&caller, &door, &told.bucket, &told.key)
        .await?;
    Ok(fresh(&json!({ "success": true, "size": upload.size })))
}

/// `session.endpoint`: the finished files of whoever asks, the newest first.
async fn session(request: HttpRequest, door: Data<SigningDoor>, uploads: Data<Uploads>) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let caller = auth::caller_or_newcomer(&request).await?;
    let files = uploads.finished_asked(&caller, &door).await?;
    Ok(fresh(&Value::Array(files.iter().map(file).collect())))
}

/// A finished file as the client lists it.
fn file(upload: &Upload) -> Value {
    json!({
        "uuid": upload.id.as_str(),
        "name": upload.filename.as_str(),
        "s3Key": upload.key.as_str(),
        "s3Bucket": upload.bucket,
        "size": upload.size,
    })
}

/// `deleteFile.endpoint` with the method DELETE. The client's own id is in the address; what counts is the key.
async fn remove(request: HttpRequest, door: Data<SigningDoor>, uploads: Data<Uploads>) -> Answer {
    let told = Told::from_query(request.query_string())?;
    removed(&request, &door, &uploads, told).await
}

/// The same with the method POST, and `_method=DELETE` in its form.
async fn remove_by_form(
    request: HttpRequest,
    payload: Payload,
    door: Data<SigningDoor>,
    uploads: Data<Uploads>,
) -> Answer {
    let told = Told::from_form(&request, payload).await?;
    if told.method.as_deref() != Some("DELETE") {
        return Err(Error::Forbidden("_method: must be DELETE").into());
    }
    removed(&request, &door, &uploads, told).await
}

async fn removed(request: &HttpRequest, door: &SigningDoor, uploads: &Uploads, told: Told) -> Answer {
    auth::refuse_unlisted_sites(request)?;
    let caller = auth::caller(request).await?;
    uploads
        .remove_asked(&caller, door, &told.bucket, &told.key)
        .await?;
    Ok(fresh(&json!({ "success": true })))
}

/// The options that this server decides, by the client's names, and the prefix that every key needs.
async fn page_settings(request: HttpRequest, door: Data<SigningDoor>, uploads: Data<Uploads>) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let caller = auth::caller_or_newcomer(&request).await?;
    let facts = uploads.signing_facts(&caller, &door).await?;
    Ok(fresh(&json!({
        "endpoint": facts.bucket_url,
        "accessKey": facts.access_key_id,
        "bucket": facts.bucket,
        "region": facts.region,
        "acl": door.acl,
        "prefix": facts.prefix,
    })))
}

fn fresh(answer: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(answer)
}

/// Refusals as the client reads them: the text becomes the file's reason, and `preventRetry` says whether another try
/// of the success call can help.
#[derive(Debug)]
pub struct Json;

impl Tell for Json {
    fn tell(error: &Error) -> HttpResponse {
        let kind = Kind::of(error);
        // It does not wait as long as it is asked to, and so tries again what may pass.
        let is_final = kind.status < 500 && kind.status != 429 && !matches!(error, Error::Incomplete { .. });
        let mut answer = HttpResponse::build(kind.status())
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(json!({
                "success": false,
                "error": error.to_string(),
                "request_id": request_id(),
                "preventRetry": is_final,
            }));
        tell_pause(&mut answer, error);
        answer
    }
}
