//! The log of what happened to each upload: rows that are added and never changed.
//!
//! Separate from `uploads`, because a row here changes nothing there. What is written with a change of state is written
//! in that change's transaction; what happens often comes gathered, many entries in one transaction.

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamp};

use super::Database;
use super::column::{from_time, to_time};
use super::connection::{AnyConnection, on_backend, write_transaction};
use super::schema::{upload_events, uploads};
use crate::domain::{LogEntry, LogKind, UploadId};
use crate::error::Error;

/// Most entries that one upload may have, so that nobody can fill the disk with them.
const MOST: i64 = 500;

/// Entries of an upload after which only changes of its state are written.
const MOST_OFTEN: i64 = 400;

impl Database {
    /// Adds entries, each to its upload; those of an upload that is unknown, or has very many, are left out.
    pub async fn log(&self, entries: Vec<(UploadId, LogEntry)>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        self.run(move |conn| {
            write_transaction(conn, |conn| {
                entries
                    .iter()
                    .try_for_each(|(id, entry)| append(conn, id.as_str(), entry, MOST_OFTEN))
            })
        })
        .await
    }

    /// Adds an entry that has to be there, as that of a change: what an admin asked for.
    pub async fn log_wish(&self, id: &UploadId, entry: LogEntry) -> Result<(), Error> {
        let id = id.to_string();
        self.run(move |conn| write_transaction(conn, |conn| append_change(conn, &id, &entry)))
            .await
    }

    /// What happened to an upload, in order.
    pub async fn log_of(&self, id: &UploadId) -> Result<Vec<LogEntry>, Error> {
        let id = id.to_string();
        let rows: Vec<EntryRow> = self
            .run(move |conn| {
                upload_events::table
                    .filter(upload_events::upload_id.eq(id))
                    .order(upload_events::id.asc())
                    .select((
                        upload_events::at,
                        upload_events::kind,
                        upload_events::detail,
                        upload_events::actor,
                    ))
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(LogEntry::try_from).collect()
    }
}

/// Adds the entry of a change that is made in the same transaction.
pub(super) fn append_change(conn: &mut AnyConnection, id: &str, entry: &LogEntry) -> QueryResult<()> {
    let most = match entry.kind {
        // There is one end, and perhaps one more; without it the log would not say how things stand.
        LogKind::Became(state) if !state.is_unfinished() => i64::MAX,
        _ => MOST,
    };
    append(conn, id, entry, most)
}

fn append(conn: &mut AnyConnection, id: &str, entry: &LogEntry, most: i64) -> QueryResult<()> {
    let detail = serde_json::to_string(&entry.detail)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    let room =
        format!("(SELECT count(*) FROM upload_events WHERE upload_events.upload_id = uploads.id) < {most}");
    let at = from_time(entry.at);
    // One statement: there is no upload to select where there is none, or no room.
    on_backend!(conn, |c| {
        uploads::table
            .find(id)
            .filter(sql::<Bool>(&room))
            .select((
                uploads::id,
                at.into_sql::<Timestamp>(),
                entry.kind.as_str().into_sql::<Text>(),
                detail.as_str().into_sql::<Text>(),
                entry.actor.as_deref().into_sql::<Nullable<Text>>(),
            ))
            .insert_into(upload_events::table)
            .into_columns((
                upload_events::upload_id,
                upload_events::at,
                upload_events::kind,
                upload_events::detail,
                upload_events::actor,
            ))
            .execute(c)
    })
    .map(drop)
}

#[derive(Queryable)]
struct EntryRow {
    at: NaiveDateTime,
    kind: String,
    detail: String,
    actor: Option<String>,
}

impl TryFrom<EntryRow> for LogEntry {
    type Error = Error;

    fn try_from(row: EntryRow) -> Result<Self, Error> {
        let kind = LogKind::parse(&row.kind)
            .ok_or_else(|| Error::internal(format!("the entry {:?} in the database", row.kind)))?;
        Ok(Self {
            at: to_time(row.at),
            kind,
            detail: serde_json::from_str(&row.detail).map_err(Error::internal)?,
            actor: row.actor,
        })
    }
}
