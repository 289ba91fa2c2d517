//! What is known of an upload's bytes besides its parts: the checksum that they are sent with, and the receipt.
//!
//! Separate from `uploads`, whose rows have no room for more columns, and because most uploads have none of it.

use diesel::prelude::*;

use super::Database;
use super::connection::{AnyConnection, on_backend, write_transaction};
use super::schema::{integrity, uploads};
use crate::domain::{Algorithm, CheckedBy, Checksums, State, Upload, UploadId};
use crate::error::Error;

/// What is known of an upload's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrity {
    /// The checksum that its parts are sent with, where they are sent with one.
    pub algorithm: Option<Algorithm>,
    /// The checksums of the whole, as far as they followed from those of its parts.
    pub whole: Checksums,
    /// Who has compared them with what is stored; `None` where there are none.
    pub checked_by: Option<CheckedBy>,
    /// The receipt of a complete one, as it was signed.
    pub receipt: Option<String>,
    /// Of one that is appended to: how many bytes from its beginning have passed through us, and their checksums.
    pub passed: Option<(u64, Checksums)>,
}

#[derive(Queryable, Default)]
struct Row {
    algorithm: Option<String>,
    whole: Option<String>,
    checked_by: Option<String>,
    receipt: Option<String>,
    passed: Option<i64>,
    passed_sums: Option<String>,
}

/// What is noted of an upload's bytes; what is `None` stays as it is.
#[derive(Insertable, AsChangeset, Default)]
#[diesel(table_name = integrity, primary_key(upload_id))]
struct Note {
    upload_id: String,
    whole: Option<String>,
    checked_by: Option<&'static str>,
    passed: Option<i64>,
    passed_sums: Option<String>,
}

impl Database {
    /// Notes the checksum that the parts of a new upload are sent with.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn note_algorithm(&self, id: &UploadId, algorithm: Algorithm) -> Result<(), Error> {
        let row = (
            integrity::upload_id.eq(id.to_string()),
            integrity::algorithm.eq(algorithm.name()),
        );
        self.run(move |conn| {
            on_backend!(conn, |c| {
                diesel::insert_into(integrity::table)
                    .values(row)
                    .on_conflict_do_nothing()
                    .execute(c)
            })
        })
        .await
        .map(drop)
    }

    /// What is known of the bytes of this upload.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn integrity(&self, id: &UploadId) -> Result<Integrity, Error> {
        let id = id.to_string();
        let columns = (
            integrity::algorithm,
            integrity::whole,
            integrity::checked_by,
            integrity::receipt,
            integrity::passed,
            integrity::passed_sums,
        );
        let row: Option<Row> = self
            .run(move |conn| {
                let found = integrity::table.find(id).select(columns);
                found.first(conn).optional()
            })
            .await?;
        let row = row.unwrap_or_default();
        let sums = |text: Option<String>| {
            Checksums::recorded(&text.unwrap_or_default())
                .ok_or_else(|| Error::internal("the checksums of an upload in the database"))
        };
        let passed = row.passed.map(i64::unsigned_abs);
        Ok(Integrity {
            algorithm: row.algorithm.as_deref().and_then(Algorithm::parse),
            whole: sums(row.whole)?,
            checked_by: row.checked_by.as_deref().and_then(CheckedBy::parse),
            receipt: row.receipt,
            passed: passed.zip(Some(sums(row.passed_sums)?)),
        })
    }

    /// Notes the checksums of so many bytes from the beginning of an upload that is appended to.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn note_passed(&self, id: &UploadId, bytes: u64, sums: &Checksums) -> Result<(), Error> {
        self.note_bytes(Note {
            upload_id: id.to_string(),
            passed: Some(i64::try_from(bytes).map_err(Error::internal)?),
            passed_sums: Some(sums.to_string()),
            ..Note::default()
        })
        .await
    }

    /// Notes the checksums of the whole of an upload that is about to be complete.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn note_whole(
        &self,
        id: &UploadId,
        whole: &Checksums,
        checked_by: CheckedBy,
    ) -> Result<(), Error> {
        self.note_bytes(Note {
            upload_id: id.to_string(),
            whole: Some(whole.to_string()),
            checked_by: Some(checked_by.as_str()),
            ..Note::default()
        })
        .await
    }

    async fn note_bytes(&self, note: Note) -> Result<(), Error> {
        self.run(move |conn| {
            on_backend!(conn, |c| {
                diesel::insert_into(integrity::table)
                    .values(&note)
                    .on_conflict(integrity::upload_id)
                    .do_update()
                    .set(&note)
                    .execute(c)
            })
        })
        .await
        .map(drop)
    }

    /// Keeps the receipt of a complete upload, unless it has one; gives the one that it has now. `None` where the upload is
    /// not complete any more, or has another object.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn keep_receipt(&self, upload: &Upload, receipt: String) -> Result<Option<String>, Error> {
        let (id, etag) = (upload.id.to_string(), upload.etag.clone());
        self.run(move |conn| {
            write_transaction(conn, |conn| {
                // Whoever takes the upload back waits for the end of this, and what is kept here goes with it.
                let complete = State::Complete.as_str();
                let own = uploads::table.find(&id).filter(uploads::state.eq(complete));
                let locked = diesel::update(own)
                    .set(uploads::state.eq(complete))
                    .execute(conn)?;
                let now: Option<Option<String>> = uploads::table
                    .find(&id)
                    .select(uploads::etag)
                    .first(conn)
                    .optional()?;
                if locked == 0 || now != Some(etag) {
                    return Ok(None);
                }
                keep(conn, &id, receipt).map(Some)
            })
        })
        .await
    }
}

fn keep(conn: &mut AnyConnection, id: &str, receipt: String) -> QueryResult<String> {
    let fresh = (integrity::upload_id.eq(id), integrity::receipt.eq(&receipt));
    let made = on_backend!(conn, |c| {
        diesel::insert_into(integrity::table)
            .values(fresh)
            .on_conflict_do_nothing()
            .execute(c)
    })?;
    if made == 0 {
        let without = integrity::table.find(id).filter(integrity::receipt.is_null());
        diesel::update(without)
            .set(integrity::receipt.eq(&receipt))
            .execute(conn)?;
    }
    let kept: Option<String> = integrity::table.find(id).select(integrity::receipt).first(conn)?;
    Ok(kept.unwrap_or(receipt))
}
