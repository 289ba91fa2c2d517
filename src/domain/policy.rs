//! What may be uploaded: the operator's rules on size and type.
//!
//! Separate from `upload`, because the rules change with the settings and the upload does not.

use super::appending::Role;
use super::bounds::{Bounds, common_types};
use super::content::Sniffing;
use super::cut::Cut;
use super::name::FileName;
use super::new_upload::NewUpload;
use super::plan::{PartLimits, PartPlan};
use super::quota::Quotas;
use crate::error::{Error, FieldError};

const NOT_WHOLE: Error = Error::Forbidden(
    "files that come whole in one request are not taken here (limits.whole_objects); send this one in parts",
);

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

    /// What a file of this name most probably is, for clients that say nothing of it.
    pub fn of_name(name: &FileName) -> Self {
        let guess = mime_guess::from_path(name.as_str()).first_raw();
        guess.and_then(|kind| Self::new(kind).ok()).unwrap_or_default()
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
    /// Media types that are taken, `video/*` for all of a kind; `None` takes every type.
    pub types: Option<Vec<String>>,
    /// What the store takes as parts, and how many of them we do.
    pub parts: PartLimits,
    /// How much an owner may have open at once.
    pub quotas: Quotas,
    /// How much the first bytes of a file have to say.
    pub sniffing: Sniffing,
    /// Whether a file may come [whole](Cut::Whole) in one request to the store.
    pub whole_objects: bool,
}

impl Policy {
    /// Most bytes one file may have, by our rule and by the store's.
    pub fn max_size(&self) -> u64 {
        self.max_size.min(self.parts.max_file_size())
    }

    /// The same rules, narrowed by these bounds.
    #[must_use]
    pub fn within(&self, bounds: &Bounds) -> Self {
        let types = match (&self.types, &bounds.types) {
            (Some(types), Some(others)) => Some(common_types(types, others)),
            (types, others) => types.as_ref().or(others.as_ref()).cloned(),
        };
        Self {
            max_size: bounds
                .max_size
                .map_or(self.max_size, |size| size.min(self.max_size)),
            types,
            parts: bounds
                .max_parts
                .map_or(self.parts, |most| self.parts.with_most(most)),
            quotas: self.quotas.within(bounds),
            sniffing: self.sniffing,
            whole_objects: self.whole_objects,
        }
    }

    /// Whether a file may be so large, in bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check_size(&self, size: u64) -> Result<(), Error> {
        let limit = self.max_size();
        if size > limit {
            return Err(Error::TooLarge { limit, size });
        }
        Ok(())
    }

    /// Whether a file may have a part of this number, which its client has cut.
    ///
    /// # Errors
    /// [`Error::TooManyParts`].
    pub fn check_part(&self, number: u32) -> Result<(), Error> {
        let limit = self.parts.most;
        if number > limit {
            return Err(Error::TooManyParts { limit, number });
        }
        Ok(())
    }

    /// Whether a file may come, and how it is cut for a storage with these limits.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::TypeRefused`], [`Error::Forbidden`] for one that is to come whole where none may, or
    /// [`Error::Invalid`] for a bad part size.
    pub fn admit(&self, new: &NewUpload, limits: &PartLimits) -> Result<PartPlan, Error> {
        if new.wishes.cut == Cut::Whole && !self.whole_objects {
            return Err(NOT_WHOLE);
        }
        let (size, kind) = (new.size, &new.content_type);
        // What is appended we cut as we like.
        let limits = match new.wishes.appending {
            Some(_) => limits,
            None => &limits.with_most(self.parts.most),
        };
        let mut limit = self.max_size.min(limits.max_file_size());
        if let Some(part_size) = new.part_size.filter(|_| new.wishes.exact_parts) {
            limit = limit.min(part_size.saturating_mul(limits.most.into()));
        }
        if size > limit {
            return Err(Error::TooLarge { limit, size });
        }
        // A piece of an upload has no type of its own: what it becomes a part of does.
        let has_type = new
            .wishes
            .appending
            .as_ref()
            .is_none_or(|appending| appending.role != Role::Partial);
        let takes = |patterns: &Vec<String>| patterns.iter().any(|pattern| kind.matches(pattern));
        if has_type && !self.types.as_ref().is_none_or(takes) {
            return Err(Error::TypeRefused {
                content_type: kind.as_str().to_owned(),
            });
        }
        PartPlan::new(size, new.part_size, limits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::plan::MAX_PARTS;
    use crate::domain::{FileName, Transfer, Wishes};

    fn policy(types: &[&str]) -> Policy {
        Policy {
            max_size: 100,
            types: (!types.is_empty()).then(|| types.iter().map(ToString::to_string).collect()),
            parts: PartLimits {
                min: 5,
                preferred: 6,
                max: 50,
                step: 1,
                most: MAX_PARTS,
            },
            quotas: Quotas::default(),
            sniffing: Sniffing::Off,
            whole_objects: true,
        }
    }

    fn kind(text: &str) -> MediaType {
        MediaType::new(text).unwrap()
    }

    fn file(size: u64, content_type: MediaType) -> NewUpload {
        NewUpload {
            filename: FileName::new("a").unwrap(),
            size,
            content_type,
            last_modified: None,
            fingerprint: None,
            metadata: BTreeMap::new(),
            part_size: None,
            transfer: Transfer::Direct,
            wishes: Wishes::default(),
            protocol: "test",
        }
    }

    fn admit(policy: &Policy, file: &NewUpload) -> Result<PartPlan, Error> {
        policy.admit(file, &policy.parts)
    }

    #[test]
    fn a_file_that_comes_whole_is_refused_where_none_may() {
        let mut policy = policy(&[]);
        let mut whole = file(5, MediaType::default());
        whole.wishes.cut = Cut::Whole;
        assert!(admit(&policy, &whole).is_ok());

        policy.whole_objects = false;

        assert!(matches!(admit(&policy, &whole), Err(Error::Forbidden(_))));
        let narrowed = policy.within(&Bounds::default());
        assert!(matches!(admit(&narrowed, &whole), Err(Error::Forbidden(_))));
        whole.wishes.cut = Cut::Browser;
        assert!(admit(&policy, &whole).is_ok());
    }

    #[test]
    fn parts_that_must_not_grow_limit_the_file() {
        let mut policy = policy(&[]);
        policy.max_size = u64::MAX;
        let mut file = file(60_001, MediaType::default());
        assert_eq!(admit(&policy, &file).unwrap().part_size(), 7);

        file.part_size = Some(6);
        file.wishes.exact_parts = true;

        assert!(matches!(
            admit(&policy, &file),
            Err(Error::TooLarge { limit: 60_000, .. })
        ));
        file.size = 60_000;
        assert_eq!(admit(&policy, &file).unwrap().part_size(), 6);
    }

    #[test]
    fn a_file_at_the_limit_is_taken_and_one_byte_more_is_refused() {
        assert!(admit(&policy(&[]), &file(100, MediaType::default())).is_ok());

        let refused = admit(&policy(&[]), &file(101, MediaType::default()));

        assert!(matches!(
            refused,
            Err(Error::TooLarge {
                limit: 100,
                size: 101
            })
        ));
    }

    #[test]
    fn bounds_narrow_the_rules_and_never_widen_them() {
        let bounds = |max_size, types: &[&str]| Bounds {
            max_size,
            types: Some(types.iter().map(ToString::to_string).collect()),
            ..Bounds::default()
        };
        let video = || kind("video/mp4");

        let narrowed = policy(&["video/*"]).within(&bounds(Some(50), &["video/mp4"]));
        assert!(admit(&narrowed, &file(50, video())).is_ok());
        assert!(admit(&narrowed, &file(51, video())).is_err());
        assert!(admit(&narrowed, &file(1, kind("video/webm"))).is_err());

        let wider = policy(&["image/*"]).within(&bounds(Some(500), &["video/*"]));
        assert!(admit(&wider, &file(1, video())).is_err());
        assert_eq!(wider.max_size, 100);
    }

    #[test]
    fn parts_grow_where_there_may_be_fewer_and_the_limit_holds_for_the_file() {
        let bounds = Bounds {
            max_parts: Some(3),
            ..Bounds::default()
        };
        let mut policy = policy(&[]).within(&bounds);
        policy.max_size = u64::MAX;

        let plan = admit(&policy, &file(100, MediaType::default())).unwrap();
        assert_eq!((plan.part_size(), plan.part_count()), (34, 3));
        assert!(admit(&policy, &file(150, MediaType::default())).is_ok());
        assert!(matches!(
            admit(&policy, &file(151, MediaType::default())),
            Err(Error::TooLarge { limit: 150, .. })
        ));
        assert!(policy.check_part(3).is_ok() && policy.check_part(4).is_err());
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
                admit(&policy(&[pattern]), &super::tests::file(1, kind(file))).is_ok(),
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
