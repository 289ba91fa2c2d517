//! The HTTP side: the port, the routes in their order, and the middleware round them.
//!
//! Separate from the putting together, because the order of what stands here is what a request meets.

use std::net::{IpAddr, SocketAddr, TcpListener};

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{Data, ServiceConfig, redirect, to};
use actix_web::{App, HttpResponse};
use anyhow::Context as _;
use utoipa_swagger_ui::SwaggerUi;

use super::server;
use crate::config::Config;
use crate::error::Error;
use crate::identity::Identity;
use crate::pages::{self, Attempts, PageSettings};
use crate::protocol;
use crate::uploads::Uploads;
use crate::web::auth::send_cookie;
use crate::web::cors::{self, Sites};
use crate::web::headers::{Policies, protect};
use crate::web::peer::TrustedProxies;
use crate::web::problem::{Failure, ProblemDocument};
use crate::web::trace::{SecretPaths, trace};
use crate::web::{assets, health, mishaps};

/// Everything that the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) uploads: Data<Uploads>,
    pub(super) identity: Data<Identity>,
    pub(super) pages: Data<PageSettings>,
    pub(super) attempts: Data<Attempts>,
    pub(super) policies: Policies,
    pub(super) config: Data<Config>,
}

/// The listening socket that the settings ask for.
pub(super) fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let ip: IpAddr = config.server.address.parse().context("server.address")?;
    let address = SocketAddr::new(ip, config.server.port);
    let socket = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Starts the workers on `listener`.
pub(super) fn serve(listener: TcpListener, config: &Config, shared: Shared) -> anyhow::Result<Server> {
    let proxies = TrustedProxies::new(&config.server);
    let discoverable = (protocol::resumable::PROTOCOL.mounts)(&config.protocols);
    let with_cookies = [
        &protocol::uppy::PROTOCOL,
        &protocol::evaporate::PROTOCOL,
        &protocol::fine_uploader::PROTOCOL,
    ];
    let with_cookies = with_cookies.iter();
    let with_cookies = with_cookies
        .flat_map(|door| (door.mounts)(&config.protocols))
        .collect();
    let sites = Sites::new(&config.cors.allowed_origins, discoverable, with_cookies);
    let secrets = SecretPaths::new(vec![config.protocols.uppy.token_path.clone()]);
    let server = server::start(listener, &config.server, move || {
        App::new()
            .app_data(shared.uploads.clone())
            .app_data(shared.identity.clone())
            .app_data(shared.pages.clone())
            .app_data(shared.attempts.clone())
            .app_data(shared.policies.clone())
            .app_data(proxies.clone())
            .app_data(sites.clone())
            .app_data(secrets.clone())
            .configure(|services| routes(services, &shared.config))
            .default_service(to(nowhere))
            .wrap(from_fn(mishaps::note))
            .wrap(from_fn(send_cookie))
            .wrap(Compress::default())
            .wrap(from_fn(cors::share))
            .wrap(from_fn(protect))
            .wrap(from_fn(trace))
    })?;
    Ok(server)
}

fn routes(services: &mut ServiceConfig, config: &Config) {
    protocol::routes(services, &config.protocols);
    services
        .configure(pages::routes)
        .configure(assets::routes)
        .configure(health::routes);
    if config.protocols.native.enabled {
        let document = protocol::native::document(&format!("{}/v1", config.protocols.native.path));
        let address = format!("{}/openapi.json", config.protocols.native.path);
        let reference = SwaggerUi::new("/docs/{_:.*}").url(address, document);
        services.service(redirect("/docs", "/docs/")).service(reference);
    }
}

async fn nowhere() -> Result<HttpResponse, Failure<ProblemDocument>> {
    Err(Error::NotFound("address").into())
}
