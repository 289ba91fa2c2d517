//! Many part rows written at once, the way each database does it fastest.
//!
//! Separate from the recorder, because this is the one statement that differs between the databases, and the one
//! whose speed everything else here waits for.

use chrono::NaiveDateTime;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamp};
use diesel::sqlite::Sqlite;

use super::connection::AnyConnection;
use super::parts::PartRow;

/// How both statements end.
const OR_REPLACE: &str = " ON CONFLICT (upload_id, number) DO UPDATE \
     SET size = excluded.size, etag = excluded.etag, recorded_at = excluded.recorded_at, \
     sha256 = excluded.sha256, checksums = excluded.checksums";

/// Writes `rows`, no two of them for the same part; a row that is there already is replaced. On SQLite this is as
/// many statements as rows, so it wants a transaction round it; on Postgres it is one.
///
/// Diesel's own inserts are parsed and planned anew each time. These two have a text that never changes, so that
/// each is prepared but once for a connection.
pub(super) fn upsert(conn: &mut AnyConnection, rows: &[&PartRow]) -> QueryResult<()> {
    match conn {
        AnyConnection::Sqlite(conn) => rows.iter().try_for_each(|row| Row(row).execute(conn).map(drop)),
        // Here each statement is a round trip, so there is one, with an array for each column.
        AnyConnection::Postgres(conn) => Columns::of(rows).execute(conn).map(drop),
    }
}

/// The upsert of one row for SQLite.
struct Row<'a>(&'a PartRow);

impl QueryFragment<Sqlite> for Row<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO parts (upload_id, number, size, etag, recorded_at, sha256, checksums) VALUES (",
        );
        out.push_bind_param::<Text, _>(&self.0.upload_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.0.number)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.0.size)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.0.etag)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamp, _>(&self.0.recorded_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.0.sha256)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.0.checksums)?;
        out.push_sql(")");
        out.push_sql(OR_REPLACE);
        Ok(())
    }
}

impl QueryId for Row<'_> {
    type QueryId = Row<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for Row<'_> {}

/// The upsert for Postgres, with the rows turned into columns.
struct Columns<'a> {
    upload_ids: Vec<&'a str>,
    numbers: Vec<i32>,
    sizes: Vec<i64>,
    etags: Vec<Option<&'a str>>,
    times: Vec<NaiveDateTime>,
    sums: Vec<Option<&'a str>>,
    checksums: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &[&'a PartRow]) -> Self {
        Self {
            upload_ids: rows.iter().map(|row| row.upload_id.as_str()).collect(),
            numbers: rows.iter().map(|row| row.number).collect(),
            sizes: rows.iter().map(|row| row.size).collect(),
            etags: rows.iter().map(|row| row.etag.as_deref()).collect(),
            times: rows.iter().map(|row| row.recorded_at).collect(),
            sums: rows.iter().map(|row| row.sha256.as_deref()).collect(),
            checksums: rows.iter().map(|row| row.checksums.as_deref()).collect(),
        }
    }
}

impl QueryFragment<Pg> for Columns<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO parts (upload_id, number, size, etag, recorded_at, sha256, checksums) SELECT * FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.upload_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.sizes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.etags)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamp>, _>(&self.times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.sums)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.checksums)?;
        out.push_sql(")");
        out.push_sql(OR_REPLACE);
        Ok(())
    }
}

impl QueryId for Columns<'_> {
    type QueryId = Columns<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for Columns<'_> {}
