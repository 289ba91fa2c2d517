//! Metrics, put together: what may be counted, and the listener of their own where the settings ask for one.
//!
//! Separate from the other routes, because that listener serves nothing else, to nobody else.

use std::net::{IpAddr, SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, to};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::http::{Shared, nowhere};
use crate::config::Config;
use crate::metrics::{Metrics, TIDY_EVERY};
use crate::protocol;
use crate::signing::Operation;
use crate::web::headers::protect;
use crate::web::{metrics, problem};

/// A registry for everything that can be counted, or one that counts nothing where metrics are switched off.
pub(super) fn registry(config: &Config) -> anyhow::Result<Metrics> {
    if !config.metrics.enabled {
        return Ok(Metrics::off());
    }
    let doors = protocol::doors(&config.protocols, &config.metrics.path);
    let kinds: Vec<&str> = problem::KINDS.iter().map(|kind| kind.slug).collect();
    Metrics::new(&doors.names(), &kinds, &Operation::NAMES).map_err(anyhow::Error::msg)
}

/// Keeps the registry small where nobody scrapes.
pub(super) fn tidy(metrics: Metrics) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(TIDY_EVERY);
        loop {
            ticks.tick().await;
            metrics.tidy();
        }
    })
}

/// The listener for metrics alone while it runs.
pub struct Scrapes {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
}

impl Scrapes {
    /// Ends it.
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.task.await;
    }
}

/// Starts it, where the settings ask for it.
pub(super) fn listen(config: &Config, shared: &Shared) -> anyhow::Result<Option<Scrapes>> {
    let settings = &config.metrics;
    if !settings.enabled || settings.port == 0 {
        return Ok(None);
    }
    let ip: IpAddr = settings.address.parse().context("metrics.address")?;
    let address = SocketAddr::new(ip, settings.port);
    let socket = TcpListener::bind(address).with_context(|| format!("cannot serve metrics on {address}"))?;
    let address = socket.local_addr()?;
    let (shared, path) = (shared.clone(), settings.path.clone());
    let access = metrics::Access::own_listener(&settings.token);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.uploads.clone())
            .app_data(shared.identity.clone())
            .app_data(shared.policies.clone())
            .app_data(Data::new(shared.metrics.clone()))
            .app_data(Data::new(access.clone()))
            .configure(|services| metrics::routes(services, &path))
            .default_service(to(nowhere))
            .wrap(from_fn(protect))
    })
    .workers(1)
    .disable_signals()
    .listen(socket)?
    .run();
    Ok(Some(Scrapes {
        address,
        handle: server.handle(),
        task: actix_web::rt::spawn(server),
    }))
}
