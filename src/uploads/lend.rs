//! Lend: credentials that end soon, for a browser that signs by itself below its owner's prefix.
//!
//! Separate from `sign`: what is done with them we neither see nor record, so all that holds is what their policy says.

use std::sync::Arc;

use super::Uploads;
use super::topic::is_about;
use crate::domain::{Cut, Principal, Upload};
use crate::error::Error;
use crate::signing::Credentials;

/// What a browser needs to sign by itself.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The credentials; they are never logged.
    pub credentials: Arc<Credentials>,
    /// What its keys must begin with.
    pub prefix: String,
    /// The bucket.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// The bucket's address, without a slash at its end.
    pub bucket_url: String,
}

impl Uploads {
    /// What this caller's keys begin with where they may have credentials.
    pub fn lent_prefix(&self, caller: &Principal) -> Option<String> {
        let bucket = self.0.bucket.as_ref()?;
        let prefix = bucket.store.session_prefix(&caller.owner);
        prefix.filter(|_| caller.may_have_keys().is_ok())
    }

    /// The caller's newest upload with this key, where that is in their own part of the bucket and we began it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database.
    pub async fn lent_upload(&self, caller: &Principal, key: &str) -> Result<Option<Upload>, Error> {
        let prefix = self.lent_prefix(caller);
        if !prefix.is_some_and(|prefix| key.starts_with(&prefix)) {
            return Ok(None);
        }
        let found = self.0.db.find_by_key(Some(&caller.owner), key).await?;
        let is_theirs = |upload: &Upload| upload.cut == Cut::Client && caller.reach(&upload.id).is_ok();
        let found = found.filter(is_theirs);
        found.iter().for_each(is_about);
        Ok(found)
    }

    /// Temporary credentials for this caller's part of the bucket.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who may not begin uploads, and where none are handed out; [`Error::StoreRefused`],
    /// [`Error::Unavailable`] and [`Error::Busy`] from the STS and its queue.
    pub async fn lend(&self, caller: &Principal) -> Result<Lent, Error> {
        caller.may_begin()?;
        caller.may_have_keys()?;
        let store = self.store()?;
        let off =
            Error::Forbidden("temporary credentials are switched off here (protocols.uppy.sts.role_arn)");
        let Some(prefix) = store.session_prefix(&caller.owner) else {
            return Err(off);
        };
        let (store, owner, now) = (store.clone(), caller.owner.clone(), self.now());
        // Whoever waits for the same credentials must get them, though the first who asked goes away.
        let asked = store.clone();
        let given = Self::see_through(async move { asked.session(&owner, now).await }).await?;
        let location = store.public_location();
        Ok(Lent {
            credentials: given.ok_or(off)?,
            prefix,
            bucket: location.bucket().to_owned(),
            region: location.region().to_owned(),
            bucket_url: location.url("").trim_end_matches('/').to_owned(),
        })
    }
}
