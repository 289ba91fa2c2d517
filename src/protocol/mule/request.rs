//! What the script tells us, held against what we and S3 can take.
//!
//! Separate from the actions: here nothing is looked up and nothing is changed.

use std::collections::BTreeMap;

use chrono::DateTime;

use super::query::MuleQuery;
use super::replies::Version;
use crate::config::MuleConfig;
use crate::domain::{
    FileName, MAX_PARTS, MediaType, NewUpload, ObjectKey, PartNumber, Transfer, Upload, Wishes,
};
use crate::error::Error;

/// Which of the two scripts a page loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Every request to the store is signed here; chunks count from 1.
    First,
    /// The browser signs; chunks count from 0.
    Second,
}

impl Generation {
    /// The name under which its uploads are on record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "mule-v1",
            Self::Second => "mule-v2",
        }
    }

    /// Which one began an upload. The requests alone do not tell: `chunk_loaded` is an action of both.
    pub fn of(upload: &Upload) -> Self {
        if upload.protocol == Self::Second.name() {
            Self::Second
        } else {
            Self::First
        }
    }
}

/// One request of the script, and the settings that it is read by.
pub struct Request<'a> {
    /// What it tells.
    pub query: MuleQuery,
    /// What its page is known to be set to.
    pub settings: &'a MuleConfig,
}

impl Request<'_> {
    /// The signature that the caller can use.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a version that does not exist.
    pub fn version(&self) -> Result<Version, Error> {
        Version::parse(self.query.get("signature_version"))
    }

    /// The key is sent raw and stands in what is signed, so nothing but the safe alphabet may be in it.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what is not as the script writes it.
    pub fn key(&self) -> Result<ObjectKey, Error> {
        // Front ends of today write `%2F`; the script writes what stands in the key, so there a `%` is its own.
        if self.version()? == Version::V2 && self.query.raw("key").is_some_and(|raw| raw.contains('%')) {
            return Err(Error::invalid("key", "has a % in it"));
        }
        self.encoded_key()
    }

    /// The key where nothing is signed: the second generation encodes it.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn encoded_key(&self) -> Result<ObjectKey, Error> {
        if let Some(name) = self.query.torn() {
            return Err(Error::invalid(name, "has a bare & in it"));
        }
        ObjectKey::new(self.required("key")?).map_err(|error| Error::Invalid(vec![error]))
    }

    /// The store's id of the upload.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none.
    pub fn upload_id(&self) -> Result<&str, Error> {
        self.required("upload_id")
    }

    /// The part that a chunk's number means.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a chunk that the upload does not have.
    pub fn chunk(&self, upload: &Upload) -> Result<PartNumber, Error> {
        let first = match Generation::of(upload) {
            Generation::First => 1,
            Generation::Second => 0,
        };
        let number = PartNumber::new(self.digits("chunk")?.saturating_add(1 - first), "chunk")?;
        let plan = upload.plan();
        if plan.size_of(number).is_some() {
            return Ok(number);
        }
        let last = u64::from(plan.part_count()) + first - 1;
        let detail = format!("is {first} to {last} for this upload");
        Err(Error::invalid("chunk", detail))
    }

    /// Sees that the page cuts the file as we do: it never tells its `chunk_size`, but it counts its chunks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other number.
    pub fn check_count(&self, upload: &Upload) -> Result<(), Error> {
        let (told, ours) = (self.digits("num_chunks")?, upload.plan().part_count());
        if told == u64::from(ours) {
            return Ok(());
        }
        let detail = format!(
            "is {ours} with chunks of {} bytes; set protocols.mule.chunk_size to the chunk_size of the page",
            upload.part_size
        );
        Err(Error::invalid("num_chunks", detail))
    }

    /// The file that the person chose.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::TooLarge`] for what the script could not finish, or we cannot take.
    pub fn new_upload(&self, generation: Generation) -> Result<NewUpload, Error> {
        let name = self.required("filename")?;
        let filename = FileName::new(name).map_err(|error| Error::Invalid(vec![error]))?;
        let size = self.digits("filesize")?;
        let modified = self.digits("last_modified").unwrap_or(0);
        let chunk_size = self.settings.chunk_size;
        check_size(size, chunk_size)?;
        let content_type = match generation {
            Generation::First => self.content_type("mime_type")?,
            Generation::Second => self.content_type("content_type")?,
        };
        let (protocol, kind) = (generation.name(), content_type.as_str());
        Ok(NewUpload {
            size,
            last_modified: i64::try_from(modified)
                .ok()
                .filter(|ms| (1..253_402_300_800_000).contains(ms))
                .and_then(DateTime::from_timestamp_millis),
            // The script cannot take up what was cut differently, nor what is signed for another type: so both are
            // part of the file's identity.
            fingerprint: Some(format!("{protocol}\0{chunk_size}\0{kind}\0{name}\0{modified}")),
            content_type,
            filename,
            metadata: BTreeMap::new(),
            part_size: Some(chunk_size),
            transfer: Transfer::Direct,
            wishes: Wishes {
                // Its pages cut by their own chunk size, whatever we say.
                exact_parts: true,
                ..Wishes::default()
            },
            protocol,
        })
    }

    fn content_type(&self, name: &str) -> Result<MediaType, Error> {
        let given = self
            .query
            .get(name)
            .filter(|text| !text.is_empty() && *text != "undefined");
        let text = given.unwrap_or(&self.settings.mime_type);
        if text.contains(';') {
            // Browsers rewrite a charset on the completing POST alone, and its signature would not match.
            return Err(Error::invalid(name, "must have no parameters"));
        }
        MediaType::new(text).map_err(|error| Error::invalid(name, error.detail))
    }

    fn required(&self, name: &str) -> Result<&str, Error> {
        self.query
            .get(name)
            .ok_or_else(|| Error::invalid(name, "is required"))
    }

    fn digits(&self, name: &str) -> Result<u64, Error> {
        let text = self.required(name)?;
        let wrong = || Error::invalid(name, "is a whole number in digits");
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        text.parse().map_err(|_| wrong())
    }
}

/// Sizes with which the script itself can never finish.
fn check_size(size: u64, chunk_size: u64) -> Result<(), Error> {
    if size == 0 {
        return Err(Error::invalid(
            "filesize",
            "this uploader cannot send an empty file",
        ));
    }
    if size.is_multiple_of(chunk_size) {
        let detail =
            format!("this uploader cannot finish a file of a whole number of {chunk_size}-byte chunks");
        return Err(Error::invalid("filesize", detail));
    }
    let limit = chunk_size.saturating_mul(u64::from(MAX_PARTS));
    if size > limit {
        Err(Error::TooLarge { limit, size })
    } else {
        Ok(())
    }
}
