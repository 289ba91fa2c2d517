//! What may be uploaded: the operator's rules on size and type.
//!
//! Separate from `upload`, because the rules change with the settings and the upload does not.

use super::plan::{PartLimits, PartPlan};
use crate::error::{Error, FieldError};

/// A media type such as `video/mp4`, safe to send as a header:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Accepts `type/subtype` with optional parameters, at most 255 visible ASCII characters.
    ///
    /// # Errors
    /// [`FieldError`] on `content_type` for anything else.
    pub fn new(text: &str) -> Result<Self, FieldError> {
        let essence = text.split(';').next().unwrap_or("").trim();
        let token = |piece: &str| {
            !piece.is_empty()
                && piece
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
        };
        let well_formed = essence
            .split_once('/')
            .is_some_and(|(kind, sub)| token(kind) && token(sub));
        if !well_formed || text.len() > 255 || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(FieldError::new(
                "content_type",
                "a media type looks like video/mp4, at most 255 characters",
            ));
        }
        Ok(Self(text.trim().to_owned()))
    }

    /// The type with its parameters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this type falls under `pattern`: `video/mp4`, `video/*` or `*/*`.
    pub fn matches(&self, pattern: &str) -> bool {
        let essence = self.0.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let pattern = pattern.trim().to_ascii_lowercase();
        match pattern.strip_suffix("/*") {
            Some("*") => true,
            Some(kind) => essence.split_once('/').is_some_and(|(own, _)| own == kind),
            None => essence == pattern,
        }
    }
}

impl Default for MediaType {
    fn default() -> Self {
        Self("application/octet-stream".into())
    }
}

/// The operator's rules for new uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Most bytes one file may have; the store's own limit holds besides.
    pub max_size: u64,
    /// Media types that are taken, `video/*` for all of a kind; empty takes every type.
    pub types: Vec<String>,
    /// What the store takes as parts.
    pub parts: PartLimits,
}

impl Policy {
    /// Most bytes one file may have, by our rule and by the store's.
    pub fn max_size(&self) -> u64 {
        self.max_size.min(self.parts.max_file_size())
    }

    /// Whether a file of this size and type may come, and how it is cut.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::TypeRefused`], or [`Error::Invalid`] for a bad part size.
    pub fn admit(&self, size: u64, kind: &MediaType, part_size: Option<u64>) -> Result<PartPlan, Error> {
        if size > self.max_size() {
            return Err(Error::TooLarge {
                limit: self.max_size(),
                size,
            });
        }
        if !self.types.is_empty() && !self.types.iter().any(|pattern| kind.matches(pattern)) {
            return Err(Error::TypeRefused {
                content_type: kind.as_str().to_owned(),
            });
        }
        PartPlan::new(size, part_size, &self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(types: &[&str]) -> Policy {
        Policy {
            max_size: 100,
            types: types.iter().map(ToString::to_string).collect(),
            parts: PartLimits {
                min: 5,
                preferred: 6,
                max: 50,
                step: 1,
            },
        }
    }

    fn kind(text: &str) -> MediaType {
        MediaType::new(text).unwrap()
    }

    #[test]
    fn a_file_at_the_limit_is_taken_and_one_byte_more_is_refused() {
        assert!(policy(&[]).admit(100, &MediaType::default(), None).is_ok());

        let refused = policy(&[]).admit(101, &MediaType::default(), None);

        assert!(matches!(
            refused,
            Err(Error::TooLarge {
                limit: 100,
                size: 101
            })
        ));
    }

    #[test]
    fn types_match_exactly_by_kind_or_all() {
        for (pattern, file, taken) in [
            ("video/mp4", "video/mp4", true),
            ("video/mp4", "Video/MP4; codecs=avc1", true),
            ("video/*", "video/webm", true),
            ("video/*", "videos/webm", false),
            ("*/*", "a/b", true),
            ("video/mp4", "video/mpeg", false),
        ] {
            assert_eq!(
                policy(&[pattern]).admit(1, &kind(file), None).is_ok(),
                taken,
                "{pattern} {file}"
            );
        }
    }

    #[test]
    fn text_that_is_no_media_type_is_refused() {
        for text in ["", "video", "video/", "/mp4", "a/b\r\nx: y", "a/b\u{e9}", "a b/c"] {
            assert!(MediaType::new(text).is_err(), "{text:?}");
        }
    }
}
