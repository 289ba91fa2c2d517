//! Resumable uploads at one address, in two protocols: tus 1.0 (<https://tus.io/protocols/resumable-upload>) and
//! "Resumable Uploads for HTTP" of the IETF
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/>).
//!
//! They stand together because a request says which one it speaks by a header field alone, and because an upload that
//! was begun in one can go on in the other. What they share is here and in [`shared`]; all else is theirs.

mod download;
pub(crate) mod ietf;
pub(crate) mod metadata;
mod shared;
pub(crate) mod tus;

use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig, scope};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use self::shared::Door;
use super::Protocol;
use crate::config::ProtocolsConfig;
use crate::uploads::Uploads;
use crate::web::problem::{Failure, ProblemDocument};

/// tus 1.0 and the IETF's resumable uploads.
pub const PROTOCOL: Protocol = Protocol {
    name: tus::NAME,
    title: "tus 1.0 and resumable uploads for HTTP",
    mounts,
    routes,
};

/// Which protocol a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    Tus,
    Ietf,
}

impl Tongue {
    /// What a request says of itself.
    fn of(request: &HttpRequest) -> Option<Self> {
        if request.headers().contains_key("tus-resumable") {
            return Some(Self::Tus);
        }
        let ietf = [
            "upload-draft-interop-version",
            "upload-complete",
            "upload-incomplete",
        ];
        ietf.into_iter()
            .any(|name| request.headers().contains_key(name))
            .then_some(Self::Ietf)
    }
}

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    if !settings.tus.enabled {
        return Vec::new();
    }
    let mut mounts = vec![settings.tus.path.clone()];
    // The Goa example's clients know this one.
    if settings.tus.path != settings.chunks.path {
        mounts.push(settings.chunks.path.clone());
    }
    mounts
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let is_shared = mount == settings.chunks.path && settings.tus.path != mount;
    let door = Data::new(Door::new(mount, mounts(settings), settings));
    let own = mount.to_owned();
    let doors = scope(mount)
        .guard(fn_guard(move |context| {
            let head = context.head();
            // What lies deeper is the other protocol's alone.
            let is_deep = || {
                let rest = head.uri.path().get(own.len()..).unwrap_or("");
                rest.trim_matches('/').contains('/')
            };
            !is_shared
                || head.headers.contains_key("tus-resumable")
                || (head.method == Method::OPTIONS && !is_deep())
        }))
        .app_data(door)
        .service(web::resource(["", "/"]).to(at_creation))
        .service(web::resource(["/{id}", "/{id}/"]).to(at_upload))
        .default_service(web::to(async |request: HttpRequest| tus::nowhere(&request)));
    services.service(doors);
}

/// The address at which uploads are made.
async fn at_creation(
    request: HttpRequest,
    payload: Payload,
    door: Data<Door>,
    uploads: Data<Uploads>,
) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return shared::discovery(&request, &door, &uploads);
    }
    match Tongue::of(&request) {
        Some(Tongue::Ietf) if door.speaks_ietf() => {
            ietf::at_creation(request, payload, &door, &uploads).await
        }
        Some(_) | None => tus::at_creation(request, payload, &door, &uploads).await,
    }
}

/// The address of one upload.
async fn at_upload(
    request: HttpRequest,
    payload: Payload,
    door: Data<Door>,
    uploads: Data<Uploads>,
) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return shared::discovery(&request, &door, &uploads);
    }
    // As it stands in the address: what cannot be decoded is no id either.
    let id = request.match_info().query("id").to_owned();
    let tongue = match Tongue::of(&request) {
        Some(tongue) => tongue,
        // A request that does not say goes by the protocol that began the upload.
        None => match shared::tongue_of(&uploads, &request, &id).await {
            Ok(Some(tongue)) => tongue,
            // One that adds nothing learns that there is none, which only one of the two can say without its version.
            Ok(None) if matches!(*request.method(), Method::HEAD | Method::DELETE) => Tongue::Ietf,
            // Downloads are told of in one way.
            Ok(None) if request.method() == Method::GET && !door.settings.downloads => Tongue::Ietf,
            Ok(None) => Tongue::Tus,
            Err(error) => return Failure::<ProblemDocument>::from(error).error_response(),
        },
    };
    match tongue {
        Tongue::Ietf if door.speaks_ietf() => ietf::at_upload(request, &id, payload, &door, &uploads).await,
        _ => tus::at_upload(request, &id, payload, &door, &uploads).await,
    }
}
