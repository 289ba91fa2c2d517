//! Where in the bucket an owner's pages may choose keys themselves.
//!
//! Separate from the template of keys that we choose: here the border between two owners is the text itself, so no two
//! owners may ever get the same, nor one that begins with another's.

use std::fmt::Write as _;

use super::name::ObjectKey;
use super::owner::Owner;

/// What the keys of one owner begin with, such as `pages/{owner}/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Checks a template: `{owner}` must be a whole segment of it, and a slash ends it.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub fn new(template: &str) -> Result<Self, String> {
        let whole = format!("/{template}").contains("/{owner}/");
        if !whole || !template.ends_with('/') {
            return Err("must have {owner} as a whole segment and end with /, such as pages/{owner}/".into());
        }
        let sample = template.replace("{owner}", &"o".repeat(300)) + "k";
        ObjectKey::new(&sample).map_err(|error| error.detail)?;
        Ok(Self(template.to_owned()))
    }

    /// What this owner's keys begin with.
    pub fn of(&self, owner: &Owner) -> String {
        self.0.replace("{owner}", &self.name_of(owner))
    }

    /// The owner's name as it stands there. Letters, digits, `-`, and dots within the name stand for themselves; every
    /// other byte is written as `_` and two hex digits, so that `a@b` and `a_b` are two.
    pub fn name_of(&self, owner: &Owner) -> String {
        let mut name = String::new();
        for (at, byte) in owner.as_str().bytes().enumerate() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && at > 0) {
                name.push(char::from(byte));
            } else {
                let _ = write!(name, "_{byte:02x}");
            }
        }
        name
    }
}

impl KeyPrefix {
    /// Whether a key is where those of somebody may be who is not this owner.
    pub fn is_of_others(&self, owner: &Owner, key: &ObjectKey) -> bool {
        let mut segments = key.segments();
        let mut pieces = self.0.trim_end_matches('/').split('/');
        let is_below = pieces.all(|piece| {
            let segment = segments.next();
            segment.is_some_and(|segment| piece.contains("{owner}") || piece == segment)
        });
        is_below && segments.next().is_some() && !key.as_str().starts_with(&self.of(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_others_is_told_from_ones_own_and_from_what_is_kept_for_nobody() {
        let anna = Owner::recorded("anna".into());
        for (template, key, is_of_others) in [
            ("pages/{owner}/", "pages/bert/a", true),
            ("pages/{owner}/", "pages/bert/x/a", true),
            ("pages/{owner}/", "pages/ann/a", true),
            ("pages/{owner}/", "pages/anna/a", false),
            ("pages/{owner}/", "pages/anna", false),
            ("pages/{owner}/", "pages", false),
            ("pages/{owner}/", "pages2/bert/a", false),
            ("pages/{owner}/", "in/pages/bert/a", false),
            ("{owner}/", "bert/a", true),
            ("{owner}/", "anna/a", false),
            ("{owner}/in/", "bert/in/a", true),
            ("{owner}/in/", "bert/out/a", false),
        ] {
            let key = ObjectKey::path(key).unwrap();
            let prefix = KeyPrefix::new(template).unwrap();
            assert_eq!(prefix.is_of_others(&anna, &key), is_of_others, "{template} {key}");
        }
    }

    #[test]
    fn no_owner_gets_what_another_has() {
        let prefix = KeyPrefix::new("pages/{owner}/").unwrap();
        let of = |name: &str| prefix.of(&Owner::recorded(name.into()));

        assert_eq!(of("anna"), "pages/anna/");
        assert_eq!(of("visitor:01ab"), "pages/visitor_3a01ab/");
        assert_eq!(of("a.b@c_d"), "pages/a.b_40c_5fd/");
        assert_eq!(of(".."), "pages/_2e./");
        let names = ["a@b", "a_b", "a_40b", "a", "ab", "a.", ".a", "A"];
        for one in names {
            for other in names.into_iter().filter(|other| *other != one) {
                assert!(!of(one).starts_with(&of(other)), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_template_must_keep_owners_apart() {
        for template in [
            "",
            "pages/",
            "pages/{owner}",
            "pages/x{owner}/",
            "{owner}x/",
            "/{owner}/",
            "ü/{owner}/",
            "a b/{owner}/",
        ] {
            assert!(KeyPrefix::new(template).is_err(), "{template}");
        }
        assert!(KeyPrefix::new("{owner}/").is_ok());
    }
}
