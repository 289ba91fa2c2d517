//! The JSON that comes in, turned into domain words at once, with every bad field named.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Number;
use uuid::Uuid;

use crate::config::ChunksConfig;
use crate::domain::{FileName, Folder, MediaType, Naming, NewUpload, Sha256Sum, Transfer, Wishes};
use crate::error::{Error, FieldError};

/// Up to here a double holds every whole number, so JavaScript's sizes are what they say: 2^53 - 1.
const MOST_OF_A_DOUBLE: f64 = 9_007_199_254_740_991.0;

/// What a client says of the file that it is about to send. Members that we do not know are left alone, as the
/// published server does.
#[derive(Debug, Deserialize)]
pub struct InitUpload {
    filename: String,
    total_size: Number,
    #[serde(default)]
    webhook_url: Option<String>,
    #[serde(default)]
    checksum_sha256: Option<String>,
}

impl InitUpload {
    /// The same in domain words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every bad field at once.
    pub fn parse(self, settings: &ChunksConfig, protocol: &'static str) -> Result<NewUpload, Error> {
        let mut bad = Vec::new();
        let mut keep = |error: FieldError| bad.push(error);
        let named = Folder::split(&self.filename)
            .and_then(|(folder, name)| Ok((folder, FileName::new(&name)?)))
            .map_err(&mut keep)
            .ok();
        let size = whole_number(&self.total_size).map_err(&mut keep).ok();
        let sha256 = self
            .checksum_sha256
            .map(|text| Sha256Sum::from_hex(&text, "checksum_sha256").map_err(&mut keep));
        let (Some((folder, filename)), Some(size), true) = (named, size, bad.is_empty()) else {
            return Err(Error::Invalid(bad));
        };
        Ok(NewUpload {
            content_type: MediaType::of_name(&filename),
            filename,
            size,
            last_modified: None,
            // Every upload of this protocol stands for itself: it is its id that goes on.
            fingerprint: Some(format!("chunks\0{}", Uuid::new_v4())),
            metadata: BTreeMap::new(),
            part_size: Some(settings.chunk_size_mb << 20),
            transfer: Transfer::Relay,
            wishes: Wishes {
                naming: Naming::Folder(folder),
                sha256: sha256.and_then(Result::ok),
                webhook_url: self.webhook_url,
                exact_parts: true,
                time_to_live: Some(TimeDelta::hours(
                    i64::try_from(settings.ttl_hours).unwrap_or(i64::MAX / 3600),
                )),
                ..Wishes::default()
            },
            protocol,
        })
    }
}

/// A size in bytes; JavaScript may write one as a double without a fraction.
fn whole_number(number: &Number) -> Result<u64, FieldError> {
    let as_double = || {
        number
            .as_f64()
            .filter(|double| double.fract() == 0.0 && (0.0..=MOST_OF_A_DOUBLE).contains(double))
    };
    if let Some(whole) = number.as_u64() {
        return Ok(whole);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number from 0 to 2^53 - 1"
    )]
    as_double()
        .map(|double| double as u64)
        .ok_or_else(|| FieldError::new("total_size", "is a whole number of bytes from 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Result<u64, FieldError> {
        whole_number(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_size_may_be_written_as_a_double_but_has_no_fraction_and_no_sign() {
        assert_eq!(size("1024").unwrap(), 1024);
        assert_eq!(size("1024.0").unwrap(), 1024);
        assert_eq!(size("1e3").unwrap(), 1000);
        assert_eq!(size("18446744073709551615").unwrap(), u64::MAX);
        for text in ["-1", "0.5", "-104857600", "1e300", "-0.5"] {
            assert_eq!(size(text).unwrap_err().field, "total_size", "{text}");
        }
    }
}
