//! Putting it together: settings → database, store, verbs → a server bound to a port.
//!
//! Separate from the command line, so that tests start the same thing that `muleteer serve` starts.

mod certificate;
mod examine;
mod folder;
mod http;
mod observe;
mod server;
mod signals;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use anyhow::Context as _;
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::certificate::Certificate;
pub use self::examine::{StoreAtHand, examine};
use self::http::Shared;
pub use self::observe::Scrapes;
use self::signals::{Signals, Stopping};
use self::store::Embedded;
use crate::clock::Clock;
use crate::config::{BackendName, Config, OnReject, OwnerLimits, Secret, Sniff, UploadsConfig};
use crate::db::Database;
use crate::domain::{
    AllowedHosts, EventKind, IdMark, KeyTemplate, PartLimits, Policy, Quota, Quotas, Sniffing,
};
use crate::error::Error;
use crate::hooks::{self, Deliveries, PreCreate};
use crate::identity::{Identity, IdentitySettings};
use crate::metrics::Metrics;
use crate::pages::{Attempts, PageSettings};
use crate::signing::{PublicKey, ReceiptKey};
use crate::uploads::{self, Gate, Outbox, Quarantine, Rates, Subscription, Swept, Uploads};
use crate::web::failures::Failures;
use crate::web::headers::Policies;
use crate::web::health::Draining;

/// The name under which the key that signs tokens and cookies is kept in the database.
const TOKEN_SECRET: &str = "token-signing";

/// The name under which the key that signs receipts is kept in the database.
const RECEIPT_SECRET: &str = "receipt-signing";

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
    let secret = secret(&config.auth.secret, TOKEN_SECRET, db).await?;
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

fn page_settings(config: &Config) -> PageSettings {
    let native = &config.protocols.native;
    PageSettings {
        api: native.enabled.then(|| format!("{}/v1", native.path)),
        anonymous: config.admits_anonymous(),
        embedded_store: config.uses_embedded_store(),
        place: place_of(config),
    }
}

/// What people are told of the place where files go, where that is no store.
fn place_of(config: &Config) -> Option<&'static str> {
    match config.storage.backend {
        _ if !config.takes_all_through_us() => None,
        BackendName::Smb => Some("a file share, through the server"),
        BackendName::Local | BackendName::S3 => Some("a folder on the server"),
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        max_size: config.limits.max_size,
        types: Some(config.limits.types.clone()).filter(|types| !types.is_empty()),
        parts: PartLimits::s3(config.min_part_size(), config.uploads.part_size)
            .with_most(config.limits.max_parts),
        quotas: Quotas {
            named: quota(&config.limits.named),
            visitor: quota(&config.limits.visitor),
            anybody: quota(&config.limits.anybody),
        },
        sniffing: match config.limits.sniff {
            Sniff::Off => Sniffing::Off,
            Sniff::Types => Sniffing::Types,
            Sniff::Declared => Sniffing::Declared,
        },
        whole_objects: config.limits.whole_objects,
    }
}

fn quota(settings: &OwnerLimits) -> Quota {
    let unless_zero = |limit: u64| (limit > 0).then_some(limit);
    Quota {
        uploads: unless_zero(settings.open_uploads),
        bytes: unless_zero(settings.open_bytes),
    }
}

fn allowed_hosts(config: &Config) -> anyhow::Result<AllowedHosts> {
    AllowedHosts::new(&config.hooks.allowed_hosts).map_err(anyhow::Error::msg)
}

/// How others are told, and the operator besides.
fn outbox(config: &Config) -> anyhow::Result<Outbox> {
    let hooks = &config.hooks;
    let url = Some(&hooks.url).filter(|url| !url.is_empty());
    let operator = url.map(|url| -> anyhow::Result<_> {
        let host = url::Url::parse(url)?.host_str().unwrap_or_default().to_owned();
        let kinds = hooks.events.iter().filter_map(|name| EventKind::parse(name));
        Ok(Arc::new(Subscription {
            url: url.clone(),
            host,
            kinds: kinds.collect(),
        }))
    });
    Ok(Outbox {
        allowed_hosts: allowed_hosts(config)?,
        operator: operator.transpose()?,
        ..Outbox::default()
    })
}

/// Where files wait that are looked at before their uploads are complete.
fn quarantine(config: &Config, clock: &Clock) -> anyhow::Result<Option<Quarantine>> {
    let hook = &config.hooks.pre_complete;
    let scanner = hooks::scanner(&config.hooks, clock.clone()).map_err(explain)?;
    Ok(scanner.map(|scanner| Quarantine {
        scanner,
        patience: Duration::from_secs(hook.wait_s),
        later: Duration::from_secs(hook.later_s),
        keeps: hook.rejected == OnReject::Keep,
        bell: Arc::default(),
        decided: Arc::default(),
    }))
}

fn hours(hours: u64) -> TimeDelta {
    TimeDelta::hours(i64::try_from(hours).unwrap_or(i64::MAX / 3600))
}

async fn identity_settings(config: &Config, db: &Database) -> anyhow::Result<IdentitySettings> {
    let secret = secret(&config.auth.secret, TOKEN_SECRET, db).await?;
    Ok(IdentitySettings {
        secret: SecretString::from(secret),
        api_key: config.auth.api_key.expose().to_owned(),
        anonymous: config.admits_anonymous(),
        token_lifetime: hours(config.uploads.ttl_hours),
        jwt: config.auth.jwt.clone(),
        forward: config.auth.forward.clone(),
    })
}

/// The secret that the settings give, or the one that all instances share under `name`.
async fn secret(given: &Secret, name: &str, db: &Database) -> anyhow::Result<String> {
    if !given.is_empty() {
        return Ok(given.expose().to_owned());
    }
    db.shared_secret(name, random_secret()).await.map_err(explain)
}

/// The key that receipts are signed with: that of the settings, or one that is made once and kept in the database.
async fn receipt_key(config: &Config, db: &Database) -> anyhow::Result<ReceiptKey> {
    let secret = secret(&config.receipts.private_key, RECEIPT_SECRET, db).await?;
    let key =
        ReceiptKey::new(&secret).context("receipts.private_key must be 32 bytes in base64 or hexadecimal")?;
    let previous = config.receipts.previous_keys.iter().map(|text| {
        PublicKey::parse(text)
            .with_context(|| format!("receipts.previous_keys: {text:?} is no Ed25519 key in base64"))
    });
    Ok(key.with_previous(previous.collect::<anyhow::Result<_>>()?))
}

/// 244 random bits in hexadecimal.
fn random_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Writes the notes of uploads' logs every few seconds.
fn spawn_notes(uploads: Uploads) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(2));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = uploads.write_notes(false).await {
                tracing::warn!(%error, "notes of uploads' logs are lost");
            }
        }
    })
}

fn spawn_sweeper(uploads: Uploads, settings: &UploadsConfig) -> JoinHandle<()> {
    let interval = Duration::from_secs(settings.sweep_interval_s);
    let between_strays = Duration::from_secs(settings.orphan_interval_s);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut strays_at: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let with_strays = strays_at.is_none_or(|at| at.elapsed() >= between_strays);
            match uploads.sweep(with_strays).await {
                Ok(None) => {}
                Ok(Some(swept)) => {
                    if with_strays {
                        strays_at = Some(Instant::now());
                    }
                    if swept != Swept::default() {
                        let Swept {
                            expired,
                            completed,
                            strays,
                            failed,
                        } = swept;
                        tracing::info!(expired, completed, strays, failed, "swept");
                    }
                }
                Err(error) => tracing::warn!(%error, "the sweep did not finish"),
            }
        }
    })
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
