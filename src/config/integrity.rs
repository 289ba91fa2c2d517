//! The settings about whether stored bytes are the file's: checksums of parts, and receipts.
//!
//! Separate, because what a checksum is called here and in the rules must agree.

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::domain::{Algorithm, WantedChecksum};

/// Which checksum parts are sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumName {
    /// CRC-64/NVME where the store says that it makes it, else MD5, which every store compares.
    Auto,
    /// CRC-64/NVME.
    Crc64nvme,
    /// CRC-32C.
    Crc32c,
    /// MD5, in `Content-MD5`.
    Md5,
    /// None, and nothing is compared.
    None,
}

impl ChecksumName {
    /// In the words of the rules.
    pub fn wanted(self) -> WantedChecksum {
        match self {
            Self::Auto => WantedChecksum::Auto,
            Self::Crc64nvme => WantedChecksum::Of(Algorithm::Crc64Nvme),
            Self::Crc32c => WantedChecksum::Of(Algorithm::Crc32c),
            Self::Md5 => WantedChecksum::Of(Algorithm::Md5),
            Self::None => WantedChecksum::None,
        }
    }
}

/// What proves later what was stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptsConfig {
    /// Signs receipts: the 32 bytes of an Ed25519 key, in base64 or hexadecimal; empty makes one and keeps it in the
    /// database.
    pub private_key: Secret,
    /// The public keys, in base64, of private ones that were in use before: their receipts go on being verified.
    pub previous_keys: Vec<String>,
}
