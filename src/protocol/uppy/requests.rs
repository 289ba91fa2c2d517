//! What the clients tell: file names, metadata and keys from pages, held against what the store and we take.
//!
//! Separate from the handlers: here nothing is looked up and nothing is changed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix_web::HttpRequest;
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use super::PROTOCOL;
use crate::domain::{
    Cut, FileName, MAX_PARTS, MediaType, NamedPart, NewUpload, ObjectKey, PartNumber, PartSet, Transfer,
    Wishes, check_etag, check_object_metadata, told_size,
};
use crate::error::Error;

/// A file that somebody wants to send. Members that we do not know are let pass: pages and versions have their own.
#[derive(Debug, Default, Deserialize)]
pub struct NewFile {
    filename: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    metadata: Option<serde_json::Map<String, Value>>,
}

impl NewFile {
    /// From the query of `/params`: `filename`, `type`, `metadata[NAME]`.
    pub fn of_query(query: &Query) -> Self {
        let mut metadata = serde_json::Map::new();
        for (name, value) in &query.0 {
            let inner = name
                .strip_prefix("metadata[")
                .and_then(|name| name.strip_suffix(']'));
            if let Some(inner) = inner {
                metadata.insert(inner.to_owned(), value.as_str().into());
            }
        }
        Self {
            filename: query.get("filename").map(str::to_owned),
            kind: query.get("type").map(str::to_owned),
            metadata: Some(metadata),
        }
    }

    /// The upload that it becomes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is missing or has control characters, and for metadata that the store would not
    /// take.
    pub fn upload(self, cut: Cut) -> Result<NewUpload, Error> {
        let filename = self.filename.filter(|name| !name.is_empty());
        let filename = filename.ok_or_else(|| Error::invalid("filename", "is required"))?;
        let metadata = texts(self.metadata.unwrap_or_default());
        let refused = |error| Error::Invalid(vec![error]);
        check_object_metadata(&metadata).map_err(refused)?;
        let size = told_size(&metadata).map_err(refused)?;
        Ok(NewUpload {
            filename: FileName::new(shortened(&filename)).map_err(refused)?,
            // Most pages tell none; a file that is too large by their own word need not be begun.
            size: size.unwrap_or(0),
            content_type: kind_of(self.kind.as_deref()),
            last_modified: None,
            fingerprint: None,
            metadata,
            part_size: None,
            transfer: Transfer::Direct,
            wishes: Wishes {
                cut,
                ..Wishes::default()
            },
            protocol: PROTOCOL.name,
        })
    }
}

/// A type that the page does not know arrives as nothing, or as the word that JavaScript has for it.
pub fn kind_of(text: Option<&str>) -> MediaType {
    let text = text.filter(|text| *text != "undefined" && *text != "null");
    text.and_then(|text| MediaType::new(text).ok())
        .unwrap_or_default()
}

/// The end of a name that is too long, where its ending is.
fn shortened(name: &str) -> &str {
    let mut start = name.len().saturating_sub(FileName::LONGEST);
    while !name.is_char_boundary(start) {
        start += 1;
    }
    &name[start..]
}

/// Version 6 sends numbers and booleans as they are, the others text; nothing is nothing.
fn texts(metadata: serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    let text = |(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some((name, text)),
        other => Some((name, other.to_string())),
    };
    metadata.into_iter().filter_map(text).collect()
}

/// The parameters of a query, decoded as a form: a plus is a space.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Those of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self(
            pairs
                .map(|(name, value)| (Cow::into_owned(name), Cow::into_owned(value)))
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// The object's key.
    ///
    /// # Errors
    /// [`Error::Invalid`] without one.
    pub fn key(&self) -> Result<&str, Error> {
        self.get("key")
            .ok_or_else(|| Error::invalid("key", "is required"))
    }

    /// The parts that are to be signed together.
    ///
    /// # Errors
    /// [`Error::Invalid`] without any, and for anything but numbers from 1 to 10,000.
    pub fn part_numbers(&self) -> Result<PartSet, Error> {
        let text = self.get("partNumbers").unwrap_or("");
        let wrong = |_| {
            Error::invalid(
                "partNumbers",
                format!("are numbers from 1 to {MAX_PARTS}, as 1,2,3"),
            )
        };
        PartSet::parse(text, MAX_PARTS).map_err(wrong)
    }
}

/// One part's number as it stands in an address.
///
/// # Errors
/// [`Error::Invalid`] for anything but 1 to 10,000.
pub fn part_set(number: &str) -> Result<PartSet, Error> {
    let wrong = || {
        Error::invalid(
            "partNumber",
            format!("must be a whole number from 1 to {MAX_PARTS}"),
        )
    };
    // As the clients write it: no sign, no leading zero.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
    let number = PartNumber::new(number, "partNumber").map_err(|_| wrong())?;
    PartSet::from_numbers([u64::from(number.get())], MAX_PARTS)
}

/// The body of a completion.
#[derive(Debug, Deserialize)]
pub struct Completion {
    parts: Vec<SentPart>,
}

#[derive(Debug, Deserialize)]
struct SentPart {
    #[serde(rename = "PartNumber")]
    number: u64,
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

impl Completion {
    /// The parts that the client has sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no part at all, a number beyond 10,000, a tag that is none, or more parts than there can be.
    pub fn named(self) -> Result<Vec<NamedPart>, Error> {
        if self.parts.is_empty() {
            return Err(Error::invalid(
                "parts",
                "names all parts that were sent, at least one",
            ));
        }
        if self.parts.len() > MAX_PARTS as usize {
            return Err(Error::invalid("parts", format!("has at most {MAX_PARTS} parts")));
        }
        let named = self.parts.into_iter().map(|part| {
            let number = PartNumber::new(part.number, "parts.PartNumber")?;
            check_etag(part.etag.as_deref(), "parts.ETag")?;
            let etag = part.etag.filter(|etag| !etag.is_empty());
            Ok(NamedPart { number, etag })
        });
        named.collect()
    }
}

/// A key as a client proposes or repeats it.
///
/// # Errors
/// [`Error::Invalid`] for what no object can be called, and for what a form would replace.
pub fn object_key(text: &str) -> Result<ObjectKey, Error> {
    if text.contains("${") {
        return Err(Error::invalid(
            "key",
            "must not have ${filename} in it, which the store would replace",
        ));
    }
    ObjectKey::path(text).map_err(|error| Error::Invalid(vec![error]))
}

/// The file's name in a key that a client proposes: `<uuid>-<name>`, unless the page has a form of its own.
pub fn name_in(key: &ObjectKey) -> Result<FileName, Error> {
    let last = key.segments().last().unwrap_or("file");
    let rest = last.get(..36).filter(|head| uuid::Uuid::parse_str(head).is_ok());
    let name = rest.and_then(|_| last.get(36..)?.strip_prefix('-'));
    let name = name.filter(|name| !name.is_empty()).unwrap_or(last);
    FileName::new(shortened(name)).map_err(|error| Error::Invalid(vec![error]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upload(file: Value) -> Result<NewUpload, Error> {
        serde_json::from_value::<NewFile>(file)
            .unwrap()
            .upload(Cut::Client)
    }

    #[test]
    fn metadata_of_every_kind_is_kept_as_text() {
        let new = upload(json!({
            "filename": "a", "type": "undefined",
            "metadata": { "n": 7, "yes": true, "none": null, "text": "é", "size": "12" },
        }))
        .unwrap();

        let kept: Vec<_> = new.metadata.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(kept, ["n=7", "size=12", "text=é", "yes=true"]);
        assert_eq!(new.content_type.as_str(), "application/octet-stream");
        assert_eq!(new.size, 12);
    }

    #[test]
    fn a_long_name_is_cut_at_its_beginning_and_a_missing_one_is_refused() {
        let new = upload(json!({ "filename": format!("{}.mp4", "é".repeat(900)) })).unwrap();

        assert!(new.filename.as_str().len() <= 1024 && new.filename.as_str().ends_with("é.mp4"));
        for missing in [json!({}), json!({ "filename": "" })] {
            assert_eq!(upload(missing).unwrap_err().to_string(), "filename: is required");
        }
        assert!(upload(json!({ "filename": "a\nb" })).is_err());
    }

    #[test]
    fn the_name_is_found_in_a_proposed_key() {
        let name = |key: &str| name_in(&ObjectKey::path(key).unwrap()).unwrap();

        assert_eq!(
            name("u/0190a1b2-0000-4000-8000-000000000000-clip é.mp4").as_str(),
            "clip é.mp4"
        );
        assert_eq!(name("photos/clip.mp4").as_str(), "clip.mp4");
        assert_eq!(
            name("0190a1b2-0000-4000-8000-000000000000-").as_str(),
            "0190a1b2-0000-4000-8000-000000000000-"
        );
    }
}
