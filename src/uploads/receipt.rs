//! Receipt: what was stored, signed, for whoever wants to prove it later.
//!
//! Separate from completing, which nobody need wait longer for: a receipt is made when it is first asked for, of what was
//! written down then, and from there on it is the same text.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::Uploads;
use crate::db::Integrity;
use crate::domain::{CheckedBy, Checksum, Principal, State, Upload, UploadId};
use crate::error::Error;

/// Of the shape of what is signed.
const VERSION: u32 = 1;

impl Uploads {
    /// The signed receipt of a complete upload, as JSON; always the same text, unless another object takes the place of the
    /// one that it is of.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none; [`Error::WrongState`] for one that is not complete;
    /// of one whose object was replaced [`Error::StillCompleting`], [`Error::TooLarge`], [`Error::ContentRefused`],
    /// [`Error::TooFast`]; [`Error::Busy`] while somebody is at it.
    pub async fn receipt(&self, caller: &Principal, id: &UploadId) -> Result<String, Error> {
        let mut upload = self.find(caller, id).await?;
        if upload.state == State::Complete {
            upload = self.look_in_turn(upload).await?;
        }
        check_complete(&upload)?;
        let known = self.0.db.integrity(id).await?;
        if let Some(receipt) = known.receipt {
            return Ok(receipt);
        }
        let signed = self.0.receipts.sign(&self.content(&upload, &known));
        let text = serde_json::to_string_pretty(&signed).map_err(Error::internal)?;
        if let Some(text) = self.0.db.keep_receipt(&upload, text).await? {
            return Ok(text);
        }
        // It was taken back while this was signed.
        check_complete(&self.as_recorded(id).await?)?;
        Err(Error::Busy("the upload was changed just now; try again"))
    }

    /// The key that receipts are verified with, and those that were in use before, as they are published.
    pub fn receipt_keys(&self) -> Value {
        self.0.receipts.published()
    }

    fn content(&self, upload: &Upload, known: &Integrity) -> Value {
        let mut checksums = known.whole.clone();
        if let Some(sha256) = upload.sha256 {
            // It was read back when the upload became complete.
            checksums.put(Checksum::from(sha256));
        }
        let checksums: serde_json::Map<String, Value> = checksums
            .iter()
            .map(|sum| (sum.algorithm().name().to_owned(), sum.to_base64().into()))
            .collect();
        json!({
            "version": VERSION,
            "upload_id": upload.id.to_string(),
            "owner": upload.owner.to_string(),
            "filename": upload.filename.as_str(),
            "content_type": upload.content_type.as_str(),
            "size": upload.size,
            "checksums": checksums,
            "checked_by": known.checked_by.map(CheckedBy::as_str),
            "part_size": upload.part_size,
            "location": self.address(upload),
            "bucket": upload.bucket,
            "key": upload.key.as_str(),
            "etag": upload.etag,
            "created_at": written(upload.created_at),
            "completed_at": written(upload.updated_at),
            "issued_at": written(self.now()),
        })
    }
}

fn check_complete(upload: &Upload) -> Result<(), Error> {
    if upload.state == State::Complete {
        return Ok(());
    }
    Err(Error::WrongState {
        state: upload.state,
        verb: "receipted",
    })
}

/// A time as receipts have it: RFC 3339 in UTC, to the second.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
