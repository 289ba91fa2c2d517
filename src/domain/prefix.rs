//! Where in the bucket an owner's pages may choose keys themselves.
//!
//! Separate from the template of keys that we choose: here the border between two owners is the text itself, so no two
//! owners may ever get the same, nor one that begins with another's.

use std::fmt::Write as _;

use super::name::ObjectKey;
use super::upload::Owner;

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

#[cfg(test)]
mod tests {
    use super::*;

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
