//! What comes in: the query, the JSON that begins a session, and a chunk's own fields.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde::Deserialize;
use uuid::Uuid;

use crate::config::OffsetConfig;
use crate::domain::{
    Algorithm, Checksum, FileName, Folder, MediaType, Naming, NewAppending, NewUpload, Sha256Sum, Transfer,
    Wishes,
};
use crate::error::{Error, FieldError};
use crate::web::body;

/// Longest name of a file, in bytes: what file systems take.
const MAX_NAME: usize = 255;

/// The query of a request.
pub struct Query {
    /// The session, where one is named; a blank name is none.
    pub session: Option<String>,
    /// The offset as it was written; empty where there is none.
    pub offset: String,
}

#[derive(Deserialize)]
struct RawQuery {
    session_id: Option<String>,
    upload_id: Option<String>,
    offset: Option<String>,
}

impl Query {
    /// Reads the query; `upload_id` is another name for `session_id`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a parameter that stands twice, or for two sessions.
    pub fn of(request: &HttpRequest) -> Result<Self, Error> {
        let raw: RawQuery = body::query(request)?;
        let named = |name: Option<String>| name.filter(|name| !name.trim().is_empty());
        let session = match (named(raw.session_id), named(raw.upload_id)) {
            (Some(one), Some(other)) if one != other => {
                return Err(Error::invalid(
                    "upload_id",
                    "names another session than session_id",
                ));
            }
            (one, other) => one.or(other),
        };
        Ok(Self {
            session,
            offset: raw.offset.unwrap_or_default(),
        })
    }
}

/// The JSON that begins a session. Members that we do not know are left alone.
#[derive(Debug, Deserialize)]
pub struct Begin {
    bytes: u64,
    name: String,
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
}

impl Begin {
    /// Reads it, whatever the request says of its type.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is wrong.
    pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Error> {
        body::untyped_json(request, payload).await
    }

    /// The same in domain words.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming every bad field at once, [`Error::TooLarge`].
    pub fn parse(self, settings: &OffsetConfig, protocol: &'static str) -> Result<NewUpload, Error> {
        let mut bad = Vec::new();
        let mut keep = |mut error: FieldError, field: &str| {
            field.clone_into(&mut error.field);
            bad.push(error);
        };
        let named = check_name(&self.name)
            .and_then(|()| FileName::new(&self.name))
            .map_err(|error| keep(error, "name"));
        let content_type = self
            .mime_type
            .filter(|text| !text.trim().is_empty())
            .map_or_else(|| Ok(MediaType::default()), |text| MediaType::new(&text))
            .map_err(|error| keep(error, "mime_type"));
        let sha256 = self
            .sha256
            .map(|text| Sha256Sum::from_hex(&text, "sha256"))
            .transpose()
            .map_err(|error| keep(error, "sha256"));
        let (Ok(filename), Ok(content_type), Ok(sha256)) = (named, content_type, sha256) else {
            return Err(Error::Invalid(bad));
        };
        let limit = settings.file_max_bytes();
        if self.bytes > limit {
            return Err(Error::TooLarge {
                limit,
                size: self.bytes,
            });
        }
        Ok(NewUpload {
            filename,
            size: self.bytes,
            content_type,
            last_modified: None,
            // Every session stands for itself: it is its id that goes on.
            fingerprint: Some(format!("offset\0{}", Uuid::new_v4())),
            metadata: BTreeMap::new(),
            part_size: None,
            transfer: Transfer::Relay,
            wishes: Wishes {
                naming: Naming::Folder(Folder::default()),
                sha256,
                time_to_live: Some(settings.life()),
                appending: Some(NewAppending::default()),
                ..Wishes::default()
            },
            protocol,
        })
    }
}

impl OffsetConfig {
    /// Most bytes of a file.
    pub fn file_max_bytes(&self) -> u64 {
        self.file_max.saturating_mul(1 << 20)
    }

    /// Most bytes of a chunk.
    pub fn chunk_max_bytes(&self) -> u64 {
        u64::try_from(self.chunk_max).map_or(self.file_max_bytes(), |size| size.saturating_mul(1 << 20))
    }

    fn life(&self) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.expires).unwrap_or(i64::MAX / 1_000_000))
    }
}

/// A name is one name, and no path.
fn check_name(name: &str) -> Result<(), FieldError> {
    if !name.is_empty() && name.bytes().all(|byte| byte == b'.') {
        return Err(FieldError::new(
            "name",
            "is made of dots; it must be a file's name",
        ));
    }
    if name.len() > MAX_NAME {
        let detail = format!("has {} bytes; a file's name has at most {MAX_NAME}", name.len());
        return Err(FieldError::new("name", detail));
    }
    if name.contains(['/', '\\']) {
        return Err(FieldError::new(
            "name",
            "holds a separator of folders; it must be a file's name",
        ));
    }
    Ok(())
}

/// What a chunk says of itself.
pub struct Chunk {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes, where the request says.
    pub length: Option<u64>,
    /// The digest that the client claims it has.
    pub checksum: Option<Checksum>,
}

impl Chunk {
    /// Reads the fields of a chunk.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `offset`, `Content-Digest` or `Content-MD5`.
    pub fn read(request: &HttpRequest, offset: &str) -> Result<Self, Error> {
        let is_plain = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset = offset.parse().ok().filter(|_| is_plain);
        let offset = offset.ok_or_else(|| {
            Error::invalid(
                "offset",
                "is where the chunk begins, in decimal digits; the answer says where it must",
            )
        })?;
        let checksum = match body::claimed_sha256(request)? {
            Some(sum) => Some(sum.into()),
            None => claimed_md5(request)?,
        };
        Ok(Self {
            offset,
            length: body::announced_length(request),
            checksum,
        })
    }
}

/// The digest in `Content-MD5`: <https://www.rfc-editor.org/rfc/rfc1864>.
fn claimed_md5(request: &HttpRequest) -> Result<Option<Checksum>, Error> {
    let Some(value) = request.headers().get("content-md5") else {
        return Ok(None);
    };
    let sum = value
        .to_str()
        .ok()
        .and_then(|text| STANDARD.decode(text.trim()).ok())
        .and_then(|bytes| Checksum::new(Algorithm::Md5, bytes));
    sum.map(Some)
        .ok_or_else(|| Error::invalid("Content-MD5", "is the base64 of 16 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<NewUpload, Error> {
        let begin: Begin = serde_json::from_str(json).unwrap();
        begin.parse(&OffsetConfig::default(), "offset")
    }

    #[test]
    fn a_session_begins_with_a_name_that_is_no_path() {
        let new = parse(r#"{"bytes": 5, "name": "a b.mp4", "mime_type": "video/mp4", "more": 1}"#).unwrap();
        assert_eq!(
            (new.size, new.filename.as_str(), new.content_type.as_str()),
            (5, "a b.mp4", "video/mp4")
        );
        for name in ["..", "../x", "a/b", "a\\b", "", "a\u{0}b", "a\nb"] {
            let json = serde_json::json!({ "bytes": 1, "name": name }).to_string();
            let Err(Error::Invalid(fields)) = parse(&json) else {
                panic!("{name:?} is taken");
            };
            assert_eq!(fields[0].field, "name");
        }
    }

    #[test]
    fn limits_are_mebibytes_and_a_chunk_without_one_is_bounded_by_the_file() {
        let mut settings = OffsetConfig::default();
        assert_eq!(
            (settings.file_max_bytes(), settings.chunk_max_bytes()),
            (1 << 30, 50 << 20)
        );
        settings.chunk_max = -1;
        assert_eq!(settings.chunk_max_bytes(), 1 << 30);
        let over = format!(r#"{{"bytes": {}, "name": "a"}}"#, (1u64 << 30) + 1);
        assert!(matches!(parse(&over), Err(Error::TooLarge { .. })));
    }
}
