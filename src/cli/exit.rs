//! Exit codes: what a script can tell from them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done, and nothing is wrong.
    Done,
    /// It failed, or something did: a file was not uploaded, or the doctor found something.
    Failed,
    /// The command line or the settings cannot be used; nothing was begun.
    Usage,
    /// The server refused what was asked: no key, a key without the right, a size or a type that it does not take.
    Refused,
    /// Ctrl-C.
    Interrupted,
}

/// What `--help` says of them.
pub const TABLE: &str = "Exit codes: 0 done; 1 it failed, or the doctor found something, or some files of several were not \
                         uploaded, or a file is not that of its receipt; 2 the command line or the settings cannot be used; 3 the server refused; 130 Ctrl-C.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Interrupted => 130,
        })
    }
}
