//! An upload: its identity, its life, and what it is made of.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::backend::Backend;
use super::checksum::Sha256Sum;
use super::name::{FileName, Folder, ObjectKey};
use super::plan::PartPlan;
use super::policy::MediaType;
use crate::error::{Error, FieldError};

/// Our own id of an upload: 32 hexadecimal digits of a version 7 UUID, so that ids sort by time of creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// A fresh id that sorts at `now`.
    pub fn generate(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let moment = uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos());
        Self(Uuid::new_v7(moment).simple().to_string())
    }

    /// A fresh id that sorts at `now` and bears `mark`.
    pub fn marked(now: DateTime<Utc>, mark: &IdMark) -> Self {
        let Self(plain) = Self::generate(now);
        let head = &plain[..plain.len() - MARK_DIGITS];
        Self(format!("{head}{}", mark.of(head)))
    }

    /// The id as a lower-case UUID of version 4 with its hyphens, for clients that expect one.
    pub fn as_uuid_v4(&self) -> String {
        let Self(id) = self;
        format!(
            "{}-{}-4{}-{}-{}",
            &id[..8],
            &id[8..12],
            &id[13..16],
            &id[16..20],
            &id[20..]
        )
    }

    /// Reads what [`as_uuid_v4`](Self::as_uuid_v4) wrote.
    ///
    /// # Errors
    /// [`Error::NotFound`] for anything else.
    pub fn parse_uuid_v4(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        let is_one = bytes.len() == 36
            && [8, 13, 18, 23].into_iter().all(|at| bytes[at] == b'-')
            && bytes[14] == b'4'
            && text.is_ascii();
        if !is_one {
            return Err(Error::NotFound("upload"));
        }
        let mut digits = text.replace('-', "");
        digits.replace_range(12..13, "7");
        Self::parse(&digits)
    }

    /// The id in a key or another name of ours: a segment that is one or begins with one, in either form.
    pub fn find_in(name: &str) -> Option<Self> {
        name.split('/').find_map(|segment| {
            let whole = Self::parse(segment).ok();
            let head = |length| segment.get(..length);
            whole
                .or_else(|| Self::parse_uuid_v4(head(36)?).ok())
                .or_else(|| Self::parse(head(32)?).ok())
        })
    }

    /// Reads an id that a client sent back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for text that is none of our ids: there can be no such upload.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let well_formed = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::NotFound("upload"))
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hexadecimal digits of an id that are its mark.
const MARK_DIGITS: usize = 8;

/// By which we know our own ids again: several installations may share a bucket, and none may take away what another
/// began. The last digits of an id are a hash of the others under a key that only we have.
#[derive(Clone)]
pub struct IdMark([u8; 32]);

impl IdMark {
    /// A mark under this key.
    pub fn new(key: &str) -> Self {
        Self(Sha256::digest(format!("upload id\0{key}")).into())
    }

    /// Whether `id` was made under this mark; another's passes once in four thousand million.
    pub fn is_on(&self, id: &UploadId) -> bool {
        let (head, tail) = id.0.split_at(id.0.len() - MARK_DIGITS);
        self.of(head) == tail
    }

    fn of(&self, head: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(head);
        hex::encode(&hash.finalize()[..MARK_DIGITS / 2])
    }
}

impl fmt::Debug for IdMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdMark(***)")
    }
}

/// What visitors' names begin with; no named owner has a colon.
const VISITOR: &str = "visitor:";

/// Whom an upload belongs to. Every look-up is within one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The holder of an API key: 1 to 100 characters of `A-Z a-z 0-9 . _ @ -`.
    ///
    /// # Errors
    /// [`FieldError`] on `owner` for anything else.
    pub fn named(name: &str) -> Result<Self, FieldError> {
        let well_formed = (1..=100).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b));
        if well_formed {
            Ok(Self(name.to_owned()))
        } else {
            Err(FieldError::new(
                "owner",
                "an owner has 1 to 100 characters of A-Z a-z 0-9 . _ @ -",
            ))
        }
    }

    /// An anonymous visitor; the colon keeps visitors apart from every named owner.
    pub fn visitor(id: &Uuid) -> Self {
        Self(format!("{VISITOR}{}", id.simple()))
    }

    /// Whether this is an anonymous visitor.
    pub fn is_visitor(&self) -> bool {
        self.0.starts_with(VISITOR)
    }

    /// An owner as the database has it.
    pub fn recorded(text: String) -> Self {
        Self(text)
    }

    /// The owner's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// An upload's life: `open → completing → complete`, or one of the three ends without an object.
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
            Self::Complete | Self::Aborted | Self::Expired | Self::Failed => false,
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

/// How an upload's object gets its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Naming {
    /// By the template of the settings.
    #[default]
    Template,
    /// In a folder that the client chose, as `<folder>/<id>_<filename>`.
    Folder(Folder),
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
}

/// What a client says of the file that it is about to send.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The file's name.
    pub filename: FileName,
    /// The file's bytes.
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
    /// The file's bytes.
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
    /// Bytes of every part but the last.
    pub part_size: u64,
    /// The finished object's tag.
    pub etag: Option<String>,
    /// The SHA-256 that the whole file must have, where the client said so when it began.
    pub sha256: Option<Sha256Sum>,
    /// Whom to tell when it is complete.
    pub webhook_url: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When anything last happened to it.
    pub updated_at: DateTime<Utc>,
    /// When it is given up if nothing happens.
    pub expires_at: DateTime<Utc>,
}

impl Upload {
    /// How the file is cut.
    pub fn plan(&self) -> PartPlan {
        PartPlan::recorded(self.size, self.part_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_time_of_their_creation() {
        let early = UploadId::generate("2026-01-01T00:00:00Z".parse().unwrap());
        let late = UploadId::generate("2026-01-01T00:00:01Z".parse().unwrap());

        assert!(early < late);
        assert_eq!(UploadId::parse(early.as_str()).unwrap(), early);
    }

    #[test]
    fn an_id_can_be_written_as_a_uuid_of_version_4_and_read_again() {
        let id = UploadId::generate("2026-01-01T00:00:00Z".parse().unwrap());

        let uuid = id.as_uuid_v4();

        assert_eq!(Uuid::parse_str(&uuid).unwrap().get_version_num(), 4);
        assert_eq!(UploadId::parse_uuid_v4(&uuid).unwrap(), id);
        for text in [
            "",
            id.as_str(),
            &uuid.to_uppercase(),
            &uuid.replace("-4", "-7"),
            "é".repeat(18).as_str(),
        ] {
            assert!(UploadId::parse_uuid_v4(text).is_err(), "{text}");
        }
    }

    #[test]
    fn our_ids_are_known_again_and_nobody_elses_are() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (ours, theirs) = (IdMark::new("ours"), IdMark::new("theirs"));
        let id = UploadId::marked(now, &ours);

        assert!(ours.is_on(&id) && !theirs.is_on(&id));
        assert!(!ours.is_on(&UploadId::generate(now)));
        let keys = [
            format!("uploads/2026/{id}/clip.mp4"),
            format!("videos/{}_clip.mp4", id.as_uuid_v4()),
            format!("in/{id}-clip.mp4"),
        ];
        for key in keys {
            assert_eq!(UploadId::find_in(&key), Some(id.clone()), "{key}");
        }
        assert_eq!(UploadId::find_in("uploads/2026/é/clip.mp4"), None);
    }

    #[test]
    fn text_that_is_no_id_of_ours_is_simply_not_found() {
        for text in ["", "x", "../../etc/passwd", &"0".repeat(31), &"A".repeat(32)] {
            assert!(matches!(UploadId::parse(text), Err(Error::NotFound("upload"))));
        }
    }

    #[test]
    fn an_ended_upload_never_lives_again() {
        for ended in [State::Complete, State::Aborted, State::Expired, State::Failed] {
            assert!(State::ALL.into_iter().all(|next| !ended.may_become(next)));
        }
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
