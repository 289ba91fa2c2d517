//! How much less than the settings allow one caller, or one upload, may.
//!
//! Separate from the operator's [`Policy`](super::Policy), which holds for everybody: bounds come with whoever asks (claims of
//! a token, an answer of the application), only ever narrow, and stay with the upload that was begun under them.

use serde::{Deserialize, Serialize};

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
}

impl Bounds {
    /// Whether nothing is narrowed.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
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
        }
    }
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
