//! Uploads: their look-ups, and every change of their state.
//!
//! Separate from `parts` and `search`, because these are statements on one row each, which carry their conditions
//! with them. Every look-up here is served by an index of `migrations/*/0001_uploads`;
//! `tests/database/plans.rs` holds the two together.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{AsExprOf, case_when, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamp};

use super::Database;
use super::column::{from_bytes, from_time, is_storable, to_time};
use super::connection::{AnyConnection, write_transaction};
use super::events::append_change;
use super::schema::{leases, parts, uploads};
use super::upload_row::UploadRow;
use super::webhooks::{NewEvent, insert_events};
use crate::domain::{Fingerprint, LogEntry, LogKind, Owner, State, Upload, UploadId};
use crate::error::Error;

impl Database {
    /// The upload with this id, within one owner; `None` as owner looks among everybody's.
    pub async fn find_upload(&self, id: &UploadId, owner: Option<&Owner>) -> Result<Option<Upload>, Error> {
        let (id, owner) = (id.to_string(), owner.map(Owner::to_string));
        self.find(move |conn| {
            let mut query = uploads::table.find(id).into_boxed();
            if let Some(owner) = owner {
                query = query.filter(uploads::owner.eq(owner));
            }
            query.first(conn).optional()
        })
        .await
    }

    /// The owner's newest upload of the same file that can still go on at `now`.
    pub async fn find_resumable(
        &self,
        owner: &Owner,
        fingerprint: &Fingerprint,
        now: DateTime<Utc>,
    ) -> Result<Option<Upload>, Error> {
        let (owner, fingerprint) = (owner.to_string(), fingerprint.as_str().to_owned());
        self.find(move |conn| {
            uploads::table
                .filter(uploads::owner.eq(owner))
                .filter(uploads::fingerprint.eq(fingerprint))
                .filter(unfinished())
                .filter(uploads::expires_at.gt(from_time(now)))
                .order(uploads::id.desc())
                .first(conn)
                .optional()
        })
        .await
    }

    /// The upload that the store knows by this key and multipart id, in whatever state it is.
    pub async fn find_by_multipart(
        &self,
        owner: Option<&Owner>,
        key: &str,
        multipart_id: &str,
    ) -> Result<Option<Upload>, Error> {
        if !is_storable(key) || !is_storable(multipart_id) {
            return Ok(None);
        }
        let (key, multipart_id) = (key.to_owned(), multipart_id.to_owned());
        let owner = owner.map(Owner::to_string);
        self.find(move |conn| {
            let mut query = uploads::table
                .filter(uploads::multipart_id.eq(multipart_id))
                .filter(uploads::object_key.eq(key))
                .order(uploads::id.desc())
                .into_boxed();
            if let Some(owner) = owner {
                query = query.filter(uploads::owner.concat("").eq(owner));
            }
            query.first(conn).optional()
        })
        .await
    }

    /// Moves an upload from one of the states `from` to the state `to`, and writes what is told of that in the same
    /// transaction. True if this call did it: of several that try at once, one does.
    pub async fn change_state(
        &self,
        id: &UploadId,
        from: &[State],
        to: State,
        events: impl IntoIterator<Item = NewEvent>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let events: Vec<NewEvent> = events.into_iter().collect();
        let from: Vec<&'static str> = from.iter().map(|state| state.as_str()).collect();
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                let change = (
                    uploads::state.eq(to.as_str()),
                    uploads::updated_at.eq(from_time(now)),
                );
                let in_time = uploads::table.find(&id).filter(uploads::state.eq_any(from));
                let changed = diesel::update(in_time).set(change).execute(conn)?;
                if changed == 1 {
                    append_change(conn, &id, &LogEntry::new(now, LogKind::Became(to)))?;
                    insert_events(conn, &id, events, now)?;
                }
                Ok(changed == 1)
            })
        })
        .await
    }

    /// Lets an unfinished upload live until `expires_at` at least, and tells until when it lives now; `None` for one that is
    /// finished or unknown. `entry` is written to its log, with that time.
    pub async fn extend(
        &self,
        id: &UploadId,
        expires_at: DateTime<Utc>,
        mut entry: LogEntry,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                let own = uploads::table.find(&id).filter(unfinished());
                let changed = diesel::update(own)
                    .set(uploads::expires_at.eq(no_sooner(from_time(expires_at))))
                    .execute(conn)?;
                if changed == 0 {
                    return Ok(None);
                }
                let own = uploads::table.find(&id);
                let until: NaiveDateTime = own.select(uploads::expires_at).first(conn)?;
                entry.detail.until = Some(to_time(until));
                append_change(conn, &id, &entry)?;
                Ok(entry.detail.until)
            })
        })
        .await
    }

    /// Notes that somebody works on an upload; false for one that is finished or unknown.
    pub async fn touch(
        &self,
        id: &UploadId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.alter(id, move |conn, id| {
            diesel::update(uploads::table.find(id).filter(unfinished()))
                .set((
                    uploads::updated_at.eq(from_time(now)),
                    uploads::expires_at.eq(no_sooner(from_time(expires_at))),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Changes the part size of an upload that has no part yet, stored or on its way. False where it has, or is cut
    /// another way than `from`.
    pub async fn recut(&self, id: &UploadId, from: u64, to: u64, now: DateTime<Utc>) -> Result<bool, Error> {
        let (from, to, now) = (from_bytes(from)?, from_bytes(to)?, from_time(now));
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                // Who takes a lease meanwhile waits, and then finds the upload as we leave it. On SQLite we are the
                // only writer anyhow.
                if let AnyConnection::Postgres(conn) = conn {
                    diesel::sql_query("LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
                }
                let stored: i64 = parts::table
                    .filter(parts::upload_id.eq(&id))
                    .count()
                    .get_result(conn)?;
                let coming: i64 = leases::table
                    .filter(leases::name.like(format!("part:{id}:%")))
                    .filter(leases::expires_at.gt(now))
                    .count()
                    .get_result(conn)?;
                if stored + coming > 0 {
                    return Ok(0);
                }
                let cut = uploads::table.find(&id).filter(uploads::part_size.eq(from));
                diesel::update(cut).set(uploads::part_size.eq(to)).execute(conn)
            })
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Uploads whose completion was begun and not heard of since `before`, at most `limit` behind the first `skip`.
    pub async fn stuck_completions(
        &self,
        before: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Result<Vec<Upload>, Error> {
        self.load(move |conn| {
            uploads::table
                .filter(uploads::state.eq(State::Completing.as_str()))
                .filter(uploads::updated_at.le(from_time(before)))
                .order(uploads::id.asc())
                .limit(i64::from(limit))
                .offset(i64::from(skip))
                .load(conn)
        })
        .await
    }

    /// Unfinished uploads whose time was up at `now`, the longest overdue first, at most `limit` behind the first `skip`.
    pub async fn expired_uploads(
        &self,
        now: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Result<Vec<Upload>, Error> {
        self.load(move |conn| {
            uploads::table
                .filter(unfinished())
                .filter(uploads::expires_at.le(from_time(now)))
                .order(uploads::expires_at.asc())
                .limit(i64::from(limit))
                .offset(i64::from(skip))
                .load(conn)
        })
        .await
    }

    pub(super) async fn find(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<Option<UploadRow>> + Send + 'static,
    ) -> Result<Option<Upload>, Error> {
        self.run(work).await?.map(Upload::try_from).transpose()
    }

    pub(super) async fn load(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<Vec<UploadRow>> + Send + 'static,
    ) -> Result<Vec<Upload>, Error> {
        let rows = self.run(work).await?;
        rows.into_iter().map(Upload::try_from).collect()
    }
}

/// This time, or the one until which an upload lives anyhow: a sign of life must not take away what an admin gave.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn no_sooner(until: NaiveDateTime) -> _ {
    let bound: AsExprOf<NaiveDateTime, Timestamp> = until.into_sql::<Timestamp>();
    case_when(uploads::expires_at.lt(until), bound).otherwise(uploads::expires_at)
}

/// "Not ended", the condition of the partial indexes in their own words: neither database matches an index to a
/// condition whose values it learns later.
pub(super) fn unfinished() -> SqlLiteral<Bool> {
    sql("state NOT IN ('complete', 'aborted', 'expired', 'failed')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partial_indexes_leave_out_exactly_the_ended_states() {
        let ended: Vec<String> = State::ALL
            .into_iter()
            .filter(|state| !state.is_unfinished())
            .map(|state| format!("'{state}'"))
            .collect();
        let condition = format!("state NOT IN ({})", ended.join(", "));

        let asked = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&unfinished()).to_string();
        assert!(asked.contains(&condition), "{asked}");
        for migration in [
            include_str!("../../migrations/sqlite/0001_uploads/up.sql"),
            include_str!("../../migrations/postgres/0001_uploads/up.sql"),
        ] {
            assert_eq!(migration.matches(&format!("WHERE {condition};")).count(), 2);
        }
    }
}
