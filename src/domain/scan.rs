//! Quarantine: an object that is whole and not announced before a scanner has looked at it.
//!
//! Separate from the upload, whose state stays `completing` all that time: no client of any protocol has to learn a word.

use chrono::{DateTime, Utc};

use super::id::UploadId;

/// Where the scan of an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanState {
    /// The scanner has not said anything yet.
    Pending,
    /// The scanner wants it gone, and the object may still be there.
    Rejecting,
    /// It is gone.
    Rejected,
    /// The upload is complete.
    Accepted,
}

impl ScanState {
    const ALL: [Self; 4] = [Self::Pending, Self::Rejecting, Self::Rejected, Self::Accepted];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejecting => "rejecting",
            Self::Rejected => "rejected",
            Self::Accepted => "accepted",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether something is yet to be done.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Rejecting)
    }
}

/// The scan of one upload.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Whose object is looked at.
    pub upload_id: UploadId,
    /// Where it stands.
    pub state: ScanState,
    /// The object's tag, where it has one: a verdict is on that object alone.
    pub etag: Option<String>,
    /// When it is worked on next. It is pushed out for as long as somebody works on it.
    pub due_at: DateTime<Utc>,
    /// How often the scanner was asked.
    pub attempts: u32,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Since when the object is whole.
    pub created_at: DateTime<Utc>,
}

/// What a scanner says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It may be announced.
    Accept,
    /// It must go.
    Reject {
        /// Why, for its owner's eyes.
        reason: String,
    },
}
