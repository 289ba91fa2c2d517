//! Searches among many uploads: the admin's, and an owner's among the own ones.
//!
//! Separate from `uploads`, because these are the only statements whose conditions vary, and so the only ones that
//! could become slow by an unlucky combination. `tests/database/plans.rs` holds each to its index.

use std::collections::HashMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Database;
use super::column::{is_storable, to_bytes};
use super::connection::AnyConnection;
use super::schema::{parts, uploads};
use super::uploads::UploadRow;
use crate::domain::{Owner, State, Upload, UploadId};
use crate::error::Error;

/// What an admin, or an owner among the own uploads, searches for; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
pub struct UploadQuery {
    /// Whose uploads; `None` for everybody's, which is the admin's right alone.
    pub owner: Option<Owner>,
    /// Uploads in this state.
    pub state: Option<State>,
    /// Uploads that began through this door: a protocol's name.
    pub protocol: Option<String>,
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
    /// How many bytes those parts have, or were appended.
    pub bytes_recorded: u64,
}

impl Database {
    /// The uploads that `query` asks for, newest first.
    pub async fn list_uploads(&self, query: UploadQuery) -> Result<Vec<UploadSummary>, Error> {
        if !query.texts().all(is_storable) {
            return Ok(Vec::new());
        }
        let (rows, mut recorded) = self
            .run(move |conn| {
                // First the ids, which the indexes hold: a prefix that half of all uploads share is then sorted
                // without reading a single row of theirs.
                let ids = query.ids(conn)?;
                if ids.is_empty() {
                    return Ok((Vec::new(), HashMap::new()));
                }
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
                let upload: Upload = row.try_into()?;
                let bytes_recorded = match upload.offset() {
                    Some(offset) => offset,
                    None => to_bytes(bytes)?,
                };
                Ok(UploadSummary {
                    upload,
                    parts_recorded: to_bytes(count)?,
                    bytes_recorded,
                })
            })
            .collect()
    }
}

impl UploadQuery {
    /// The texts that a client chose freely.
    fn texts(&self) -> impl Iterator<Item = &str> {
        [
            &self.protocol,
            &self.filename,
            &self.filename_prefix,
            &self.key,
            &self.multipart_id,
        ]
        .into_iter()
        .filter_map(Option::as_deref)
        .chain(self.owner.as_ref().map(Owner::as_str))
    }

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
        if let Some(protocol) = self.protocol {
            query = query.filter(uploads::protocol.eq(protocol));
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
}
