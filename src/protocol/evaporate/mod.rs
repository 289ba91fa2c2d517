//! Evaporate: a page writes every request to the store itself, and asks for one signature after the other.
//!
//! `GET /sign` answers the bare text of a signature, `GET /time` our clock, `GET /settings` what the page's author has to
//! know besides. The client stops at 401 and 403 alone, and asks again for ever at anything else; so whatever a second
//! try cannot mend is a 403 here.

use actix_web::http::header::{ALLOW, CACHE_CONTROL, HttpDate};
use actix_web::web::{Data, ServiceConfig, get, resource, scope, to};
use actix_web::{HttpRequest, HttpResponse, Resource};
use serde_json::json;

use super::{Protocol, mount_of};
use crate::config::{EvaporateConfig, ProtocolsConfig};
use crate::error::Error;
use crate::uploads::{Refusal, Signable, SigningDoor, Uploads};
use crate::web::auth;
use crate::web::problem::{Failure, Kind, Tell, tell_pause};

/// Evaporate.
pub const PROTOCOL: Protocol = Protocol {
    name: "evaporate",
    title: "EvaporateJS",
    mounts,
    routes,
};

/// Most bytes of a query: the client's own have some 1,500.
const MAX_QUERY: usize = 8 << 10;

/// The page is told nothing but "Permission denied", so its author reads in the log what to set.
const UNSEEN: Error = Error::Forbidden(
    "canonical_request: is required with SigV4; set sendCanonicalRequestToSignerUrl: true in the page",
);

type Answer = Result<HttpResponse, Failure<PlainText>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    mount_of(settings.evaporate.enabled, &settings.evaporate.path)
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let Some(door) = door(&settings.evaporate) else {
        return;
    };
    services.service(
        scope(mount)
            .app_data(Data::new(door))
            .service(only_get("/sign").route(get().to(sign)))
            .service(only_get("/time").route(get().to(time)))
            .service(only_get("/settings").route(get().to(page_settings)))
            .default_service(to(nowhere)),
    );
}

/// How this door signs.
fn door(settings: &EvaporateConfig) -> Option<SigningDoor> {
    let door = SigningDoor::new(PROTOCOL.name, settings.signing())?;
    Some(SigningDoor {
        existence: settings.existence,
        ..door
    })
}

fn only_get(path: &str) -> Resource {
    resource(path).default_service(to(async || {
        Kind::named("method-not-allowed").note();
        HttpResponse::MethodNotAllowed()
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((ALLOW, "GET"))
            .content_type("text/plain; charset=utf-8")
            .body("refused: this address takes GET alone\n")
    }))
}

async fn nowhere() -> Answer {
    Err(Error::NotFound("address").into())
}

/// What the client sends: `to_sign`, `datetime`, `canonical_request`, and whatever the page adds.
struct Asking {
    to_sign: Option<String>,
    datetime: Option<String>,
    canonical_request: Option<String>,
    /// For pages that can set no header.
    api_key: Option<String>,
}

impl Asking {
    fn read(query: &str) -> Result<Self, Error> {
        if query.len() > MAX_QUERY {
            return Err(Error::Forbidden("query: has at most 8192 bytes"));
        }
        let mut asking = Self {
            to_sign: None,
            datetime: None,
            canonical_request: None,
            api_key: None,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "to_sign" => &mut asking.to_sign,
                "datetime" => &mut asking.datetime,
                "canonical_request" => &mut asking.canonical_request,
                "api_key" => &mut asking.api_key,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(Error::Forbidden("query: each parameter once"));
            }
        }
        Ok(asking)
    }

    /// What is to be signed. SigV4 is recognised by the string itself; without the request whose hash is in it, nobody
    /// can know what would be signed.
    fn signable(&self) -> Result<Signable<'_>, Error> {
        let to_sign = self
            .to_sign
            .as_deref()
            .ok_or(Error::Forbidden("to_sign: is required"))?;
        let date = self
            .datetime
            .as_deref()
            .ok_or(Error::Forbidden("datetime: is required"))?;
        let refused = |Refusal(rule)| Error::Forbidden(rule);
        let signable = match (self.canonical_request.as_deref(), Signable::whole(to_sign)) {
            (_, Ok(v2 @ Signable::V2(_))) => v2,
            (Some(canonical), _) => Signable::hashed(to_sign, canonical).map_err(refused)?,
            (None, _) => return Err(UNSEEN),
        };
        if signable.is_dated(date) {
            Ok(signable)
        } else {
            Err(Error::Forbidden("datetime: must be the date in to_sign"))
        }
    }
}

/// `signerUrl`.
async fn sign(request: HttpRequest, door: Data<SigningDoor>, uploads: Data<Uploads>) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let asking = Asking::read(request.query_string())?;
    let caller = auth::caller_with_key(&request, asking.api_key.as_deref(), false).await?;
    let signable = asking.signable().inspect_err(|error| {
        tracing::warn!(owner = %caller.owner, %error, "a page's request is not signed");
    })?;
    let signature = uploads.sign_asked(&caller, &door, signable).await?;
    Ok(text(signature))
}

/// `timeUrl`: anything but a date that `Date.parse` reads leaves the client waiting for ever.
async fn time(uploads: Data<Uploads>) -> HttpResponse {
    text(HttpDate::from(std::time::SystemTime::from(uploads.now())).to_string())
}

/// The options that this server decides, by the client's names, and the prefix that every `name` needs.
async fn page_settings(request: HttpRequest, door: Data<SigningDoor>, uploads: Data<Uploads>) -> Answer {
    auth::refuse_unlisted_sites(&request)?;
    let asking = Asking::read(request.query_string())?;
    let caller = auth::caller_with_key(&request, asking.api_key.as_deref(), true).await?;
    let facts = uploads.signing_facts(&caller, &door).await?;
    let is_in_host = facts.endpoint_url.is_none();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({
            "aws_key": facts.access_key_id,
            "bucket": facts.bucket,
            "awsRegion": facts.region,
            "aws_url": facts.endpoint_url.unwrap_or(facts.bucket_url),
            // The client's word for a bucket in the host.
            "cloudfront": is_in_host,
            "prefix": facts.prefix,
        })))
}

/// The client takes the answer for the signature, whatever else it says.
fn text(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(body)
}

/// Refusals as the client understands them: 401 and 403 end the upload, 5xx is tried again.
#[derive(Debug)]
pub struct PlainText;

impl Tell for PlainText {
    fn tell(error: &Error) -> HttpResponse {
        let kind = Kind::of(error);
        let status = match kind.status {
            401 | 429 | 500.. => kind.status(),
            _ => Kind::named("forbidden").status(),
        };
        let mut answer = HttpResponse::build(status)
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/plain; charset=utf-8")
            .body(format!("refused: {error}\n"));
        tell_pause(&mut answer, error);
        answer
    }
}
