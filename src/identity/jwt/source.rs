//! Where the keys come from, and how they are changed without a restart: a JWKS by address or in a file, or keys in PEM.
//!
//! Separate from the keys, because this waits: for a server that may not answer, behind others who wait for the same. What
//! was good stays good until something better was read.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use super::keys::KeyRing;
use crate::config::{JwtConfig, is_plain};
use crate::error::Error;
use crate::identity::outside;

/// Longest wait for a JWKS.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of one.
const LARGEST: usize = 1 << 20;

/// Least pause between two looks that tokens cause: whoever makes up names of keys causes no more than that.
const PAUSE: Duration = Duration::from_secs(10);

/// Least seconds that `max-age` can ask for, and the pause after a look that failed.
const SOONEST_S: u64 = 30;

/// The keys of the settings.
pub(super) enum Source {
    /// They never change.
    Fixed(Arc<KeyRing>),
    /// They are read again.
    Kept(Arc<Kept>),
}

/// Keys that are read again.
pub(super) struct Kept {
    place: Place,
    refresh: Duration,
    ring: RwLock<Option<Arc<KeyRing>>>,
    /// Held while somebody looks, so that all others wait for what is found.
    turn: Mutex<Turn>,
}

enum Place {
    /// A JWKS, by address.
    Url { http: Client, url: String },
    /// A JWKS in a file.
    Set(PathBuf),
    /// Keys in PEM in a file.
    Pem(PathBuf),
}

#[derive(Default)]
struct Turn {
    /// The last look that a token caused.
    asked_at: Option<Instant>,
    etag: Option<HeaderValue>,
    /// Whether the last look failed, which is said once.
    ailing: bool,
}

impl Source {
    /// From checked settings. Files are read at once; an address is asked in the background, now and from time to time.
    ///
    /// # Errors
    /// What is wrong with the keys or their file, for the operator.
    pub(super) fn open(settings: &JwtConfig) -> Result<Self, String> {
        let secret = settings.secret.expose();
        if !secret.is_empty() {
            return Ok(Self::Fixed(Arc::new(KeyRing::of_secret(secret))));
        }
        let pem = &settings.public_key;
        if pem.contains("-----BEGIN ") {
            let ring = KeyRing::of_pem(pem).map_err(|reason| format!("auth.jwt.public_key: {reason}"))?;
            return Ok(Self::Fixed(Arc::new(ring)));
        }
        let place = if !pem.is_empty() {
            Place::Pem(pem.into())
        } else if settings.jwks.contains("://") {
            if is_plain(&settings.jwks) {
                tracing::warn!(
                    url = without_secrets(&settings.jwks),
                    "auth.jwt.jwks is read over plain HTTP: whoever sits on the way can make tokens"
                );
            }
            Place::Url {
                http: outside::client(PATIENCE).map_err(|error| error.to_string())?,
                url: settings.jwks.clone(),
            }
        } else {
            Place::Set(settings.jwks.clone().into())
        };
        let ring = place.read_now()?;
        let kept = Arc::new(Kept {
            place,
            refresh: Duration::from_secs(settings.refresh_s),
            ring: RwLock::new(ring.map(Arc::new)),
            turn: Mutex::default(),
        });
        keep(&kept);
        Ok(Self::Kept(kept))
    }

    /// The keys that are good just now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where none could be read yet.
    pub(super) async fn ring(&self) -> Result<Arc<KeyRing>, Error> {
        match self {
            Self::Fixed(ring) => Ok(ring.clone()),
            Self::Kept(kept) => match kept.current() {
                Some(ring) => Ok(ring),
                None => kept.clone().newer(None).await.ok_or_else(|| {
                    Error::unavailable("the issuer of tokens", "no key of it could be read yet")
                }),
            },
        }
    }

    /// Other keys than these, where there are some by now; looks for them, but not too often.
    pub(super) async fn newer(&self, than: &Arc<KeyRing>) -> Option<Arc<KeyRing>> {
        match self {
            Self::Fixed(_) => None,
            Self::Kept(kept) => kept.clone().newer(Some(than)).await,
        }
    }
}

impl Kept {
    fn current(&self) -> Option<Arc<KeyRing>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn newer(self: Arc<Self>, than: Option<&Arc<KeyRing>>) -> Option<Arc<KeyRing>> {
        let than = than.cloned();
        // In a task of its own: a client that hangs up must not waste the look of all others.
        let looking = tokio::spawn(async move {
            let is_newer = |ring: &Arc<KeyRing>| than.as_ref().is_none_or(|than| !Arc::ptr_eq(ring, than));
            let mut turn = self.turn.lock().await;
            if let Some(ring) = self.current().filter(is_newer) {
                return Some(ring);
            }
            if turn.asked_at.is_some_and(|at| at.elapsed() < PAUSE) {
                return None;
            }
            turn.asked_at = Some(Instant::now());
            self.look(&mut turn).await;
            let found = self.current().filter(is_newer);
            if than.is_none() && found.is_some() {
                // The first keys of all were not looked for because of a name that nobody knew.
                turn.asked_at = None;
            }
            found
        });
        looking.await.ok().flatten()
    }

    /// Reads the keys again; how long until the next time.
    async fn look(&self, turn: &mut Turn) -> Duration {
        match self.place.read(turn).await {
            Ok(found) => {
                if std::mem::take(&mut turn.ailing) {
                    tracing::info!(place = %self.place, "the keys of tokens can be read again");
                }
                if let Some(ring) = found.ring {
                    *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ring));
                }
                let told = found.max_age.map(|age| Duration::from_secs(age.max(SOONEST_S)));
                told.map_or(self.refresh, |told| told.min(self.refresh))
            }
            Err(reason) => {
                if !std::mem::replace(&mut turn.ailing, true) {
                    tracing::warn!(
                        place = %self.place, reason,
                        "the keys of tokens cannot be read just now; those that were read before stay good"
                    );
                }
                self.refresh.min(Duration::from_secs(SOONEST_S))
            }
        }
    }
}

/// Reads them again from time to time, for as long as somebody needs them.
fn keep(kept: &Arc<Kept>) {
    let (weak, is_late) = (Arc::downgrade(kept), kept.current().is_none());
    let refresh = kept.refresh;
    tokio::spawn(async move {
        let mut pause = if is_late { Duration::ZERO } else { refresh };
        loop {
            tokio::time::sleep(pause).await;
            let Some(kept) = weak.upgrade() else { return };
            let mut turn = kept.turn.lock().await;
            pause = kept.look(&mut turn).await;
        }
    });
}

/// What a look has found.
struct Found {
    /// `None` where nothing has changed.
    ring: Option<KeyRing>,
    /// For how many seconds its server says that it is good.
    max_age: Option<u64>,
}

impl Place {
    /// The keys in a file; none yet of an address.
    fn read_now(&self) -> Result<Option<KeyRing>, String> {
        let (key, path) = match self {
            Self::Url { .. } => return Ok(None),
            Self::Set(path) => ("auth.jwt.jwks", path),
            Self::Pem(path) => ("auth.jwt.public_key", path),
        };
        let bytes = std::fs::read(path)
            .map_err(|error| format!("{key}: {} cannot be read: {error}", path.display()))?;
        let ring = if matches!(self, Self::Pem(_)) {
            KeyRing::of_pem(&String::from_utf8_lossy(&bytes))
        } else {
            KeyRing::of_jwks(&bytes)
        };
        ring.map(Some)
            .map_err(|reason| format!("{key}: {}: {reason}", path.display()))
    }

    async fn read(&self, turn: &mut Turn) -> Result<Found, String> {
        let Self::Url { http, url } = self else {
            // A file of some kilobytes, some times an hour.
            return Ok(Found {
                ring: self.read_now()?,
                max_age: None,
            });
        };
        let mut asking = http.get(url);
        if let Some(etag) = &turn.etag {
            asking = asking.header(IF_NONE_MATCH, etag);
        }
        let answer = asking.send().await.map_err(|error| outside::explain(&error))?;
        let max_age = max_age(answer.headers());
        match answer.status() {
            StatusCode::NOT_MODIFIED => Ok(Found { ring: None, max_age }),
            StatusCode::OK => {
                let etag = answer.headers().get(ETAG).cloned();
                let bytes = outside::body(answer, LARGEST).await?;
                let ring = KeyRing::of_jwks(&bytes)?;
                turn.etag = etag;
                Ok(Found {
                    ring: Some(ring),
                    max_age,
                })
            }
            other => Err(format!("it answered {}", other.as_u16())),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { url, .. } => f.write_str(&without_secrets(url)),
            Self::Set(path) | Self::Pem(path) => path.display().fmt(f),
        }
    }
}

/// An address as it may stand in a log: without name, password and query.
fn without_secrets(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return String::new();
    };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// `max-age` in seconds: <https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1>.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    let told = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let mut pieces = told.split(',').map(str::trim);
    pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("max-age");
        is_it
            .then(|| value.trim().trim_matches('"').parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_may_hold_of_secrets_reaches_no_log() {
        let told = without_secrets("https://name:word@keys.example.org:8443/jwks?key=word");

        assert_eq!(told, "https://keys.example.org:8443/jwks");
        assert_eq!(without_secrets("word"), "");
    }
}
