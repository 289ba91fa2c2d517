//! Every way an upload can fail, in upload words: no HTTP, no SQL, no protocol.
//!
//! It is separate so that the lower layers can name what went wrong without knowing how it will be told;
//! `web::problem` holds the only table from these variants to statuses, and each protocol renders them its
//! clients' way. A variant's text is written for the client; causes ride in `#[source]` on
//! [`Error::Unavailable`] and [`Error::Internal`] alone, are logged once, and never leave the process.

use crate::domain::{PartDefect, PartNumber, State};

/// What lies behind an [`Error::Internal`] or [`Error::Unavailable`]; for the log only.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Most defects of an upload that an error spells out.
const SHOWN_DEFECTS: usize = 100;

/// Seconds after which something that was open may have ended.
const QUOTA_PAUSE_S: u64 = 5;

/// One thing that is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name as the client wrote it, a path for nested ones: `metadata.title`.
    pub field: String,
    /// What is wrong and what would be right, with the limit.
    pub detail: String,
}

impl FieldError {
    /// A complaint about `field`.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            detail: detail.into(),
        }
    }
}

/// What a digest was claimed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digested {
    /// One part, or one request's body: it can be sent again.
    Part,
    /// The stored parts: nothing was made of them, and they can be sent again.
    Parts,
    /// The whole file: the upload has failed.
    File,
}

impl std::fmt::Display for Digested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Part => "the body",
            Self::Parts => "what is stored of the file",
            Self::File => "the file",
        })
    }
}

/// What an owner may only have so much of at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Uploads that have not ended.
    Uploads,
    /// Bytes of the files of these.
    Bytes,
}

impl Held {
    /// Its name in answers and in the settings: `open_uploads` or `open_bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uploads => "open_uploads",
            Self::Bytes => "open_bytes",
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uploads => "uploads",
            Self::Bytes => "bytes",
        })
    }
}

/// Why an upload verb did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense as it stands; every bad field is named at once.
    #[error("{}", list_fields(.0))]
    Invalid(Vec<FieldError>),
    /// The file is larger than policy or store allow.
    #[error("a file may be at most {limit} bytes, this one has {size}")]
    TooLarge {
        /// Most bytes that one file may have.
        limit: u64,
        /// Bytes that were declared.
        size: u64,
    },
    /// A request to us, not a file, is larger than any honest one.
    #[error("a request may have at most {limit} bytes")]
    BodyTooLarge {
        /// Most bytes that one request may have.
        limit: u64,
    },
    /// Policy does not take files of this media type.
    #[error("files of type {content_type} are not accepted here")]
    TypeRefused {
        /// The declared media type.
        content_type: String,
    },
    /// The file's bytes are not what its client declared, or what policy takes.
    #[error(
        "the file was declared as {declared}, and its bytes are those of {found}, which is not accepted here"
    )]
    ContentRefused {
        /// The type that its first bytes show.
        found: &'static str,
        /// The declared media type.
        declared: String,
    },
    /// The file has more parts than policy allows.
    #[error("a file may have at most {limit} parts, this one has a part {number}; cut it into larger ones")]
    TooManyParts {
        /// Most parts that one file may have.
        limit: u32,
        /// The number of the part that is one too many.
        number: u32,
    },
    /// The owner has as much open as they may have. What ends by itself or is ended makes room.
    #[error(
        "{held} of at most {limit} {what} are open; one that completes, is aborted or expires makes room"
    )]
    QuotaReached {
        /// Of what it is too much.
        what: Held,
        /// Most of it that may be open.
        limit: u64,
        /// How much is open.
        held: u64,
    },
    /// Something is done too often; nothing is wrong with it otherwise.
    #[error("too many {what}; try again in {wait} seconds")]
    TooFast {
        /// What happens too often, as a clause: `uploads are begun`.
        what: &'static str,
        /// Seconds after which it may be done again.
        wait: u64,
    },
    /// There is no such thing, or it belongs to somebody else: the two look alike on purpose.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Nobody we know is asking.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// We know who asks, and they may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The application does not want this upload.
    #[error("{message}")]
    Refused {
        /// Its own words, cleaned.
        message: String,
        /// The status that it wants its client to be told.
        status: u16,
    },
    /// A scanner has looked at the whole file, and it is not announced.
    #[error("the file was not accepted: {reason}")]
    Rejected {
        /// The scanner's own words, cleaned.
        reason: String,
    },
    /// The upload's state does not allow the verb.
    #[error("the upload is {state}; it cannot be {verb}")]
    WrongState {
        /// What the upload is now.
        state: State,
        /// The verb's participle: `signed`, `completed`, `aborted`.
        verb: &'static str,
    },
    /// Completion was asked for while parts are missing or have another size.
    #[error("{}", describe_defects(.defects, *.total))]
    Incomplete {
        /// The first defects in part order, at most a hundred.
        defects: Vec<PartDefect>,
        /// How many defects there are in all.
        total: usize,
        /// How many parts the upload has.
        part_count: u32,
    },
    /// The stored parts are not those of the file as its client cuts it now, so an object of them would be of no file.
    #[error("{why}: the parts are of different chunk sizes or files; send the file again from the start")]
    MixedParts {
        /// What does not fit, of which part.
        why: String,
    },
    /// The object key belongs to another upload, or to an object that is there already.
    #[error("the object key {key} is taken; nothing is overwritten")]
    KeyTaken {
        /// The key.
        key: String,
    },
    /// The multipart upload has vanished from the store: it was aborted or expired there.
    #[error("the store no longer knows this multipart upload; start the upload again")]
    Vanished,
    /// A part, or a request's body, has another length than it must have.
    #[error("{what} must have {expected} bytes, not {actual}")]
    WrongSize {
        /// What it is: `the part`, `the body`.
        what: &'static str,
        /// Bytes that it must have.
        expected: u64,
        /// Bytes that it has, as far as we know.
        actual: u64,
    },
    /// The part is stored already, with other bytes.
    #[error("part {number} is stored already, with other bytes")]
    PartConflict {
        /// Which part.
        number: PartNumber,
    },
    /// The bytes are not those of the digest that the client claimed.
    #[error("{what} has another digest than was claimed")]
    ChecksumMismatch {
        /// What was compared.
        what: Digested,
    },
    /// Bytes were sent for another place than the upload's end.
    #[error("the upload stands at {expected}, not at {provided}")]
    OffsetMismatch {
        /// Where it stands.
        expected: u64,
        /// Where the client took it to stand.
        provided: u64,
    },
    /// The length that is told of a file is not the one that was told before.
    #[error("the upload was said to have {known} bytes, and now {told}")]
    LengthConflict {
        /// Bytes that it was said to have.
        known: u64,
        /// Bytes that it is now said to have.
        told: u64,
    },
    /// The request's body did not arrive whole; nothing of it counts that was not acknowledged.
    #[error("the request's body did not arrive whole; send it again")]
    Interrupted,
    /// A request whose body is read whole brings no more of it.
    #[error("no byte of the request's body came for {seconds} seconds; send it again")]
    BodyStalled {
        /// How long it was waited for.
        seconds: u64,
    },
    /// A newer request sends to the same place, and this one has made way.
    #[error("a newer request sends to the same place; this one has made way for it")]
    Superseded,
    /// This server is about to end; what came is kept.
    #[error("the server is being stopped; go on in a moment, from the offset that it tells")]
    Stopping,
    /// There is no room for the file.
    #[error("there is no room for {needed} more bytes in the storage")]
    NoSpace {
        /// Bytes that would be needed.
        needed: u64,
    },
    /// Completion goes on, but takes longer than a request should wait: all is joined, or a scanner looks at the whole.
    #[error("the upload is being completed; ask again in a moment")]
    StillCompleting,
    /// The store refused a request of ours for a reason that a retry will not change.
    #[error("the store refused the request: {code}")]
    StoreRefused {
        /// The store's own error code, such as `NoSuchBucket`.
        code: String,
    },
    /// Our credentials for the store have ended, or the store takes them no more, and there are no others yet.
    #[error("this server's credentials for the store have run out; try again in a moment")]
    CredentialsExpired,
    /// Too much of something at once; try again later.
    #[error("{0}")]
    Busy(&'static str),
    /// Something that we depend on does not answer just now, or nothing that can be used.
    #[error("{what} does not answer just now; try again")]
    Unavailable {
        /// What, with its article: `the database`, `the store`, `the application`.
        what: &'static str,
        /// For the log only.
        #[source]
        cause: Cause,
    },
    /// A defect of ours.
    #[error("something went wrong on our side")]
    Internal(#[source] Cause),
}

impl Error {
    /// Refuses to make an object of parts with these defects, of which the first hundred are spelt out; without any it
    /// is whole.
    ///
    /// # Errors
    /// [`Error::Incomplete`] with the first defects, and how many there are.
    pub fn unless_whole(mut defects: Vec<PartDefect>, part_count: u32) -> Result<(), Self> {
        let total = defects.len();
        if total == 0 {
            return Ok(());
        }
        defects.truncate(SHOWN_DEFECTS);
        Err(Self::Incomplete {
            defects,
            total,
            part_count,
        })
    }

    /// Seconds after which the same request may well succeed, where it may.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::QuotaReached { .. } => Some(QUOTA_PAUSE_S),
            Self::TooFast { wait, .. } => Some(*wait),
            Self::Busy(_)
            | Self::Stopping
            | Self::StillCompleting
            | Self::CredentialsExpired
            | Self::Unavailable { .. } => Some(1),
            _ => None,
        }
    }

    /// A request with a single bad field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, detail)])
    }

    /// The same in the words of a protocol that calls a field otherwise.
    #[must_use]
    pub fn calling(mut self, field: &str, name: &str) -> Self {
        if let Self::Invalid(fields) = &mut self {
            for error in fields.iter_mut().filter(|error| error.field == field) {
                name.clone_into(&mut error.field);
            }
        }
        self
    }

    /// A defect of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// Something that we depend on does not answer, `what` with its article.
    pub fn unavailable(what: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Unavailable {
            what,
            cause: cause.into(),
        }
    }
}

fn list_fields(fields: &[FieldError]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|f| format!("{}: {}", f.field, f.detail))
        .collect();
    lines.join("; ")
}

fn describe_defects(defects: &[PartDefect], total: usize) -> String {
    let shown: Vec<String> = defects.iter().take(10).map(ToString::to_string).collect();
    let more = total.saturating_sub(shown.len());
    let tail = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    format!("the upload is not whole: {}{tail}", shown.join(", "))
}
