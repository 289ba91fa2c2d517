//! Uppy's S3 plugin, versions 2 to 6: the endpoints that its pages know of Companion, and one that signs what version 6
//! sends to S3 by itself.
//!
//! The client cuts the file and trusts the parts that we list by their numbers alone; it never asks for a second id, and
//! some versions throw everything away when completing fails. So what it holds is our own id, which outlives the store's;
//! a list is empty rather than misleading; and completing waits, and can be asked for again. What a request names is
//! looked up within its caller's uploads before anything is signed. `docs/front-ends/uppy.md` is for those who set up a
//! page.

mod access;
mod companion;
mod presign;
mod replies;
mod requests;
mod stored;
mod sts;

use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig, resource, scope};
use actix_web::{HttpRequest, HttpResponse, Resource};

use self::replies::Companion;
use super::{Protocol, mount_of};
use crate::config::ProtocolsConfig;
use crate::error::Error;
use crate::web::problem::Failure;

/// Uppy's S3 plugin.
pub const PROTOCOL: Protocol = Protocol {
    name: "uppy",
    title: "Uppy, S3 plugin",
    mounts,
    routes,
};

type Answer = Result<HttpResponse, Failure<Companion>>;

fn mounts(settings: &ProtocolsConfig) -> Vec<String> {
    mount_of(settings.uppy.enabled, &settings.uppy.path)
}

fn routes(services: &mut ServiceConfig, settings: &ProtocolsConfig, mount: &str) {
    let token_path = &settings.uppy.token_path;
    // Version 6 leaves a slash at the end of the page's address where it is, and puts its own behind.
    let slashes = "/{slashes:/*}";
    let own = mount.trim_start_matches('/');
    for address in [
        format!("{slashes}{own}"),
        format!(
            "{slashes}{}/{{token}}{slashes}{own}",
            token_path.trim_start_matches('/')
        )
        .replacen("{slashes:/*}", "{before:/*}", 1),
    ] {
        let door = scope(&address)
            .app_data(Data::new(settings.uppy.clone()))
            .app_data(Data::new(presign::KeptApart::new(settings)))
            .service(address_of("/params").route(web::get().to(companion::params)))
            .service(address_of("/multipart").route(web::post().to(companion::create)))
            .service(address_of("/multipart/{id}/batch").route(web::get().to(companion::sign_batch)))
            .service(address_of("/multipart/{id}/complete").route(web::post().to(companion::complete)))
            .service(address_of("/multipart/{id}/{number}").route(web::get().to(companion::sign_part)))
            .service(
                address_of("/multipart/{id}")
                    .route(web::get().to(companion::list))
                    .route(web::delete().to(companion::abort)),
            )
            .service(address_of("/sts").route(web::get().to(sts::lend)))
            .service(address_of("/presign").route(web::post().to(presign::presign)))
            .service(
                address_of("/token")
                    .route(web::post().to(access::make_token))
                    .route(web::delete().to(access::revoke_token)),
            )
            .default_service(web::to(otherwise));
        services.service(door);
    }
}

fn address_of(path: &str) -> Resource {
    resource(path).default_service(web::to(otherwise))
}

/// Version 2 asks with a request of its own which fields it may send.
async fn otherwise(request: HttpRequest) -> Answer {
    if request.method() == Method::OPTIONS {
        return Ok(replies::options());
    }
    Err(Error::NotFound("address that takes this method").into())
}
