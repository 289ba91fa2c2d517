//! Scans: objects that are whole and wait for a verdict, claimed by whoever has them looked at, and settled by that.
//!
//! Separate from `uploads`, whose tables know of none. As with webhooks, to claim one is a statement that pushes it out and
//! whose row count says who has it; an instance that dies with a claim has then only delayed it.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::Database;
use super::column::{from_time, to_time};
use super::connection::{AnyConnection, write_transaction};
use super::events::append_change;
use super::schema::{scans, uploads};
use super::webhooks::{NewEvent, insert_events};
use crate::domain::{LogDetail, LogEntry, LogKind, Scan, ScanState, State, UploadId, bare_etag};
use crate::error::Error;

impl Database {
    /// Has the object of an unfinished upload looked at, which is `completing` from now on. Asked again about the same
    /// object nothing changes.
    pub async fn begin_scan(
        &self,
        id: &UploadId,
        etag: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                let known: Option<ScanRow> = scans::table.find(&id).first(conn).optional()?;
                let bare = |etag: &Option<String>| etag.as_deref().map(|etag| bare_etag(etag).to_owned());
                let is_same = known.as_ref().is_some_and(|known| {
                    bare(&known.etag) == bare(&etag)
                        && ScanState::parse(&known.state).is_some_and(ScanState::is_open)
                });
                if is_same {
                    return Ok(());
                }
                let open = uploads::table
                    .find(&id)
                    .filter(uploads::state.eq(State::Open.as_str()));
                let change = (
                    uploads::state.eq(State::Completing.as_str()),
                    uploads::updated_at.eq(from_time(now)),
                );
                if diesel::update(open).set(change).execute(conn)? == 1 {
                    append_change(conn, &id, &LogEntry::new(now, LogKind::Became(State::Completing)))?;
                }
                let row = ScanRow {
                    upload_id: id.clone(),
                    state: ScanState::Pending.as_str().to_owned(),
                    etag,
                    due_at: from_time(now),
                    attempts: 0,
                    reason: None,
                    last_error: None,
                    created_at: from_time(now),
                };
                if known.is_some() {
                    diesel::delete(scans::table.find(&id)).execute(conn)?;
                }
                diesel::insert_into(scans::table).values(&row).execute(conn)?;
                append_change(conn, &id, &LogEntry::new(now, LogKind::Quarantined))
            })
        })
        .await
    }

    /// The scan of an upload, if there ever was one.
    pub async fn find_scan(&self, id: &UploadId) -> Result<Option<Scan>, Error> {
        let id = id.to_string();
        let row: Option<ScanRow> = self
            .run(move |conn| scans::table.find(id).first(conn).optional())
            .await?;
        row.map(Scan::try_from).transpose()
    }

    /// Scans that are due at `now`, the longest overdue first, at most `limit`.
    pub async fn due_scans(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Scan>, Error> {
        let rows: Vec<ScanRow> = self
            .run(move |conn| {
                scans::table
                    .filter(open())
                    .filter(scans::due_at.le(from_time(now)))
                    .order((scans::due_at.asc(), scans::upload_id.asc()))
                    .limit(i64::from(limit))
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(Scan::try_from).collect()
    }

    /// Takes a scan until `until`, or, with the claim as [`due_at`](Scan::due_at), keeps it for longer; false if somebody
    /// else has it. Only a first claim counts as an attempt.
    pub async fn claim_scan(&self, scan: &Scan, until: DateTime<Utc>, is_first: bool) -> Result<bool, Error> {
        let (id, seen, until) = (
            scan.upload_id.to_string(),
            from_time(scan.due_at),
            from_time(until),
        );
        self.run(move |conn| {
            let as_seen = scans::table
                .find(id)
                .filter(open())
                .filter(scans::due_at.eq(seen));
            diesel::update(as_seen)
                .set((
                    scans::due_at.eq(until),
                    scans::attempts.eq(scans::attempts + i32::from(is_first)),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Puts a scan off until `due`, if it is still pending: its scanner has failed, or wants to say more later. The scan of
    /// another object that has taken its place is none of its business.
    pub async fn put_off_scan(
        &self,
        scan: &Scan,
        due: DateTime<Utc>,
        error: Option<String>,
    ) -> Result<(), Error> {
        let (id, began) = (scan.upload_id.to_string(), from_time(scan.created_at));
        let due = from_time(due);
        self.run(move |conn| {
            let its_own = scans::table.find(id).filter(scans::created_at.eq(began));
            diesel::update(its_own.filter(open()))
                .set((scans::due_at.eq(due), scans::last_error.eq(error)))
                .execute(conn)
        })
        .await
        .map(drop)
    }

    /// Ends a scan whose upload has ended otherwise.
    pub async fn end_scan(&self, id: &UploadId, state: ScanState) -> Result<(), Error> {
        let id = id.to_string();
        self.run(move |conn| settle(conn, &id, state)).await
    }

    /// Notes that the object must go, before it goes; false for a scan that is settled.
    pub async fn condemn(&self, id: &UploadId, reason: String, until: DateTime<Utc>) -> Result<bool, Error> {
        let (id, until) = (id.to_string(), from_time(until));
        self.run(move |conn| {
            let open = scans::table.find(id).filter(open());
            diesel::update(open)
                .set((
                    scans::state.eq(ScanState::Rejecting.as_str()),
                    scans::reason.eq(reason),
                    scans::due_at.eq(until),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Settles a scan whose object is gone: the upload has failed, and its events are written with that. False, and no
    /// event, where the upload had ended already.
    pub async fn reject_upload(
        &self,
        id: &UploadId,
        reason: String,
        events: Vec<NewEvent>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.alter(id, move |conn, id| {
            write_transaction(conn, |conn| {
                settle(conn, &id, ScanState::Rejected)?;
                let unfinished = [State::Open.as_str(), State::Completing.as_str()];
                let ours = uploads::table.find(&id).filter(uploads::state.eq_any(unfinished));
                let change = (
                    uploads::state.eq(State::Failed.as_str()),
                    uploads::updated_at.eq(from_time(now)),
                );
                if diesel::update(ours).set(change).execute(conn)? == 0 {
                    return Ok(false);
                }
                let entry = LogEntry {
                    detail: LogDetail {
                        reason: Some(reason),
                        ..LogDetail::default()
                    },
                    ..LogEntry::new(now, LogKind::Became(State::Failed))
                };
                append_change(conn, &id, &entry)?;
                insert_events(conn, &id, events, now)?;
                Ok(true)
            })
        })
        .await
    }
}

/// Ends the scan of an upload, if it has one, in the transaction that is open.
pub(super) fn settle(conn: &mut AnyConnection, id: &str, state: ScanState) -> QueryResult<()> {
    let row = scans::table.find(id).filter(open());
    diesel::update(row)
        .set(scans::state.eq(state.as_str()))
        .execute(conn)
        .map(drop)
}

/// "Not settled", the condition of the partial index in its own words: neither database matches it to a value that comes
/// later.
fn open() -> SqlLiteral<Bool> {
    sql("state NOT IN ('accepted', 'rejected')")
}

/// A row, its fields in the order of the columns.
#[derive(Queryable, Insertable)]
#[diesel(table_name = scans, treat_none_as_default_value = false)]
struct ScanRow {
    upload_id: String,
    state: String,
    etag: Option<String>,
    due_at: NaiveDateTime,
    attempts: i32,
    reason: Option<String>,
    last_error: Option<String>,
    created_at: NaiveDateTime,
}

impl TryFrom<ScanRow> for Scan {
    type Error = Error;

    fn try_from(row: ScanRow) -> Result<Self, Error> {
        let state = ScanState::parse(&row.state);
        Ok(Self {
            upload_id: UploadId::parse(&row.upload_id)?,
            state: state.ok_or_else(|| Error::internal(format!("state {:?} of a scan", row.state)))?,
            etag: row.etag,
            due_at: to_time(row.due_at),
            attempts: u32::try_from(row.attempts).map_err(Error::internal)?,
            reason: row.reason,
            last_error: row.last_error,
            created_at: to_time(row.created_at),
        })
    }
}
