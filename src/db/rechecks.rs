//! Rechecks: which uploads are looked at once more, and when.
//!
//! Separate from `uploads`, because a row here outlives the life of its upload: it is for what may come after that.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::from_time;
use super::connection::{on_backend, write_transaction};
use super::events::append_change;
use super::schema::{integrity, rechecks, uploads};
use super::uploads::no_sooner;
use crate::domain::{LogDetail, LogEntry, LogKind, State, Upload, UploadId};
use crate::error::Error;

impl Database {
    /// Has an upload looked at once more at `due`, in place of what was noted for it before.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn note_recheck(&self, id: &UploadId, due: DateTime<Utc>) -> Result<(), Error> {
        let (id, due): (String, NaiveDateTime) = (id.to_string(), from_time(due));
        self.run(move |conn| {
            on_backend!(conn, |c| {
                diesel::insert_into(rechecks::table)
                    .values((rechecks::upload_id.eq(id), rechecks::due_at.eq(due)))
                    .on_conflict(rechecks::upload_id)
                    .do_update()
                    .set(rechecks::due_at.eq(due))
                    .execute(c)
            })
        })
        .await
        .map(drop)
    }

    /// Uploads that are to be looked at by `now`, those first that have waited longest, at most `limit` behind the first
    /// `skip`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn due_rechecks(
        &self,
        now: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Result<Vec<Upload>, Error> {
        self.load(move |conn| {
            let ids: Vec<String> = rechecks::table
                .select(rechecks::upload_id)
                .filter(rechecks::due_at.le(from_time(now)))
                .order((rechecks::due_at.asc(), rechecks::upload_id.asc()))
                .limit(i64::from(limit))
                .offset(i64::from(skip))
                .load(conn)?;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            uploads::table.filter(uploads::id.eq_any(ids)).load(conn)
        })
        .await
    }

    /// Notes that an upload was looked at; where it is to be looked at again after `now`, that stays.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn settle_recheck(&self, id: &UploadId, now: DateTime<Utc>) -> Result<(), Error> {
        let (id, now) = (id.to_string(), from_time(now));
        self.run(move |conn| {
            let done = rechecks::table.find(id).filter(rechecks::due_at.le(now));
            diesel::delete(done).execute(conn)
        })
        .await
        .map(drop)
    }

    /// Whether an upload is still to be looked at once more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn awaits_recheck(&self, id: &UploadId) -> Result<bool, Error> {
        let id = id.to_string();
        self.run(move |conn| {
            let own = rechecks::table.find(id).select(rechecks::upload_id);
            own.first::<String>(conn).optional()
        })
        .await
        .map(|found| found.is_some())
    }

    /// Takes back that an upload is complete, whose object was replaced: it is `completing` again, keeps the tag of the
    /// object that was announced, and lives until `expires_at` at least. What was known of the bytes is forgotten with
    /// that, its receipt too; `reason` goes to its log. False where it is not complete.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn take_back(
        &self,
        id: &UploadId,
        reason: String,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                let complete = uploads::table
                    .find(&id)
                    .filter(uploads::state.eq(State::Complete.as_str()));
                let change = (
                    uploads::state.eq(State::Completing.as_str()),
                    uploads::updated_at.eq(from_time(now)),
                    uploads::expires_at.eq(no_sooner(from_time(expires_at))),
                );
                if diesel::update(complete).set(change).execute(conn)? == 0 {
                    return Ok(false);
                }
                diesel::delete(integrity::table.find(&id)).execute(conn)?;
                let entry = LogEntry {
                    detail: LogDetail {
                        reason: Some(reason),
                        ..LogDetail::default()
                    },
                    ..LogEntry::new(now, LogKind::Replaced)
                };
                append_change(conn, &id, &entry)?;
                Ok(true)
            })
        })
        .await
    }
}
