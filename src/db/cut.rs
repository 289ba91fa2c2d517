//! Uploads that clients cut themselves: found by their keys, bound to what the store calls them, measured at their end.
//!
//! Separate from `uploads`, because only these change what an upload is known by at the store, and learn their size
//! late. Every change names what it replaces, so of two that try at once one does.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::Text;

use super::Database;
use super::column::{from_bytes, from_time, is_storable};
use super::connection::write_transaction;
use super::events::append_change;
use super::insert::NewRow;
use super::quotas::{self, Room};
use super::schema::uploads;
use super::uploads::unfinished;
use super::webhooks::NewEvent;
use crate::domain::{Cut, LogEntry, LogKind, Owner, State, Upload, UploadId};
use crate::error::Error;

/// "Known to the store by this id", where no text means by none yet.
#[diesel::dsl::auto_type(no_type_alias)]
fn called(known: String) -> _ {
    let id: SqlLiteral<Text> = sql("coalesce(multipart_id, '')");
    id.eq(known)
}

impl Database {
    /// Keeps a new upload whose key its client chose; false where another has that key, unless it came to nothing.
    ///
    /// # Errors
    /// As [`insert_upload`](Self::insert_upload).
    pub async fn claim_key(&self, upload: Upload, room: Room, events: Vec<NewEvent>) -> Result<bool, Error> {
        let new = NewRow::new(upload, room, events)?;
        self.run(
            move |conn| match write_transaction(conn, |conn| new.insert(conn)) {
                Ok(kept) => Ok(kept.map(|()| true)),
                Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(Ok(false)),
                Err(error) => Err(error),
            },
        )
        .await?
    }

    /// The newest upload with this object key, within one owner or, for `None`, among everybody's.
    pub async fn find_by_key(&self, owner: Option<&Owner>, key: &str) -> Result<Option<Upload>, Error> {
        if !is_storable(key) {
            return Ok(None);
        }
        let (key, owner) = (key.to_owned(), owner.map(Owner::to_string));
        self.find(move |conn| {
            let mut query = uploads::table
                .filter(uploads::object_key.eq(key))
                .order(uploads::id.desc())
                .into_boxed();
            if let Some(owner) = owner {
                // Without its own index: a key has hardly more than one upload.
                query = query.filter(uploads::owner.concat("").eq(owner));
            }
            query.first(conn).optional()
        })
        .await
    }

    /// Whether anybody but this owner ever had an upload with this object key.
    pub async fn is_key_of_others(&self, owner: &Owner, key: &str) -> Result<bool, Error> {
        if !is_storable(key) {
            return Ok(false);
        }
        let (key, owner) = (key.to_owned(), owner.to_string());
        self.run(move |conn| {
            let others = uploads::table
                .filter(uploads::object_key.eq(key))
                .filter(uploads::owner.concat("").ne(owner));
            others.select(uploads::id).first::<String>(conn).optional()
        })
        .await
        .map(|found| found.is_some())
    }

    /// Binds an upload that its client begins itself to the store's id of the multipart upload, in place of `known`.
    /// False where it has ended, or was bound otherwise meanwhile.
    pub async fn bind_multipart(
        &self,
        id: &UploadId,
        known: Option<&str>,
        multipart_id: &str,
    ) -> Result<bool, Error> {
        let known = known.unwrap_or_default().to_owned();
        let multipart_id = multipart_id.to_owned();
        self.alter(id, move |conn, id| {
            let own = uploads::table
                .find(id)
                .filter(unfinished())
                .filter(uploads::cut.eq(Cut::Browser.as_str()))
                .filter(called(known));
            diesel::update(own)
                .set(uploads::multipart_id.eq(multipart_id))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Has an upload that its client cuts, and whose multipart upload is of no use any more, go on in another one in place
    /// of `known`: one that is unfinished, had run out, or was given up. False where it has ended otherwise, or was begun again by
    /// somebody else meanwhile. One that had ended needs room anew.
    ///
    /// # Errors
    /// [`Error::QuotaReached`], [`Error::TooLarge`] where there is none.
    pub async fn begin_again(
        &self,
        upload: &Upload,
        multipart_id: &str,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        room: Room,
    ) -> Result<bool, Error> {
        let known = upload.multipart_id.clone().unwrap_or_default();
        let (owner, told) = (upload.owner.to_string(), from_bytes(room.told)?);
        let multipart_id = multipart_id.to_owned();
        let from = [State::Open, State::Completing, State::Expired, State::Aborted].map(State::as_str);
        self.alter(&upload.id, move |conn, id| {
            write_transaction(conn, |conn| {
                let is_open = uploads::table.find(&id).filter(unfinished()).count();
                if is_open.get_result::<i64>(conn)? == 0 {
                    if let Err(refused) = quotas::take(conn, &owner, 0, room, now)? {
                        return Ok(Err(refused));
                    }
                    if room.quota.bytes.is_some() && told > 0 {
                        quotas::keep(conn, &id, told)?;
                    }
                }
                let own = uploads::table
                    .find(&id)
                    .filter(uploads::state.eq_any(from))
                    .filter(uploads::cut.eq(Cut::Client.as_str()))
                    .filter(called(known));
                let changed = diesel::update(own)
                    .set((
                        uploads::multipart_id.eq(multipart_id),
                        uploads::state.eq(State::Open.as_str()),
                        uploads::updated_at.eq(from_time(now)),
                        uploads::expires_at.eq(from_time(expires_at)),
                    ))
                    .execute(conn)?;
                if changed == 1 {
                    append_change(conn, &id, &LogEntry::new(now, LogKind::BegunAgain))?;
                }
                Ok(Ok(changed == 1))
            })
        })
        .await?
    }

    /// Writes down how large an unfinished upload of a client's own cut has turned out to be, in bytes, and its first
    /// part.
    pub async fn measure_upload(&self, id: &UploadId, size: u64, part_size: u64) -> Result<(), Error> {
        let (size, part_size) = (from_bytes(size)?, from_bytes(part_size)?);
        self.alter(id, move |conn, id| {
            let own = uploads::table
                .find(id)
                .filter(unfinished())
                .filter(uploads::cut.ne(Cut::Ours.as_str()));
            diesel::update(own)
                .set((uploads::size.eq(size), uploads::part_size.eq(part_size)))
                .execute(conn)
        })
        .await
        .map(drop)
    }
}
