//! Who is logged in to the admin pages.
//!
//! Separate from the keys, because a session ends by itself. Only hashes are here: of the cookie, and of the key that it
//! was given for, so that a session is worth nothing once that key is not.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::from_time;
use super::schema::admin_sessions;
use crate::error::Error;

impl Database {
    /// Keeps a session, and forgets those that have run out at `now`.
    pub async fn insert_session(
        &self,
        hash: &str,
        key_hash: &str,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let row = (
            admin_sessions::hash.eq(hash.to_owned()),
            admin_sessions::key_hash.eq(key_hash.to_owned()),
            admin_sessions::created_at.eq(from_time(now)),
            admin_sessions::expires_at.eq(from_time(expires_at)),
        );
        self.run(move |conn| {
            let over = admin_sessions::table.filter(admin_sessions::expires_at.le(from_time(now)));
            diesel::delete(over).execute(conn)?;
            diesel::insert_into(admin_sessions::table)
                .values(row)
                .execute(conn)
        })
        .await
        .map(drop)
    }

    /// The hash of the key behind a session that has not run out at `now`.
    pub async fn session_key(&self, hash: &str, now: DateTime<Utc>) -> Result<Option<String>, Error> {
        let hash = hash.to_owned();
        self.run(move |conn| {
            admin_sessions::table
                .find(hash)
                .filter(admin_sessions::expires_at.gt(from_time(now)))
                .select(admin_sessions::key_hash)
                .first(conn)
                .optional()
        })
        .await
    }

    /// Ends a session.
    pub async fn delete_session(&self, hash: &str) -> Result<(), Error> {
        let hash = hash.to_owned();
        self.run(move |conn| diesel::delete(admin_sessions::table.find(hash)).execute(conn))
            .await
            .map(drop)
    }
}
