//! Finished: files that pages have sent with our signatures, once they are there: listed, confirmed, removed.
//!
//! Separate from `asked`, because nothing is signed here: a page names an object, and it is looked for among its owner's
//! own that came through the same door.

use super::claims::Manner;
use super::{ListingQuery, SigningDoor, Uploads};
use crate::domain::{ObjectKey, Principal, State, Upload};
use crate::error::Error;

/// Most finished uploads that a page is told of.
const MOST_FINISHED: u32 = 200;

/// Pages of an owner's uploads that are looked through for them.
const MOST_PAGES: usize = 20;

impl Uploads {
    /// The caller's finished files that came through this door, newest first, at most two hundred.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for the holder of an upload's token.
    pub async fn finished_asked(&self, caller: &Principal, door: &SigningDoor) -> Result<Vec<Upload>, Error> {
        let mut query = ListingQuery {
            owner: Some(caller.owner.to_string()),
            state: Some(State::Complete),
            protocol: Some(door.protocol.to_owned()),
            limit: Some(MOST_FINISHED),
            ..ListingQuery::default()
        };
        let mut finished = Vec::new();
        // A page may be short though there is another, where much else of this owner lies between.
        for _ in 0..MOST_PAGES {
            let listing = self.list(caller, query.clone()).await?;
            finished.extend(listing.uploads.into_iter().map(|summary| summary.upload));
            let left = MOST_FINISHED.saturating_sub(u32::try_from(finished.len()).unwrap_or(u32::MAX));
            if left == 0 || listing.next.is_none() {
                break;
            }
            (query.cursor, query.limit) = (listing.next, Some(left));
        }
        Ok(finished)
    }

    /// The caller's own upload that came through this door.
    async fn find_asked(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        bucket: &str,
        key: &str,
    ) -> Result<Upload, Error> {
        const NONE: Error = Error::NotFound("upload");
        caller.may_begin()?;
        if !self.is_our_bucket(bucket) {
            return Err(NONE);
        }
        let key = ObjectKey::path(key).map_err(|_| NONE)?;
        let upload = self.by_key(caller, &key).await?;
        if upload.protocol == door.protocol {
            Ok(upload)
        } else {
            Err(NONE)
        }
    }

    /// The page says that an object is there: looks at the object itself, and finishes its record. Asked again, it
    /// answers the same.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none, and where the object is not there;
    /// [`Error::TooLarge`] for one that is, which is gone then; [`Error::StillCompleting`]; [`Error::Unavailable`].
    pub async fn confirm_asked(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        bucket: &str,
        key: &str,
    ) -> Result<Upload, Error> {
        let upload = self.find_asked(caller, door, bucket, key).await?;
        let id = upload.id.clone();
        let upload = match self.look_in_turn(upload).await {
            Err(Error::Busy(_)) => return Err(Error::StillCompleting),
            outcome => self.with_verdict(&id, outcome).await?,
        };
        match upload.state {
            State::Complete => Ok(upload),
            state if state.is_unfinished() => Err(Error::NotFound("object")),
            state => Err(self.why_ended(&upload.id, state).await?),
        }
    }

    /// Removes a finished file of the caller's, and its object. One that is removed already is fine.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's as for none; [`Error::WrongState`] for one that is not finished.
    pub async fn remove_asked(
        &self,
        caller: &Principal,
        door: &SigningDoor,
        bucket: &str,
        key: &str,
    ) -> Result<(), Error> {
        let upload = self.find_asked(caller, door, bucket, key).await?;
        let this = self.clone();
        Self::see_through(async move {
            let _turn = this.turn_to_complete(&upload.id, Manner::TURN).await?;
            let upload = this.as_recorded(&upload.id).await?;
            if upload.state == State::Aborted {
                // Removed, or given up: nothing of it is there.
                return Ok(());
            }
            if upload.state != State::Complete {
                return Err(Error::WrongState {
                    state: upload.state,
                    verb: "removed",
                });
            }
            this.storage(&upload)?.remove(&upload.key).await?;
            this.change(&upload.id, &[State::Complete], State::Aborted)
                .await?;
            tracing::info!(upload = %upload.id, key = %upload.key, "removed");
            Ok(())
        })
        .await
    }
}
