//! Putting it together: settings → database, store, verbs → a server bound to a port.
//!
//! Separate from the command line, so that tests start the same thing that `muleteer serve` starts.

mod certificate;
mod examine;
mod folder;
mod http;
mod observe;
mod secrets;
mod server;
mod settings;
mod signals;
mod store;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use anyhow::Context as _;
use tokio::task::JoinHandle;

use self::certificate::Certificate;
pub use self::examine::{StoreAtHand, examine};
use self::http::Shared;
pub use self::observe::Scrapes;
use self::secrets::{identity_settings, receipt_key, token_secret};
use self::settings::{hours, outbox, page_settings, policy, quarantine};
use self::signals::{Signals, Stopping};
use self::store::Embedded;
use self::tasks::{spawn_notes, spawn_sweeper};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::domain::{IdMark, KeyTemplate};
use crate::error::Error;
use crate::hooks::{self, Deliveries, PreCreate};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::pages::Attempts;
use crate::uploads::{self, Gate, Outbox, Quarantine, Rates, Swept, Uploads};
use crate::web::failures::Failures;
use crate::web::headers::Policies;
use crate::web::health::Draining;

/// A server that accepts connections.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS itself.
    pub is_secure: bool,
    /// Where the embedded S3 listens, if it was started.
    pub store: Option<String>,
    /// The database, for what the command line does beside serving.
    pub db: Database,
    uploads: Uploads,
    signals: Signals,
    server: Server,
    sweeper: JoinHandle<()>,
    notes: JoinHandle<()>,
    scans: JoinHandle<()>,
    deliveries: Deliveries,
    embedded: Option<Embedded>,
    tidying: JoinHandle<()>,
    renewals: Option<JoinHandle<()>>,
    draining: Draining,
    drain: Duration,
    /// Where metrics are served apart, if they are.
    pub scrapes: Option<Scrapes>,
}

impl Running {
    /// Stops it from outside, as SIGTERM does.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM, SIGINT or the handle stops it; running requests finish first.
    ///
    /// # Errors
    /// Whatever ends the server otherwise.
    pub async fn serve(self) -> anyhow::Result<()> {
        let uploads = self.uploads.clone();
        let stopping = Stopping {
            signals: self.signals,
            server: self.server.handle(),
            uploads: self.uploads,
            draining: self.draining,
            drain: self.drain,
        };
        let listening = tokio::spawn(stopping.on_signals());
        let outcome = self.server.await;
        listening.abort();
        self.sweeper.abort();
        self.tidying.abort();
        self.renewals.inspect(JoinHandle::abort);
        self.notes.abort();
        self.scans.abort();
        if let Err(error) = uploads.write_notes(true).await {
            tracing::warn!(%error, "the last notes of uploads' logs are lost");
        }
        if let Some(scrapes) = self.scrapes {
            scrapes.stop().await;
        }
        self.deliveries.stop().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
        self.db.close().await?;
        outcome.context("the server ended")
    }
}

/// Opens the database, starts the embedded S3 if neither a bucket nor another place is configured, and binds the port.
///
/// # Errors
/// Whatever stands in the way, in words for the operator.
pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Running> {
    // What waits in here is large, and would lie on the stack of whoever starts a server.
    Box::pin(put_together(config, clock)).await
}

async fn put_together(mut config: Config, clock: Clock) -> anyhow::Result<Running> {
    folder::close_doors(&mut config);
    let certificate = Certificate::open(&config.server.tls)?;
    let db = open_database(&config).await?;
    folder::tell_of_the_left(&config, &db).await?;
    let embedded = Embedded::start(&config, &db).await?;
    let metrics = observe::registry(&config)?;
    let outbox = outbox(&config)?;
    let quarantine = quarantine(&config, &clock)?;
    let gate = PreCreate::open(&config.hooks, clock.clone(), metrics.clone()).map_err(explain)?;
    let around = Around {
        clock: clock.clone(),
        outbox: outbox.clone(),
        gate: gate.map(|gate| Arc::new(gate) as Arc<dyn Gate>),
        quarantine,
        metrics: metrics.clone(),
    };
    let uploads = open_uploads(&config, &db, embedded.as_ref(), around).await?;
    let settings = identity_settings(&config, &db).await?;
    let identity = Identity::open(db.clone(), clock.clone(), &settings).map_err(anyhow::Error::msg)?;
    let shared = Shared {
        policies: Policies::new(uploads.store_origin().as_deref(), config.server.hsts_max_age_s),
        pages: Data::new(page_settings(&config)),
        attempts: Data::new(Attempts::default()),
        failures: Data::new(Failures::new(
            config.limits.rates.failures_per_address,
            clock.clone(),
        )),
        uploads: Data::new(uploads.clone()),
        identity: Data::new(identity),
        config: Data::new(config.clone()),
        metrics: metrics.clone(),
        draining: Draining::default(),
    };
    let draining = shared.draining.clone();
    let scrapes = observe::listen(&config, &shared)?;
    let listener = http::bind(&config)?;
    let address = listener.local_addr()?;
    let deliveries = deliver(&config, &db, clock, outbox, &metrics)?;
    Ok(Running {
        address,
        is_secure: certificate.is_some(),
        renewals: certificate.as_ref().map(Certificate::watch),
        store: embedded.as_ref().map(|embedded| embedded.endpoint.clone()),
        signals: Signals::catch(),
        server: http::serve(listener, &config, certificate, shared)?,
        sweeper: spawn_sweeper(uploads.clone(), &config.uploads),
        tidying: observe::tidy(metrics),
        draining,
        drain: Duration::from_secs(config.server.drain_s),
        scrapes,
        notes: spawn_notes(uploads.clone()),
        scans: tokio::spawn(uploads.clone().run_scans()),
        uploads,
        deliveries,
        db,
        embedded,
    })
}

/// What brings events to their receivers, and begins to.
fn deliver(
    config: &Config,
    db: &Database,
    clock: Clock,
    outbox: Outbox,
    metrics: &Metrics,
) -> anyhow::Result<Deliveries> {
    let parts = hooks::Parts {
        db: db.clone(),
        clock,
        bell: outbox.bell,
        allowed_hosts: outbox.allowed_hosts,
        metrics: metrics.clone(),
    };
    hooks::start(parts, &config.hooks).map_err(explain)
}

/// What the verbs are told of the world around them.
struct Around {
    clock: Clock,
    outbox: Outbox,
    gate: Option<Arc<dyn Gate>>,
    quarantine: Option<Quarantine>,
    metrics: Metrics,
}

/// Database, stores and rules, put together to the verbs.
async fn open_uploads(
    config: &Config,
    db: &Database,
    embedded: Option<&Embedded>,
    around: Around,
) -> anyhow::Result<Uploads> {
    let Around {
        clock,
        outbox,
        gate,
        quarantine,
        metrics,
    } = around;
    let bucket = store::bucket(config, embedded, &clock, &metrics).await?;
    let secret = token_secret(config, db).await?;
    Ok(Uploads::new(uploads::Parts {
        db: db.clone(),
        relay: store::relay(config, bucket.as_ref(), &metrics)?,
        bucket,
        clock,
        policy: policy(config),
        template: KeyTemplate::new(&config.uploads.key_template).map_err(anyhow::Error::msg)?,
        time_to_live: hours(config.uploads.ttl_hours),
        mark: IdMark::new(&secret),
        orphan_grace: hours(config.uploads.orphan_grace_hours),
        outbox,
        gate,
        quarantine,
        metrics,
        rates: Rates::new(&config.limits.rates),
        receipts: receipt_key(config, db).await?,
    }))
}

/// One sweep without a server, for the command line.
///
/// # Errors
/// Whatever stands in the way, in words for the operator.
pub async fn sweep(config: &Config, clock: Clock) -> anyhow::Result<Option<Swept>> {
    let db = open_database(config).await?;
    let embedded = Embedded::start(config, &db).await?;
    // What a sweep finds complete is told of by the server, which reads the same database.
    let outbox = outbox(config)?;
    // What it finds whole is looked at by the server.
    let quarantine = quarantine(config, &clock)?;
    let around = Around {
        clock,
        outbox,
        // A sweep begins nothing.
        gate: None,
        quarantine,
        metrics: Metrics::off(),
    };
    let uploads = open_uploads(config, &db, embedded.as_ref(), around).await?;
    let swept = uploads.sweep(true).await.map_err(explain);
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    db.close().await.map_err(explain)?;
    swept
}

/// Opens the database that the settings name, with its migrations run.
///
/// # Errors
/// Whatever the database says.
pub async fn open_database(config: &Config) -> anyhow::Result<Database> {
    let url = config.database_url();
    let place = without_credentials(&url).to_owned();
    Database::open(&url, config.database.pool_size)
        .await
        .map_err(|error| explain(error).context(format!("the database {place} cannot be used")))
}

/// What may be told of a database's URL: a password stands before the host, or among the parameters.
fn without_credentials(url: &str) -> &str {
    let place = url.split('?').next().unwrap_or_default();
    place.rsplit_once('@').map_or(place, |(_, place)| place)
}

/// An error of ours with its cause, for the operator's eyes.
pub fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Internal(cause) | Error::Unavailable { cause, .. } => anyhow::Error::from_boxed(cause),
        other => anyhow::Error::new(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_databases_password_is_not_told_wherever_it_stands() {
        assert_eq!(
            without_credentials("postgres://u:p@ss@h:5432/d?password=p@ss"),
            "h:5432/d"
        );
        assert_eq!(
            without_credentials("postgres://h/d?user=u&password=p"),
            "postgres://h/d"
        );
        assert_eq!(without_credentials("sqlite://data/m.db"), "sqlite://data/m.db");
    }
}
