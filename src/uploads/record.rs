//! Record: the client says that a part has arrived in the store (`chunk_loaded`).

use super::Uploads;
use super::sign::check_direct;
use crate::db::RecordedPart;
use crate::domain::{Checksums, PartNumber, Principal, State, Transfer, Upload, UploadId, check_etag};
use crate::error::Error;

/// A part that the client saw arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedPart {
    /// Its number, not yet held against the upload.
    pub number: u64,
    /// Bytes; `None` where the protocol does not tell.
    pub size: Option<u64>,
    /// The store's tag, where the client could read it.
    pub etag: Option<String>,
    /// The checksums of its bytes as the client has them.
    pub checksums: Checksums,
}

impl Uploads {
    /// Records parts; durable when it returns, and the same again does no harm.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number or a size that is not the upload's, [`Error::NotFound`],
    /// [`Error::WrongState`] for an upload that was given up, [`Error::Busy`] when the writer cannot keep up.
    pub async fn record(
        &self,
        caller: &Principal,
        id: &UploadId,
        parts: Vec<ArrivedPart>,
    ) -> Result<(), Error> {
        let upload = self.find(caller, id).await?;
        caller.may_send(&upload.owner)?;
        check_direct(&upload)?;
        let recorded = checked(&upload, parts)?;
        match upload.state {
            State::Open | State::Completing => {}
            // A late word about a part of a finished upload is true, and changes nothing.
            State::Complete => return Ok(()),
            state => {
                return Err(Error::WrongState {
                    state,
                    verb: "added to",
                });
            }
        }
        let (now, count) = (self.now(), recorded.len() as u64);
        let recorder = &self.0.db;
        recorder
            .record_parts(id, recorded, now, now + self.0.time_to_live)
            .await?;
        self.0.metrics.parts(Transfer::Direct, count);
        Ok(())
    }
}

fn checked(upload: &Upload, parts: Vec<ArrivedPart>) -> Result<Vec<RecordedPart>, Error> {
    let plan = upload.plan();
    let mut recorded = Vec::with_capacity(parts.len());
    for part in parts {
        let number = PartNumber::new(part.number, "number")?;
        let Some(size) = plan.size_of(number) else {
            let detail = format!("this upload has parts 1 to {}, not {number}", plan.part_count());
            return Err(Error::invalid("number", detail));
        };
        if let Some(claimed) = part.size.filter(|claimed| *claimed != size) {
            let detail = format!("part {number} of this upload has {size} bytes, not {claimed}");
            return Err(Error::invalid("size", detail));
        }
        check_etag(part.etag.as_deref(), "etag")?;
        recorded.push(RecordedPart {
            number,
            size,
            etag: part.etag,
            sha256: None,
            checksums: part.checksums,
        });
    }
    Ok(recorded)
}
