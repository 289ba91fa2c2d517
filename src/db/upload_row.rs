//! An upload as its row: what each field is in the database, and what a row must be to be an upload.
//!
//! Separate from the statements, because none of them looks into a row.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::appending::AppendingRow;
use super::column::{from_bytes, from_claimed_time, from_time, to_bytes, to_time};
use super::schema::uploads;
use crate::domain::{
    Backend, Bounds, Cut, FileName, Fingerprint, MediaType, ObjectKey, Owner, Sha256Sum, State, Transfer,
    Upload, UploadId,
};
use crate::error::{Error, FieldError};

/// A row, its fields in the order of the columns.
#[derive(Queryable, Insertable)]
#[diesel(table_name = uploads, treat_none_as_default_value = false)]
pub(super) struct UploadRow {
    pub(super) id: String,
    pub(super) owner: String,
    state: String,
    transfer: String,
    protocol: String,
    filename: String,
    size: i64,
    content_type: String,
    last_modified: Option<NaiveDateTime>,
    fingerprint: String,
    metadata: String,
    bucket: String,
    object_key: String,
    multipart_id: Option<String>,
    part_size: i64,
    etag: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    expires_at: NaiveDateTime,
    storage: String,
    sha256: Option<String>,
    webhook_url: Option<String>,
    received: Option<i64>,
    settled: Option<bool>,
    fence: Option<i64>,
    length: Option<String>,
    role: Option<String>,
    sources: Option<String>,
    fields: Option<String>,
    cut: String,
    client_ip: Option<String>,
    bounds: Option<String>,
}

impl TryFrom<Upload> for UploadRow {
    type Error = Error;

    fn try_from(upload: Upload) -> Result<Self, Error> {
        let appending: AppendingRow = upload.appending.try_into()?;
        Ok(Self {
            id: upload.id.to_string(),
            owner: upload.owner.to_string(),
            state: upload.state.as_str().to_owned(),
            transfer: upload.transfer.as_str().to_owned(),
            protocol: upload.protocol,
            filename: upload.filename.as_str().to_owned(),
            size: from_bytes(upload.size)?,
            content_type: upload.content_type.as_str().to_owned(),
            last_modified: upload
                .last_modified
                .map(|time| from_claimed_time(time, "last_modified"))
                .transpose()?,
            fingerprint: upload.fingerprint.as_str().to_owned(),
            metadata: serde_json::to_string(&upload.metadata).map_err(Error::internal)?,
            bucket: upload.bucket,
            object_key: upload.key.as_str().to_owned(),
            multipart_id: upload.multipart_id,
            part_size: from_bytes(upload.part_size)?,
            etag: upload.etag,
            created_at: from_time(upload.created_at),
            updated_at: from_time(upload.updated_at),
            expires_at: from_time(upload.expires_at),
            storage: upload.storage.as_str().to_owned(),
            sha256: upload.sha256.map(|sum| sum.to_string()),
            webhook_url: upload.webhook_url,
            received: appending.received,
            settled: appending.settled,
            fence: appending.fence,
            length: appending.length,
            role: appending.role,
            sources: appending.sources,
            fields: appending.fields,
            cut: upload.cut.as_str().to_owned(),
            client_ip: upload.client_ip.map(|address| address.to_string()),
            bounds: (!upload.bounds.is_open())
                .then(|| serde_json::to_string(&upload.bounds))
                .transpose()
                .map_err(Error::internal)?,
        })
    }
}

impl TryFrom<UploadRow> for Upload {
    type Error = Error;

    fn try_from(row: UploadRow) -> Result<Self, Error> {
        let unknown = |what: &str, text: &str| Error::internal(format!("{what} {text:?} in the database"));
        let spoilt = |field: FieldError| Error::internal(format!("{field:?} in the database"));
        Ok(Self {
            id: UploadId::parse(&row.id)?,
            owner: Owner::recorded(row.owner),
            state: State::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            transfer: Transfer::parse(&row.transfer).ok_or_else(|| unknown("transfer", &row.transfer))?,
            protocol: row.protocol,
            filename: FileName::new(&row.filename).map_err(spoilt)?,
            size: to_bytes(row.size)?,
            content_type: MediaType::new(&row.content_type).map_err(spoilt)?,
            last_modified: row.last_modified.map(to_time),
            fingerprint: Fingerprint::recorded(row.fingerprint),
            metadata: serde_json::from_str(&row.metadata).map_err(Error::internal)?,
            bucket: row.bucket,
            key: ObjectKey::path(&row.object_key).map_err(spoilt)?,
            multipart_id: row.multipart_id,
            part_size: to_bytes(row.part_size)?,
            etag: row.etag,
            created_at: to_time(row.created_at),
            updated_at: to_time(row.updated_at),
            expires_at: to_time(row.expires_at),
            storage: Backend::parse(&row.storage).ok_or_else(|| unknown("storage", &row.storage))?,
            sha256: row
                .sha256
                .map(|text| Sha256Sum::from_hex(&text, "sha256"))
                .transpose()
                .map_err(spoilt)?,
            webhook_url: row.webhook_url,
            appending: AppendingRow {
                received: row.received,
                settled: row.settled,
                fence: row.fence,
                length: row.length,
                role: row.role,
                sources: row.sources,
                fields: row.fields,
            }
            .try_into()?,
            cut: Cut::parse(&row.cut).ok_or_else(|| unknown("cut", &row.cut))?,
            client_ip: row.client_ip.and_then(|text| text.parse().ok()),
            bounds: row
                .bounds
                .map_or_else(|| Ok(Bounds::default()), |text| serde_json::from_str(&text))
                .map_err(Error::internal)?,
        })
    }
}
