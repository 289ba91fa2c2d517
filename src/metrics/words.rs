//! What happens that is counted, in types: a label's value is one of these, and never a text of somebody's.
//!
//! Separate from the registry, because whoever counts names these and knows nothing of metrics' names.

use std::time::Duration;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// A part's URL.
    Part,
    /// Another request to the store.
    Request,
    /// A form or its policy.
    Form,
    /// A signing key that was handed out.
    Key,
}

/// How an attempt to deliver a webhook went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Its receiver took it.
    Delivered,
    /// It is tried again.
    Failed,
    /// It was given up.
    Parked,
}

/// Who was asked about an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The application, before it began.
    PreCreate,
    /// The scanner, before it was complete.
    PreComplete,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The upload goes on.
    Accepted,
    /// It does not.
    Refused,
    /// There was no answer that can be used.
    Failed,
}

/// What a look for new credentials has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// Others than before.
    Others,
    /// The same.
    Unchanged,
    /// None.
    Failed,
}

/// How a request to the store went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// An answer with this status.
    Answered(u16),
    /// No answer.
    Lost,
}

/// What was asked of a folder or of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageOperation {
    /// Whether it can be used.
    Check,
    /// To keep room for an upload.
    Begin,
    /// To store a part.
    Put,
    /// To store bytes at an upload's end.
    Append,
    /// Where an upload stands.
    Offset,
    /// Which parts are stored.
    Parts,
    /// To make the object of what is stored.
    Finish,
    /// To make the object of other uploads' bytes.
    Join,
    /// To drop what is stored of an upload.
    Abort,
    /// Whether there is an object.
    Find,
    /// To open an object for reading.
    Read,
    /// To remove an object.
    Remove,
    /// What lies there unfinished.
    Strays,
    /// To drop something unfinished.
    Discard,
}

impl StorageOperation {
    /// All of them, in the order in which they stand above.
    pub const ALL: [Self; 14] = [
        Self::Check,
        Self::Begin,
        Self::Put,
        Self::Append,
        Self::Offset,
        Self::Parts,
        Self::Finish,
        Self::Join,
        Self::Abort,
        Self::Find,
        Self::Read,
        Self::Remove,
        Self::Strays,
        Self::Discard,
    ];

    /// The label's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Begin => "begin",
            Self::Put => "put",
            Self::Append => "append",
            Self::Offset => "offset",
            Self::Parts => "parts",
            Self::Finish => "finish",
            Self::Join => "join",
            Self::Abort => "abort",
            Self::Find => "find",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Strays => "strays",
            Self::Discard => "discard",
        }
    }
}

/// How an operation of a folder or of a share went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageOutcome {
    /// It was done.
    Done,
    /// Not as things are: there is no such upload or object, or it stands elsewhere.
    Refused,
    /// There is no room.
    Full,
    /// The storage failed, or could not be reached.
    Failed,
}

/// What is done without anybody waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Giving up what has expired, ending what was left half done, dropping leftovers.
    Sweep,
    /// Having objects looked at before they are announced.
    Scan,
    /// Writing the notes of uploads' logs.
    Notes,
}

/// What the database holds that is counted when somebody scrapes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Uploads that have not ended.
    pub open_uploads: u64,
    /// Their bytes.
    pub open_bytes: f64,
    /// Webhooks that are yet to be delivered.
    pub pending: u64,
    /// How long the oldest of them has waited.
    pub oldest: Duration,
    /// Webhooks that were given up.
    pub parked: u64,
}

/// The connections of the database's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How many there may be.
    pub max: u32,
    /// Those at work.
    pub in_use: u32,
    /// Those that wait for work.
    pub idle: u32,
}
