//! Quota: what an owner may have open, held against what comes.
//!
//! Separate from `create`, because not all of it is known when an upload begins: of a file whose length is told late, or that
//! its client cuts, room is taken as its bytes come. What was begun before is never refused for being open.

use super::Uploads;
use crate::db::{Room, Wanted};
use crate::domain::{NewUpload, Principal, Role, Upload, Usage, told_size};
use crate::error::{Error, Held};

impl Uploads {
    /// The room that a new upload takes. Looked at before anything is begun at the store; what counts is what the
    /// statement finds that writes it down.
    ///
    /// # Errors
    /// [`Error::QuotaReached`], [`Error::TooLarge`] where there is none.
    pub(super) async fn room_for(&self, caller: &Principal, new: &NewUpload) -> Result<Room, Error> {
        let quotas = self.0.policy.within(&caller.bounds).quotas;
        let told = if new.wishes.cut.is_ours() { 0 } else { new.size };
        let room = Room {
            quota: quotas.of(&caller.owner),
            told,
        };
        let role = new.wishes.appending.as_ref().map(|appending| &appending.role);
        if !room.quota.is_open() && !matches!(role, Some(Role::Joined(_))) {
            let held = self.0.db.usage(&caller.owner, None, self.now()).await?;
            room.quota.admit(held, Usage::one(new.size))?;
        }
        Ok(room)
    }

    /// Bytes that this upload may have beside what else its owner has open.
    pub(super) async fn room_of(&self, upload: &Upload) -> Result<u64, Error> {
        let quota = self.policy_of(upload).quotas.of(&upload.owner);
        if quota.bytes.is_none() {
            return Ok(u64::MAX);
        }
        let others = self
            .0
            .db
            .usage(&upload.owner, Some(&upload.id), self.now())
            .await?;
        Ok(quota.room(others).unwrap_or(u64::MAX))
    }

    /// What is told of an upload that needs more than these bytes, which are free.
    pub(super) fn quota_of(&self, upload: &Upload, room: u64) -> Error {
        let limit = self.policy_of(upload).quotas.of(&upload.owner).bytes;
        let limit = limit.unwrap_or(room);
        Error::QuotaReached {
            what: Held::Bytes,
            limit,
            held: limit.saturating_sub(room),
        }
    }

    /// Takes room for an upload that has turned out to have so many bytes at least.
    ///
    /// # Errors
    /// [`Error::QuotaReached`], [`Error::TooLarge`] where there is none.
    pub(super) async fn grow(&self, upload: &Upload, bytes: u64) -> Result<(), Error> {
        let quota = self.policy_of(upload).quotas.of(&upload.owner);
        if quota.bytes.is_none() || bytes == 0 {
            return Ok(());
        }
        let (db, owner) = (&self.0.db, &upload.owner);
        let wanted = Wanted::Exactly(bytes);
        db.reserve(&upload.id, owner, quota, wanted, self.now()).await
    }

    /// Holds a part of a file that its client cuts, of which all parts before this one have the least size at least,
    /// against what holds for it.
    ///
    /// # Errors
    /// [`Error::TooManyParts`], [`Error::TooLarge`], [`Error::QuotaReached`].
    pub(super) async fn admit_part(&self, upload: &Upload, number: u32) -> Result<(), Error> {
        let policy = self.policy_of(upload);
        policy.check_part(number)?;
        let least = u64::from(number.saturating_sub(1)) * policy.parts.min;
        policy.check_size(least)?;
        // What its client said when it began is reserved already.
        let told = told_size(&upload.metadata).ok().flatten().unwrap_or_default();
        let quota = policy.quotas.of(&upload.owner);
        if least <= told || quota.bytes.is_none() {
            return Ok(());
        }
        let (db, owner) = (&self.0.db, &upload.owner);
        let wanted = Wanted::AtLeast(least);
        db.reserve(&upload.id, owner, quota, wanted, self.now()).await
    }
}
