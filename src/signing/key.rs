//! The signing key of one UTC day, region and credential, and the cache that saves deriving it again.
//!
//! It is separate because it is the one place that turns a secret into something that signs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

use super::Credentials;
use super::encoding;

/// The service of every scope here.
pub(super) const SERVICE: &str = "s3";

/// Keys kept at once: a few credentials times a few regions, at midnight for two days.
const CAPACITY: usize = 32;

/// Derives the SigV4 signing key for S3 on the UTC day of `time`:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html#derive-signing-key>.
///
/// Whoever holds it can sign any S3 request in that region on that day's scope: treat it as the secret itself.
pub fn derive_signing_key(secret: &SecretString, time: DateTime<Utc>, region: &str) -> SecretBox<[u8; 32]> {
    derive(secret, &encoding::day(time), region)
}

/// A signing key that leaves the process, for clients that sign by themselves. `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct HandedKey {
    /// The credential that it was derived from.
    pub access_key_id: String,
    /// The only region that it signs for.
    pub region: String,
    /// The bucket that the client is to use; the key itself knows no bucket.
    pub bucket: String,
    /// The UTC day that it signs for, as a time in it.
    pub time: DateTime<Utc>,
    /// The key in lower-case hexadecimal.
    pub hex: SecretString,
}

fn derive(secret: &SecretString, day: &str, region: &str) -> SecretBox<[u8; 32]> {
    let start = Zeroizing::new(["AWS4", secret.expose_secret()].concat());
    let mut key = Zeroizing::new(hmac_sha256(start.as_bytes(), day));
    for step in [region, SERVICE, "aws4_request"] {
        *key = hmac_sha256(key.as_slice(), step);
    }
    SecretBox::init_with(|| *key)
}

fn hmac_sha256(key: &[u8], message: &str) -> [u8; 32] {
    keyed(key).chain_update(message).finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Signing keys already derived, by credential, day and region. Share one among all requests.
///
/// A key is found by a digest over access key id *and* secret, so a secret that was changed under the same id
/// never meets the key of the old one. The oldest key goes when the cache is full; keys are wiped when dropped.
#[derive(Default)]
pub struct SigningKeys {
    entries: RwLock<VecDeque<Entry>>,
}

struct Entry {
    fingerprint: [u8; 32],
    key: SecretBox<[u8; 32]>,
}

impl SigningKeys {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// An HMAC under the signing key of `day` (`20260505`) and `region`, ready for a string to sign.
    pub(super) fn mac(&self, credentials: &Credentials, day: &str, region: &str) -> Hmac<Sha256> {
        let fingerprint = fingerprint(credentials, day, region);
        // A panic elsewhere cannot leave the queue half changed, so a poisoned lock is still good.
        let known = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.iter().rev().find(|entry| entry.fingerprint == fingerprint) {
            return keyed(entry.key.expose_secret());
        }
        drop(known);

        let key = derive(&credentials.secret_access_key, day, region);
        let mac = keyed(key.expose_secret());
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if !entries.iter().any(|entry| entry.fingerprint == fingerprint) {
            if entries.len() == CAPACITY {
                entries.pop_front();
            }
            entries.push_back(Entry { fingerprint, key });
        }
        mac
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

/// Each field goes in behind its length, so that no two sets of fields read the same.
fn fingerprint(credentials: &Credentials, day: &str, region: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for field in [
        &credentials.access_key_id,
        credentials.secret_access_key.expose_secret(),
        day,
        region,
    ] {
        digest.update(field.len().to_be_bytes());
        digest.update(field);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn sign(keys: &SigningKeys, credentials: &Credentials, day: &str, region: &str) -> Vec<u8> {
        keys.mac(credentials, day, region)
            .chain_update("text")
            .finalize()
            .into_bytes()
            .to_vec()
    }

    fn len(keys: &SigningKeys) -> usize {
        keys.entries.read().unwrap().len()
    }

    #[test]
    fn a_key_is_derived_once_for_each_day_region_and_credential() {
        let keys = SigningKeys::new();
        let credentials = Credentials::long_term("AKID", "secret");

        let first = sign(&keys, &credentials, "20260505", "eu-west-1");
        assert_eq!(sign(&keys, &credentials, "20260505", "eu-west-1"), first);
        assert_eq!(len(&keys), 1);

        assert_ne!(sign(&keys, &credentials, "20260506", "eu-west-1"), first);
        assert_ne!(sign(&keys, &credentials, "20260505", "eu-west-2"), first);
        assert_eq!(len(&keys), 3);
    }

    #[test]
    fn a_secret_changed_under_the_same_id_never_meets_the_old_key() {
        let keys = SigningKeys::new();
        let old = sign(
            &keys,
            &Credentials::long_term("AKID", "old"),
            "20260505",
            "eu-west-1",
        );
        let new = sign(
            &keys,
            &Credentials::long_term("AKID", "new"),
            "20260505",
            "eu-west-1",
        );

        assert_ne!(old, new);
        let fresh = sign(
            &SigningKeys::new(),
            &Credentials::long_term("AKID", "new"),
            "20260505",
            "eu-west-1",
        );
        assert_eq!(new, fresh);
    }

    #[test]
    fn the_cache_stays_bounded_and_still_signs_right() {
        let keys = SigningKeys::new();
        let credentials = Credentials::long_term("AKID", "secret");
        for day in 0..3 * CAPACITY {
            sign(&keys, &credentials, &format!("2026{day:04}"), "eu-west-1");
        }

        assert_eq!(len(&keys), CAPACITY);
        let evicted = sign(&keys, &credentials, "20260000", "eu-west-1");
        assert_eq!(
            evicted,
            sign(&SigningKeys::new(), &credentials, "20260000", "eu-west-1")
        );
    }

    #[test]
    fn many_threads_agree_on_one_key() {
        let keys = SigningKeys::new();
        let credentials = Credentials::long_term("AKID", "secret");
        let expected = sign(&SigningKeys::new(), &credentials, "20260505", "eu-west-1");

        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(sign(&keys, &credentials, "20260505", "eu-west-1"), expected));
            }
        });

        assert_eq!(len(&keys), 1);
    }

    #[test]
    fn the_day_of_a_key_is_the_utc_day() {
        let secret = SecretString::from("secret");
        let late = Utc.with_ymd_and_hms(2026, 5, 5, 23, 59, 59).unwrap();
        let early = Utc.with_ymd_and_hms(2026, 5, 6, 0, 0, 0).unwrap();

        let late_key = derive_signing_key(&secret, late, "eu-west-1");
        assert_eq!(
            late_key.expose_secret(),
            derive(&secret, "20260505", "eu-west-1").expose_secret()
        );
        assert_ne!(
            late_key.expose_secret(),
            derive_signing_key(&secret, early, "eu-west-1").expose_secret()
        );
    }
}
