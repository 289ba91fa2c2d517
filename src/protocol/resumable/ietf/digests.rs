//! Digests of the whole file that a client asks for: <https://www.rfc-editor.org/rfc/rfc9530#section-4>.
//!
//! Separate, because it is the one thing here that reads what was stored: a digest of a file that came in pieces is made
//! by reading the finished object once, and only for a client that asks.

use actix_web::http::header::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use sfv::ListEntry;

use super::fields;
use crate::domain::{Algorithm, Checksum, Hasher, Upload};
use crate::error::Error;
use crate::uploads::Uploads;

/// The field in which a client says which digests it would like.
pub(super) const WANTED: &str = "want-repr-digest";

/// A digest that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Wanted {
    /// The cheaper first: it is the choice between two that are wanted as much.
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The key in digest fields.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256 => Algorithm::Sha256,
            Self::Sha512 => Algorithm::Sha512,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wanted| wanted.name() == name)
    }
}

/// The digest that a request would like most of those that we make; `None` for none of them.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Wanted> {
    let members = fields::dictionary(headers, WANTED)?;
    let weight = |wanted: Wanted| match members.get(wanted.name()) {
        Some(ListEntry::Item(item)) => item
            .bare_item
            .as_integer()
            .and_then(|weight| u64::try_from(weight).ok())
            .unwrap_or(0),
        _ => 0,
    };
    let mut best = None;
    for candidate in Wanted::ALL {
        // 0 is "not acceptable".
        if weight(candidate) > best.map_or(0, weight) {
            best = Some(candidate);
        }
    }
    best
}

/// `Repr-Digest` for the answer to the request that completed `upload`, if that request or the one that made the upload
/// asked for one. Failing to make it is no failure of the upload.
pub(super) async fn of_whole(uploads: &Uploads, upload: &Upload, headers: &HeaderMap) -> Option<HeaderValue> {
    let at_creation = || Wanted::named(upload.appending.as_ref()?.fields.get(WANTED)?);
    let wanted = wanted(headers).or_else(at_creation)?;
    let sum = match (wanted, upload.sha256) {
        // It was claimed, and the object has been held against it.
        (Wanted::Sha256, Some(sum)) => Ok(sum.into()),
        _ => read(uploads, upload, wanted.algorithm()).await,
    };
    match sum {
        Ok(sum) => {
            let text = format!("{}=:{}:", wanted.name(), STANDARD.encode(sum.as_bytes()));
            HeaderValue::try_from(text).ok()
        }
        Err(error) => {
            tracing::warn!(upload = %upload.id, %error, "the digest that its client wants cannot be made");
            None
        }
    }
}

async fn read(uploads: &Uploads, upload: &Upload, algorithm: Algorithm) -> Result<Checksum, Error> {
    let mut bytes = uploads.read(upload, None).await?;
    let mut hasher = Hasher::new(algorithm);
    while let Some(piece) = bytes.next().await {
        hasher.update(&piece?);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn wanted_by(text: &'static str) -> Option<Wanted> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(WANTED), HeaderValue::from_static(text));
        wanted(&headers)
    }

    #[test]
    fn the_digest_that_is_wanted_most_is_chosen_among_ours() {
        assert_eq!(wanted_by("sha-256=1"), Some(Wanted::Sha256));
        assert_eq!(wanted_by("sha-256=3, sha-512=10"), Some(Wanted::Sha512));
        assert_eq!(wanted_by("sha-512=5, sha-256=5, md5=10"), Some(Wanted::Sha256));
        assert_eq!(wanted_by("sha-256=0, sha-512=1"), Some(Wanted::Sha512));
        for none in ["sha-256=0", "md5=5, crc32c=3", "sha-256", "sha-256=a", "", "=="] {
            assert_eq!(wanted_by(none), None, "{none:?}");
        }
    }
}
