//! What has come of a body: how much of it came, what it was, and why it ended before its end.
//!
//! Separate from the stream, because a storage takes that away, and whoever sent it still wants to know.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::{Algorithm, Checksums, Sha256Sum};
use crate::error::{Digested, Error};

/// Why a body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client went away, or sent nothing for too long.
    #[error("the client's request was cut off")]
    Cut,
    /// Somebody else sends the same and has taken over.
    #[error("a newer request has taken over")]
    Superseded,
    /// This server is about to end.
    #[error("the server is being stopped")]
    Stopped,
    /// More bytes came than were announced or fit.
    #[error("more than {expected} bytes were sent")]
    TooLong {
        /// Bytes that fit.
        expected: u64,
    },
    /// The request ended well, but with fewer bytes than it had to have.
    #[error("{actual} bytes were sent instead of {expected}")]
    TooShort {
        /// Bytes that it had to have.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// The bytes are not those of the digest that the client claimed.
    #[error("the bytes have another digest than was claimed")]
    Mismatch,
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Cut => Self::Interrupted,
            BodyError::Superseded => Self::Superseded,
            BodyError::Stopped => Self::Stopping,
            BodyError::TooLong { expected } => Self::WrongSize {
                what: "the body",
                expected,
                actual: expected.saturating_add(1),
            },
            BodyError::TooShort { expected, actual } => Self::WrongSize {
                what: "the body",
                expected,
                actual,
            },
            BodyError::Mismatch => Self::ChecksumMismatch { what: Digested::Part },
        }
    }
}

/// What became of a body; told by its [`Receipt`].
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) received: u64,
    pub(super) sha256: Option<Sha256Sum>,
    pub(super) sums: Checksums,
    pub(super) failure: Option<BodyError>,
}

/// Tells what has come of a body, whoever has it now.
#[derive(Debug, Clone)]
pub struct Receipt {
    outcome: Arc<Mutex<Outcome>>,
    kept: Arc<watch::Sender<u64>>,
}

impl Default for Receipt {
    fn default() -> Self {
        Self {
            outcome: Arc::default(),
            kept: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Receipt {
    pub(super) fn set(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn get(&self) -> Outcome {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Says that the upload now stands at `offset` whatever happens: a storage calls it as it appends.
    pub fn keep(&self, offset: u64) {
        self.kept.send_replace(offset);
    }

    /// Where the upload stands whatever happens, each time that a storage [says so](Self::keep); 0 before that.
    pub fn kept(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    /// Bytes that have come so far.
    pub fn received(&self) -> u64 {
        self.get().received
    }

    /// The digest of a body that ended well, where it was to be told.
    pub fn sha256(&self) -> Option<Sha256Sum> {
        self.get().sha256
    }

    /// The checksums of a body that ended well, or of which every byte counts, which [were asked for](super::Body::also).
    pub fn sums(&self) -> Checksums {
        self.get().sums
    }

    /// Forgets a checksum that nothing can be held against.
    pub(crate) fn forget(&self, algorithm: Algorithm) {
        self.set(|outcome| outcome.sums.remove(algorithm));
    }

    /// Why it did not end well.
    pub fn failure(&self) -> Option<BodyError> {
        self.get().failure
    }
}
