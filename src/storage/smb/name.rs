//! Names that a share can have.
//!
//! Separate, because it is pure and matters for safety: a `:` in a name opens another stream of the same file, and a
//! backslash leads into another folder.

use crate::domain::{ObjectKey, UploadId};
use crate::error::FieldError;

/// The folder of what is unfinished.
const HIDDEN: &str = ".muleteer";

/// Longest segment, in units of UTF-16.
const MAX_SEGMENT: usize = 255;

/// What is wrong with a segment of a path:
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions>.
fn defect_of(segment: &str) -> Option<String> {
    if let Some(bad) = segment
        .chars()
        .find(|c| "<>:\"|?*\\/".contains(*c) || c.is_control())
    {
        return Some(format!("an SMB share has no names with {bad:?}"));
    }
    if segment.ends_with(['.', ' ']) {
        return Some("an SMB share has no names that end in a dot or a space".to_owned());
    }
    let length = segment.encode_utf16().count();
    (length > MAX_SEGMENT)
        .then(|| format!("a name on an SMB share has at most {MAX_SEGMENT} characters, this one {length}"))
}

/// Whether an object may have this key on a share.
pub(super) fn check(key: &ObjectKey) -> Result<(), FieldError> {
    let refuse = |detail: String| Err(FieldError::new("filename", detail));
    // Letters of either case are the same on most shares.
    if key
        .segments()
        .next()
        .is_some_and(|first| first.eq_ignore_ascii_case(HIDDEN))
    {
        return refuse(format!("{HIDDEN} is where unfinished uploads lie"));
    }
    match key.segments().find_map(defect_of) {
        Some(defect) => refuse(defect),
        None => Ok(()),
    }
}

/// A folder inside a share: its segments, joined by backslashes; empty for the share itself.
#[derive(Debug, Clone)]
pub(super) struct Base(String);

impl Base {
    /// Accepts segments separated by either slash.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn new(path: &str) -> Result<Self, String> {
        let segments: Vec<&str> = path
            .split(['/', '\\'])
            .filter(|segment| !segment.is_empty())
            .collect();
        match segments.iter().find_map(|segment| defect_of(segment)) {
            Some(defect) => Err(defect),
            None => Ok(Self(segments.join("\\"))),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The same with slashes, for people.
    pub fn shown(&self) -> String {
        self.0.replace('\\', "/")
    }

    fn below(&self, path: &str) -> String {
        if self.0.is_empty() {
            path.to_owned()
        } else {
            format!("{}\\{path}", self.0)
        }
    }

    /// The folder of all that is unfinished.
    pub fn hidden(&self) -> String {
        self.below(HIDDEN)
    }

    /// The folder of one unfinished upload.
    pub fn upload(&self, upload: &UploadId) -> String {
        format!("{}\\{upload}", self.hidden())
    }

    /// Where a finished object lies.
    pub fn object(&self, key: &ObjectKey) -> String {
        self.below(&key.as_str().replace('/', "\\"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_share_cannot_have_are_refused() {
        let long = "x".repeat(256);
        for key in [
            "files/a:b",
            "a/b:stream",
            "a?",
            "a*b",
            "a<",
            "a>",
            "a|b",
            "a\"b",
            "a./b",
            "a /b",
            "a/b.",
            "a/b ",
            ".muleteer/x",
            ".MuleTeer/x",
            &long,
        ] {
            let refused = check(&ObjectKey::path(key).unwrap()).unwrap_err();
            assert_eq!(refused.field, "filename", "{key}");
        }
    }

    #[test]
    fn letters_of_any_script_are_fine() {
        for key in [
            "files/héllo wörld 漢.bin",
            "a/.hidden",
            "x.muleteer/y",
            &"漢".repeat(255),
            "a b/c;d+e=f%g",
        ] {
            check(&ObjectKey::path(key).unwrap()).unwrap();
        }
    }

    #[test]
    fn paths_lie_below_the_folder_of_the_settings() {
        let key = ObjectKey::path("a/b c.bin").unwrap();
        let id = UploadId::parse(&"0".repeat(32)).unwrap();

        let (root, deep) = (Base::new("").unwrap(), Base::new("/up/loads\\x/").unwrap());

        assert_eq!(root.object(&key), "a\\b c.bin");
        assert_eq!(deep.object(&key), "up\\loads\\x\\a\\b c.bin");
        assert_eq!(deep.upload(&id), format!("up\\loads\\x\\.muleteer\\{id}"));
        assert!(Base::new("a/../b").is_err() && Base::new("c:/x").is_err());
    }
}
