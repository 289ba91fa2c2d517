//! What happens to an upload, as its log has it: entries that are added and never changed.
//!
//! Separate from the upload, which is only how things stand now. What has a time of its own in another record is not
//! repeated here: a part's arrival is in the part's record.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::upload::State;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// The upload began.
    Created,
    /// Its client came back and found it.
    Resumed,
    /// The store had lost it, or it had run out, and it was begun anew behind the same id.
    BegunAgain,
    /// Addresses for parts were signed.
    Signed,
    /// A request for it was refused or failed.
    Refused,
    /// An admin asked for something.
    Admin,
    /// It may live longer.
    Extended,
    /// All of it is there, and a scanner is to look at it.
    Quarantined,
    /// It was complete, and its object was replaced: it is looked at again.
    Replaced,
    /// Its state changed to this one.
    Became(State),
}

impl LogKind {
    const OTHERS: [Self; 9] = [
        Self::Created,
        Self::Resumed,
        Self::BegunAgain,
        Self::Signed,
        Self::Refused,
        Self::Admin,
        Self::Extended,
        Self::Quarantined,
        Self::Replaced,
    ];

    /// The kind's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Resumed => "resumed",
            Self::BegunAgain => "begun-again",
            Self::Signed => "signed",
            Self::Refused => "refused",
            Self::Admin => "admin",
            Self::Extended => "extended",
            Self::Quarantined => "quarantined",
            Self::Replaced => "replaced",
            Self::Became(state) => state.as_str(),
        }
    }

    /// Reads a kind's name.
    pub fn parse(text: &str) -> Option<Self> {
        let other = Self::OTHERS.into_iter().find(|kind| kind.as_str() == text);
        other.or_else(|| State::parse(text).map(Self::Became))
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an entry tells besides its kind; what does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogDetail {
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The protocol, or the address, at which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
    /// The lowest of the parts that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u16>,
    /// The highest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u16>,
    /// How many of the same are told of in this one entry, where it is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When the first of those was; the entry's own time is the last one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// The kind of problem that the client was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an admin asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Until when it lives from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: LogKind,
    /// In particular.
    pub detail: LogDetail,
    /// The admin who did it; `None` for the upload's own client, and for us.
    pub actor: Option<String>,
}

impl LogEntry {
    /// An entry that tells nothing besides its kind.
    pub fn new(at: DateTime<Utc>, kind: LogKind) -> Self {
        Self {
            at,
            kind,
            detail: LogDetail::default(),
            actor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        let states = State::ALL.into_iter().map(LogKind::Became);
        for kind in LogKind::OTHERS.into_iter().chain(states) {
            assert_eq!(LogKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(LogKind::parse("swallowed"), None);
    }
}
