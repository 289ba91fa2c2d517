//! The JSON that goes out, in the published server's names and types. Members that it does not have are marked as ours;
//! its clients leave them alone.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::{State, Upload, UploadId};
use crate::error::Error;
use crate::uploads::{PartRecord, Received};

/// The answer to `init`.
#[derive(Debug, Serialize)]
pub struct InitView {
    file_id: String,
    total_parts: u32,
    chunk_size: u64,
    parts: Vec<NewPart>,
    expires_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct NewPart {
    part: u64,
    token: String,
    status: &'static str,
}

impl InitView {
    /// A new upload, with the token of each part.
    ///
    /// # Errors
    /// What `token` says.
    pub fn new(upload: &Upload, token: impl Fn(u64) -> Result<String, Error>) -> Result<Self, Error> {
        let total_parts = upload.plan().part_count();
        let parts = (0..u64::from(total_parts)).map(|part| {
            Ok(NewPart {
                part,
                token: token(part)?,
                status: "pending",
            })
        });
        Ok(Self {
            file_id: upload.id.as_uuid_v4(),
            total_parts,
            chunk_size: upload.part_size,
            parts: parts.collect::<Result<_, Error>>()?,
            expires_at: upload.expires_at,
        })
    }
}

/// The answer to a part. Here, and nowhere else, the upload is called `upload_id`.
#[derive(Debug, Serialize)]
pub struct PartView {
    upload_id: String,
    part_number: u16,
    status: &'static str,
    checksum_sha256: Option<String>,
    uploaded_parts: u64,
    total_parts: u32,
}

impl PartView {
    /// A part that is stored.
    pub fn new(received: &Received) -> Self {
        Self {
            upload_id: received.upload.id.as_uuid_v4(),
            part_number: received.part.number.get() - 1,
            status: "uploaded",
            checksum_sha256: received.part.sha256.map(|sum| sum.to_string()),
            uploaded_parts: received.recorded,
            total_parts: received.upload.plan().part_count(),
        }
    }
}

/// The answer to `status`.
#[derive(Debug, Serialize)]
pub struct StatusView {
    file_id: String,
    filename: String,
    total_size: u64,
    chunk_size: u64,
    total_parts: u32,
    uploaded_parts: usize,
    status: &'static str,
    progress_percent: f64,
    parts: Vec<PartState>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    final_path: Option<String>,
    #[serde(flatten)]
    later: LaterMembers,
}

#[derive(Debug, Serialize)]
struct PartState {
    part: u64,
    status: &'static str,
    checksum_sha256: Option<String>,
    uploaded_at: Option<DateTime<Utc>>,
    /// Ours: a fresh token for a part that is still to come, so that nobody has to keep any.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl StatusView {
    /// Where an upload stands; `token` gives one for each part that is missing.
    ///
    /// # Errors
    /// What `token` says.
    pub fn new(
        upload: &Upload,
        records: &[PartRecord],
        address: String,
        token: impl Fn(u64) -> Result<Option<String>, Error>,
    ) -> Result<Self, Error> {
        let plan = upload.plan();
        let complete = upload.state == State::Complete;
        let mut records = records.iter().peekable();
        let mut parts = Vec::with_capacity(plan.part_count() as usize);
        for (number, _) in plan.parts() {
            let part = u64::from(number.get() - 1);
            let record = records.next_if(|record| record.part.number == number);
            parts.push(match record {
                Some(record) => PartState {
                    part,
                    status: "uploaded",
                    checksum_sha256: record.part.sha256.map(|sum| sum.to_string()),
                    uploaded_at: Some(record.recorded_at),
                    token: None,
                },
                None => PartState {
                    part,
                    status: "pending",
                    checksum_sha256: None,
                    uploaded_at: None,
                    token: token(part)?,
                },
            });
        }
        let uploaded_parts = parts.iter().filter(|part| part.status == "uploaded").count();
        let progress = if complete {
            100.0
        } else {
            percent(uploaded_parts, parts.len())
        };
        Ok(Self {
            file_id: upload.id.as_uuid_v4(),
            filename: upload.filename.as_str().to_owned(),
            total_size: upload.size,
            chunk_size: upload.part_size,
            total_parts: plan.part_count(),
            uploaded_parts,
            status: status_word(upload.state),
            progress_percent: progress,
            parts,
            created_at: upload.created_at,
            expires_at: upload.expires_at,
            final_path: complete.then_some(address),
            later: LaterMembers::new(upload, progress),
        })
    }
}

/// What a later version of the published server added, and its clients poll.
#[derive(Debug, Serialize)]
struct LaterMembers {
    phase: &'static str,
    upload_progress_percent: f64,
    finalizing_progress_percent: f64,
    finalization_error: Option<&'static str>,
    storage_backend: &'static str,
}

impl LaterMembers {
    fn new(upload: &Upload, progress: f64) -> Self {
        let failed = upload.state == State::Failed;
        Self {
            phase: match upload.state {
                State::Completing => "finalizing",
                State::Complete => "complete",
                State::Failed => "failed",
                _ => "uploading",
            },
            upload_progress_percent: progress,
            finalizing_progress_percent: if upload.state == State::Complete {
                100.0
            } else {
                0.0
            },
            finalization_error: failed.then_some("the upload has failed; begin it again"),
            storage_backend: upload.storage.as_str(),
        }
    }
}

/// The answer to `complete`.
#[derive(Debug, Serialize)]
pub struct CompleteView {
    file_id: String,
    filename: String,
    total_size: u64,
    status: &'static str,
    final_path: Option<String>,
    storage_backend: &'static str,
    phase: &'static str,
}

impl CompleteView {
    /// A finished upload.
    pub fn new(upload: &Upload, address: String) -> Self {
        Self {
            status: "complete",
            final_path: Some(address),
            phase: "complete",
            ..Self::finalizing(upload)
        }
    }

    /// An upload that is still being completed.
    pub fn finalizing(upload: &Upload) -> Self {
        Self {
            file_id: upload.id.as_uuid_v4(),
            filename: upload.filename.as_str().to_owned(),
            total_size: upload.size,
            status: "finalizing",
            final_path: None,
            storage_backend: upload.storage.as_str(),
            phase: "finalizing",
        }
    }
}

/// The answer to a cancellation.
#[derive(Debug, Serialize)]
pub struct CancelView {
    file_id: String,
    status: &'static str,
    message: &'static str,
}

impl CancelView {
    /// An upload that was given up.
    pub fn new(id: &UploadId) -> Self {
        Self {
            file_id: id.as_uuid_v4(),
            status: "cancelled",
            message: "the upload was given up, and what was stored of it is dropped",
        }
    }
}

fn status_word(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Failed => "failed",
        _ => "pending",
    }
}

/// `part` of `whole` in hundredths, with two decimals.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "both are at most ten thousand")]
    let share = part as f64 / whole as f64;
    (share * 10_000.0).round() / 100.0
}
