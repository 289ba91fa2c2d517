//! How much less than the settings allow one caller, or one upload, may.
//!
//! Separate from the operator's [`Policy`](super::Policy), which holds for everybody: bounds come with whoever asks (claims of
//! a token, an answer of the application), only ever narrow, and stay with the upload that was begun under them.

use serde::{Deserialize, Serialize};

use super::name::ObjectKey;
use super::policy::MediaType;
use crate::error::FieldError;

/// Most bytes of what keys are to begin with, so that there is room for a key.
const LONGEST_PREFIX: usize = 512;

/// What narrows the rules. Nothing in it widens them: where two bounds meet, the tighter one holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Most bytes one file may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Media types that are taken, as [`Policy::types`](super::Policy::types); an empty list takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// Most parts one file may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parts: Option<u32>,
    /// What every key begins with that is made for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
    /// Most uploads that may be open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_uploads: Option<u64>,
    /// Most bytes that open uploads may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_bytes: Option<u64>,
    /// Most uploads that may be begun in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creations_per_minute: Option<u32>,
    /// Most signatures that may be had in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures_per_minute: Option<u32>,
}

impl Bounds {
    /// Whether nothing is narrowed.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether these can hold at all, as they come from outside: types are patterns of media types, a file has one part at
    /// least, a rate is 1 at least, and the prefix is one of keys.
    ///
    /// # Errors
    /// [`FieldError`] on the member.
    pub fn check(&self) -> Result<(), FieldError> {
        for kind in self.types.iter().flatten() {
            MediaType::new(kind).map_err(|_| {
                FieldError::new(
                    "types",
                    format!("\"{kind}\" is no media type such as video/mp4 or image/*"),
                )
            })?;
        }
        for (name, limit) in [
            ("max_parts", self.max_parts),
            ("creations_per_minute", self.creations_per_minute),
            ("signatures_per_minute", self.signatures_per_minute),
        ] {
            if limit == Some(0) {
                return Err(FieldError::new(name, "is 1 at least"));
            }
        }
        self.key_prefix.as_deref().map_or(Ok(()), check_prefix)
    }

    /// Whether a key lies where these allow.
    pub fn holds(&self, key: &ObjectKey) -> bool {
        let prefix = self.key_prefix.as_deref().unwrap_or_default();
        key.as_str().starts_with(prefix)
    }

    /// A key that is made here, put where these allow.
    ///
    /// # Errors
    /// [`FieldError`] on `key` where it would be none with what it has to begin with.
    pub fn place(&self, key: ObjectKey) -> Result<ObjectKey, FieldError> {
        match &self.key_prefix {
            None => Ok(key),
            Some(prefix) => {
                check_prefix(prefix)?;
                ObjectKey::path(&format!("{prefix}{key}"))
            }
        }
    }

    /// What both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            max_size: tighter(self.max_size, other.max_size),
            types: match (&self.types, &other.types) {
                (Some(some), Some(others)) => Some(common_types(some, others)),
                (some, others) => some.as_ref().or(others.as_ref()).cloned(),
            },
            max_parts: tighter(self.max_parts, other.max_parts),
            key_prefix: match (&self.key_prefix, &other.key_prefix) {
                (Some(outer), Some(inner)) => Some(format!("{outer}{inner}")),
                (some, others) => some.as_ref().or(others.as_ref()).cloned(),
            },
            open_uploads: tighter(self.open_uploads, other.open_uploads),
            open_bytes: tighter(self.open_bytes, other.open_bytes),
            creations_per_minute: tighter(self.creations_per_minute, other.creations_per_minute),
            signatures_per_minute: tighter(self.signatures_per_minute, other.signatures_per_minute),
        }
    }
}

/// Whether keys can begin with this: whole segments of the safe alphabet, none of which is hidden.
fn check_prefix(prefix: &str) -> Result<(), FieldError> {
    let refused = |detail: &str| FieldError::new("key_prefix", detail);
    let path = prefix
        .strip_suffix('/')
        .ok_or_else(|| refused("must end with a slash, such as tenants/7/"))?;
    if prefix.len() > LONGEST_PREFIX {
        return Err(refused("has 512 characters at most"));
    }
    ObjectKey::new(path).map_err(|error| refused(&error.detail.replace("a key", "a prefix")))?;
    if path.split('/').any(|segment| segment.starts_with('.')) {
        return Err(refused("no segment of it begins with a dot"));
    }
    Ok(())
}

/// The smaller of two limits, of which either may be missing.
pub(super) fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The patterns of media types that fall under both lists, each as narrow as the narrower of the two that it is made of.
pub(super) fn common_types(some: &[String], others: &[String]) -> Vec<String> {
    let mut common = Vec::new();
    for one in some {
        for other in others {
            let narrower = if falls_under(one, other) {
                one
            } else if falls_under(other, one) {
                other
            } else {
                continue;
            };
            if !common.contains(narrower) {
                common.push(narrower.clone());
            }
        }
    }
    common
}

/// Whether every type that `pattern` takes is taken by `wider` too.
fn falls_under(pattern: &str, wider: &str) -> bool {
    let (pattern, wider) = (
        pattern.trim().to_ascii_lowercase(),
        wider.trim().to_ascii_lowercase(),
    );
    wider == "*/*"
        || pattern == wider
        || wider
            .strip_suffix('*')
            .is_some_and(|kind| kind.ends_with('/') && pattern.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_bounds_leave_what_both_allow() {
        let one = Bounds {
            max_size: Some(10),
            types: Some(list(&["video/*", "image/png"])),
            key_prefix: Some("a/".into()),
            ..Bounds::default()
        };
        let other = Bounds {
            max_size: Some(20),
            types: Some(list(&["video/mp4", "image/*"])),
            key_prefix: Some("b/".into()),
            open_uploads: Some(3),
            ..Bounds::default()
        };

        let both = one.and(&other);

        assert_eq!(
            both,
            Bounds {
                max_size: Some(10),
                types: Some(list(&["video/mp4", "image/png"])),
                key_prefix: Some("a/b/".into()),
                open_uploads: Some(3),
                ..Bounds::default()
            }
        );
        assert_eq!(one.and(&Bounds::default()), one);
        assert!(Bounds::default().is_open() && !one.is_open());
    }

    #[test]
    fn a_prefix_is_whole_segments_that_lead_nowhere_else() {
        let bounds = |prefix: &str| Bounds {
            key_prefix: Some(prefix.into()),
            ..Bounds::default()
        };
        let key = |text: &str| ObjectKey::path(text).unwrap();
        for bad in [
            "",
            "/",
            "a",
            "/a/",
            "a//",
            "a/../",
            "../",
            "./",
            ".muleteer/",
            "a/.b/",
            "a\\b/",
            "a b/",
            "ü/",
        ] {
            assert!(bounds(bad).check().is_err(), "{bad}");
            assert!(bounds(bad).place(key("k")).is_err(), "{bad}");
        }
        let good = bounds("tenants/7/");
        assert!(good.check().is_ok());
        assert_eq!(good.place(key("a/ü")).unwrap(), key("tenants/7/a/ü"));
        assert!(good.holds(&key("tenants/7/a")));
        assert!(!good.holds(&key("tenants/70/a")) && !good.holds(&key("tenants/7")));
        assert!(good.place(key(&"k".repeat(1020))).is_err());
        assert!(
            Bounds {
                types: Some(list(&["video"])),
                ..Bounds::default()
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn no_file_can_have_fewer_parts_than_one() {
        let most = |parts| Bounds {
            max_parts: Some(parts),
            ..Bounds::default()
        };
        assert_eq!(most(0).check().unwrap_err().field, "max_parts");
        assert!(most(1).check().is_ok());
    }

    #[test]
    fn kinds_that_only_begin_alike_have_nothing_in_common() {
        for (one, other) in [
            ("video/*", "videos/mp4"),
            ("video/mp4", "video/mpeg"),
            ("audio/*", "video/*"),
        ] {
            assert_eq!(
                common_types(&list(&[one]), &list(&[other])),
                list(&[]),
                "{one} {other}"
            );
        }
        assert_eq!(common_types(&list(&["*/*"]), &list(&["a/b"])), list(&["a/b"]));
    }
}
