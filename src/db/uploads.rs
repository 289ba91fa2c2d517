//! Uploads: their rows, their look-ups, and every change of their state.
//!
//! Separate from `parts`, because these are few statements a second on one row each, and each carries its
//! condition with it. Every look-up here is served by an index of `migrations/*/0001_uploads`;
//! `tests/database_plans.rs` holds the two together.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{count_star, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::Database;
use super::column::{from_bytes, from_claimed_time, from_time, to_bytes, to_time};
use super::connection::AnyConnection;
use super::schema::{parts, uploads};
use crate::domain::{FileName, Fingerprint, MediaType, ObjectKey, Owner, State, Transfer, Upload, UploadId};
use crate::error::{Error, FieldError};

/// What an admin, or an owner among the own uploads, searches for; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
pub struct UploadQuery {
    /// Whose uploads; `None` for everybody's, which is the admin's right alone.
    pub owner: Option<Owner>,
    /// Uploads in this state.
    pub state: Option<State>,
    /// Uploads of files with exactly this name.
    pub filename: Option<String>,
    /// Uploads of files whose name begins so.
    pub filename_prefix: Option<String>,
    /// The upload with this object key.
    pub key: Option<String>,
    /// The upload with this multipart upload at the store.
    pub multipart_id: Option<String>,
    /// The cursor: only uploads older than this one.
    pub before: Option<UploadId>,
    /// At most this many.
    pub limit: u32,
}

/// An upload with what clients told us of its parts.
#[derive(Debug, Clone)]
pub struct UploadSummary {
    /// The upload.
    pub upload: Upload,
    /// How many of its parts are recorded.
    pub parts_recorded: u64,
    /// How many bytes those parts have.
    pub bytes_recorded: u64,
}

impl Database {
    /// Keeps a new upload.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a size that no column holds, [`Error::Invalid`] for an unusable `last_modified`.
    pub async fn insert_upload(&self, upload: Upload) -> Result<(), Error> {
        let row = UploadRow::try_from(upload)?;
        self.run(move |conn| diesel::insert_into(uploads::table).values(&row).execute(conn))
            .await?;
        Ok(())
    }

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

    /// Moves an upload from one of the states `from` to the state `to`, keeping `etag` where one is given.
    /// True if this call did it: of several that try at once, one does.
    pub async fn change_state(
        &self,
        id: &UploadId,
        from: &[State],
        to: State,
        etag: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let id = id.to_string();
        let from: Vec<&'static str> = from.iter().map(|state| state.as_str()).collect();
        self.run(move |conn| {
            let change = (
                uploads::state.eq(to.as_str()),
                uploads::updated_at.eq(from_time(now)),
                etag.map(|etag| uploads::etag.eq(etag)),
            );
            diesel::update(uploads::table.find(id).filter(uploads::state.eq_any(from)))
                .set(change)
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Notes that somebody works on an upload; false for one that is finished or unknown.
    pub async fn touch(
        &self,
        id: &UploadId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let id = id.to_string();
        self.run(move |conn| {
            diesel::update(uploads::table.find(id).filter(unfinished()))
                .set((
                    uploads::updated_at.eq(from_time(now)),
                    uploads::expires_at.eq(from_time(expires_at)),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// The uploads that `query` asks for, newest first.
    pub async fn list_uploads(&self, query: UploadQuery) -> Result<Vec<UploadSummary>, Error> {
        let (rows, mut recorded) = self
            .run(move |conn| {
                // First the ids, which the indexes hold: a prefix that half of all uploads share is then sorted
                // without reading a single row of theirs.
                let ids = query.ids(conn)?;
                let recorded = recorded(conn, &ids)?;
                let rows: Vec<UploadRow> = uploads::table
                    .filter(uploads::id.eq_any(ids))
                    .order(uploads::id.desc())
                    .load(conn)?;
                Ok((rows, recorded))
            })
            .await?;
        rows.into_iter()
            .map(|row| {
                let (count, bytes) = recorded.remove(&row.id).unwrap_or_default();
                Ok(UploadSummary {
                    upload: row.try_into()?,
                    parts_recorded: to_bytes(count)?,
                    bytes_recorded: to_bytes(bytes)?,
                })
            })
            .collect()
    }

    /// Unfinished uploads whose time was up at `now`, the longest overdue first, at most `limit`.
    pub async fn expired_uploads(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Upload>, Error> {
        let rows: Vec<UploadRow> = self
            .run(move |conn| {
                uploads::table
                    .filter(unfinished())
                    .filter(uploads::expires_at.le(from_time(now)))
                    .order(uploads::expires_at.asc())
                    .limit(i64::from(limit))
                    .load(conn)
            })
            .await?;
        rows.into_iter().map(Upload::try_from).collect()
    }

    async fn find(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<Option<UploadRow>> + Send + 'static,
    ) -> Result<Option<Upload>, Error> {
        self.run(work).await?.map(Upload::try_from).transpose()
    }
}

/// The condition of the partial indexes, in their own words: neither database matches an index to a condition
/// whose values it learns later.
pub(super) fn unfinished() -> SqlLiteral<Bool> {
    sql("state IN ('open', 'completing')")
}

impl UploadQuery {
    /// The ids of one page, newest first.
    fn ids(self, conn: &mut AnyConnection) -> QueryResult<Vec<String>> {
        let mut query = uploads::table
            .select(uploads::id)
            .order(uploads::id.desc())
            .limit(i64::from(self.limit))
            .into_boxed();
        let names_one = self.filename.is_some()
            || self.filename_prefix.is_some()
            || self.key.is_some()
            || self.multipart_id.is_some();
        // Beside a name or a key, an owner or a state hardly narrows anything, but without statistics SQLite
        // takes all indexes for equally good. `owner || ''` is the owner without its index.
        if let Some(owner) = self.owner.map(|owner| owner.to_string()) {
            query = if names_one {
                query.filter(uploads::owner.concat("").eq(owner))
            } else {
                query.filter(uploads::owner.eq(owner))
            };
        }
        if let Some(state) = self.state.map(State::as_str) {
            query = if names_one {
                query.filter(uploads::state.concat("").eq(state))
            } else {
                query.filter(uploads::state.eq(state))
            };
        }
        if let Some(filename) = self.filename {
            query = query.filter(uploads::filename.eq(filename));
        }
        if let Some(prefix) = self.filename_prefix {
            if let Some(end) = end_of_prefix(&prefix) {
                query = query.filter(uploads::filename.lt(end));
            }
            query = query.filter(uploads::filename.ge(prefix));
        }
        if let Some(key) = self.key {
            query = query.filter(uploads::object_key.eq(key));
        }
        if let Some(multipart_id) = self.multipart_id {
            query = query.filter(uploads::multipart_id.eq(multipart_id));
        }
        if let Some(before) = self.before {
            query = query.filter(uploads::id.lt(before.to_string()));
        }
        query.load(conn)
    }
}

/// The least text above all that begin with `prefix`, in the byte order of both databases.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The range steps over the surrogates, which are no characters; past the last one, the one before grows.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

/// Count and bytes of the recorded parts of each of these uploads.
fn recorded(conn: &mut AnyConnection, ids: &[String]) -> QueryResult<HashMap<String, (i64, i64)>> {
    let totals: Vec<(String, i64, i64)> = parts::table
        .filter(parts::upload_id.eq_any(ids))
        .group_by(parts::upload_id)
        // Postgres sums BIGINT to NUMERIC; ten thousand parts of 5 GiB are far from the end of BIGINT.
        .select((
            parts::upload_id,
            count_star(),
            sql::<BigInt>("CAST(SUM(size) AS BIGINT)"),
        ))
        .load(conn)?;
    Ok(totals
        .into_iter()
        .map(|(id, count, bytes)| (id, (count, bytes)))
        .collect())
}

/// A row, its fields in the order of the columns.
#[derive(Queryable, Insertable)]
#[diesel(table_name = uploads, treat_none_as_default_value = false)]
struct UploadRow {
    id: String,
    owner: String,
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
}

impl TryFrom<Upload> for UploadRow {
    type Error = Error;

    fn try_from(upload: Upload) -> Result<Self, Error> {
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
            key: ObjectKey::new(&row.object_key).map_err(spoilt)?,
            multipart_id: row.multipart_id,
            part_size: to_bytes(row.part_size)?,
            etag: row.etag,
            created_at: to_time(row.created_at),
            updated_at: to_time(row.updated_at),
            expires_at: to_time(row.expires_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_with_the_prefix_lies_below_its_end() {
        assert_eq!(end_of_prefix("IMG_").as_deref(), Some("IMG`"));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        assert_eq!(end_of_prefix(""), None);
    }

    #[test]
    fn the_partial_indexes_hold_exactly_the_unfinished_states() {
        let unfinished: Vec<String> = State::ALL
            .into_iter()
            .filter(|state| state.is_unfinished())
            .map(|state| format!("'{state}'"))
            .collect();
        let condition = format!("state IN ({})", unfinished.join(", "));

        for migration in [
            include_str!("../../migrations/sqlite/0001_uploads/up.sql"),
            include_str!("../../migrations/postgres/0001_uploads/up.sql"),
        ] {
            assert_eq!(migration.matches(&format!("WHERE {condition};")).count(), 2);
        }
        let asked = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&unfinished_query()).to_string();
        assert!(asked.contains(&condition), "{asked}");
    }

    fn unfinished_query() -> impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> {
        unfinished()
    }
}
