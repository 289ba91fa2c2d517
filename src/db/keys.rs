//! API keys as they are stored: a hash, whom it stands for, and what it allows.
//!
//! Separate, because who is asking has nothing to do with uploads. What a key looks like and how it is hashed is
//! for `identity` to say; the key itself never comes here.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::{from_time, to_time};
use super::schema::api_keys;
use crate::domain::Owner;
use crate::error::Error;

/// One API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// By which it is listed and revoked.
    pub id: String,
    /// Whom its bearer speaks for.
    pub owner: Owner,
    /// What its bearer may, as `upload,admin`.
    pub scopes: String,
    /// The key's hash.
    pub hash: String,
    /// The key's first characters, by which a person recognises it.
    pub hint: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it no longer counts.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Database {
    /// Keeps a new key.
    pub async fn insert_key(&self, key: ApiKeyRecord) -> Result<(), Error> {
        let row = KeyRow::from(key);
        self.run(move |conn| diesel::insert_into(api_keys::table).values(&row).execute(conn))
            .await?;
        Ok(())
    }

    /// The key with this hash, unless it was revoked.
    pub async fn find_key(&self, hash: &str) -> Result<Option<ApiKeyRecord>, Error> {
        let hash = hash.to_owned();
        let row: Option<KeyRow> = self
            .run(move |conn| {
                api_keys::table
                    .filter(api_keys::hash.eq(hash))
                    .filter(api_keys::revoked_at.is_null())
                    .first(conn)
                    .optional()
            })
            .await?;
        Ok(row.map(ApiKeyRecord::from))
    }

    /// Whether there is a key with this id that was not revoked.
    pub async fn is_key_good(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        self.run(move |conn| {
            let good = api_keys::table.find(id).filter(api_keys::revoked_at.is_null());
            good.select(api_keys::id).first::<String>(conn).optional()
        })
        .await
        .map(|found| found.is_some())
    }

    /// All keys, the revoked ones too, oldest first.
    pub async fn list_keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        let rows: Vec<KeyRow> = self
            .run(|conn| {
                api_keys::table
                    .order((api_keys::created_at.asc(), api_keys::id.asc()))
                    .load(conn)
            })
            .await?;
        Ok(rows.into_iter().map(ApiKeyRecord::from).collect())
    }

    /// Revokes a key; false for one that is unknown or already revoked.
    pub async fn revoke_key(&self, id: &str, now: DateTime<Utc>) -> Result<bool, Error> {
        let id = id.to_owned();
        self.run(move |conn| {
            diesel::update(api_keys::table.find(id).filter(api_keys::revoked_at.is_null()))
                .set(api_keys::revoked_at.eq(from_time(now)))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }
}

/// A row, its fields in the order of the columns.
#[derive(Queryable, Insertable)]
#[diesel(table_name = api_keys, treat_none_as_default_value = false)]
struct KeyRow {
    id: String,
    owner: String,
    scopes: String,
    hash: String,
    hint: String,
    created_at: NaiveDateTime,
    revoked_at: Option<NaiveDateTime>,
}

impl From<ApiKeyRecord> for KeyRow {
    fn from(key: ApiKeyRecord) -> Self {
        Self {
            id: key.id,
            owner: key.owner.to_string(),
            scopes: key.scopes,
            hash: key.hash,
            hint: key.hint,
            created_at: from_time(key.created_at),
            revoked_at: key.revoked_at.map(from_time),
        }
    }
}

impl From<KeyRow> for ApiKeyRecord {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            owner: Owner::recorded(row.owner),
            scopes: row.scopes,
            hash: row.hash,
            hint: row.hint,
            created_at: to_time(row.created_at),
            revoked_at: row.revoked_at.map(to_time),
        }
    }
}
