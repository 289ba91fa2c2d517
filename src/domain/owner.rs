//! Whom an upload belongs to.
//!
//! Separate, because this is the wall between people: names come from the operator, from visitors' cookies and from the
//! application, and no two of these ways may ever lead to one name unless the operator says so.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::FieldError;

/// What visitors' names begin with; no named owner has a colon.
const VISITOR: &str = "visitor:";

/// Most bytes of an owner's name as it is written here.
const LONGEST_OWNER: usize = 200;

/// Whom an upload belongs to. Every look-up is within one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// The holder of an API key: 1 to 100 characters of `A-Z a-z 0-9 . _ @ -`.
    ///
    /// # Errors
    /// [`FieldError`] on `owner` for anything else.
    pub fn named(name: &str) -> Result<Self, FieldError> {
        let well_formed = (1..=100).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b));
        if well_formed {
            Ok(Self(name.to_owned()))
        } else {
            Err(FieldError::new(
                "owner",
                "an owner has 1 to 100 characters of A-Z a-z 0-9 . _ @ -",
            ))
        }
    }

    /// Somebody whom the application names (in a token of its own, or in an answer), within a namespace such as `jwt:`.
    /// Without a namespace they are whoever the API keys of that name are for. Names are 1 to 255 bytes without control
    /// characters, and two of them never are one owner.
    ///
    /// # Errors
    /// [`FieldError`] on `owner` for anything else.
    pub fn of_application(namespace: &str, name: &str) -> Result<Self, FieldError> {
        if namespace.is_empty() {
            return Self::named(name);
        }
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(FieldError::new(
                "owner",
                "an owner has 1 to 255 bytes and no control characters",
            ));
        }
        let mut written = String::from(namespace);
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"._@|+=/-".contains(&byte) {
                written.push(char::from(byte));
            } else {
                let _ = write!(written, "%{byte:02X}");
            }
        }
        if written.len() > LONGEST_OWNER {
            // No written name has a tilde.
            written = format!("{namespace}~{}", hex::encode(Sha256::digest(name)));
        }
        Ok(Self(written))
    }

    /// Whether text can stand before the names that an application gives: nothing, or small letters, digits and `-`, and a
    /// colon at the end; not what visitors' names begin with.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub fn check_namespace(text: &str) -> Result<(), &'static str> {
        if text == VISITOR {
            return Err("is what the names of visitors begin with");
        }
        let letters = text.strip_suffix(':').unwrap_or_default();
        let well_formed = (1..=30).contains(&letters.len())
            && letters
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || well_formed {
            Ok(())
        } else {
            Err("must be small letters, digits and -, and a colon at the end, or empty")
        }
    }

    /// An anonymous visitor; the colon keeps visitors apart from every named owner.
    pub fn visitor(id: &Uuid) -> Self {
        Self(format!("{VISITOR}{}", id.simple()))
    }

    /// All visitors together who come without a credential and keep no cookie: nobody can tell them apart.
    pub fn anybody() -> Self {
        Self::visitor(&Uuid::nil())
    }

    /// Whether this is an anonymous visitor.
    pub fn is_visitor(&self) -> bool {
        self.0.starts_with(VISITOR)
    }

    /// Whether this is [anybody](Self::anybody).
    pub fn is_anybody(&self) -> bool {
        *self == Self::anybody()
    }

    /// An owner as the database has it.
    pub fn recorded(text: String) -> Self {
        Self(text)
    }

    /// The owner's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        Owner::of_application("jwt:", name).unwrap().to_string()
    }

    #[test]
    fn whom_an_application_names_is_nobody_elses_owner() {
        assert_eq!(of("auth0|5f7c"), "jwt:auth0|5f7c");
        assert_eq!(of("anna@example.org"), "jwt:anna@example.org");
        assert_eq!(of("visitor:1"), "jwt:visitor%3A1");
        assert_ne!(of("a b"), of("a%20b"));
        assert_ne!(of("é"), of("e"));
        assert!(Owner::named(&of("anna")).is_err(), "no key can be made for it");
        assert!(!Owner::recorded(of("visitor:1")).is_visitor());
        for bad in ["", "a\nb", &"x".repeat(256)] {
            assert!(Owner::of_application("jwt:", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn long_names_stay_apart_and_short_enough_for_a_key() {
        let (one, other) = ("ü".repeat(120), "ü".repeat(119) + "u");

        assert_ne!(of(&one), of(&other));
        assert!(of(&one).len() <= LONGEST_OWNER);
        assert_ne!(of(&one), of(of(&one).trim_start_matches("jwt:")));
    }

    #[test]
    fn without_a_namespace_it_is_the_owner_of_the_keys() {
        assert_eq!(
            Owner::of_application("", "anna").unwrap(),
            Owner::named("anna").unwrap()
        );
        for bad in ["visitor:1", "a|b", ""] {
            assert!(Owner::of_application("", bad).is_err(), "{bad}");
        }
    }
}
