//! Settings: their shape; [`defaults`] has their defaults.
//!
//! Separate from `app`, because the file `Rocket.toml.example` is held against these defaults by a test, and
//! because nothing but plain data may stand here: what the values mean is decided where they are used.
//! [`load`](load::load) reads them in Rocket's layers, [`Config::validate`] names every impossible value.

mod auth;
mod defaults;
mod doors;
mod folder;
mod hooks;
mod integrity;
mod load;
mod network;
mod observed;
mod page_signing;
mod protocols;
mod secret;
mod storage;
mod sts;
mod validate;
mod variables;

use serde::{Deserialize, Serialize};

pub use auth::{Anonymous, AuthConfig, ForwardConfig, JwtConfig, is_plain};
pub use hooks::{HooksConfig, OnReject, OnSilence, PreCompleteConfig, PreCreateConfig};
pub use integrity::{ChecksumName, ReceiptsConfig};
pub use load::{LoadError, Overrides, Sources, load};
pub use network::{ConnectionsConfig, ServerConfig, TlsConfig};
pub use observed::{MetricsConfig, TelemetryConfig};
pub use page_signing::{EvaporateConfig, FineUploaderConfig, PageSigning};
pub use protocols::{
    ChunksConfig, GalileoConfig, KeyChoice, LocationStyle, MuleConfig, MuleKeyConfig, NativeConfig,
    OffsetConfig, ProtocolsConfig, TusConfig, UppyConfig,
};
pub use secret::Secret;
pub use storage::{BackendName, LocalStorageConfig, SmbStorageConfig, StorageConfig};
pub use sts::StsConfig;
pub use validate::origin_and_path;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for the embedded defaults: the SQLite file and the embedded S3's objects.
    pub data_dir: String,
    /// Where we listen.
    pub server: ServerConfig,
    /// Where uploads and parts are recorded.
    pub database: DatabaseConfig,
    /// The bucket that uploads go to.
    pub s3: S3Config,
    /// The embedded S3 for local use, which starts when `s3.bucket` is empty and `storage.backend` is `s3`.
    pub dev_s3: DevS3Settings,
    /// Where uploads go whose bytes pass through us: all of them, where that is not S3 and `s3.bucket` is empty.
    pub storage: StorageConfig,
    /// Who may upload.
    pub auth: AuthConfig,
    /// What may be uploaded.
    pub limits: LimitsConfig,
    /// How uploads are made.
    pub uploads: UploadsConfig,
    /// What proves later what was stored.
    pub receipts: ReceiptsConfig,
    /// The doors, each of which can be moved and closed.
    pub protocols: ProtocolsConfig,
    /// How others are told that an upload is complete.
    pub hooks: HooksConfig,
    /// Other sites whose pages may call us.
    pub cors: CorsConfig,
    /// What is written to standard error.
    pub log: LogConfig,
    /// What is counted, and who may read it.
    pub metrics: MetricsConfig,
    /// Where traces go.
    pub telemetry: TelemetryConfig,
}

/// Where uploads and parts are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `sqlite://PATH` or `postgres://…`; empty takes `muleteer.sqlite` in the data folder.
    pub url: Secret,
    /// Connections kept open, besides the one that writes part records.
    pub pool_size: u32,
}

/// Whether the bucket stands in the path or in the host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathStyle {
    /// In the path with an endpoint of your own, in the host name on AWS.
    Auto,
    /// `https://host/bucket/key`
    Always,
    /// `https://bucket.host/key`
    Never,
}

/// The bucket that uploads go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// The bucket; empty starts the embedded S3, unless `storage.backend` names a folder or a share, which then takes all.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// `https://host[:port]` of a store other than AWS.
    pub endpoint: String,
    /// The endpoint as browsers reach it, where it differs from ours.
    pub public_endpoint: String,
    /// Whether the bucket stands in the path or in the host name.
    pub path_style: PathStyle,
    /// Static credentials; empty asks the standard AWS chain.
    pub access_key_id: String,
    /// The static secret.
    pub secret_access_key: Secret,
    /// The session token that belongs to temporary static credentials.
    pub session_token: Secret,
    /// Profile of the shared AWS files.
    pub profile: String,
    /// Seconds that a presigned URL lives, 30 to 604,800 (7 days).
    pub url_lifetime_s: u64,
    /// Seconds that the store may take to answer a request without bytes of files, 1 to 300; after a second time-out it is
    /// unavailable.
    pub answer_timeout_s: u64,
    /// Least bytes of every part but the last that the store takes; 5 MiB on AWS.
    pub min_part_size: u64,
    /// The checksum that parts are sent with, so that the store refuses what was altered on the way.
    pub checksum: ChecksumName,
}

/// The embedded S3 for local use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevS3Settings {
    /// IP address to bind.
    pub address: String,
    /// TCP port; 0 picks a free one.
    pub port: u16,
    /// Its one bucket.
    pub bucket: String,
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret; empty makes one at the first start and keeps it in the database.
    pub secret_access_key: Secret,
    /// Least bytes of every part but the last.
    pub min_part_size: u64,
    /// Lets it listen on an address that is not loopback.
    pub allow_remote: bool,
}

/// What may be uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Most bytes of one file.
    pub max_size: u64,
    /// Media types that are taken (`video/mp4`, `image/*`); empty takes all.
    pub types: Vec<String>,
    /// Whether the first bytes of a file have a say before it is complete.
    pub sniff: Sniff,
    /// Whether a file may be sent whole in one request to the store; such a request can be sent again with other bytes.
    pub whole_objects: bool,
    /// Most parts of one file, 1 to 10,000; where we cut it, parts grow.
    pub max_parts: u32,
    /// What each owner with a name may have open: whoever has a key.
    pub named: OwnerLimits,
    /// What each visitor may have open whom a cookie knows again.
    pub visitor: OwnerLimits,
    /// What all may have open together who come without a credential and keep no cookie.
    pub anybody: OwnerLimits,
    /// How often things may be done.
    pub rates: RatesConfig,
}

/// How often things may be done, each a number a minute that may also come all at once; 0 for as often as they like. Every
/// instance counts by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Uploads that one owner begins; those who come without a credential and keep no cookie are counted by address alone.
    pub creations_per_owner: u32,
    /// Uploads that are begun from one address, or one IPv6 network (/64).
    pub creations_per_address: u32,
    /// Signatures that one owner asks for: one for each part.
    pub signatures_per_owner: u32,
    /// Signatures that are asked for from one address.
    pub signatures_per_address: u32,
    /// Wrong API keys and tokens that come from one address before its credentials are not looked at for a while.
    pub failures_per_address: u32,
}

/// How much the first bytes of a file have to say. A file of another type than it may have fails, and is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sniff {
    /// Nothing.
    Off,
    /// Where `limits.types` is set, the type that they show must be among these.
    Types,
    /// The type that they show must be the declared one.
    Declared,
}

/// What one owner may have open at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnerLimits {
    /// Most uploads that have not ended; 0 for as many as they like.
    pub open_uploads: u64,
    /// Most bytes of the files of these together; 0 for as many as they like.
    pub open_bytes: u64,
}

/// How uploads are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadsConfig {
    /// How keys are made: `{id}` (required), `{filename}`, `{owner}`, `{yyyy}`, `{mm}`, `{dd}`.
    pub key_template: String,
    /// Bytes of a part, unless the client asks for another size or the file needs larger ones.
    pub part_size: u64,
    /// Hours without any activity after which an unfinished upload is given up.
    pub ttl_hours: u64,
    /// Seconds between two looks for expired uploads.
    pub sweep_interval_s: u64,
    /// Seconds between two looks for leftovers in the storage that belong to no upload.
    pub orphan_interval_s: u64,
    /// Hours that something must have been idle in the storage before it is taken for a leftover.
    pub orphan_grace_hours: u64,
}

/// Other sites whose pages may call us.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins such as `https://app.example.org`; `*` allows every site, without cookies.
    pub allowed_origins: Vec<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// What is logged, as `info` or `muleteer=debug,warn`.
    pub filter: String,
}
