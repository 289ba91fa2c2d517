//! A new upload: what a client says of a file before it sends it, and what it asks for.
//!
//! Separate from `upload`, because nothing of it is decided yet: the rules may refuse it, and what they make of it is
//! another thing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::appending::NewAppending;
use super::checksum::Sha256Sum;
use super::cut::Cut;
use super::folder::Folder;
use super::name::{FileName, ObjectKey};
use super::policy::MediaType;
use super::upload::{Fingerprint, Transfer};

/// How an upload's object gets its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Naming {
    /// By the template of the settings.
    #[default]
    Template,
    /// In a folder that the client chose, as `<folder>/<id>_<filename>`.
    Folder(Folder),
    /// By the template, below the prefix where its owner may write without asking us.
    Below(String),
    /// The client chose the key itself. It is refused where anybody else ever had it, or an object has it.
    Key(ObjectKey),
}

/// What some protocols let a client ask for, and others do not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How its object is named.
    pub naming: Naming,
    /// The SHA-256 that the whole file must have.
    pub sha256: Option<Sha256Sum>,
    /// Whom to tell when it is complete.
    pub webhook_url: Option<String>,
    /// Whether its parts must not grow beyond the size that was asked for: its clients know no other.
    pub exact_parts: bool,
    /// How long it lives without activity; `None` takes what the settings say.
    pub time_to_live: Option<TimeDelta>,
    /// That it will be appended to instead of sent in parts.
    pub appending: Option<NewAppending>,
    /// Whether its client sends a checksum with each part.
    pub checksums: bool,
    /// Who cuts it; all but [`Cut::Ours`] go straight to the store.
    pub cut: Cut,
}

/// What a client says of the file that it is about to send.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The file's name.
    pub filename: FileName,
    /// The file's bytes; 0 where their number will be told later.
    pub size: u64,
    /// Its media type.
    pub content_type: MediaType,
    /// When it was last changed.
    pub last_modified: Option<DateTime<Utc>>,
    /// The client's own mark of the file's identity.
    pub fingerprint: Option<String>,
    /// Whatever the application wants to keep beside it.
    pub metadata: BTreeMap<String, String>,
    /// The part size that the client would like, in bytes.
    pub part_size: Option<u64>,
    /// Which way its bytes will go.
    pub transfer: Transfer,
    /// What else it asks for.
    pub wishes: Wishes,
    /// The door it comes through: a protocol's name.
    pub protocol: &'static str,
}

impl NewUpload {
    /// The mark by which this file is found again.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(
            self.fingerprint.as_deref(),
            &self.filename,
            self.size,
            self.last_modified,
        )
    }
}
