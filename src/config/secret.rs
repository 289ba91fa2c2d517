//! Text that must never be printed.
//!
//! Separate, so that every setting that holds a password or a key prints as `***` by its type alone,
//! wherever a settings struct ends up: in a log, a panic or an error.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A setting that prints as `***`; empty means "not set".
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it is not set.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "***" })
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for Secret {
    /// Settings are serialised only to learn their shape: the text stays inside.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived error would quote the value; this one does not.
        match String::deserialize(deserializer) {
            Ok(text) => Ok(Self::new(text)),
            Err(_) => Err(serde::de::Error::custom("a secret is text in quotes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_in_what_is_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
