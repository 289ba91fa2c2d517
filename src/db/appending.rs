//! Uploads that are appended to: their columns, and the statements that move their offset.
//!
//! Separate from `uploads`, because here every statement names the fence that it was begun under: of two writers the one
//! that began later is the only one that is heard.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::{from_bytes, from_time, to_bytes};
use super::connection::write_transaction;
use super::schema::uploads;
use super::uploads::unfinished;
use crate::domain::{Appending, Length, Role, UploadId};
use crate::error::Error;

/// The right to append, until somebody else begins.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Above all earlier ones.
    pub fence: u64,
    /// Where the upload stands; `None` where its storage must be asked.
    pub offset: Option<u64>,
}

impl Database {
    /// Says that somebody begins to append to an unfinished upload: gives the fence that is theirs, and above all
    /// earlier ones. `None` where it has ended, or is not one that is appended to.
    pub async fn begin_append(&self, id: &UploadId) -> Result<Option<Turn>, Error> {
        let row: Option<(Option<i64>, Option<i64>, Option<bool>)> = self
            .alter(id, move |conn, id| {
                write_transaction(conn, |conn| {
                    // First, since it holds the row: of two that begin at once each must get a fence of its own.
                    let own = uploads::table.find(&id).filter(unfinished());
                    diesel::update(own)
                        .set(uploads::fence.eq(uploads::fence + 1))
                        .execute(conn)?;
                    let own = uploads::table.find(&id).filter(unfinished());
                    let columns = (uploads::fence, uploads::received, uploads::settled);
                    let found = own.select(columns).first(conn).optional()?;
                    let own = uploads::table.find(&id).filter(unfinished());
                    diesel::update(own)
                        .set(uploads::settled.eq(false))
                        .execute(conn)?;
                    Ok(found)
                })
            })
            .await?;
        let Some((Some(fence), Some(received), is_settled)) = row else {
            return Ok(None);
        };
        Ok(Some(Turn {
            fence: to_bytes(fence)?,
            offset: is_settled
                .unwrap_or(false)
                .then(|| to_bytes(received))
                .transpose()?,
        }))
    }

    /// Writes down where an upload stands that was begun to append to under `fence`. False where somebody else has
    /// begun since, or it has ended.
    pub async fn settle_append(
        &self,
        id: &UploadId,
        fence: u64,
        offset: u64,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let (fence, offset) = (from_bytes(fence)?, from_bytes(offset)?);
        self.alter(id, move |conn, id| {
            let own = uploads::table.find(id).filter(uploads::fence.eq(fence));
            diesel::update(own.filter(unfinished()))
                .set((
                    uploads::received.eq(offset),
                    uploads::settled.eq(true),
                    uploads::updated_at.eq(from_time(now)),
                    uploads::expires_at.eq(from_time(expires_at)),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }

    /// Fixes the length of an upload whose length was deferred, and that was begun to append to under `fence`. False where
    /// it was fixed before, or somebody else has begun since.
    pub async fn declare_length(&self, id: &UploadId, fence: u64, size: u64) -> Result<bool, Error> {
        let (fence, size) = (from_bytes(fence)?, from_bytes(size)?);
        self.alter(id, move |conn, id| {
            let deferred = uploads::length
                .eq(Length::Deferred.as_str())
                .and(uploads::fence.eq(fence));
            diesel::update(uploads::table.find(id).filter(deferred))
                .set((
                    uploads::size.eq(size),
                    uploads::length.eq(Length::Declared.as_str()),
                ))
                .execute(conn)
        })
        .await
        .map(|changed| changed == 1)
    }
}

/// The columns of an upload that is appended to, all empty for one that is sent in parts.
#[derive(Default)]
pub(super) struct AppendingRow {
    pub(super) received: Option<i64>,
    pub(super) settled: Option<bool>,
    pub(super) fence: Option<i64>,
    pub(super) length: Option<String>,
    pub(super) role: Option<String>,
    pub(super) sources: Option<String>,
    pub(super) fields: Option<String>,
}

impl TryFrom<Option<Appending>> for AppendingRow {
    type Error = Error;

    fn try_from(appending: Option<Appending>) -> Result<Self, Error> {
        let Some(appending) = appending else {
            return Ok(Self::default());
        };
        let sources = match &appending.role {
            Role::Joined(sources) => {
                let ids: Vec<&str> = sources.iter().map(UploadId::as_str).collect();
                Some(serde_json::to_string(&ids).map_err(Error::internal)?)
            }
            Role::Whole | Role::Partial => None,
        };
        Ok(Self {
            received: Some(from_bytes(appending.offset)?),
            settled: Some(appending.is_settled),
            fence: Some(from_bytes(appending.fence)?),
            length: Some(appending.length.as_str().to_owned()),
            role: Some(appending.role.as_str().to_owned()),
            sources,
            fields: Some(serde_json::to_string(&appending.fields).map_err(Error::internal)?),
        })
    }
}

impl TryFrom<AppendingRow> for Option<Appending> {
    type Error = Error;

    fn try_from(row: AppendingRow) -> Result<Self, Error> {
        let Some(received) = row.received else {
            return Ok(None);
        };
        let missing = || Error::internal("an upload that is appended to lacks a column");
        let length = row.length.ok_or_else(missing)?;
        let role = row.role.ok_or_else(missing)?;
        let role = match role.as_str() {
            "whole" => Role::Whole,
            "partial" => Role::Partial,
            "joined" => {
                let sources = row.sources.ok_or_else(missing)?;
                let ids: Vec<String> = serde_json::from_str(&sources).map_err(Error::internal)?;
                Role::Joined(
                    ids.iter()
                        .map(|id| UploadId::parse(id))
                        .collect::<Result<_, _>>()?,
                )
            }
            other => return Err(Error::internal(format!("role {other:?} in the database"))),
        };
        Ok(Some(Appending {
            offset: to_bytes(received)?,
            is_settled: row.settled.ok_or_else(missing)?,
            fence: to_bytes(row.fence.ok_or_else(missing)?)?,
            length: Length::parse(&length)
                .ok_or_else(|| Error::internal(format!("length {length:?} in the database")))?,
            role,
            fields: serde_json::from_str(&row.fields.ok_or_else(missing)?).map_err(Error::internal)?,
        }))
    }
}
