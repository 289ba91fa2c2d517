//! File names and object keys made safe.
//!
//! Separate, because this is where text from a stranger becomes part of an address: a key holds nothing but
//! `A-Z a-z 0-9 - _ . /`, so every signature version, every store and every old client agrees on its spelling,
//! and the name that the person knows travels in `Content-Disposition` instead.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Datelike, Utc};

use super::id::UploadId;
use super::owner::Owner;
use crate::error::{Error, FieldError};

/// Longest file name we keep, in bytes of UTF-8.
const MAX_NAME: usize = 1024;

/// Longest piece of an object key that a file name may become; keys hold at most 1,024 bytes.
const MAX_KEY_NAME: usize = 200;

/// A file's name as the person knows it: 1 to 1,024 bytes of UTF-8, no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// Most bytes of UTF-8.
    pub const LONGEST: usize = MAX_NAME;

    /// Accepts any name without control characters.
    ///
    /// # Errors
    /// [`FieldError`] on `filename` for an empty or overlong name and for control characters.
    pub fn new(name: &str) -> Result<Self, FieldError> {
        if name.is_empty() || name.len() > MAX_NAME {
            let detail = format!("a file name has 1 to {MAX_NAME} bytes, this one {}", name.len());
            return Err(FieldError::new("filename", detail));
        }
        if name.chars().any(char::is_control) {
            return Err(FieldError::new(
                "filename",
                "a file name has no control characters",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for the eyes: [`with_directions_shown`].
    pub fn shown(&self) -> String {
        with_directions_shown(&self.0)
    }

    /// The name's last piece, made of `A-Z a-z 0-9 - _ .` alone, at most 200 bytes with its ending kept.
    fn for_key(&self) -> String {
        let base = self
            .0
            .rsplit(['/', '\\'])
            .find(|piece| !piece.is_empty())
            .unwrap_or("");
        let mut safe = String::with_capacity(base.len());
        for c in base.chars() {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                safe.push(c);
            } else if !safe.ends_with('_') {
                safe.push('_');
            }
        }
        // No leading dot: neither `.` nor `..` can be a segment, and nothing is hidden on a file system.
        let safe = safe.trim_start_matches('.');
        let safe = if safe.is_empty() { "file" } else { safe };
        if safe.len() <= MAX_KEY_NAME {
            return safe.to_owned();
        }
        let ending = safe.rfind('.').map_or("", |dot| &safe[dot..]);
        let ending = if ending.len() <= 20 { ending } else { "" };
        format!("{}{ending}", &safe[..MAX_KEY_NAME - ending.len()])
    }

    /// `attachment` with this name, as RFC 6266 and RFC 8187 write it:
    /// <https://www.rfc-editor.org/rfc/rfc6266#section-4.3>.
    pub fn content_disposition(&self) -> String {
        let base = self
            .0
            .rsplit(['/', '\\'])
            .find(|piece| !piece.is_empty())
            .unwrap_or("file");
        let plain: String = base
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let mut encoded = String::new();
        for byte in base.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
    }
}

/// The text with the characters that turn the direction of writing spelt out, such as `[U+202E]`: with one of those
/// `invoice-[U+202E]fdp.exe` reads as if it ended in `.pdf`. In a name they are allowed, as scripts that run from right to
/// left may want them.
pub fn with_directions_shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            let _ = write!(shown, "[U+{:04X}]", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The name of an object in its bucket: 1 to 1,024 bytes with no empty, `.` or `..` segment. Keys that we make for
/// browsers are of `A-Z a-z 0-9 - _ . /` alone ([`ObjectKey::new`]), so they are spelt the same in a path, in a query and
/// in a canonical request; those of files that pass through us keep their letters ([`ObjectKey::path`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Accepts a key of the safe alphabet.
    ///
    /// # Errors
    /// [`FieldError`] on `key` for anything else.
    pub fn new(key: &str) -> Result<Self, FieldError> {
        let bad = |detail: &str| Err(FieldError::new("key", detail));
        if key.is_empty() || key.len() > 1024 {
            return bad("a key has 1 to 1024 characters");
        }
        if !key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        {
            return bad("a key is made of A-Z a-z 0-9 - _ . and /");
        }
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return bad("a key has no empty, \".\" or \"..\" segment");
        }
        Ok(Self(key.to_owned()))
    }

    /// Accepts a key of any letters: no control character, no backslash, no empty, `.` or `..` segment, at most
    /// 1,024 bytes of UTF-8.
    ///
    /// # Errors
    /// [`FieldError`] on `key` for anything else.
    pub fn path(key: &str) -> Result<Self, FieldError> {
        let bad = |detail: &str| Err(FieldError::new("key", detail));
        if key.is_empty() || key.len() > 1024 {
            return bad("a key has 1 to 1024 bytes");
        }
        if key.chars().any(|c| c.is_control() || c == '\\') {
            return bad("a key holds no control character and no backslash");
        }
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return bad("a key has no empty, \".\" or \"..\" segment");
        }
        Ok(Self(key.to_owned()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the key of a new object is made, such as `uploads/{yyyy}/{mm}/{dd}/{id}/{filename}`.
///
/// Placeholders: `{id}` (required, so that no two uploads ever share a key), `{filename}`, `{owner}`,
/// `{yyyy}`, `{mm}`, `{dd}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate(String);

impl KeyTemplate {
    /// Checks a template by filling it with the longest values.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub fn new(template: &str) -> Result<Self, String> {
        if !template.contains("{id}") {
            return Err("the template must contain {id}, or two uploads could share a key".into());
        }
        let candidate = Self(template.to_owned());
        let sample = candidate.fill(
            &"0".repeat(32),
            &"f".repeat(MAX_KEY_NAME),
            &"o".repeat(64),
            ("2026", "01", "01"),
        );
        if sample.contains(['{', '}']) {
            return Err("known placeholders are {id} {filename} {owner} {yyyy} {mm} {dd}".into());
        }
        ObjectKey::new(&sample).map_err(|error| error.detail)?;
        Ok(candidate)
    }

    /// The key of one upload.
    ///
    /// # Errors
    /// [`Error::Internal`] if the filled template were not a key; [`KeyTemplate::new`] rules that out.
    pub fn key(
        &self,
        id: &UploadId,
        name: &FileName,
        owner: &Owner,
        now: DateTime<Utc>,
    ) -> Result<ObjectKey, Error> {
        let owner: String = owner
            .as_str()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                    c
                } else {
                    '_'
                }
            })
            .take(64)
            .collect();
        let (year, month, day) = (
            format!("{:04}", now.year()),
            format!("{:02}", now.month()),
            format!("{:02}", now.day()),
        );
        let filled = self.fill(id.as_str(), &name.for_key(), &owner, (&year, &month, &day));
        ObjectKey::new(&filled).map_err(|error| Error::internal(error.detail))
    }

    fn fill(&self, id: &str, filename: &str, owner: &str, (year, month, day): (&str, &str, &str)) -> String {
        // The file name goes in last and holds no braces, so nothing that a client sends is a placeholder.
        self.0
            .replace("{yyyy}", year)
            .replace("{mm}", month)
            .replace("{dd}", day)
            .replace("{id}", id)
            .replace("{owner}", owner)
            .replace("{filename}", filename)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_direction_of_writing_is_spelt_out_for_the_eyes() {
        let name = FileName::new("invoice-\u{202e}fdp.exe").unwrap();

        assert_eq!(name.shown(), "invoice-[U+202E]fdp.exe");
        assert_eq!(with_directions_shown("a\u{61c}\u{2066}"), "a[U+061C][U+2066]");
        let fine = "حساب \u{1f468}\u{200d}\u{1f469}.pdf";
        assert_eq!(with_directions_shown(fine), fine);
    }

    fn for_key(name: &str) -> String {
        FileName::new(name).unwrap().for_key()
    }

    #[test]
    fn a_file_name_becomes_a_piece_of_the_safe_alphabet() {
        assert_eq!(for_key("clip.mp4"), "clip.mp4");
        assert_eq!(for_key("a b+c&d%.é日本.bin"), "a_b_c_d_._.bin");
        assert_eq!(for_key("../../etc/passwd"), "passwd");
        assert_eq!(for_key("C:\\photos\\x.jpg"), "x.jpg");
        assert_eq!(for_key(".."), "file");
        assert_eq!(for_key("///"), "file");
        assert_eq!(for_key(".htaccess"), "htaccess");
        assert_eq!(for_key("日本"), "_");
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let key = for_key(&format!("{}.mp4", "x".repeat(900)));

        assert_eq!(key.len(), MAX_KEY_NAME);
        assert!(key.ends_with("x.mp4"));
    }

    #[test]
    fn names_that_could_break_a_header_or_a_log_are_refused() {
        for name in [
            "",
            "a\nb",
            "a\r\nX: y",
            "a\0",
            "\u{7f}",
            "\u{85}",
            &"x".repeat(1025),
        ] {
            assert!(FileName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_name_travels_whole_in_content_disposition() {
        let header = FileName::new("naïve \"日\".bin").unwrap().content_disposition();

        assert_eq!(
            header,
            "attachment; filename=\"na_ve ___.bin\"; filename*=UTF-8''na%C3%AFve%20%22%E6%97%A5%22.bin"
        );
    }

    #[test]
    fn keys_outside_the_safe_alphabet_are_refused() {
        for key in [
            "", "/a", "a//b", "a/", "a/../b", "./a", "a?b", "a&b", "a b", "a%b", "é", "a#", "a\n",
        ] {
            assert!(ObjectKey::new(key).is_err(), "{key:?}");
        }
        assert!(ObjectKey::new("u/7f3a/clip-1_b.mp4").is_ok());
    }

    #[test]
    fn a_template_must_keep_keys_apart_and_hold_only_known_placeholders() {
        assert!(KeyTemplate::new("{filename}").is_err());
        assert!(KeyTemplate::new("{id}/{nonsense}").is_err());
        assert!(KeyTemplate::new("/{id}").is_err());
        assert!(KeyTemplate::new("ü/{id}").is_err());
        assert!(KeyTemplate::new("in/{owner}/{yyyy}-{mm}-{dd}/{id}-{filename}").is_ok());
    }
}
