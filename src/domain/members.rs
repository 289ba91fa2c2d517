//! Objects of JSON that somebody else writes.
//!
//! Separate, because what is derived for a structure takes a list of its members' values as well: `[]` would pass for bounds
//! that narrow nothing, where a limit may have been meant.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

/// Reads a structure from an object alone, never from a list; also for `#[serde(deserialize_with)]`.
///
/// # Errors
/// What the format says of anything else, and of members that the structure does not take.
pub fn from_object<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    from.deserialize_map(Members(PhantomData))
}

/// Reads a text of JSON that is one object and nothing else.
///
/// # Errors
/// As [`from_object`], and for what is no JSON.
pub fn read_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(json);
    let read = from_object(&mut text)?;
    text.end()?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Bounds;

    #[test]
    fn only_an_object_is_one() {
        let five = Bounds {
            max_size: Some(5),
            ..Bounds::default()
        };
        assert_eq!(read_object::<Bounds>(b" {\"max_size\": 5}\n").unwrap(), five);
        assert_eq!(from_object::<Bounds, _>(json!({"max_size": 5})).unwrap(), five);
        assert_eq!(read_object::<Bounds>(b"{}").unwrap(), Bounds::default());
        for bad in [
            "",
            "[]",
            "[5]",
            "null",
            "5",
            "{} {}",
            r#"{"max_sise":5}"#,
            r#"{"max_size":5,"max_size":6}"#,
            r#"[{"max_size":5}]"#,
        ] {
            assert!(read_object::<Bounds>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(from_object::<Bounds, _>(json!([])).is_err());
    }
}
