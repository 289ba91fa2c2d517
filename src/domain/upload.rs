//! An upload: its identity, its life, and what it is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::appending::{Appending, CONTENT_ENCODING_FIELD, Length, Role};
use super::backend::Backend;
use super::bounds::Bounds;
use super::checksum::Sha256Sum;
use super::cut::Cut;
use super::id::UploadId;
use super::metadata::object_metadata;
use super::name::{FileName, ObjectKey};
use super::owner::Owner;
use super::plan::PartPlan;
use super::policy::MediaType;
use crate::error::Error;

/// What makes two choices of a file "the same file" when an upload is to go on: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The client's own fingerprint where it sent one, else name, size and time of the last change.
    /// The size is always part of it: a fingerprint that two sizes share must not join their parts.
    pub fn new(
        claimed: Option<&str>,
        name: &FileName,
        size: u64,
        last_modified: Option<DateTime<Utc>>,
    ) -> Self {
        let text = if let Some(claimed) = claimed {
            format!("claimed\0{size}\0{claimed}")
        } else {
            let changed = last_modified.map_or(0, |time| time.timestamp_millis());
            format!("file\0{size}\0{changed}\0{}", name.as_str())
        };
        Self(hex::encode(Sha256::digest(text)))
    }

    /// A fingerprint as the database has it.
    pub fn recorded(text: String) -> Self {
        Self(text)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An upload's life: `open → completing → complete`, or one of the three ends without an object. A complete one is
/// completing once more where its object was replaced with a signature that was still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Parts may come.
    Open,
    /// Somebody asked for completion, and its outcome is not known yet; asking again is allowed.
    Completing,
    /// The object is there, with exactly the declared bytes.
    Complete,
    /// Somebody gave it up.
    Aborted,
    /// Nobody came back in time.
    Expired,
    /// The store lost it, or refused it for good.
    Failed,
}

impl State {
    /// All states, in the order of an upload's life.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::Completing,
        Self::Complete,
        Self::Aborted,
        Self::Expired,
        Self::Failed,
    ];

    /// The state's name in every API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completing => "completing",
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// Reads a state's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether parts may still come or completion may still be asked for.
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Open | Self::Completing)
    }

    /// Whether an upload may go from this state to `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => next != Self::Open,
            // Back to open: completion found parts missing, or another part had to be sent again.
            Self::Completing => next != Self::Completing,
            // Its owner is done with the record alone.
            Self::Failed => next == Self::Aborted,
            // Its owner is done with the object too; or the object was replaced, and is looked at again.
            Self::Complete => matches!(next, Self::Aborted | Self::Completing),
            Self::Aborted | Self::Expired => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// We sign, the client talks to S3.
    Direct,
    /// The bytes pass through us.
    Relay,
}

impl Transfer {
    /// The name in every API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Direct, Self::Relay]
            .into_iter()
            .find(|transfer| transfer.as_str() == text)
    }
}

/// One file on its way to one object.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Our id.
    pub id: UploadId,
    /// Whom it belongs to.
    pub owner: Owner,
    /// Where it stands.
    pub state: State,
    /// Which way its bytes go.
    pub transfer: Transfer,
    /// The protocol that began it.
    pub protocol: String,
    /// The file's name.
    pub filename: FileName,
    /// The file's bytes; 0 while their number is not [known](Self::known_size).
    pub size: u64,
    /// Its media type.
    pub content_type: MediaType,
    /// When the file was last changed, by the client's word.
    pub last_modified: Option<DateTime<Utc>>,
    /// The mark by which the file is found again.
    pub fingerprint: Fingerprint,
    /// Whatever the application keeps beside it.
    pub metadata: BTreeMap<String, String>,
    /// The bucket that the object will be in.
    pub bucket: String,
    /// The object's key, made by us and ours alone.
    pub key: ObjectKey,
    /// Where its bytes are stored.
    pub storage: Backend,
    /// The store's id of the multipart upload; `None` for an empty file, which needs none, and where the storage has
    /// no ids of its own.
    pub multipart_id: Option<String>,
    /// Bytes of every part but the last; of one that a client [cuts](Cut), those of the first part, once it is complete.
    pub part_size: u64,
    /// The finished object's tag. An unfinished upload has one only where that object was [replaced](Self::was_announced).
    pub etag: Option<String>,
    /// The SHA-256 that the whole file must have, where the client said so when it began.
    pub sha256: Option<Sha256Sum>,
    /// Whom to tell when it is complete.
    pub webhook_url: Option<String>,
    /// Where it stands if it is appended to; `None` for one that is sent in parts.
    pub appending: Option<Appending>,
    /// Who cuts it.
    pub cut: Cut,
    /// Where the request came from that began it, where that was written down.
    pub client_ip: Option<IpAddr>,
    /// What narrowed the rules for whoever began it.
    pub bounds: Bounds,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When anything last happened to it.
    pub updated_at: DateTime<Utc>,
    /// When it is given up if nothing happens.
    pub expires_at: DateTime<Utc>,
}

impl Upload {
    /// How the file is cut; one that a client [cuts](Cut) has no parts in this sense before it is complete.
    pub fn plan(&self) -> PartPlan {
        PartPlan::recorded(self.size, self.part_size)
    }

    /// The file's bytes, once their number is known.
    pub fn known_size(&self) -> Option<u64> {
        let is_measured = self.cut.is_ours() || self.state == State::Complete;
        (is_measured && self.length() != Length::Deferred).then_some(self.size)
    }

    /// Refuses to do `verb` (its participle) with an upload that has ended.
    ///
    /// # Errors
    /// [`Error::WrongState`].
    pub fn check_unfinished(&self, verb: &'static str) -> Result<(), Error> {
        if self.state.is_unfinished() {
            return Ok(());
        }
        let state = self.state;
        Err(Error::WrongState { state, verb })
    }

    /// Whether an unfinished upload was complete already, and is looked at again because its object was replaced.
    pub fn was_announced(&self) -> bool {
        self.state.is_unfinished() && self.etag.is_some()
    }

    /// Takes over the size of the object that its client has made, in bytes, where nobody knew that before.
    pub fn measure(&mut self, size: u64) {
        self.size = size;
        if self.part_size == 0 || self.cut == Cut::Whole {
            self.part_size = size;
        }
    }

    /// The bytes that are there of one that is appended to, as far as was written down; `None` for one that is sent in
    /// parts.
    pub fn offset(&self) -> Option<u64> {
        let appending = self.appending.as_ref()?;
        // One that was made of others was never appended to itself.
        Some(if self.state == State::Complete {
            self.size
        } else {
            appending.offset
        })
    }

    /// What is known of its length.
    pub fn length(&self) -> Length {
        self.appending
            .as_ref()
            .map_or(Length::Known, |appending| appending.length)
    }

    /// How its bytes are encoded, where its client said so: they are stored as they came.
    pub fn content_encoding(&self) -> Option<&str> {
        let fields = &self.appending.as_ref()?.fields;
        fields.get(CONTENT_ENCODING_FIELD).map(String::as_str)
    }

    /// What the store is to keep with the object besides its type and name, as header fields: the encoding of its bytes;
    /// and, of an upload that its client [cuts](Cut), what the application keeps beside it, as such clients expect.
    pub fn stored_fields(&self) -> Vec<(String, String)> {
        let encoding = self.content_encoding();
        let mut fields: Vec<_> = encoding
            .map(|name| ("content-encoding".to_owned(), name.to_owned()))
            .into_iter()
            .collect();
        if !self.cut.is_ours() {
            fields.extend(object_metadata(&self.metadata));
        }
        fields
    }

    /// What it becomes.
    pub fn role(&self) -> &Role {
        self.appending
            .as_ref()
            .map_or(&Role::Whole, |appending| &appending.role)
    }

    /// Whether it is made of the bytes of other uploads, and takes none of its own.
    pub fn is_joined(&self) -> bool {
        matches!(self.role(), Role::Joined(_))
    }

    /// Whether it is a piece of an object to come, and so no object of its own.
    pub fn is_partial(&self) -> bool {
        *self.role() == Role::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_upload_never_lives_again() {
        for ended in [State::Aborted, State::Expired, State::Failed] {
            let lives = |next: &State| next.is_unfinished() || *next == State::Complete;
            assert!(
                State::ALL
                    .into_iter()
                    .filter(lives)
                    .all(|next| !ended.may_become(next))
            );
        }
        assert!(State::Failed.may_become(State::Aborted));
        assert!(State::Complete.may_become(State::Aborted));
        assert!(State::Complete.may_become(State::Completing));
        assert!(!State::Complete.may_become(State::Open));
        assert!(!State::Complete.may_become(State::Failed));
        assert!(State::Completing.may_become(State::Open));
    }

    #[test]
    fn fingerprints_differ_by_size_whoever_made_them() {
        let name = FileName::new("a").unwrap();

        let claimed = |size| Fingerprint::new(Some("same"), &name, size, None);
        let plain = |size| Fingerprint::new(None, &name, size, None);

        assert_ne!(claimed(1), claimed(2));
        assert_ne!(plain(1), plain(2));
        assert_ne!(claimed(1), plain(1));
    }

    #[test]
    fn no_named_owner_can_pass_for_a_visitor() {
        assert!(Owner::named("visitor:0123").is_err());
        assert!(Owner::named("anna@example.org").is_ok());
    }
}
