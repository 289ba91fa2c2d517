//! The certificate that we show, and its key: read from their files, and read again when those change, so that a renewal
//! needs no restart and breaks no connection.
//!
//! Separate from the handshakes, because most of this is about files and what may be wrong with them.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::config::TlsConfig;

/// A certificate with its key, which may be another one after every handshake.
pub(super) struct Certificate {
    files: TlsConfig,
    current: RwLock<Arc<CertifiedKey>>,
    /// What was read last, good or bad: nothing is told twice of the same files.
    seen: Mutex<[u8; 32]>,
}

impl Certificate {
    /// Reads both files for the first time; `None` where we speak no TLS.
    ///
    /// # Errors
    /// What is wrong with them, in words for the operator.
    pub(super) fn open(files: &TlsConfig) -> anyhow::Result<Option<Arc<Self>>> {
        if !files.is_on() {
            return Ok(None);
        }
        let read = Pair::read(files)?;
        Ok(Some(Arc::new(Self {
            files: files.clone(),
            current: RwLock::new(read.certified(files)?),
            seen: Mutex::new(read.digest()),
        })))
    }

    /// Reads both files again at every SIGHUP, and when they have changed.
    pub(super) fn watch(self: &Arc<Self>) -> JoinHandle<()> {
        let certificate = Arc::clone(self);
        let mut hangups = Hangups::new();
        tokio::spawn(async move {
            let every = Duration::from_secs(certificate.files.reload_s);
            loop {
                let is_asked = tokio::select! {
                    () = hangups.next() => true,
                    () = tokio::time::sleep(every), if !every.is_zero() => false,
                };
                let its = Arc::clone(&certificate);
                // The files may lie on a disk that does not answer.
                let _ = tokio::task::spawn_blocking(move || its.renew(is_asked)).await;
            }
        })
    }

    /// Takes what the files hold now, if it can be used and is not what is in use.
    fn renew(&self, is_asked: bool) {
        let read = match Pair::read(&self.files) {
            Ok(read) => read,
            Err(error) => {
                // Nobody is told every minute of files that are away.
                if is_asked || self.is_new([0; 32]) {
                    tracing::error!("TLS goes on with the old certificate: {error:#}");
                }
                return;
            }
        };
        if !self.is_new(read.digest()) && !is_asked {
            return;
        }
        match read.certified(&self.files) {
            Ok(certified) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = certified;
                tracing::info!(certificate = %self.files.certificate, "TLS goes on with the certificate as it is now");
            }
            // In the middle of a renewal one file is new and the other old.
            Err(error) => tracing::error!("TLS goes on with the old certificate: {error:#}"),
        }
    }

    fn is_new(&self, digest: [u8; 32]) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen, digest) != digest
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// The algorithms of all our TLS.
pub(super) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// What both files hold.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(files: &TlsConfig) -> anyhow::Result<Self> {
        let read = |setting: &str, path: &str| {
            std::fs::read(Path::new(path)).with_context(|| format!("{setting}: {path} cannot be read"))
        };
        Ok(Self {
            certificate: read("server.tls.certificate", &files.certificate)?,
            key: read("server.tls.key", &files.key)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for file in [&self.certificate, &self.key] {
            hash.update(Sha256::digest(file));
        }
        hash.finalize().into()
    }

    /// Certificate and key, if they are what they should be and belong together.
    fn certified(&self, files: &TlsConfig) -> anyhow::Result<Arc<CertifiedKey>> {
        let setting = |name: &str, path: &str| format!("server.tls.{name}: {path}");
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain
            .map_err(|error| without_text(&error))
            .with_context(|| setting("certificate", &files.certificate))?;
        if chain.is_empty() {
            bail!(
                "{} holds no certificate: it must be in PEM, with a line -----BEGIN CERTIFICATE-----",
                setting("certificate", &files.certificate)
            );
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| self.about_key(&error))
            .with_context(|| setting("key", &files.key))?;
        CertifiedKey::from_der(chain, key, &provider())
            .map(Arc::new)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    anyhow!("it is not the key of the certificate in {}", files.certificate)
                }
                error => anyhow!("certificate and key cannot be used: {error}"),
            })
            .with_context(|| setting("key", &files.key))
    }

    fn about_key(&self, error: &PemError) -> anyhow::Error {
        let is_locked = memchr::memmem::find(&self.key, b"ENCRYPTED").is_some();
        match error {
            _ if is_locked => anyhow!("the key is locked by a password: we could not ask for it at a start"),
            PemError::NoItemsFound => {
                anyhow!("it holds no private key: it must be in PEM, with a line -----BEGIN PRIVATE KEY-----")
            }
            error => without_text(error),
        }
    }
}

/// What is wrong with a file in PEM, without any of its lines, which may be those of a key.
fn without_text(error: &PemError) -> anyhow::Error {
    match error {
        PemError::MissingSectionEnd { .. } => anyhow!("it breaks off: a line -----END …----- is missing"),
        _ => anyhow!("it is no PEM file"),
    }
}

/// SIGHUPs, where the system knows them; without us they would end the program.
struct Hangups {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    #[cfg(unix)]
    fn new() -> Self {
        let signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        if let Err(error) = &signals {
            tracing::warn!(%error, "SIGHUP cannot be received");
        }
        Self {
            signals: signals.ok(),
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
