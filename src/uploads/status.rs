//! Status: what we hold so far, and which uploads there are.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::topic::is_about;
use super::{Status, Uploads};
use crate::db::{PartRecord, UploadQuery, UploadSummary};
use crate::domain::{
    ObjectKey, Owner, Principal, State, StoredPart, SupportCode, Transfer, Upload, UploadId, resumable_parts,
};
use crate::error::Error;

/// Most uploads on one page.
const MAX_PAGE: u32 = 200;

/// Which uploads to list; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct ListingQuery {
    /// Whose; only an admin may ask for somebody else's.
    pub owner: Option<String>,
    /// In which state.
    pub state: Option<State>,
    /// Begun through this door: a protocol's name.
    pub protocol: Option<String>,
    /// With exactly this file name.
    pub filename: Option<String>,
    /// With a file name that begins so.
    pub filename_prefix: Option<String>,
    /// With exactly this object key.
    pub key: Option<String>,
    /// With exactly this id of the store.
    pub multipart_id: Option<String>,
    /// With exactly so many bytes.
    pub size: Option<u64>,
    /// With a number of bytes within these.
    pub sizes: Option<RangeInclusive<u64>>,
    /// Begun from this address; for an admin alone.
    pub client_ip: Option<IpAddr>,
    /// With this support code.
    pub support_code: Option<SupportCode>,
    /// With this id.
    pub id: Option<UploadId>,
    /// Begun at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this time.
    pub until: Option<DateTime<Utc>>,
    /// Older than this one: the last of the page before.
    pub cursor: Option<UploadId>,
    /// Newer than this one, and of those the oldest: the page before the one that begins with it.
    pub after: Option<UploadId>,
    /// Most uploads on the page; 50 if not given, at most 200.
    pub limit: Option<u32>,
}

/// An upload with what is recorded of its parts.
#[derive(Debug, Clone)]
pub struct Detail {
    /// The upload.
    pub upload: Upload,
    /// Its parts, ascending, each of the right size.
    pub parts: Vec<PartRecord>,
}

/// One page of uploads, newest first.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The uploads with what we recorded of their parts.
    pub uploads: Vec<UploadSummary>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<UploadId>,
    /// After which the page before this one is found; `None` on the first.
    pub previous: Option<UploadId>,
    /// Whether more names begin so, or more sizes lie there, than were looked at.
    pub is_cut: bool,
}

impl Uploads {
    /// The upload with what the store holds of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none; [`Error::Unavailable`] from the store; of one whose object
    /// was replaced [`Error::TooLarge`], [`Error::ContentRefused`], [`Error::TooFast`], and [`Error::Busy`] while somebody
    /// is at it.
    pub async fn status(&self, caller: &Principal, id: &UploadId) -> Result<Status, Error> {
        let upload = self.find(caller, id).await?;
        if !upload.state.is_unfinished() {
            return self.ended(upload).await;
        }
        match self.holdings(upload).await {
            // It has just ended; say how.
            Err(Error::Vanished) => Ok(Status {
                upload: self.find(caller, id).await?,
                parts: Vec::new(),
            }),
            outcome => outcome,
        }
    }

    /// The status of an upload that has ended, unless its object was replaced since, and is looked at again.
    async fn ended(&self, upload: Upload) -> Result<Status, Error> {
        let id = upload.id.clone();
        match self.look_in_turn(upload).await {
            Err(Error::StillCompleting) => Ok(Self::in_quarantine(self.as_recorded(&id).await?)),
            looked_at => Ok(Status {
                upload: looked_at?,
                parts: Vec::new(),
            }),
        }
    }

    /// The upload as it is on record, and nothing of its parts.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none.
    pub async fn record_of(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        self.find(caller, id).await
    }

    /// The upload with what is recorded of its parts: nothing else is asked, so it costs no request to the storage.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none.
    pub async fn detail(&self, caller: &Principal, id: &UploadId) -> Result<Detail, Error> {
        let upload = self.find(caller, id).await?;
        let plan = upload.plan();
        let mut parts = self.0.db.recorded_parts(id).await?;
        // A part of a client's own cut has whatever size it has.
        parts.retain(|record| {
            !upload.cut.is_ours() || plan.size_of(record.part.number) == Some(record.part.size)
        });
        Ok(Detail { upload, parts })
    }

    /// The upload behind the store's own id, for clients that know no other and follow our plan.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload, and for one that its client cuts, as for none.
    pub async fn by_multipart(
        &self,
        caller: &Principal,
        key: &ObjectKey,
        multipart_id: &str,
    ) -> Result<Upload, Error> {
        // What is asked of it next is a signature, which is the owner's alone.
        let found = self
            .0
            .db
            .find_by_multipart(Some(&caller.owner), key.as_str(), multipart_id)
            .await?;
        let upload = found
            .filter(|upload| upload.transfer == Transfer::Direct && upload.cut.is_ours())
            .ok_or(Error::NotFound("upload"))?;
        caller.reach(&upload.id)?;
        is_about(&upload);
        Ok(upload)
    }

    /// Uploads, newest first, in cursor pages. Without admin rights: the caller's own.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an upload's token, or for a foreign owner without admin rights.
    pub async fn list(&self, caller: &Principal, query: ListingQuery) -> Result<Listing, Error> {
        let owner = match (caller.is_admin(), query.owner) {
            (true, owner) => owner.map(Owner::recorded),
            (false, Some(owner)) if owner != caller.owner.as_str() => {
                return Err(Error::Forbidden(
                    "only an admin key may look at somebody else's uploads",
                ));
            }
            (false, _) => {
                caller.may_begin()?;
                Some(caller.owner.clone())
            }
        };
        if query.client_ip.is_some() && !caller.is_admin() {
            return Err(Error::Forbidden("only an admin key may search by address"));
        }
        let found = self
            .0
            .db
            .list_uploads(UploadQuery {
                owner,
                state: query.state,
                protocol: query.protocol,
                filename: query.filename,
                filename_prefix: query.filename_prefix,
                key: query.key,
                multipart_id: query.multipart_id,
                size: query.size,
                sizes: query.sizes,
                client_ip: query.client_ip,
                support_code: query.support_code,
                id: query.id,
                since: query.since,
                until: query.until,
                before: query.cursor,
                after: query.after,
                limit: query.limit.unwrap_or(50).clamp(1, MAX_PAGE),
            })
            .await?;
        let mut uploads = found.uploads;
        // A piece of an upload is none of its own. A page may so have fewer than it could.
        uploads.retain(|summary| !summary.upload.is_partial());
        Ok(Listing {
            uploads,
            next: found.next,
            previous: found.previous,
            is_cut: found.is_cut,
        })
    }

    /// What the store holds of an unfinished upload: parts of the right size alone, so that any other is sent
    /// again. One that its client ends without us is looked for.
    ///
    /// # Errors
    /// [`Error::Vanished`] where the store lost it; then its record says how it ended, unless it can be begun again.
    pub(super) async fn holdings(&self, upload: Upload) -> Result<Status, Error> {
        if self.is_quarantined(&upload).await? {
            return Ok(Self::in_quarantine(upload));
        }
        let id = upload.id.clone();
        match self.stored_of(upload).await {
            // Its object has just been found, and is looked at first.
            Err(Error::StillCompleting) => Ok(Self::in_quarantine(self.as_recorded(&id).await?)),
            status => status,
        }
    }

    async fn stored_of(&self, mut upload: Upload) -> Result<Status, Error> {
        if upload.appending.is_some() {
            // It has no parts that a client could send, whatever its storage makes of it.
            return Ok(Status {
                upload,
                parts: Vec::new(),
            });
        }
        if upload.cut.is_ended_by_client()
            && upload.multipart_id.is_none()
            && let Some(complete) = self.find_whole(&upload).await?
        {
            return Ok(Status {
                upload: complete,
                parts: Vec::new(),
            });
        }
        match self.counting_parts(&upload).await {
            Ok(stored) => {
                self.touch(&mut upload).await?;
                let parts = if upload.cut.is_ours() {
                    usable(&upload, stored)
                } else {
                    resumable_parts(stored)
                };
                Ok(Status { upload, parts })
            }
            Err(Error::Vanished) => match self.settle_vanished(&upload).await? {
                Some(complete) => Ok(Status {
                    upload: complete,
                    parts: Vec::new(),
                }),
                None => Err(Error::Vanished),
            },
            Err(error) => Err(error),
        }
    }
}

fn usable(upload: &Upload, stored: Vec<StoredPart>) -> Vec<StoredPart> {
    let plan = upload.plan();
    stored
        .into_iter()
        .filter(|part| plan.size_of(part.number) == Some(part.size))
        .collect()
}
