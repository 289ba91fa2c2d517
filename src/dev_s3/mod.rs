//! An S3 server for local use and for tests, over a directory, on a port of its own.
//!
//! It lets `cargo run` do the product's whole job on a machine that has no object store, and lets tests check our
//! signatures against a strict second opinion. It is no part of a deployment with a real store: one key pair, one
//! process, one disk. It knows nothing of the rest of the crate.
//!
//! The hard part of S3's wire format, and the comparison of signatures, is the crate `s3s`. What is ours:
//! - [`auth`]: the checks of a signature that `s3s` leaves open;
//! - [`lifecycle`]: what a bucket's rules drop;
//! - [`front`], [`cors`], [`body`], [`server`]: what surrounds each request;
//! - [`service`] with `*_calls`: one function for each operation of S3;
//! - [`store`], [`multipart`], [`complete`]: what is there, in memory and on the disk;
//! - [`layout`], [`records`], [`parts_log`]: the directory;
//! - [`receive`], [`send`], [`sums`], [`listing`], [`wire`], [`address`]: bodies, checksums, pages, translations.
//!
//! What was acknowledged is on the disk: it survives `kill -9`, and what was under way leaves nothing behind.

mod address;
mod auth;
mod body;
mod bucket_calls;
mod complete;
mod copy_calls;
mod cors;
mod front;
mod layout;
mod lifecycle;
mod listing;
mod multipart;
mod object_calls;
mod parts_log;
mod receive;
mod records;
mod send;
mod server;
mod service;
mod store;
mod sums;
mod upload_calls;
mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::auth::TemporaryKey;
use self::auth::{Keys, TemporaryKeys};
use self::store::Store;

/// The least size that S3 demands of all parts but the last: 5 MiB.
pub const MIN_PART_SIZE: u64 = 5 << 20;
/// The largest file in a browser's form: `s3s` holds it in memory, hence far less than S3's 5 GiB.
const MAX_FORM_FILE: u64 = 64 << 20;
/// How often uploads that were never finished are looked for.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// How to run the server.
#[derive(Clone)]
pub struct DevS3Config {
    /// The directory for everything; it is made where it is missing. One server at a time may use it.
    pub root: PathBuf,
    /// The address to listen on.
    pub address: IpAddr,
    /// The port to listen on; 0 picks a free one.
    pub port: u16,
    /// The public half of the key pair that may do everything.
    pub access_key_id: String,
    /// Its secret half.
    pub secret_access_key: SecretString,
    /// When set, each request must carry exactly this `X-Amz-Security-Token`; when not, none may carry any.
    pub session_token: Option<String>,
    /// A second key pair, which may put, list and join the parts of uploads, and drop them, and nothing else.
    pub parts_only: Option<(String, SecretString)>,
    /// The region that signatures must name.
    pub region: String,
    /// A bucket that is made at the start where it is missing.
    pub bucket: String,
    /// The least size of all parts but the last, in bytes; [`MIN_PART_SIZE`] is S3's, tests may want less.
    pub min_part_size: u64,
    /// Whether an address other than loopback is allowed.
    pub allow_remote: bool,
    /// Unfinished uploads older than this are dropped, at the start and every hour.
    pub max_upload_age: Duration,
}

impl fmt::Debug for DevS3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevS3Config")
            .field("root", &self.root)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("access_key_id", &self.access_key_id)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum DevS3Error {
    /// The address can be reached from elsewhere, and nobody said that it may.
    #[error("the embedded S3 is for local use: it does not listen on {0} unless remote access is allowed")]
    NotLoopback(IpAddr),
    /// The bucket's name is none that S3 knows.
    #[error("'{0}' is no valid bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")]
    BadBucketName(String),
    /// Another server works on the directory.
    #[error("{} is in use by another embedded S3", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("the embedded S3 cannot use {}: {cause}", .root.display())]
    Directory {
        /// The directory.
        root: PathBuf,
        /// What the file system says.
        #[source]
        cause: io::Error,
    },
    /// The port cannot be listened on.
    #[error("the embedded S3 cannot listen on {address}: {cause}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

/// A running server. Dropped, it stops as well, without anybody waiting for it.
#[derive(Debug)]
pub struct DevS3 {
    address: SocketAddr,
    temporary: TemporaryKeys,
    stop: watch::Sender<()>,
    serving: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

impl DevS3 {
    /// The address to which clients send requests, such as `http://127.0.0.1:9000`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a temporary key pair from now on, until it ends: it may do everything but send forms.
    pub fn admit(&self, key: TemporaryKey) {
        self.temporary.admit(key);
    }

    /// Takes a temporary key pair no more; requests that are under way finish.
    pub fn withdraw(&self, access_key_id: &str) {
        self.temporary.withdraw(access_key_id);
    }

    /// Takes no more connections, lets running requests finish for at most ten seconds, and lets go of the
    /// directory.
    pub async fn stop(self) {
        let Self {
            stop,
            serving,
            sweeping,
            ..
        } = self;
        sweeping.abort();
        let _ = sweeping.await;
        drop(stop);
        let _ = serving.await;
    }
}

/// Starts a server on the current tokio runtime.
///
/// # Errors
/// [`DevS3Error`]; nothing runs then.
pub async fn start(config: DevS3Config) -> Result<DevS3, DevS3Error> {
    if !config.address.is_loopback() && !config.allow_remote {
        return Err(DevS3Error::NotLoopback(config.address));
    }
    if !s3s::path::check_bucket_name(&config.bucket) {
        return Err(DevS3Error::BadBucketName(config.bucket));
    }
    let store = open_store(&config).await?;
    let wanted = SocketAddr::new(config.address, config.port);
    let listening = |cause| DevS3Error::Listen {
        address: wanted,
        cause,
    };
    let listener = TcpListener::bind(wanted).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;

    let temporary = TemporaryKeys::default();
    let front = front::Front {
        s3: s3_service(&config, store.clone(), temporary.clone()),
        store: store.clone(),
    };
    let (stop, stopping) = watch::channel(());
    let serving = tokio::spawn(server::serve(listener, front, stopping));
    let sweeping = tokio::spawn(sweep(Arc::downgrade(&store), config.max_upload_age));
    Ok(DevS3 {
        address,
        temporary,
        stop,
        serving,
        sweeping,
    })
}

/// Opens the directory, drops what is too old, and makes the bucket.
async fn open_store(config: &DevS3Config) -> Result<Arc<Store>, DevS3Error> {
    let DevS3Config {
        root,
        bucket,
        min_part_size,
        max_upload_age,
        ..
    } = config.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let store = Store::open(&root, min_part_size)?;
        store.abort_older_than(max_upload_age);
        store.create_bucket(&bucket)?;
        Ok(Arc::new(store))
    });
    let opened = opening
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
    opened.map_err(|cause: io::Error| match cause.kind() {
        io::ErrorKind::ResourceBusy => DevS3Error::InUse(config.root.clone()),
        _ => DevS3Error::Directory {
            root: config.root.clone(),
            cause,
        },
    })
}

fn s3_service(config: &DevS3Config, store: Arc<Store>, temporary: TemporaryKeys) -> S3Service {
    let keys = Keys {
        temporary,
        access_key_id: config.access_key_id.clone(),
        secret_access_key: config.secret_access_key.clone(),
        session_token: config.session_token.clone(),
        parts_only: config.parts_only.clone(),
        region: config.region.clone(),
    };
    let mut limits = S3Config::default();
    limits.post_object_max_file_size = MAX_FORM_FILE;
    let mut builder = S3ServiceBuilder::new(service::Service {
        store,
        region: config.region.clone(),
    });
    builder.set_auth(keys.clone());
    builder.set_access(keys);
    builder.set_host(address::LocalHosts);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
    builder.build()
}

/// Drops unfinished uploads that are too old, for as long as the server runs.
async fn sweep(store: std::sync::Weak<Store>, max_age: Duration) {
    let mut times = tokio::time::interval(SWEEP_EVERY);
    // The first tick comes at once, and the start has swept already.
    times.tick().await;
    loop {
        times.tick().await;
        let Some(store) = store.upgrade() else { return };
        let swept = store::run(move || Ok(store.abort_older_than(max_age))).await;
        tracing::info!(
            uploads = swept.unwrap_or_default(),
            "dropped unfinished uploads past their age"
        );
    }
}
