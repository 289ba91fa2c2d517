//! What clients told us of the parts that the store took.
//!
//! Separate from the recorder that writes them in batches: here is what a record is and how it is read.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::{from_bytes, from_time, to_bytes, to_time};
use super::schema::parts;
use crate::domain::{Checksums, MAX_PART_SIZE, PartNumber, Sha256Sum, UploadId};
use crate::error::Error;

/// Longest tag of a part that we keep, in bytes; S3's own have some forty.
const MAX_ETAG: usize = 256;

/// One part that a client reported as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPart {
    /// Which part.
    pub number: PartNumber,
    /// Its bytes.
    pub size: u64,
    /// The store's tag, where the client could read it.
    pub etag: Option<String>,
    /// Its digest, where its bytes passed through us.
    pub sha256: Option<Sha256Sum>,
    /// Its checksums, as its client told them or as it passed through us.
    pub checksums: Checksums,
}

/// A record with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRecord {
    /// What is recorded.
    pub part: RecordedPart,
    /// Since when.
    pub recorded_at: DateTime<Utc>,
}

impl Database {
    /// Records parts, durably before it returns; recording a part again replaces what was known of it.
    ///
    /// Also notes, at most once a minute, that somebody works on the upload: `now` and the new `expires_at`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown upload, [`Error::Busy`] while too many records wait,
    /// [`Error::Invalid`] for a part larger than any store takes, or a tag that is none.
    pub async fn record_parts(
        &self,
        id: &UploadId,
        parts: Vec<RecordedPart>,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        if parts.is_empty() {
            return Ok(());
        }
        let rows = parts
            .into_iter()
            .map(|part| PartRow::new(id, part, now))
            .collect::<Result<Vec<_>, _>>()?;
        self.recorder.record(rows, expires_at - now).await
    }

    /// One part's record.
    pub async fn recorded_part(
        &self,
        id: &UploadId,
        number: PartNumber,
    ) -> Result<Option<PartRecord>, Error> {
        let (id, number) = (id.to_string(), i32::from(number.get()));
        let row: Option<PartRow> = self
            .run(move |conn| parts::table.find((id, number)).first(conn).optional())
            .await?;
        row.map(PartRecord::try_from).transpose()
    }

    /// Forgets what was recorded of these parts before `before`.
    pub async fn forget_parts(
        &self,
        id: &UploadId,
        numbers: &[PartNumber],
        before: DateTime<Utc>,
    ) -> Result<(), Error> {
        let id = id.to_string();
        let numbers: Vec<i32> = numbers.iter().map(|number| i32::from(number.get())).collect();
        self.run(move |conn| {
            let gone = parts::table
                .filter(parts::upload_id.eq(id))
                .filter(parts::number.eq_any(numbers))
                .filter(parts::recorded_at.lt(from_time(before)));
            diesel::delete(gone).execute(conn)
        })
        .await
        .map(drop)
    }

    /// How many parts are recorded.
    pub async fn count_parts(&self, id: &UploadId) -> Result<u64, Error> {
        let id = id.to_string();
        let count: i64 = self
            .run(move |conn| {
                parts::table
                    .filter(parts::upload_id.eq(id))
                    .count()
                    .get_result(conn)
            })
            .await?;
        to_bytes(count)
    }

    /// The parts that are recorded, ascending.
    pub async fn recorded_parts(&self, id: &UploadId) -> Result<Vec<PartRecord>, Error> {
        let id = id.to_string();
        let rows: Vec<PartRow> = self
            .run(move |conn| {
                parts::table
                    .filter(parts::upload_id.eq(id))
                    .order(parts::number.asc())
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(PartRecord::try_from).collect()
    }
}

/// A row, its fields in the order of the columns.
#[derive(Queryable)]
pub(super) struct PartRow {
    pub(super) upload_id: String,
    pub(super) number: i32,
    pub(super) size: i64,
    pub(super) etag: Option<String>,
    pub(super) recorded_at: NaiveDateTime,
    pub(super) sha256: Option<String>,
    pub(super) checksums: Option<String>,
}

impl PartRow {
    fn new(id: &UploadId, part: RecordedPart, now: DateTime<Utc>) -> Result<Self, Error> {
        if part.size > MAX_PART_SIZE {
            let detail = format!("a part has at most {MAX_PART_SIZE} bytes, not {}", part.size);
            return Err(Error::invalid("size", detail));
        }
        if let Some(etag) = &part.etag
            && (etag.len() > MAX_ETAG || etag.chars().any(char::is_control))
        {
            let detail = format!("a tag has at most {MAX_ETAG} bytes and no control characters");
            return Err(Error::invalid("etag", detail));
        }
        Ok(Self {
            upload_id: id.to_string(),
            number: i32::from(part.number.get()),
            size: from_bytes(part.size)?,
            etag: part.etag,
            recorded_at: from_time(now),
            sha256: part.sha256.map(|sum| sum.to_string()),
            checksums: (!part.checksums.is_empty()).then(|| part.checksums.to_string()),
        })
    }
}

impl TryFrom<PartRow> for PartRecord {
    type Error = Error;

    fn try_from(row: PartRow) -> Result<Self, Error> {
        let number = u64::try_from(row.number).map_err(Error::internal)?;
        let spoilt = || Error::internal("the checksums of a part in the database");
        let checksums = row.checksums.unwrap_or_default();
        let sum = row.sha256.map(|text| Sha256Sum::from_hex(&text, "sha256"));
        Ok(Self {
            part: RecordedPart {
                number: PartNumber::new(number, "number").map_err(Error::internal)?,
                size: to_bytes(row.size)?,
                etag: row.etag,
                sha256: sum.transpose().map_err(|error| Error::internal(error.detail))?,
                checksums: Checksums::recorded(&checksums).ok_or_else(spoilt)?,
            },
            recorded_at: to_time(row.recorded_at),
        })
    }
}
