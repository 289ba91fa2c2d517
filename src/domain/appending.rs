//! An upload that is sent by appending, byte after byte, instead of in numbered parts.
//!
//! Separate from `upload`, because nothing else has an offset, a length that may still be unknown, or a place among
//! others that it will be joined with.

use std::collections::BTreeMap;

use super::id::UploadId;

/// The name among [`Appending::fields`] under which the encoding of the file's bytes is kept, where its client told one:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-8.4>.
pub const CONTENT_ENCODING_FIELD: &str = "content-encoding";

/// What is known of the length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Length {
    /// It was known from the beginning.
    #[default]
    Known,
    /// It is not known yet.
    Deferred,
    /// It was not known at first, and has been told since.
    Declared,
}

impl Length {
    /// All, in the order of an upload's life.
    pub const ALL: [Self; 3] = [Self::Known, Self::Deferred, Self::Declared];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Deferred => "deferred",
            Self::Declared => "declared",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|length| length.as_str() == text)
    }
}

/// Whether an upload becomes an object of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Role {
    /// It becomes one, of the bytes that are sent to it.
    #[default]
    Whole,
    /// It is a piece of an object to come. It is never complete: it stays open until it expires, for any number of
    /// objects may be made with it until then.
    Partial,
    /// It becomes one, of the bytes of these uploads in this order; one may stand in it twice.
    Joined(Vec<UploadId>),
}

impl Role {
    /// The name in the database.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Partial => "partial",
            Self::Joined(_) => "joined",
        }
    }
}

/// What a client says of an upload that it will append to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewAppending {
    /// Whether the length will be told later.
    pub is_deferred: bool,
    /// What it becomes.
    pub role: Role,
    /// Header fields of the protocol that it came by, which are told again as they were.
    pub fields: BTreeMap<String, String>,
}

/// Where an upload stands that is appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appending {
    /// Bytes that are stored for good, as far as was written down.
    pub offset: u64,
    /// Whether that is all that is stored: no append is under way, and none was killed.
    pub is_settled: bool,
    /// How many times somebody has begun to append. What was begun earlier than the last time has no say any more.
    pub fence: u64,
    /// What is known of the length.
    pub length: Length,
    /// What it becomes.
    pub role: Role,
    /// Header fields of the protocol that it came by, which are told again as they were.
    pub fields: BTreeMap<String, String>,
}

impl Appending {
    /// Nothing has been sent yet.
    pub fn new(new: NewAppending) -> Self {
        Self {
            offset: 0,
            is_settled: true,
            fence: 0,
            length: if new.is_deferred {
                Length::Deferred
            } else {
                Length::Known
            },
            role: new.role,
            fields: new.fields,
        }
    }
}
