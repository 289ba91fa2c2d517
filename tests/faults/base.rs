//! A look into the database that both instances share, past the program.

use std::sync::Mutex;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _};

/// One connection.
pub struct Base(Mutex<PgConnection>);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Nullable<BigInt>)]
    count: Option<i64>,
}

/// An upload on record.
#[derive(Debug, Clone, QueryableByName)]
pub struct Record {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub protocol: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Text)]
    pub filename: String,
    #[diesel(sql_type = Text)]
    pub object_key: String,
    #[diesel(sql_type = Text)]
    pub backend: String,
}

impl Base {
    pub fn open(url: &str) -> Self {
        Self(Mutex::new(
            PgConnection::establish(url).expect("the database takes connections"),
        ))
    }

    fn count(&self, sql: &str) -> u64 {
        let mut connection = self.0.lock().expect("no panic");
        let found: Count = diesel::sql_query(sql)
            .get_result(&mut *connection)
            .expect("a number");
        found
            .count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
    }

    /// For how many milliseconds more the leases of that process hold, but for the sweeper's: the longest of them.
    pub fn longest_lease_of(&self, process: u32) -> u64 {
        self.count(&format!(
            "SELECT (max(extract(epoch FROM expires_at - (now() AT TIME ZONE 'utc'))) * 1000)::bigint AS count \
             FROM leases WHERE holder LIKE '% {process} %' AND name <> 'sweeper'"
        ))
    }

    /// How many leases hold just now, but for the sweeper's.
    pub fn leases(&self) -> u64 {
        self.count(
            "SELECT count(*) AS count FROM leases \
             WHERE expires_at > (now() AT TIME ZONE 'utc') AND name <> 'sweeper'",
        )
    }

    /// Has all that is unfinished be as if nobody had come back for days.
    pub fn abandon(&self) {
        let mut connection = self.0.lock().expect("no panic");
        connection
            .batch_execute(
                "UPDATE uploads SET updated_at = updated_at - interval '3 days', \
                 expires_at = expires_at - interval '30 days' WHERE state IN ('open', 'completing')",
            )
            .expect("SQL");
    }

    /// All uploads.
    pub fn records(&self) -> Vec<Record> {
        let mut connection = self.0.lock().expect("no panic");
        diesel::sql_query(
            "SELECT id, protocol, state, filename, object_key, storage AS backend FROM uploads ORDER BY id",
        )
        .load(&mut *connection)
        .expect("all uploads")
    }
}
