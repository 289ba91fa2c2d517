//! What lies open, by owner.
//!
//! Separate from the searches, because this adds up all unfinished uploads: few at any time, and in an index of their own.

use std::collections::HashMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Database;
use super::column::to_bytes;
use super::parts::recorded;
use super::schema::uploads;
use super::uploads::unfinished;
use crate::domain::Owner;
use crate::error::Error;

/// Unfinished uploads up to which what is recorded of their parts is added up as well.
const MOST_TO_ADD: i64 = 20_000;

/// Parts that these may have together by their cut, each of which may be a row: some tenths of a second.
const MOST_ROWS: i64 = 500_000;

/// Uploads whose parts are added up by one statement.
const AT_ONCE: usize = 1_000;

/// What one owner has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBytes {
    /// Whose.
    pub owner: Owner,
    /// Uploads that have not ended.
    pub uploads: u64,
    /// Their files' bytes, as far as they are known.
    pub declared: u64,
    /// Bytes of theirs that have arrived; `None` where there are too many uploads, or parts, to look.
    pub arrived: Option<u64>,
}

/// Id, owner, bytes appended, bytes, and bytes of a part of an unfinished upload.
type Open = (String, String, Option<i64>, i64, i64);

/// Whether what is recorded of these would be too many rows to look at for a page. An upload has no more records than
/// parts; of one that its client cuts there are none before its end.
fn is_too_much(open: &[Open]) -> bool {
    let rows = open
        .iter()
        .map(|(.., size, part_size)| size.checked_div(*part_size).unwrap_or(0).saturating_add(1))
        .fold(0, i64::saturating_add);
    i64::try_from(open.len()).is_ok_and(|count| count > MOST_TO_ADD) || rows > MOST_ROWS
}

impl Database {
    /// What lies open, the owner of the most bytes first, at most `limit` owners.
    pub async fn open_bytes(&self, limit: u32) -> Result<Vec<OpenBytes>, Error> {
        let (rows, arrived) = self
            .run(move |conn| {
                let declared = || sql::<BigInt>("CAST(SUM(size) AS BIGINT)");
                let rows: Vec<(String, i64, i64)> = uploads::table
                    .filter(unfinished())
                    .group_by(uploads::owner)
                    .order(declared().desc())
                    .limit(i64::from(limit))
                    .select((uploads::owner, count_star(), declared()))
                    .load(conn)?;
                // By their time, which is an index of unfinished uploads alone.
                let open: Vec<Open> = uploads::table
                    .filter(unfinished())
                    .order(uploads::expires_at.asc())
                    .limit(MOST_TO_ADD + 1)
                    .select((
                        uploads::id,
                        uploads::owner,
                        uploads::received,
                        uploads::size,
                        uploads::part_size,
                    ))
                    .load(conn)?;
                if is_too_much(&open) {
                    return Ok((rows, None));
                }
                let mut arrived: HashMap<String, i64> = HashMap::new();
                for some in open.chunks(AT_ONCE) {
                    let ids: Vec<String> = some.iter().map(|(id, ..)| id.clone()).collect();
                    let sent = recorded(conn, &ids)?;
                    for (id, owner, appended, ..) in some {
                        let parts = sent.get(id).map_or(0, |(_, bytes)| *bytes);
                        *arrived.entry(owner.clone()).or_default() += parts + appended.unwrap_or(0);
                    }
                }
                Ok((rows, Some(arrived)))
            })
            .await?;
        rows.into_iter()
            .map(|(owner, uploads, declared)| {
                let arrived = arrived.as_ref();
                let arrived = arrived.map(|all| to_bytes(all.get(&owner).copied().unwrap_or(0)));
                Ok(OpenBytes {
                    uploads: to_bytes(uploads)?,
                    declared: to_bytes(declared)?,
                    arrived: arrived.transpose()?,
                    owner: Owner::recorded(owner),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_parts_are_too_much_as_many_uploads_are() {
        let of = |size, part_size| -> Open { (String::new(), String::new(), None, size, part_size) };

        assert!(!is_too_much(&vec![of(5, 10); 20_000]));
        assert!(is_too_much(&vec![of(5, 10); 20_001]));
        assert!(!is_too_much(&vec![of(9_999, 1); 50]));
        assert!(is_too_much(&vec![of(9_999, 1); 51]));
        assert!(!is_too_much(&vec![of(i64::MAX, 0); 50]), "its client cuts it");
    }
}
