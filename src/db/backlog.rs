//! What there is to do: uploads that have not ended, and webhooks that have not arrived, as two sums.
//!
//! Separate from the look-ups, because nobody's request depends on it. Both sums read partial indexes that hold the
//! unfinished alone, and the rows behind them.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, min, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Nullable};

use super::Database;
use super::column::{from_time, to_time};
use super::schema::{uploads, webhook_events};
use super::uploads::unfinished;
use super::webhooks::pending;
use crate::domain::Backend;
use crate::error::Error;
use crate::metrics::{Backlog, Connections};

/// "Parked", in words rather than as a value that comes later, for which Postgres would read the whole table: most events
/// have a state, but few have this one.
fn parked() -> SqlLiteral<Bool> {
    sql("state = 'parked'")
}

/// As a number with a point: clients declare the sizes, and many large ones are more than an integer holds.
const OPEN_BYTES: &str = "CAST(SUM(size * 1.0) AS DOUBLE PRECISION)";

/// Before anything of ours.
const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

impl Database {
    /// How many uploads and webhooks are unfinished at `now`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database does not answer.
    pub async fn backlog(&self, now: DateTime<Utc>) -> Result<Backlog, Error> {
        let open = self.run(|conn| {
            // All expire some day; the bound is there to have SQLite search the index rather than walk it.
            uploads::table
                .filter(unfinished())
                .filter(uploads::expires_at.gt(from_time(EPOCH)))
                .select((count_star(), sql::<Nullable<Double>>(OPEN_BYTES)))
                .first::<(i64, Option<f64>)>(conn)
        });
        let (open_uploads, open_bytes) = open.await?;
        let waiting = self.run(|conn| {
            let waiting = webhook_events::table
                .filter(pending())
                .filter(webhook_events::next_attempt_at.gt(from_time(EPOCH)))
                .select((count_star(), min(webhook_events::created_at)))
                .first::<(i64, Option<NaiveDateTime>)>(conn)?;
            let parked = webhook_events::table
                .filter(parked())
                .count()
                .get_result::<i64>(conn)?;
            Ok((waiting, parked))
        });
        let ((pending, oldest), parked) = waiting.await?;
        let age = |at: NaiveDateTime| (now - to_time(at)).to_std().unwrap_or(Duration::ZERO);
        Ok(Backlog {
            open_uploads: natural(open_uploads),
            open_bytes: open_bytes.unwrap_or(0.0),
            pending: natural(pending),
            oldest: oldest.map_or(Duration::ZERO, age),
            parked: natural(parked),
        })
    }

    /// How many unfinished uploads are in storages of this kind.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database does not answer.
    pub async fn count_unfinished_in(&self, backend: Backend) -> Result<u64, Error> {
        let count = self.run(move |conn| {
            uploads::table
                .filter(unfinished())
                .filter(uploads::expires_at.gt(from_time(EPOCH)))
                .filter(uploads::storage.eq(backend.as_str()))
                .count()
                .get_result::<i64>(conn)
        });
        count.await.map(natural)
    }

    /// The connections of the pool just now.
    pub fn connections(&self) -> Connections {
        let state = self.pool.state();
        Connections {
            max: self.pool.max_size(),
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
        }
    }
}

fn natural(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
