//! The JSON that comes in, turned into domain words at once, with every bad field named.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{Checksum, Checksums, FileName, MAX_PARTS, MediaType, NewUpload, Transfer, Wishes};
use crate::error::{Error, FieldError};
use crate::uploads::ArrivedPart;

/// Most members of `metadata`, and most characters of a member's name and value.
const MAX_METADATA: (usize, usize, usize) = (50, 128, 1024);

/// Longest fingerprint that a client may send.
const MAX_FINGERPRINT: usize = 200;

/// The file that a client is about to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUpload {
    /// Its name, 1 to 1,024 bytes of UTF-8 without control characters.
    filename: String,
    /// Its bytes.
    size: u64,
    /// Its media type; `application/octet-stream` if absent or empty.
    #[serde(default)]
    content_type: Option<String>,
    /// When it was last changed: RFC 3339, or milliseconds since 1970.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    last_modified: Option<Value>,
    /// The client's own mark of the file, at most 200 characters. Without it a file is known by name, size and
    /// time of the last change.
    #[serde(default)]
    fingerprint: Option<String>,
    /// Whatever the application wants to keep beside the upload: at most 50 members.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Bytes of a part; larger ones are used where the file would need more than 10,000.
    #[serde(default)]
    part_size: Option<u64>,
    /// Where to report that it is complete: `http` or `https`, at most 2,000 characters, a public address unless the
    /// operator lists it. Needs an API key. An upload that goes on keeps the address that it began with.
    #[serde(default)]
    webhook_url: Option<String>,
    /// Whether an unfinished upload of the same file may go on.
    #[serde(default = "yes")]
    pub resume: bool,
    /// Whether the client sends a checksum with each part, of the algorithm that the answer names in `checksum`.
    #[serde(default)]
    checksums: bool,
}

fn yes() -> bool {
    true
}

impl CreateUpload {
    /// The file in domain words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every bad field at once.
    pub fn parse(self, protocol: &'static str) -> Result<NewUpload, Error> {
        let mut bad = Vec::new();
        let filename = FileName::new(&self.filename)
            .map_err(|error| bad.push(error))
            .ok();
        let content_type = match self.content_type.as_deref() {
            None | Some("") => Some(MediaType::default()),
            Some(text) => MediaType::new(text).map_err(|error| bad.push(error)).ok(),
        };
        let last_modified = moment(self.last_modified.as_ref()).unwrap_or_else(|error| {
            bad.push(error);
            None
        });
        if self
            .fingerprint
            .as_ref()
            .is_some_and(|f| f.is_empty() || f.chars().count() > MAX_FINGERPRINT)
        {
            bad.push(FieldError::new(
                "fingerprint",
                format!("has 1 to {MAX_FINGERPRINT} characters"),
            ));
        }
        check_metadata(&self.metadata, &mut bad);
        match (filename, content_type) {
            (Some(filename), Some(content_type)) if bad.is_empty() => Ok(NewUpload {
                filename,
                size: self.size,
                content_type,
                last_modified,
                fingerprint: self.fingerprint,
                metadata: self.metadata,
                part_size: self.part_size,
                transfer: Transfer::Direct,
                wishes: Wishes {
                    webhook_url: self.webhook_url,
                    checksums: self.checksums,
                    ..Wishes::default()
                },
                protocol,
            }),
            _ => Err(Error::Invalid(bad)),
        }
    }
}

fn moment(value: Option<&Value>) -> Result<Option<DateTime<Utc>>, FieldError> {
    let time = match value {
        None | Some(Value::Null) => return Ok(None),
        // The years 1 to 9999, so that every database can hold it; files may be older than 1970.
        Some(Value::Number(ms)) => ms
            .as_i64()
            .filter(|ms| (-62_135_596_800_000..253_402_300_800_000).contains(ms))
            .and_then(DateTime::from_timestamp_millis),
        Some(Value::String(text)) => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
        Some(_) => None,
    };
    let wanted = "is RFC 3339 such as 2026-05-05T10:00:00Z, or milliseconds since 1970";
    time.map(Some)
        .ok_or_else(|| FieldError::new("last_modified", wanted))
}

fn check_metadata(metadata: &BTreeMap<String, String>, bad: &mut Vec<FieldError>) {
    let (members, name, value) = MAX_METADATA;
    if metadata.len() > members {
        bad.push(FieldError::new(
            "metadata",
            format!("has at most {members} members"),
        ));
    }
    for (key, text) in metadata {
        if key.is_empty() || key.chars().count() > name || text.chars().count() > value {
            let field = format!("metadata.{}", key.chars().take(40).collect::<String>());
            let detail = format!("a name has 1 to {name} characters, a value at most {value}");
            bad.push(FieldError::new(field, detail));
        }
    }
}

/// One part that has arrived; its number is in the address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordOnePart {
    /// Its bytes.
    pub size: u64,
    /// The store's `ETag`, where the client could read it.
    #[serde(default)]
    pub etag: Option<String>,
    /// Checksums of its bytes, in base64: `crc64nvme`, `crc32c`, `crc32`, `md5`, `sha1`, `sha256` or `sha512`. They are
    /// compared with what the store has before the upload is complete.
    #[serde(default)]
    checksums: BTreeMap<String, String>,
}

impl RecordOnePart {
    /// The part in the verbs' words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming a checksum that is none.
    pub fn parse(self, number: u64) -> Result<ArrivedPart, Error> {
        let checksums = checksums_of(&self.checksums)?;
        Ok(ArrivedPart {
            number,
            size: Some(self.size),
            etag: self.etag,
            checksums,
        })
    }
}

fn checksums_of(named: &BTreeMap<String, String>) -> Result<Checksums, Error> {
    let named = named.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Checksums::from_named(named, "checksums").map_err(|error| Error::Invalid(vec![error]))
}

/// What a client says of the whole, if it does.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteUpload {
    /// One checksum of the whole file, in base64, by the name of its algorithm.
    #[serde(default)]
    checksums: BTreeMap<String, String>,
}

impl CompleteUpload {
    /// The checksum, if one is told.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming one that is none, and for more than one.
    pub fn parse(self) -> Result<Option<Checksum>, Error> {
        let sums = checksums_of(&self.checksums)?;
        let mut sums = sums.iter();
        let stated = sums.next().cloned();
        if sums.next().is_some() {
            return Err(Error::invalid(
                "checksums",
                "tells one of the whole, and not several",
            ));
        }
        Ok(stated)
    }
}

/// Parts that have arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordParts {
    /// At most 10,000.
    parts: Vec<RecordPart>,
}

/// One part that has arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordPart {
    /// Its number, from 1.
    number: u64,
    /// Its bytes.
    size: u64,
    /// The store's `ETag`, where the client could read it.
    #[serde(default)]
    etag: Option<String>,
    /// Checksums of its bytes, as of a single one.
    #[serde(default)]
    checksums: BTreeMap<String, String>,
}

impl RecordParts {
    /// The parts in the verbs' words.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty or an overlong list, and naming a checksum that is none.
    pub fn parse(self) -> Result<Vec<ArrivedPart>, Error> {
        if self.parts.is_empty() || self.parts.len() > MAX_PARTS as usize {
            return Err(Error::invalid("parts", format!("has 1 to {MAX_PARTS} members")));
        }
        let arrived = |part: RecordPart| {
            Ok(ArrivedPart {
                checksums: checksums_of(&part.checksums)?,
                number: part.number,
                size: Some(part.size),
                etag: part.etag,
            })
        };
        self.parts.into_iter().map(arrived).collect()
    }
}
