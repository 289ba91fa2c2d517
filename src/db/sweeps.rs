//! What the sweeper did, for whoever wonders where an upload has gone.
//!
//! Separate from the log of each upload, because most rounds touch none: rounds in which nothing was found are counted in
//! one row, and the oldest rows go.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::{from_time, to_bytes, to_time};
use super::connection::write_transaction;
use super::schema::sweeps;
use crate::error::Error;

/// Rows that are kept.
const KEPT: i64 = 1_000;

/// One round of the sweeper, or several in which nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRecord {
    /// When the first of them began.
    pub began_at: DateTime<Utc>,
    /// When the last of them ended.
    pub ended_at: DateTime<Utc>,
    /// How many.
    pub rounds: u64,
    /// Uploads that were given up, because their time was over.
    pub expired: u64,
    /// Interrupted completions that came to their end.
    pub completed: u64,
    /// Leftovers in the storage that were dropped.
    pub strays: u64,
    /// What could not be done for now.
    pub failed: u64,
    /// What ended the round early.
    pub error: Option<String>,
}

impl SweepRecord {
    /// Whether nothing was found, and nothing went wrong.
    pub fn is_idle(&self) -> bool {
        self.expired + self.completed + self.strays + self.failed == 0 && self.error.is_none()
    }
}

impl Database {
    /// Keeps what a round did.
    pub async fn record_sweep(&self, sweep: SweepRecord) -> Result<(), Error> {
        let is_idle = sweep.is_idle();
        let row = SweepRow::try_from(sweep)?;
        self.run(move |conn| {
            write_transaction(conn, |conn| {
                let newest: Option<i64> = sweeps::table
                    .order(sweeps::id.desc())
                    .select(sweeps::id)
                    .first(conn)
                    .optional()?;
                if let Some(newest) = newest.filter(|_| is_idle) {
                    let idle = sweeps::table.find(newest).filter(sweeps::error.is_null()).filter(
                        (sweeps::expired + sweeps::completed + sweeps::strays + sweeps::failed).eq(0),
                    );
                    let counted = diesel::update(idle)
                        .set((
                            sweeps::ended_at.eq(row.ended_at),
                            sweeps::rounds.eq(sweeps::rounds + 1),
                        ))
                        .execute(conn)?;
                    if counted == 1 {
                        return Ok(());
                    }
                }
                diesel::insert_into(sweeps::table).values(&row).execute(conn)?;
                let last = newest.unwrap_or(0) + 1 - KEPT;
                diesel::delete(sweeps::table.filter(sweeps::id.le(last))).execute(conn)?;
                Ok(())
            })
        })
        .await
    }

    /// What the sweeper did, newest first, at most `limit` rows.
    pub async fn sweeps(&self, limit: u32) -> Result<Vec<SweepRecord>, Error> {
        let rows: Vec<SweepRow> = self
            .run(move |conn| {
                sweeps::table
                    .order(sweeps::id.desc())
                    .limit(i64::from(limit))
                    .select(SweepRow::as_select())
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(SweepRecord::try_from).collect()
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sweeps, treat_none_as_default_value = false)]
struct SweepRow {
    began_at: NaiveDateTime,
    ended_at: NaiveDateTime,
    rounds: i64,
    expired: i64,
    completed: i64,
    strays: i64,
    failed: i64,
    error: Option<String>,
}

impl TryFrom<SweepRecord> for SweepRow {
    type Error = Error;

    fn try_from(sweep: SweepRecord) -> Result<Self, Error> {
        let count = |count: u64| i64::try_from(count).map_err(Error::internal);
        Ok(Self {
            began_at: from_time(sweep.began_at),
            ended_at: from_time(sweep.ended_at),
            rounds: count(sweep.rounds)?,
            expired: count(sweep.expired)?,
            completed: count(sweep.completed)?,
            strays: count(sweep.strays)?,
            failed: count(sweep.failed)?,
            error: sweep.error,
        })
    }
}

impl TryFrom<SweepRow> for SweepRecord {
    type Error = Error;

    fn try_from(row: SweepRow) -> Result<Self, Error> {
        Ok(Self {
            began_at: to_time(row.began_at),
            ended_at: to_time(row.ended_at),
            rounds: to_bytes(row.rounds)?,
            expired: to_bytes(row.expired)?,
            completed: to_bytes(row.completed)?,
            strays: to_bytes(row.strays)?,
            failed: to_bytes(row.failed)?,
            error: row.error,
        })
    }
}
