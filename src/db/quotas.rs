//! What an owner has open, and room for more of it.
//!
//! Separate from `uploads`, because this is the one rule here that is about several rows. What is open is added up from the
//! unfinished uploads themselves, each time: there is no counter that could drift, and whatever ends an upload makes
//! room in the statement that ends it. That two who ask at once do not get the same room is up to a lock on the owner, held
//! until the transaction ends that takes it.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::Database;
use super::column::{from_bytes, from_time};
use super::connection::{AnyConnection, on_backend, write_transaction};
use super::schema::{reservations, uploads};
use super::uploads::unfinished;
use crate::domain::{Owner, Quota, State, Transfer, UploadId, Usage};
use crate::error::Error;

/// What a new upload takes of what its owner may have open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// What its owner may have open.
    pub quota: Quota,
    /// Bytes that its client says it has, where its record does not tell.
    pub told: u64,
}

/// How many bytes are to be kept free for an upload.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// So many, in place of what was kept before.
    Exactly(u64),
    /// So many; what was kept before stays where that is more: parts are signed in any order, and the highest one says how
    /// much there is.
    AtLeast(u64),
}

impl Database {
    /// What this owner has open at `now`, but for the upload `except`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn usage(
        &self,
        owner: &Owner,
        except: Option<&UploadId>,
        now: DateTime<Utc>,
    ) -> Result<Usage, Error> {
        let (owner, except) = (owner.to_string(), except.map(UploadId::to_string));
        self.run(move |conn| held(conn, &owner, except.as_deref(), now))
            .await
    }

    /// Keeps room for an unfinished upload that has turned out to have more bytes than its record tells.
    ///
    /// # Errors
    /// [`Error::QuotaReached`] where there is none; [`Error::TooLarge`] for more than may be open at all.
    pub async fn reserve(
        &self,
        id: &UploadId,
        owner: &Owner,
        quota: Quota,
        wanted: Wanted,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (id, owner) = (id.to_string(), owner.to_string());
        let (bytes, keeps_more) = match wanted {
            Wanted::Exactly(bytes) => (bytes, false),
            Wanted::AtLeast(bytes) => (bytes, true),
        };
        let column = from_bytes(bytes)?;
        // It is open already, so how many are has no say.
        let quota = Quota {
            uploads: None,
            ..quota
        };
        self.run(move |conn| {
            write_transaction(conn, |conn| {
                lock(conn, &owner)?;
                if keeps_more && kept(conn, &id)? >= column {
                    return Ok(Ok(()));
                }
                let others = held(conn, &owner, Some(&id), now)?;
                let more = Usage { uploads: 0, bytes };
                if let Err(refused) = quota.admit(others, more) {
                    return Ok(Err(refused));
                }
                keep(conn, &id, column).map(Ok)
            })
        })
        .await?
    }

    /// Forgets what was reserved for uploads that have ended, which counts for nothing any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn purge_reservations(&self) -> Result<usize, Error> {
        self.run(|conn| {
            let open = uploads::table.filter(unfinished()).select(uploads::id);
            let over = reservations::table.filter(reservations::upload_id.ne_all(open));
            diesel::delete(over).execute(conn)
        })
        .await
    }
}

/// Lets nobody else count or add to what this owner has open until the transaction ends.
pub(super) fn lock(conn: &mut AnyConnection, owner: &str) -> QueryResult<()> {
    match conn {
        // Whoever writes is alone.
        AnyConnection::Sqlite(_) => Ok(()),
        AnyConnection::Postgres(conn) => {
            diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('open:' || $1, 0))")
                .bind::<Text, _>(owner)
                .execute(conn)
                .map(drop)
        }
    }
}

/// What an owner has open at `now`, but for one upload. What is made of other uploads brings no bytes of its own; and what
/// passes through us is gone for its client as soon as it has run out, swept or not, while a direct upload can go on until
/// it is swept.
fn held(
    conn: &mut AnyConnection,
    owner: &str,
    except: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<Usage> {
    let largest = match conn {
        AnyConnection::Sqlite(_) => "max",
        AnyConnection::Postgres(_) => "greatest",
    };
    let bytes = format!(
        "CAST(coalesce(sum({largest}(size, coalesce(received, 0), coalesce(bytes, 0))), 0) AS BIGINT)"
    );
    let can_go_on = uploads::transfer
        .ne(Transfer::Relay.as_str())
        .or(uploads::state.ne(State::Open.as_str()))
        .or(uploads::expires_at.gt(from_time(now)));
    let (uploads, bytes): (i64, i64) = uploads::table
        .left_join(reservations::table)
        .filter(uploads::owner.eq(owner))
        .filter(unfinished())
        .filter(sql::<Bool>("coalesce(role, '') <> 'joined'"))
        .filter(uploads::id.ne(except.unwrap_or_default()))
        .filter(can_go_on)
        .select((count_star(), sql::<BigInt>(&bytes)))
        .first(conn)?;
    Ok(Usage {
        uploads: uploads.unsigned_abs(),
        bytes: bytes.unsigned_abs(),
    })
}

/// Takes room at `now` for a new upload of `size` bytes by its record, or says what there is too little of.
pub(super) fn take(
    conn: &mut AnyConnection,
    owner: &str,
    size: u64,
    room: Room,
    now: DateTime<Utc>,
) -> QueryResult<Result<(), Error>> {
    if room.quota.is_open() {
        return Ok(Ok(()));
    }
    lock(conn, owner)?;
    let open = held(conn, owner, None, now)?;
    Ok(room.quota.admit(open, Usage::one(size.max(room.told))))
}

/// How many bytes are kept free for an upload.
fn kept(conn: &mut AnyConnection, id: &str) -> QueryResult<i64> {
    let bytes: Option<i64> = reservations::table
        .find(id)
        .select(reservations::bytes)
        .first(conn)
        .optional()?;
    Ok(bytes.unwrap_or_default())
}

/// Writes down that at least so many bytes are kept free for an upload.
pub(super) fn keep(conn: &mut AnyConnection, id: &str, bytes: i64) -> QueryResult<()> {
    let row = (reservations::upload_id.eq(id), reservations::bytes.eq(bytes));
    on_backend!(conn, |c| {
        diesel::insert_into(reservations::table)
            .values(row)
            .on_conflict(reservations::upload_id)
            .do_update()
            .set(reservations::bytes.eq(bytes))
            .execute(c)
    })
    .map(drop)
}
