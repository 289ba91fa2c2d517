//! Where bytes end up, by name.
//!
//! Separate from the storages themselves, because the database, the settings and every answer speak of them and none
//! of these may know how one works.

use std::fmt;

/// A kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// A bucket of an S3 store.
    S3,
    /// A folder of this machine.
    Local,
    /// A folder of an SMB share.
    Smb,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::Local, Self::Smb];

    /// The name in every API, in the settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Local => "local",
            Self::Smb => "smb",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.as_str() == text)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
