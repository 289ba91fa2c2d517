//! What went wrong between us and the share, before it becomes an [`Error`].
//!
//! Separate, because one question decides everything that follows: did the server answer "no", or is the connection no
//! good any more? The first is told at once, the second is worth another try on a new connection.

use crate::error::{Cause, Error};

/// Statuses that we act on: <https://learn.microsoft.com/openspecs/windows_protocols/ms-erref/596a1078-e883-4972-9bbc-49e60bebca55>.
pub(super) mod status {
    pub const NO_SUCH_FILE: u32 = 0xC000_000F;
    pub const ACCESS_DENIED: u32 = 0xC000_0022;
    pub const NAME_NOT_FOUND: u32 = 0xC000_0034;
    pub const NAME_COLLISION: u32 = 0xC000_0035;
    pub const PATH_NOT_FOUND: u32 = 0xC000_003A;
    pub const SHARING_VIOLATION: u32 = 0xC000_0043;
    pub const QUOTA_EXCEEDED: u32 = 0xC000_0044;
    pub const FILE_LOCK_CONFLICT: u32 = 0xC000_0054;
    pub const DELETE_PENDING: u32 = 0xC000_0056;
    pub const DISK_FULL: u32 = 0xC000_007F;
    pub const FILE_IS_A_DIRECTORY: u32 = 0xC000_00BA;
    pub const DIRECTORY_NOT_EMPTY: u32 = 0xC000_0101;
}

/// The session is gone, or the server has no room for it: a new connection may do better.
const WORN_OUT: [u32; 11] = [
    0xC000_00B5, // IO_TIMEOUT
    0xC000_00C9, // NETWORK_NAME_DELETED
    0xC000_00D0, // REQUEST_NOT_ACCEPTED
    0xC000_0120, // CANCELLED
    0xC000_0128, // FILE_CLOSED
    0xC000_0203, // USER_SESSION_DELETED
    0xC000_0205, // INSUFF_SERVER_RESOURCES
    0xC000_020C, // CONNECTION_DISCONNECTED
    0xC000_020D, // CONNECTION_RESET
    0xC000_035C, // NETWORK_SESSION_EXPIRED
    0xC000_0466, // SERVER_UNAVAILABLE
];

/// Why an operation on the share failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server's own word.
    Status(u32),
    /// The connection cannot be used any more, or there is none.
    Broken(Cause),
}

impl Fault {
    /// A fault of the connection.
    pub fn broken(cause: impl Into<Cause>) -> Self {
        Self::Broken(cause.into())
    }

    fn of_status(code: u32) -> Self {
        if WORN_OUT.contains(&code) {
            return Self::broken(name_of(code));
        }
        Self::Status(code)
    }

    /// Whether another connection may do better.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    /// Whether there is no such file or folder, or soon will be none.
    pub fn is_absent(&self) -> bool {
        use status::{DELETE_PENDING, NAME_NOT_FOUND, NO_SUCH_FILE, PATH_NOT_FOUND};
        matches!(
            self,
            Self::Status(NAME_NOT_FOUND | PATH_NOT_FOUND | NO_SUCH_FILE | DELETE_PENDING)
        )
    }

    /// Whether it is this status.
    pub fn is(&self, code: u32) -> bool {
        matches!(self, Self::Status(own) if *own == code)
    }

    /// In upload words; `needed` is how many bytes were to be stored.
    pub fn into_error(self, needed: u64) -> Error {
        use status::{DISK_FULL, FILE_LOCK_CONFLICT, QUOTA_EXCEEDED, SHARING_VIOLATION};
        match self {
            Self::Status(DISK_FULL | QUOTA_EXCEEDED) => Error::NoSpace { needed },
            // Somebody looks into the file: a virus scanner or a backup. It passes.
            Self::Status(code @ (SHARING_VIOLATION | FILE_LOCK_CONFLICT)) => {
                Error::unavailable("the store", name_of(code))
            }
            Self::Status(code) => Error::StoreRefused { code: name_of(code) },
            Self::Broken(cause) => Error::unavailable("the store", cause),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.into_error(0)
    }
}

impl From<smb::Error> for Fault {
    fn from(error: smb::Error) -> Self {
        match error {
            smb::Error::UnexpectedMessageStatus(code) | smb::Error::ReceivedErrorMessage(code, _) => {
                Self::of_status(code)
            }
            smb::Error::IoError(error) => error.into(),
            other => Self::broken(other),
        }
    }
}

/// Reads and writes of the library tell a status as text alone.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return Self::Status(status::ACCESS_DENIED);
        }
        match status_in(&error.to_string()) {
            Some(code) => Self::of_status(code),
            None => Self::broken(error),
        }
    }
}

/// The eight hexadecimal digits that the library writes behind `0x`.
fn status_in(text: &str) -> Option<u32> {
    let (before, after) = text.rsplit_once("0x")?;
    let digits = after.get(..8)?;
    before
        .contains("status")
        .then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The status as its specification spells it, or its digits where it is a rare one.
pub(super) fn name_of(code: u32) -> String {
    let name = match code {
        0xC000_000D => "INVALID_PARAMETER",
        0xC000_000F => "NO_SUCH_FILE",
        0xC000_0022 => "ACCESS_DENIED",
        0xC000_0033 => "OBJECT_NAME_INVALID",
        0xC000_0034 => "OBJECT_NAME_NOT_FOUND",
        0xC000_0035 => "OBJECT_NAME_COLLISION",
        0xC000_003A => "OBJECT_PATH_NOT_FOUND",
        0xC000_0043 => "SHARING_VIOLATION",
        0xC000_0044 => "QUOTA_EXCEEDED",
        0xC000_0054 => "FILE_LOCK_CONFLICT",
        0xC000_0056 => "DELETE_PENDING",
        0xC000_005E => "NO_LOGON_SERVERS",
        0xC000_006A => "WRONG_PASSWORD",
        0xC000_006D => "LOGON_FAILURE",
        0xC000_006E => "ACCOUNT_RESTRICTION",
        0xC000_006F => "INVALID_LOGON_HOURS",
        0xC000_0071 => "PASSWORD_EXPIRED",
        0xC000_0072 => "ACCOUNT_DISABLED",
        0xC000_007F => "DISK_FULL",
        0xC000_00A2 => "MEDIA_WRITE_PROTECTED",
        0xC000_00B5 => "IO_TIMEOUT",
        0xC000_00BA => "FILE_IS_A_DIRECTORY",
        0xC000_00BB => "NOT_SUPPORTED",
        0xC000_00C9 => "NETWORK_NAME_DELETED",
        0xC000_00CA => "NETWORK_ACCESS_DENIED",
        0xC000_00CC => "BAD_NETWORK_NAME",
        0xC000_00D0 => "REQUEST_NOT_ACCEPTED",
        0xC000_0101 => "DIRECTORY_NOT_EMPTY",
        0xC000_0103 => "NOT_A_DIRECTORY",
        0xC000_0203 => "USER_SESSION_DELETED",
        0xC000_0205 => "INSUFF_SERVER_RESOURCES",
        0xC000_0224 => "PASSWORD_MUST_CHANGE",
        0xC000_0234 => "ACCOUNT_LOCKED_OUT",
        0xC000_0257 => "PATH_NOT_COVERED",
        0xC000_035C => "NETWORK_SESSION_EXPIRED",
        _ => return format!("STATUS_{code:08X}"),
    };
    format!("STATUS_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text is the library's: a version that words it otherwise must not go unnoticed.
    #[test]
    fn a_status_is_found_in_the_text_of_the_library() {
        for code in [
            status::DISK_FULL,
            status::ACCESS_DENIED,
            status::SHARING_VIOLATION,
        ] {
            let told = smb::Error::UnexpectedMessageStatus(code).to_string();

            let fault = Fault::from(std::io::Error::other(told));

            assert!(fault.is(code), "{fault:?}");
        }
    }

    #[test]
    fn a_lost_connection_and_a_lost_session_are_no_refusals() {
        let stopped = std::io::Error::other(smb::Error::ConnectionStopped.to_string());
        let deleted = smb::Error::UnexpectedMessageStatus(0xC000_0203);

        assert!(Fault::from(stopped).is_broken());
        assert!(Fault::from(deleted).is_broken());
    }

    #[test]
    fn a_full_disk_is_told_with_the_bytes_that_were_to_be_stored() {
        let error = Fault::Status(status::DISK_FULL).into_error(7);

        assert!(matches!(error, Error::NoSpace { needed: 7 }));
    }

    #[test]
    fn a_refusal_is_told_by_the_name_of_its_status() {
        let code = |fault: Fault| match fault.into_error(0) {
            Error::StoreRefused { code } => code,
            other => panic!("{other:?}"),
        };

        assert_eq!(code(Fault::Status(0xC000_006D)), "STATUS_LOGON_FAILURE");
        assert_eq!(code(Fault::Status(0xC012_3456)), "STATUS_C0123456");
    }
}
