//! Folders that clients choose for their files, made safe.
//!
//! Separate from the other names, because only some protocols let a client have a say in where its file goes, and because
//! this is where a path could climb out of its root.

use super::name::{FileName, ObjectKey};
use crate::error::FieldError;

/// Names that mean a device on some systems, whatever their ending:
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions>.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
    "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Longest segment of a path on the file systems that we know, in bytes.
const MAX_SEGMENT: usize = 255;

/// A folder that a client chose for its file: segments of letters and digits of any script, `-`, `_` and `.`, none
/// of which leads out of it or means a device. No segment at all is the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder(Vec<String>);

impl Folder {
    /// Splits `path` at its last `/` into a folder and a file's name. Empty segments are left out, and so are
    /// characters that a folder cannot have; a name that is empty or made of dots becomes `unnamed`.
    ///
    /// # Errors
    /// [`FieldError`] on `filename` for `.` or `..` as a segment, a segment that begins with a dot or means a device,
    /// a backslash, a control character, and a folder that is too long.
    pub fn split(path: &str) -> Result<(Self, String), FieldError> {
        let bad = |detail: &str| FieldError::new("filename", detail);
        if path.contains('\\') {
            return Err(bad("holds a backslash; folders are separated by /"));
        }
        if path.chars().any(char::is_control) {
            return Err(bad("holds a control character"));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut segments = Vec::new();
        for raw in folder.split('/').filter(|segment| !segment.trim().is_empty()) {
            let segment: String = raw
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
                .collect();
            let stem = segment.split('.').next().unwrap_or_default().to_ascii_lowercase();
            if segment.starts_with('.') || segment.ends_with('.') || raw.trim().starts_with("..") {
                return Err(bad(
                    "has a folder that begins or ends with a dot; \"..\" leads nowhere here",
                ));
            }
            if DEVICES.contains(&stem.as_str()) {
                return Err(bad(&format!(
                    "has a folder \"{segment}\", which is a device on some systems"
                )));
            }
            if segment.len() > MAX_SEGMENT {
                return Err(bad(&format!("has a folder of more than {MAX_SEGMENT} bytes")));
            }
            if !segment.is_empty() {
                segments.push(segment);
            }
        }
        let is_empty = name.chars().all(|c| c == '.' || c.is_whitespace());
        let name = if is_empty { "unnamed" } else { name };
        Ok((Self(segments), name.to_owned()))
    }

    /// The key of `name` in this folder, behind `id` so that no two files ever share one:
    /// `<folder>/<id>_<name>`, and `files/<id>_<name>` without a folder.
    ///
    /// # Errors
    /// [`FieldError`] on `filename` where the name with its id, or the whole key, is too long.
    pub fn key(&self, id: &str, name: &FileName) -> Result<ObjectKey, FieldError> {
        let last = format!("{id}_{}", name.as_str());
        if last.len() > MAX_SEGMENT {
            let most = MAX_SEGMENT - id.len() - 1;
            let detail = format!(
                "has at most {most} bytes after its last /, this one {}",
                name.as_str().len()
            );
            return Err(FieldError::new("filename", detail));
        }
        let folder = if self.0.is_empty() {
            "files".to_owned()
        } else {
            self.0.join("/")
        };
        ObjectKey::path(&format!("{folder}/{last}"))
            .map_err(|error| FieldError::new("filename", error.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_letters_of_any_script_and_loses_what_no_folder_can_have() {
        let split = |path: &str| {
            let (folder, name) = Folder::split(path).unwrap();
            (folder.0.join("/"), name)
        };
        assert_eq!(split("x.mp4"), (String::new(), "x.mp4".into()));
        assert_eq!(split("videos/2024/x.mp4"), ("videos/2024".into(), "x.mp4".into()));
        assert_eq!(split("/a//b/"), ("a/b".into(), "unnamed".into()));
        assert_eq!(
            split("my videos!/é漢/héllo wörld 漢.bin"),
            ("myvideos/é漢".into(), "héllo wörld 漢.bin".into())
        );
        for name in ["", ".", "..", "...", " "] {
            assert_eq!(split(name).1, "unnamed", "{name:?}");
        }
    }

    #[test]
    fn a_folder_leads_nowhere_but_down() {
        for path in [
            "../x",
            "a/../x",
            "./x",
            "a/./x",
            ".muleteer/x",
            "a/..b/x",
            "a/.. /x",
            "a\\b",
            "a\0b",
            "a\nb/x",
            "CON/x",
            "a/nul.d/x",
            "a./x",
            &format!("{}/x", "d".repeat(256)),
        ] {
            assert_eq!(Folder::split(path).unwrap_err().field, "filename", "{path:?}");
        }
    }

    #[test]
    fn the_id_keeps_equal_names_apart_and_counts_towards_their_length() {
        let (folder, name) = Folder::split("videos/x.mp4").unwrap();
        let key = |name: &str| folder.key("0123", &FileName::new(name).unwrap());

        assert_eq!(key(&name).unwrap().as_str(), "videos/0123_x.mp4");
        assert_eq!(
            Folder::default()
                .key("0", &FileName::new("x").unwrap())
                .unwrap()
                .as_str(),
            "files/0_x"
        );
        assert!(key(&"n".repeat(250)).is_ok());
        assert!(
            key(&"n".repeat(251))
                .unwrap_err()
                .detail
                .contains("at most 250 bytes")
        );
    }
}
