//! What is said of a part's bytes: its checksums, read from the file once more, for the store and for the server to compare.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::source::Slice;
use super::trouble::Trouble;
use crate::domain::{Algorithm, Hasher};

/// How the parts of an upload are sent with a checksum, as the server says.
#[derive(Debug, Clone, Deserialize)]
pub struct PartChecksum {
    /// By its name.
    pub algorithm: String,
    /// The header to send it in.
    pub header: String,
    /// Whether the address is signed with it.
    pub signed: bool,
}

/// The checksums of one part, in base64, by the names of their algorithms.
pub type Sums = BTreeMap<&'static str, String>;

/// The checksums of a stretch of a file: the CRC-64/NVME, by which that of the whole is made, and the one that is wanted.
///
/// # Errors
/// The file's own trouble.
pub async fn sums_of(slice: Slice, wanted: &str) -> Result<Sums, Trouble> {
    let wanted = Algorithm::parse(wanted);
    let work = move || -> Result<Sums, Trouble> {
        let mut hashers = vec![Hasher::new(Algorithm::Crc64Nvme)];
        hashers.extend(
            wanted
                .filter(|algorithm| *algorithm != Algorithm::Crc64Nvme)
                .map(Hasher::new),
        );
        slice.each_piece(|bytes| hashers.iter_mut().for_each(|hasher| hasher.update(bytes)))?;
        let sums = hashers.into_iter().map(Hasher::finish);
        Ok(sums
            .map(|sum| (sum.algorithm().name(), sum.to_base64()))
            .collect())
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(Trouble::file("unreadable", panicked.to_string())))
}
