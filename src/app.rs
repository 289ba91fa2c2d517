//! Putting it together: settings → database, store, verbs → a server bound to a port.
//!
//! Separate from the command line, so that tests start the same thing that `muleteer serve` starts.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::web::{Data, ServiceConfig, to};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use chrono::TimeDelta;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use utoipa_swagger_ui::SwaggerUi;

use crate::clock::Clock;
use crate::config::{Config, PathStyle};
use crate::db::Database;
use crate::domain::{KeyTemplate, PartLimits, Policy};
use crate::error::Error;
use crate::identity::{Identity, IdentitySettings};
use crate::pages::{self, PageSettings};
use crate::protocol;
use crate::signing::{AddressingStyle, BucketLocation, Credentials};
use crate::storage::{CredentialSource, S3Store, StoreSettings};
use crate::uploads::{self, Uploads};
use crate::web::auth::send_cookie;
use crate::web::headers::{Policies, protect};
use crate::web::peer::TrustedProxies;
use crate::web::problem::{Failure, ProblemDocument};
use crate::web::trace::trace;
use crate::web::{assets, health};

/// Name under which the key that signs tokens and cookies is kept in the database.
const TOKEN_SECRET: &str = "token-signing";

/// Name under which the embedded S3's secret key is kept in the database.
const STORE_SECRET: &str = "embedded-store";

/// A server that accepts connections.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the embedded S3 listens, if it was started.
    pub store: Option<String>,
    /// The database, for what the command line does beside serving.
    pub db: Database,
    server: Server,
    sweeper: JoinHandle<()>,
    #[cfg(feature = "embedded-s3")]
    embedded: Option<crate::dev_s3::DevS3>,
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
        let signals = tokio::spawn(stop_on_signals(self.server.handle()));
        let outcome = self.server.await;
        signals.abort();
        self.sweeper.abort();
        #[cfg(feature = "embedded-s3")]
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
        self.db.close().await?;
        outcome.context("the server ended")
    }
}

/// Everything that the handlers share.
#[derive(Clone)]
struct Shared {
    uploads: Data<Uploads>,
    identity: Data<Identity>,
    pages: Data<PageSettings>,
    policies: Policies,
    config: Data<Config>,
}

/// Opens the database, starts the embedded S3 if no bucket is configured, and binds the port.
///
/// # Errors
/// Whatever stands in the way, in words for the operator.
pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Running> {
    let db = open_database(&config).await?;
    #[cfg(feature = "embedded-s3")]
    let embedded = if config.uses_embedded_store() {
        Some(start_embedded(&config, &db).await?)
    } else {
        None
    };
    #[cfg(feature = "embedded-s3")]
    let (store_address, embedded_key) = match &embedded {
        Some((running, credentials)) => (Some(running.endpoint()), Some(credentials.clone())),
        None => (None, None),
    };
    #[cfg(not(feature = "embedded-s3"))]
    let (store_address, embedded_key): (Option<String>, Option<Credentials>) = (None, None);

    let store = open_store(&config, store_address.as_deref(), embedded_key, &clock).await?;
    let uploads = Uploads::new(uploads::Parts {
        db: db.clone(),
        store,
        clock: clock.clone(),
        policy: policy(&config),
        template: KeyTemplate::new(&config.uploads.key_template).map_err(anyhow::Error::msg)?,
        time_to_live: hours(config.uploads.ttl_hours),
    });
    let identity = Identity::new(db.clone(), clock, &identity_settings(&config, &db).await?);
    let shared = Shared {
        policies: Policies::new(&uploads.store_origin()),
        pages: Data::new(PageSettings {
            api: config
                .protocols
                .native
                .enabled
                .then(|| format!("{}/v1", config.protocols.native.path)),
            anonymous: config.admits_anonymous(),
            embedded_store: config.uses_embedded_store(),
        }),
        uploads: Data::new(uploads.clone()),
        identity: Data::new(identity),
        config: Data::new(config.clone()),
    };
    let listener = bind(&config)?;
    let address = listener.local_addr()?;
    Ok(Running {
        address,
        store: store_address,
        server: serve_on(listener, &config, shared)?,
        sweeper: spawn_sweeper(uploads, Duration::from_secs(config.uploads.sweep_interval_s)),
        db,
        #[cfg(feature = "embedded-s3")]
        embedded: embedded.map(|(running, _)| running),
    })
}

/// Opens the database that the settings name, with its migrations run.
///
/// # Errors
/// Whatever the database says.
pub async fn open_database(config: &Config) -> anyhow::Result<Database> {
    let url = config.database_url();
    // A server's URL may hold a password in several places; libpq's own words name the host.
    let place = if url.starts_with("sqlite://") {
        url.clone()
    } else {
        "server of database.url".to_owned()
    };
    Database::open(&url, config.database.pool_size)
        .await
        .map_err(|error| explain(error).context(format!("the database {place} cannot be used")))
}

/// An error of ours with its cause, for the operator's eyes.
pub fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Internal(cause) | Error::Unavailable { cause, .. } => anyhow::Error::from_boxed(cause),
        other => anyhow::Error::new(other),
    }
}

fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let ip: IpAddr = config.server.address.parse().context("server.address")?;
    let address = SocketAddr::new(ip, config.server.port);
    let socket = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn serve_on(listener: TcpListener, config: &Config, shared: Shared) -> anyhow::Result<Server> {
    let proxies = TrustedProxies::new(&config.server);
    let origins = config.cors.allowed_origins.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(shared.uploads.clone())
            .app_data(shared.identity.clone())
            .app_data(shared.pages.clone())
            .app_data(shared.policies.clone())
            .app_data(proxies.clone())
            .configure(|services| routes(services, &shared.config))
            .default_service(to(nowhere))
            .wrap(from_fn(send_cookie))
            .wrap(Compress::default())
            .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
            .wrap(from_fn(protect))
            .wrap(from_fn(trace))
    })
    .shutdown_timeout(config.server.shutdown_timeout_s)
    // actix would cut running requests short on SIGINT.
    .disable_signals()
    .listen(listener)?;
    if config.server.workers > 0 {
        server = server.workers(config.server.workers.into());
    }
    Ok(server.run())
}

/// SIGTERM or SIGINT lets running requests finish; a second one does not.
async fn stop_on_signals(server: ServerHandle) {
    next_signal().await;
    tracing::info!("stopping: running requests finish first");
    let graceful = server.stop(true);
    tokio::select! {
        () = graceful => {}
        () = next_signal() => server.stop(false).await,
    }
}

#[cfg(unix)]
async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "signals cannot be received");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
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
        services
            .service(actix_web::web::redirect("/docs", "/docs/"))
            .service(reference);
    }
}

async fn nowhere() -> Result<actix_web::HttpResponse, Failure<ProblemDocument>> {
    Err(Error::NotFound("address").into())
}

fn cors(origins: &[String]) -> Cors {
    let exposed = ["Retry-After", "X-Request-Id", "Date"];
    let mut cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers(exposed)
        .max_age(3600);
    for origin in origins {
        cors = if origin == "*" {
            cors.allow_any_origin()
        } else {
            cors.allowed_origin(origin)
        };
    }
    cors
}

fn policy(config: &Config) -> Policy {
    Policy {
        max_size: config.limits.max_size,
        types: config.limits.types.clone(),
        parts: PartLimits::s3(config.min_part_size(), config.uploads.part_size),
    }
}

fn hours(hours: u64) -> TimeDelta {
    TimeDelta::hours(i64::try_from(hours).unwrap_or(i64::MAX / 3600))
}

async fn identity_settings(config: &Config, db: &Database) -> anyhow::Result<IdentitySettings> {
    let secret = config.auth.secret.expose();
    let secret = if secret.is_empty() {
        db.shared_secret(TOKEN_SECRET, random_secret())
            .await
            .map_err(explain)?
    } else {
        secret.to_owned()
    };
    Ok(IdentitySettings {
        secret: SecretString::from(secret),
        api_key: config.auth.api_key.expose().to_owned(),
        anonymous: config.admits_anonymous(),
        token_lifetime: hours(config.uploads.ttl_hours),
    })
}

/// 244 random bits in hexadecimal.
fn random_secret() -> String {
    format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}

#[cfg(feature = "embedded-s3")]
async fn start_embedded(
    config: &Config,
    db: &Database,
) -> anyhow::Result<(crate::dev_s3::DevS3, Credentials)> {
    let settings = &config.dev_s3;
    let given = settings.secret_access_key.expose();
    let secret = if given.is_empty() {
        db.shared_secret(STORE_SECRET, random_secret())
            .await
            .map_err(explain)?
    } else {
        given.to_owned()
    };
    let running = crate::dev_s3::start(crate::dev_s3::DevS3Config {
        root: std::path::Path::new(&config.data_dir).join("s3"),
        address: settings.address.parse().context("dev_s3.address")?,
        port: settings.port,
        access_key_id: settings.access_key_id.clone(),
        secret_access_key: SecretString::from(secret.clone()),
        session_token: None,
        region: config.s3.region.clone(),
        bucket: settings.bucket.clone(),
        min_part_size: settings.min_part_size,
        allow_remote: settings.allow_remote,
        // Ours are swept before; this is for what other programs began.
        max_upload_age: Duration::from_secs(config.uploads.ttl_hours.saturating_mul(2 * 3600)),
    })
    .await
    .context("the embedded S3 does not start")?;
    Ok((
        running,
        Credentials::long_term(settings.access_key_id.clone(), secret),
    ))
}

async fn open_store(
    config: &Config,
    embedded: Option<&str>,
    embedded_key: Option<Credentials>,
    clock: &Clock,
) -> anyhow::Result<S3Store> {
    let s3 = &config.s3;
    let source = match embedded_key {
        Some(credentials) => CredentialSource::fixed(credentials),
        None => credentials(config, clock).await?,
    };
    let bucket = if embedded.is_some() {
        &config.dev_s3.bucket
    } else {
        &s3.bucket
    };
    let endpoint = embedded.unwrap_or(&s3.endpoint);
    let public = if s3.public_endpoint.is_empty() {
        endpoint
    } else {
        &s3.public_endpoint
    };
    let style = match (s3.path_style, endpoint.is_empty()) {
        (PathStyle::Always, _) | (PathStyle::Auto, false) => AddressingStyle::Path,
        (PathStyle::Never, _) | (PathStyle::Auto, true) => AddressingStyle::VirtualHost,
    };
    let locate = |endpoint: &str| {
        if endpoint.is_empty() {
            BucketLocation::aws(bucket, &s3.region)
        } else {
            BucketLocation::new(endpoint, bucket, style, &s3.region)
        }
    };
    let settings = StoreSettings {
        location: locate(endpoint)?,
        public_location: locate(public)?,
        url_lifetime: Duration::from_secs(s3.url_lifetime_s),
        signature_v2: signature_v2_key(config, &source, clock).await?,
    };
    S3Store::new(settings, source).map_err(explain)
}

/// The key that SigV2 clients are served with, if SigV2 is switched on.
async fn signature_v2_key(
    config: &Config,
    source: &CredentialSource,
    clock: &Clock,
) -> anyhow::Result<Option<Credentials>> {
    let mule = &config.protocols.mule;
    if !mule.signature_v2 {
        return Ok(None);
    }
    if !mule.access_key_id.is_empty() {
        let secret = mule.secret_access_key.expose().to_owned();
        return Ok(Some(Credentials::long_term(mule.access_key_id.clone(), secret)));
    }
    let current = source.current(clock.now()).await.map_err(explain)?;
    anyhow::ensure!(
        current.session_token.is_none(),
        "protocols.mule.signature_v2 needs a long-term key: set protocols.mule.access_key_id"
    );
    Ok(Some((*current).clone()))
}

async fn credentials(config: &Config, clock: &Clock) -> anyhow::Result<CredentialSource> {
    let s3 = &config.s3;
    if !s3.access_key_id.is_empty() {
        let token = s3.session_token.expose();
        let secret = s3.secret_access_key.expose().to_owned();
        return Ok(CredentialSource::fixed(Credentials {
            session_token: (!token.is_empty()).then(|| SecretString::from(token.to_owned())),
            ..Credentials::long_term(s3.access_key_id.clone(), secret)
        }));
    }
    #[cfg(feature = "aws-credential-chain")]
    return CredentialSource::chain(&s3.profile, clock.now())
        .await
        .map_err(|error| {
            explain(error).context("no credentials for S3: set s3.access_key_id, or AWS's own")
        });
    #[cfg(not(feature = "aws-credential-chain"))]
    {
        let _ = clock;
        anyhow::bail!("no credentials for S3: set s3.access_key_id and s3.secret_access_key");
    }
}

fn spawn_sweeper(uploads: Uploads, interval: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match uploads.sweep().await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "expired uploads were given up"),
                Err(error) => tracing::warn!(%error, "the sweep did not finish"),
            }
        }
    })
}
