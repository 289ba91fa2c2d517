//! The ids of uploads, and how we know our own again.
//!
//! Separate from the upload, because an id is found in addresses, in keys and in storages where no upload is at hand.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::Error;

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

    /// What every id that was made at `time` or later is not below, and every earlier one is.
    pub fn floor(time: DateTime<Utc>) -> Self {
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
        Self(format!("{:012x}{}", millis & 0xffff_ffff_ffff, "0".repeat(20)))
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
}
