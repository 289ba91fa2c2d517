//! `Upload-Metadata`: what a client tells of its file beside the bytes:
//! <https://tus.io/protocols/resumable-upload#upload-metadata>.
//!
//! Separate, because it is kept in two forms: the field as it came, which is told again as it was, and what can be read
//! of it. Values are any bytes, so what is no text, or longer than we keep, is in the field alone. It is a field of tus;
//! clients that speak both protocols send it in both.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::{FileName, MediaType};
use crate::error::Error;

/// The field's name.
pub(crate) const NAME: &str = "Upload-Metadata";

/// Most pairs that are kept as text, and most characters of a key and of a value.
const MOST: (usize, usize, usize) = (50, 128, 1024);

/// Longest file name, in bytes of UTF-8.
const LONGEST_NAME: usize = 1024;

/// The name of a file that has none.
const UNNAMED: &str = "file";

/// What a client tells of its file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// Reads the field; an empty one is as good as none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a pair with two values, a key that is empty, not of visible ASCII or there twice, and a
    /// value that is not padded base64.
    pub(crate) fn parse(field: &str) -> Result<Self, Error> {
        let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
        if field.trim().is_empty() {
            return Ok(Self(pairs));
        }
        for pair in field.split(',') {
            let mut pieces = pair.trim().splitn(2, ' ');
            let key = pieces.next().unwrap_or("");
            let value = pieces.next().unwrap_or("");
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(Error::invalid(
                    NAME,
                    "a key is one or more visible ASCII characters",
                ));
            }
            if pairs.iter().any(|(known, _)| known == key) {
                return Err(Error::invalid(NAME, format!("\"{key}\" stands more than once")));
            }
            let value = STANDARD
                .decode(value)
                .map_err(|_| Error::invalid(NAME, format!("the value of \"{key}\" is not padded base64")))?;
            pairs.push((key.to_owned(), value));
        }
        Ok(Self(pairs))
    }

    /// The first of these keys that has a value of text.
    fn first(&self, keys: [&str; 2]) -> Option<&str> {
        let text = |key: &str| {
            let (_, value) = self.0.iter().find(|(own, _)| own == key)?;
            std::str::from_utf8(value).ok().filter(|text| !text.is_empty())
        };
        keys.into_iter().find_map(text)
    }

    /// The file's name, made into one that can be kept: what a name cannot have becomes `_`.
    ///
    /// # Errors
    /// [`Error::Internal`] if it were no name still.
    pub(crate) fn filename(&self) -> Result<FileName, Error> {
        let told = self.first(["filename", "name"]).unwrap_or(UNNAMED);
        let mut name: String = told
            .chars()
            .map(|c| if c.is_control() { '_' } else { c })
            .collect();
        if name.len() > LONGEST_NAME {
            name.truncate(name.floor_char_boundary(LONGEST_NAME));
        }
        FileName::new(&name).map_err(|error| Error::internal(error.detail))
    }

    /// The file's media type, or the one that says nothing.
    pub(crate) fn media_type(&self) -> MediaType {
        let told = self.first(["filetype", "type"]);
        told.and_then(|text| MediaType::new(text).ok())
            .unwrap_or_default()
    }

    /// What is text, and not longer than we keep.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        let (pairs, key_length, value_length) = MOST;
        let texts = self.0.iter().filter_map(|(key, value)| {
            let text = std::str::from_utf8(value).ok()?;
            let is_kept = key.len() <= key_length && text.chars().count() <= value_length;
            is_kept.then(|| (key.clone(), text.to_owned()))
        });
        texts.take(pairs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pairs: &[(&str, &[u8])]) -> String {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key} {}", STANDARD.encode(value)))
            .collect();
        pairs.join(",")
    }

    fn filename(value: &[u8]) -> String {
        let metadata = Metadata::parse(&encoded(&[("filename", value)])).unwrap();
        metadata.filename().unwrap().as_str().to_owned()
    }

    #[test]
    fn pairs_may_lack_a_value_and_the_space_before_it() {
        for field in [
            "flag",
            "flag ",
            "a eA==,flag",
            "flag ,a eA==",
            "a eA==, flag",
            "",
            " ",
        ] {
            assert!(Metadata::parse(field).is_ok(), "{field:?}");
        }
        let metadata = Metadata::parse("a eA==,flag").unwrap();
        assert_eq!(
            metadata.texts(),
            BTreeMap::from([("a".into(), "x".into()), ("flag".into(), String::new())])
        );
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for field in [
            "a !",
            "a eA",
            "a eA== eA==",
            "a  eA==",
            "a eA==,a eA==",
            ",",
            "a eA==,",
            "é eA==",
            "a eA==;b eA==",
        ] {
            assert!(Metadata::parse(field).is_err(), "{field:?}");
        }
    }

    #[test]
    fn what_is_no_text_or_too_long_is_not_kept_as_text() {
        let long = "x".repeat(1025);
        let metadata = Metadata::parse(&encoded(&[
            ("bytes", b"\xff\xfe"),
            ("long", long.as_bytes()),
            ("a", b"b"),
        ]));

        assert_eq!(
            metadata.unwrap().texts(),
            BTreeMap::from([("a".into(), "b".into())])
        );
    }

    #[test]
    fn every_name_becomes_one_that_can_be_kept() {
        assert_eq!(filename(b"clip.mp4"), "clip.mp4");
        assert_eq!(filename(b"a\r\nX-Evil: 1"), "a__X-Evil: 1");
        assert_eq!(filename(b""), "file");
        assert_eq!(filename(b"\xff"), "file");
        assert_eq!(filename("é".repeat(600).as_bytes()), "é".repeat(512));
        assert_eq!(Metadata::default().filename().unwrap().as_str(), "file");
        let named = Metadata::parse(&encoded(&[("filename", b""), ("name", b"b")])).unwrap();
        assert_eq!(named.filename().unwrap().as_str(), "b");
    }

    #[test]
    fn a_type_that_is_none_is_as_good_as_none() {
        let kind = |value: &[u8]| {
            let metadata = Metadata::parse(&encoded(&[("filetype", value)])).unwrap();
            metadata.media_type().as_str().to_owned()
        };

        assert_eq!(kind(b"video/mp4"), "video/mp4");
        for bad in [&b"video/mp4\r\nX: y"[..], b"nonsense", b"", b"\xff/x"] {
            assert_eq!(kind(bad), "application/octet-stream");
        }
    }
}
