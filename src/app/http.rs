//! The HTTP side: the port, the routes in their order, and the middleware round them.
//!
//! Separate from the putting together, because the order of what stands here is what a request meets.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{Data, ServiceConfig, to};
use actix_web::{App, HttpRequest, HttpResponse};
use anyhow::Context as _;
use utoipa::openapi::{OpenApi, Server as ApiServer};
use utoipa_swagger_ui::{Config as ReferenceConfig, SwaggerUi};

use super::certificate::Certificate;
use super::server::{self, Tls};
use crate::config::Config;
use crate::error::Error;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::pages::{self, Attempts, PageSettings};
use crate::protocol;
use crate::uploads::Uploads;
use crate::web::auth::send_cookie;
use crate::web::body::BodyPatience;
use crate::web::cors::{self, Sites};
use crate::web::failures::Failures;
use crate::web::headers::{Policies, protect};
use crate::web::health::{Draining, Facts};
use crate::web::methods::readable;
use crate::web::outer;
use crate::web::peer::{TrustedProxies, outer_prefix};
use crate::web::problem::{Failure, ProblemDocument};
use crate::web::trace::trace;
use crate::web::veil::SecretPaths;
use crate::web::{assets, health, metrics, mishaps};

/// Everything that the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) uploads: Data<Uploads>,
    pub(super) identity: Data<Identity>,
    pub(super) pages: Data<PageSettings>,
    pub(super) attempts: Data<Attempts>,
    pub(super) failures: Data<Failures>,
    pub(super) policies: Policies,
    pub(super) config: Data<Config>,
    pub(super) metrics: Metrics,
    pub(super) draining: Draining,
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
pub(super) fn serve(
    listener: TcpListener,
    config: &Config,
    certificate: Option<Arc<Certificate>>,
    shared: Shared,
) -> anyhow::Result<Server> {
    let for_handshakes = Duration::from_secs(config.server.tls.handshake_timeout_s);
    let tls = certificate.map(|certificate| Tls::new(certificate, for_handshakes));
    let proxies = TrustedProxies::new(&config.server);
    let discoverable = (protocol::resumable::PROTOCOL.mounts)(&config.protocols);
    let with_cookies: &[&protocol::Protocol] = if config.auth.forward.is_on() {
        // The application's pages bring its cookies, wherever they send files to.
        protocol::PROTOCOLS
    } else {
        &[
            &protocol::uppy::PROTOCOL,
            &protocol::evaporate::PROTOCOL,
            &protocol::fine_uploader::PROTOCOL,
        ]
    };
    let with_cookies = with_cookies
        .iter()
        .flat_map(|door| (door.mounts)(&config.protocols))
        .collect();
    let sites = Sites::new(&config.cors.allowed_origins, discoverable, with_cookies);
    let doors = protocol::doors(&config.protocols, &config.metrics.path);
    let facts = Data::new(Facts {
        protocols: protocol::open(&config.protocols),
        embedded_store: config.uses_embedded_store(),
    });
    let access = metrics::Access::beside(&config.metrics.token);
    let patience = BodyPatience(Duration::from_secs(config.server.connections.body_timeout_s));
    let secrets = SecretPaths::new(vec![config.protocols.uppy.token_path.clone()]);
    let counted = shared.metrics.clone();
    let server = server::start(listener, &config.server, tls.transpose()?, counted, move || {
        App::new()
            .app_data(shared.uploads.clone())
            .app_data(shared.identity.clone())
            .app_data(shared.pages.clone())
            .app_data(shared.attempts.clone())
            .app_data(shared.failures.clone())
            .app_data(shared.policies.clone())
            .app_data(proxies.clone())
            .app_data(sites.clone())
            .app_data(patience)
            .app_data(secrets.clone())
            .app_data(doors.clone())
            .app_data(facts.clone())
            .app_data(Data::new(shared.draining.clone()))
            .app_data(Data::new(shared.metrics.clone()))
            .app_data(Data::new(access.clone()))
            .configure(|services| routes(services, &shared.config))
            .default_service(to(nowhere))
            .wrap(from_fn(mishaps::note))
            .wrap(from_fn(send_cookie))
            .wrap(Compress::default())
            .wrap(from_fn(cors::share))
            .wrap(from_fn(protect))
            .wrap(from_fn(outer::remember))
            .wrap(from_fn(trace))
    })?;
    Ok(server)
}

fn routes(services: &mut ServiceConfig, config: &Config) {
    if config.metrics.enabled && config.metrics.port == 0 {
        services.configure(|services| metrics::routes(services, &config.metrics.path));
    }
    protocol::routes(services, &config.protocols);
    services
        .configure(pages::routes)
        .configure(assets::routes)
        .configure(health::routes);
    if config.protocols.native.enabled {
        let address = format!("{}/openapi.json", config.protocols.native.path);
        // Relative, since a proxy may serve us below a path.
        let reference = SwaggerUi::new("/docs/{_:.*}").config(ReferenceConfig::from(format!("..{address}")));
        services
            .app_data(Data::new(Document::new(&config.protocols.native.path)))
            .service(readable(&address, openapi))
            .service(readable("/docs", to_reference))
            .service(reference);
    }
}

/// The native API's document, and where that API is mounted.
struct Document {
    mount: String,
    openapi: OpenApi,
}

impl Document {
    fn new(path: &str) -> Self {
        let mount = format!("{path}/v1");
        let openapi = protocol::native::document(&mount);
        Self { mount, openapi }
    }
}

/// The document, with the API's address as the one who asks has to write it.
async fn openapi(request: HttpRequest, document: Data<Document>) -> HttpResponse {
    let address = outer_prefix(&request) + &document.mount;
    let mut openapi = document.openapi.clone();
    openapi.servers = Some(vec![ApiServer::new(address)]);
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .json(openapi)
}

async fn to_reference(request: HttpRequest) -> HttpResponse {
    HttpResponse::TemporaryRedirect()
        .insert_header((LOCATION, outer_prefix(&request) + "/docs/"))
        .finish()
}

pub(super) async fn nowhere() -> Result<HttpResponse, Failure<ProblemDocument>> {
    Err(Error::NotFound("address").into())
}
