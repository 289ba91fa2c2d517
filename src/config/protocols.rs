//! Settings of the doors: one section for each protocol.
//!
//! Separate from the other settings, because each protocol brings its own. Which values are impossible is told in `doors`, and
//! the doors whose pages write what is signed have a file of their own.

use serde::{Deserialize, Serialize};

use super::{EvaporateConfig, FineUploaderConfig, Secret, StsConfig};

/// The doors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProtocolsConfig {
    /// The native API and the page that uses it.
    pub native: NativeConfig,
    /// mule-uploader, both generations.
    pub mule: MuleConfig,
    /// The chunk server with a token for each part.
    pub chunks: ChunksConfig,
    /// tus 1.0, and resumable uploads as the IETF drafts them.
    pub tus: TusConfig,
    /// Offset chunks, in the style of koa-chunks.
    pub offset: OffsetConfig,
    /// GalileoSend: files over a WebSocket.
    pub galileo: GalileoConfig,
    /// Evaporate, which signs through us.
    pub evaporate: EvaporateConfig,
    /// Fine Uploader for S3, which signs through us.
    pub fine_uploader: FineUploaderConfig,
    /// Uppy's S3 plugin, in all its generations.
    pub uppy: UppyConfig,
}

/// The native API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NativeConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address; `/v1` follows.
    pub path: String,
}

/// mule-uploader, both generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuleConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its addresses: the `ajax_base` of the pages that use it.
    pub paths: Vec<String>,
    /// Signs with SigV2 (HMAC-SHA1), which the unmodified script needs; AWS takes it on old buckets only.
    pub signature_v2: bool,
    /// Long-term credentials for SigV2 alone; empty takes those of the store. Allow them put, list parts and abort.
    pub access_key_id: String,
    /// The secret that belongs to them.
    pub secret_access_key: Secret,
    /// The `chunk_size` of the pages that use it, in bytes: the script never tells.
    pub chunk_size: u64,
    /// The `content_type` of the pages that use it, which the script sends with every part.
    pub mime_type: String,
    /// The credential of the second generation, whose signing key is handed out to pages.
    pub signing_key: MuleKeyConfig,
}

/// A credential of which everybody who may upload gets the signing key of the day. Allow it to put and list parts below
/// one prefix, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuleKeyConfig {
    /// Its id; empty keeps the second generation switched off.
    pub access_key_id: String,
    /// The secret that belongs to it; it never leaves the process itself.
    pub secret_access_key: Secret,
}

/// The chunk server with a token for each part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChunksConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address.
    pub path: String,
    /// MiB of a part. Some of its clients know no other size than 50.
    pub chunk_size_mb: u64,
    /// Hours without any activity after which an unfinished upload is given up.
    pub ttl_hours: u64,
}

/// tus 1.0, and resumable uploads as the IETF drafts them: one address for both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as operators write them"
)]
pub struct TusConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address. tus also answers at the chunk server's address, to requests that carry `Tus-Resumable`.
    pub path: String,
    /// Whether the IETF's protocol is spoken too.
    pub ietf: bool,
    /// Most bytes of one file; 0 takes the general limit.
    pub max_size: u64,
    /// Hours without any activity after which an unfinished upload is given up.
    pub ttl_hours: u64,
    /// Whether clients may have uploads, finished ones as well, removed.
    pub termination: bool,
    /// Whether clients may send a file as several uploads and have them joined.
    pub concatenation: bool,
    /// Whether finished uploads can be downloaded by whoever may upload them.
    pub downloads: bool,
    /// How a new upload's address is told.
    pub location: LocationStyle,
}

/// How the address of a new upload is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocationStyle {
    /// As a path: right behind any proxy that leaves paths alone.
    Relative,
    /// With scheme and host: those of `server.public_url`, else as a trusted proxy tells them, else as asked.
    Absolute,
}

/// Offset chunks, in the style of koa-chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OffsetConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address.
    pub path: String,
    /// Most MiB of a file; `limits.max_size` holds besides.
    pub file_max: u64,
    /// Most MiB of a chunk; -1 for chunks as large as a file may be.
    pub chunk_max: i64,
    /// Seconds without a chunk after which a session is given up.
    pub expires: u64,
}

/// GalileoSend: files over a WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GalileoConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address; `/ticket` and `/demo` follow.
    pub path: String,
    /// Other addresses at which WebSockets are taken, and nothing else: they may be those of other doors.
    pub also_at: Vec<String>,
    /// Bytes of a chunk that clients are asked for, 1,024 to 8 MiB.
    pub chunk_size: u64,
    /// Bytes of a chunk that they are asked for in large files, `chunk_size` to 8 MiB.
    pub largest_chunk_size: u64,
    /// Most bytes of one file; 0 takes the general limit.
    pub max_size: u64,
    /// Hours without any activity after which an unfinished upload is given up.
    pub ttl_hours: u64,
    /// Seconds from the handshake within which a client says what it will send, 1 to 60.
    pub metadata_s: u64,
    /// Seconds for which a client may send nothing while it is its turn, 1 to 60.
    pub idle_s: u64,
    /// Seconds between two pings, 1 to 60.
    pub ping_s: u64,
    /// Most connections from one address of clients that have not said yet who they are.
    pub strangers_per_address: u32,
}

/// Uppy's S3 plugin, in all its generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as operators write them"
)]
pub struct UppyConfig {
    /// Whether the door is open.
    pub enabled: bool,
    /// Its address: what the clients put behind the one that their page names.
    pub path: String,
    /// Below it the same door is open to whoever has a token in the address: `<token_path>/<token><path>`.
    pub token_path: String,
    /// Seconds that such a token is good, 60 to 604,800 (7 days).
    pub token_ttl_s: u64,
    /// Whether versions before 6 send whole files in forms, whose size is bounded, rather than by PUT: Ceph's answer to a
    /// form has no `ETag`, for which versions 4 and 5 wait for ever.
    pub forms: bool,
    /// Whether browsers may have S3 requests of their own signed (`signRequest`).
    pub presign: bool,
    /// Whose keys such uploads have.
    pub keys: KeyChoice,
    /// Whether type and disposition of such an upload's object are ours to say, in signed headers: version 6.2 and later
    /// send them.
    pub signed_headers: bool,
    /// Temporary credentials, which are off.
    pub sts: StsConfig,
}

/// Who chooses an object's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyChoice {
    /// We do, by `uploads.key_template`.
    Ours,
    /// The client; a key that anybody else ever had, or an object has, is refused.
    Proposed,
}
