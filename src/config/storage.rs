//! The settings about where uploads go whose bytes pass through us.
//!
//! Separate, because each kind of storage has a section of its own, of which one counts.

use serde::{Deserialize, Serialize};

use super::Secret;

/// A kind of storage, as the settings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// The bucket of `s3`, or the embedded one.
    S3,
    /// A folder of this machine.
    Local,
    /// A folder of an SMB share.
    Smb,
}

/// Where uploads go whose bytes pass through us: all uploads, where `backend` is not `s3` and `s3.bucket` is empty. Then
/// there is no bucket, and the doors that can only sign for one are closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Which of them.
    pub backend: BackendName,
    /// Whether what is acknowledged has been synced to disk, so that it survives a power cut: local disk and SMB.
    pub sync: bool,
    /// The folder.
    pub local: LocalStorageConfig,
    /// The share.
    pub smb: SmbStorageConfig,
}

/// A folder of this machine as a storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalStorageConfig {
    /// Finished files; it is created when missing.
    pub path: String,
    /// Unfinished files; empty takes `.muleteer` below `path`. It must be on the same file system.
    pub temp_path: String,
}

/// A folder of an SMB share as a storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmbStorageConfig {
    /// Host name or IP address of the server.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Whom we are there.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The share.
    pub share: String,
    /// The folder in the share; empty takes all of it.
    pub path: String,
}
