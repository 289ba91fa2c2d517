//! What can go wrong with a file, and whether the same again may help.

use std::fmt::{self, Display};
use std::time::Duration;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same again may succeed.
    Passing,
    /// It stays as it is.
    Final,
    /// The server does not want this file, or not from us.
    Refused,
    /// What was begun is not there any more: it has to begin anew.
    Vanished,
    /// The file is not what it was when its upload began.
    Changed,
}

/// A failure.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What follows.
    pub kind: Kind,
    /// One word for programs: the end of a problem's `type`, or one of ours.
    pub code: String,
    /// For a person.
    pub message: String,
    /// The status that says it, where one does.
    pub status: Option<u16>,
    /// How long the other side wants to be left alone.
    pub retry_after: Duration,
    /// Parts that the server misses.
    pub missing: Vec<u64>,
}

impl Trouble {
    /// A failure of this kind.
    pub fn new(kind: Kind, code: &str, message: String) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message,
            status: None,
            retry_after: Duration::ZERO,
            missing: Vec::new(),
        }
    }

    /// Something about the file itself.
    pub fn file(code: &str, message: String) -> Self {
        Self::new(Kind::Final, code, message)
    }

    /// The file has changed.
    pub fn changed(how: &str) -> Self {
        let message = format!("the file changed while it was sent: {how}; send it again when it is at rest");
        Self::new(Kind::Changed, "changed", message)
    }

    /// No answer came.
    pub fn unreachable(peer: &str, error: &reqwest::Error) -> Self {
        Self::new(
            Kind::Passing,
            "unreachable",
            format!("no answer from {peer}: {}", innermost(error)),
        )
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}

/// The outer ones say no more than which request it was, with the address: and an address that is signed is a secret.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// What a status alone says.
pub fn kind_of(status: u16) -> Kind {
    match status {
        408 | 423 | 425 | 429 | 500 | 502..=504 | 507 => Kind::Passing,
        400 | 401 | 403 | 413 | 415 => Kind::Refused,
        410 => Kind::Vanished,
        _ => Kind::Final,
    }
}
