//! A new upload on its way into the tables: its row, the first entry of its log, its events, and room for it, all or
//! nothing.
//!
//! Separate from `uploads`, which knows rows that are there: whether this one may come is up to what its owner has open.

use diesel::prelude::*;

use super::Database;
use super::column::from_bytes;
use super::connection::{AnyConnection, write_transaction};
use super::events::append_change;
use super::quotas::{self, Room};
use super::schema::uploads;
use super::upload_row::UploadRow;
use super::webhooks::{NewEvent, insert_events};
use crate::domain::{LogDetail, LogEntry, LogKind, Quota, Upload};
use crate::error::Error;

impl Database {
    /// Keeps a new upload, if there is room for it beside what its owner has open.
    ///
    /// # Errors
    /// [`Error::QuotaReached`]; [`Error::TooLarge`] for a size that no column holds, or beyond the quota by itself;
    /// [`Error::Invalid`] for an unusable `last_modified`.
    pub async fn insert_upload(&self, upload: Upload, room: Room) -> Result<(), Error> {
        self.insert_and_tell(upload, room, Vec::new()).await
    }

    /// The same, with events that are written in the same transaction.
    ///
    /// # Errors
    /// As [`insert_upload`](Self::insert_upload).
    pub async fn insert_and_tell(
        &self,
        upload: Upload,
        room: Room,
        events: Vec<NewEvent>,
    ) -> Result<(), Error> {
        let new = NewRow::new(upload, room, events)?;
        self.run(move |conn| write_transaction(conn, |conn| new.insert(conn)))
            .await?
    }
}

/// What the log says of a new upload.
fn created(upload: &Upload) -> LogEntry {
    LogEntry {
        detail: LogDetail {
            from: upload.client_ip.map(|address| address.to_string()),
            door: Some(upload.protocol.clone()),
            ..LogDetail::default()
        },
        ..LogEntry::new(upload.created_at, LogKind::Created)
    }
}

/// A new upload on its way into the tables.
pub(super) struct NewRow {
    row: UploadRow,
    entry: LogEntry,
    events: Vec<NewEvent>,
    size: u64,
    room: Room,
    /// Bytes to keep free for it that its row does not tell.
    unsaid: Option<i64>,
}

impl NewRow {
    /// # Errors
    /// As [`Database::insert_upload`], but for the quota.
    pub(super) fn new(upload: Upload, mut room: Room, events: Vec<NewEvent>) -> Result<Self, Error> {
        if upload.is_joined() {
            // Its bytes are those of uploads that are open already.
            room.quota = Quota::default();
        }
        let is_unsaid = room.quota.bytes.is_some() && room.told > upload.size;
        Ok(Self {
            entry: created(&upload),
            events,
            size: upload.size,
            unsaid: is_unsaid.then(|| from_bytes(room.told)).transpose()?,
            row: UploadRow::try_from(upload)?,
            room,
        })
    }

    /// Writes it with the first entry of its log and its events, in the transaction that is open, unless there is no room
    /// for it.
    pub(super) fn insert(self, conn: &mut AnyConnection) -> QueryResult<Result<(), Error>> {
        let row = &self.row;
        if let Err(refused) = quotas::take(conn, &row.owner, self.size, self.room, self.entry.at)? {
            return Ok(Err(refused));
        }
        diesel::insert_into(uploads::table).values(row).execute(conn)?;
        if let Some(bytes) = self.unsaid {
            quotas::keep(conn, &row.id, bytes)?;
        }
        append_change(conn, &row.id, &self.entry)?;
        insert_events(conn, &row.id, self.events, self.entry.at).map(Ok)
    }
}
