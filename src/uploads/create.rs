//! Begin: find what can go on, or reserve a place for a new object.
//!
//! On a resume the store's own list of parts is what counts, not what we believe: a part that the store lost is
//! sent again, and one that it has is never asked for.

use chrono::{DateTime, Utc};

use super::claims::{Claim, Manner};
use super::gate::Granted;
use super::rates::Pace;
use super::topic::is_about;
use super::{Note, Status, Uploads};
use crate::db::Room;
use crate::domain::{
    Algorithm, Appending, Backend, Bounds, EventKind, Naming, NewUpload, ObjectKey, Owner, PartPlan,
    Principal, Role, State, Transfer, Upload, UploadId,
};
use crate::error::Error;
use crate::storage::Storage;

/// An upload that may now be sent.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The upload and what the store holds of it.
    pub status: Status,
    /// Whether it was found rather than made.
    pub resumed: bool,
}

impl Uploads {
    /// Begins an upload, or goes on with the newest unfinished one of the same owner and fingerprint where
    /// `resume` allows it. The multipart upload is made with our own credentials, under a key that is ours alone.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::TypeRefused`], [`Error::QuotaReached`] for a new one where its owner has as much open
    /// as they may; [`Error::TooFast`], [`Error::Invalid`] for a bad part size or webhook,
    /// [`Error::Forbidden`], [`Error::KeyTaken`] for a key of somebody's choice that is not free,
    /// [`Error::Refused`] by the application, [`Error::Unavailable`] and [`Error::StoreRefused`] from the store.
    pub async fn create(&self, caller: &Principal, new: NewUpload, resume: bool) -> Result<Begun, Error> {
        caller.may_begin()?;
        self.pace_caller(Pace::Create, caller, 1)?;
        let new = self.on_its_way(self.with_webhook_judged(caller, new)?);
        let limits = self.limits_of(new.transfer);
        let plan = self.0.policy.within(&caller.bounds).admit(&new, &limits)?;
        if let Naming::Key(key) = &new.wishes.naming {
            check_place(&caller.bounds, key)?;
        }
        let (this, caller) = (self.clone(), caller.clone());
        let transfer = new.transfer;
        let begun = Self::see_through(async move {
            if let Naming::Key(key) = &new.wishes.naming {
                let begun = Box::pin(this.begin_with_key(&caller, &new, key, plan)).await?;
                if begun.resumed {
                    this.note(&begun.status.upload.id, Note::resumed(caller.address));
                }
                return Ok(begun);
            }
            // Of several requests for one file at once, the first begins what the others find.
            let _turn = if resume {
                Some(this.turn_to_begin(&caller.owner, &new).await?)
            } else {
                None
            };
            if resume && let Some(status) = this.find_resumable(&caller, &new).await? {
                this.note(&status.upload.id, Note::resumed(caller.address));
                return Ok(Begun {
                    status,
                    resumed: true,
                });
            }
            // Boxed: what waits for an application's answer is large.
            let upload = Box::pin(this.make(&caller, new, plan)).await?;
            Ok(Begun {
                status: Status {
                    upload,
                    parts: Vec::new(),
                },
                resumed: false,
            })
        })
        .await?;
        // What its client is refused from here on in the same request stands in its way.
        is_about(&begun.status.upload);
        self.0.metrics.upload_begun(transfer, begun.resumed);
        Ok(begun)
    }

    /// Begins an upload with a key of its client's choice, or goes on with the owner's own. Of several that begin it at
    /// once one makes the record, and the others find it when they look again.
    async fn begin_with_key(
        &self,
        caller: &Principal,
        new: &NewUpload,
        key: &ObjectKey,
        plan: PartPlan,
    ) -> Result<Begun, Error> {
        let begun = |upload, resumed| {
            let parts = Vec::new();
            let status = Status { upload, parts };
            Begun { status, resumed }
        };
        let owner = &caller.owner;
        if let Some(upload) = self.go_on_with_key(owner, new, key).await? {
            return Ok(begun(upload, true));
        }
        match self.make(caller, new.clone(), plan).await {
            Err(error @ Error::KeyTaken { .. }) => match self.go_on_with_key(owner, new, key).await? {
                Some(upload) => Ok(begun(upload, true)),
                None => Err(error),
            },
            made => made.map(|upload| begun(upload, false)),
        }
    }

    /// Nobody else begins this owner's upload of this file while it is held, in no process.
    async fn turn_to_begin(&self, owner: &Owner, new: &NewUpload) -> Result<Claim, Error> {
        let name = format!("begin:{owner}:{}", new.fingerprint().as_str());
        self.0.claims.take(name, Manner::TURN).await
    }

    /// The newest upload that can go on with this file, with its parts.
    pub(super) async fn find_resumable(
        &self,
        caller: &Principal,
        new: &NewUpload,
    ) -> Result<Option<Status>, Error> {
        let found = self
            .0
            .db
            .find_resumable(&caller.owner, &new.fingerprint(), self.now())
            .await?;
        // A bucket that is no longer ours to sign for holds nothing that could go on.
        let goes_on = |found: &Upload| {
            // What was begun elsewhere is not what is asked for now.
            caller.bounds.holds(&found.key)
                && found.transfer == new.transfer
                && found.cut.is_ours()
                && (found.storage != Backend::S3 || self.is_our_bucket(&found.bucket))
        };
        let Some(upload) = found.filter(goes_on) else {
            return Ok(None);
        };
        is_about(&upload);
        match self.holdings(upload).await {
            Ok(status) => Ok(Some(status)),
            // It ended elsewhere: the file begins anew.
            Err(Error::Vanished) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn make(&self, caller: &Principal, new: NewUpload, plan: PartPlan) -> Result<Upload, Error> {
        let granted = self.grant(caller, new, plan).await?;
        let _turn = match &granted.key {
            Some(key) => Some(self.take_key(key, granted.new.transfer).await?),
            None => None,
        };
        self.reserve(granted).await
    }

    /// Reserves a place for what may come.
    async fn reserve(&self, granted: Granted) -> Result<Upload, Error> {
        let Granted {
            caller,
            new,
            fingerprint,
            plan,
            key,
        } = granted;
        let now = self.now();
        let cut = new.wishes.cut;
        if !cut.is_ours() && new.transfer == Transfer::Relay {
            return Err(Error::internal("what passes through us is cut by us"));
        }
        // By what the application has narrowed, too.
        let room = self.room_for(&caller, &new).await?;
        let is_claimed = matches!(new.wishes.naming, Naming::Key(_)) || (key.is_some() && !cut.is_ours());
        let id = UploadId::marked(now, &self.0.mark);
        let storage = self.place_for(new.transfer)?;
        let mut upload = Upload {
            key: match key {
                Some(key) => key,
                None => self.key_of(&id, &new, &caller, now)?,
            },
            id,
            owner: caller.owner,
            state: State::Open,
            transfer: new.transfer,
            protocol: new.protocol.to_owned(),
            // What a client that cuts the file itself says of its size is held against the limit, and then forgotten.
            size: if cut.is_ours() { new.size } else { 0 },
            fingerprint,
            filename: new.filename,
            content_type: new.content_type,
            last_modified: new.last_modified,
            metadata: new.metadata,
            bucket: self.bucket_of(storage.backend())?,
            storage: storage.backend(),
            multipart_id: None,
            part_size: if cut.is_ours() { plan.part_size() } else { 0 },
            etag: None,
            sha256: new.wishes.sha256,
            webhook_url: new.wishes.webhook_url,
            appending: new.wishes.appending.map(Appending::new),
            cut,
            client_ip: caller.address,
            bounds: caller.bounds,
            created_at: now,
            updated_at: now,
            expires_at: now + new.wishes.time_to_live.unwrap_or(self.0.time_to_live),
        };
        // Clients that know nothing of checksums may send their parts without.
        let is_checked = new.wishes.checksums || new.transfer == Transfer::Relay;
        let algorithm = begin(storage.as_ref(), &mut upload, is_checked).await?;
        // A folder and a share compare nothing, but we do, with whatever passes through us.
        let ours = (new.wishes.checksums && new.transfer == Transfer::Relay).then_some(Algorithm::Crc64Nvme);
        let algorithm = algorithm.or(ours);
        self.keep(&upload, is_claimed, room).await?;
        if let Some(algorithm) = algorithm {
            self.0.db.note_algorithm(&upload.id, algorithm).await?;
        }
        Ok(upload)
    }

    /// Writes a new upload down. Of one that cannot be, nothing stays in the storage.
    async fn keep(&self, upload: &Upload, is_claimed: bool, room: Room) -> Result<(), Error> {
        let events = self.events_of(EventKind::Created, upload, None, None, upload.created_at)?;
        let tells = !events.is_empty();
        let kept = if is_claimed {
            self.keep_claimed(upload, room, events).await
        } else {
            self.0.db.insert_and_tell(upload.clone(), room, events).await
        };
        if tells && kept.is_ok() {
            self.ring();
        }
        // What its client begins is not there yet; and under a key that is taken it is not ours to drop.
        if kept.is_err() && upload.cut.is_begun_by_us() {
            self.discard(upload).await;
        }
        kept
    }

    fn key_of(
        &self,
        id: &UploadId,
        new: &NewUpload,
        caller: &Principal,
        now: DateTime<Utc>,
    ) -> Result<ObjectKey, Error> {
        let (owner, bounds) = (&caller.owner, &caller.bounds);
        let role = new.wishes.appending.as_ref().map(|appending| &appending.role);
        if role == Some(&Role::Partial) {
            return ObjectKey::path(&format!(".muleteer/{id}/whole"))
                .map_err(|error| Error::internal(error.detail));
        }
        let refused = |error| Error::Invalid(vec![error]);
        let key = match &new.wishes.naming {
            Naming::Template => self.0.template.key(id, &new.filename, owner, now)?,
            Naming::Folder(folder) => folder.key(&id.as_uuid_v4(), &new.filename).map_err(refused)?,
            Naming::Below(prefix) => {
                let key = self.0.template.key(id, &new.filename, owner, now)?;
                ObjectKey::new(&format!("{prefix}{key}")).map_err(refused)?
            }
            Naming::Key(key) => {
                check_place(bounds, key)?;
                return Ok(key.clone());
            }
        };
        bounds.place(key).map_err(refused)
    }

    /// Drops what was reserved in the storage and nobody will ever hear of.
    async fn discard(&self, upload: &Upload) {
        let dropped = match self.storage(upload) {
            Ok(storage) => storage.abort(upload).await,
            Err(error) => Err(error),
        };
        if let Err(error) = dropped {
            tracing::warn!(upload = %upload.id, %error, "an unrecorded upload stays in the storage for now");
        }
    }
}

/// Refuses a key of the client's choice that lies elsewhere than its caller may begin uploads.
fn check_place(bounds: &Bounds, key: &ObjectKey) -> Result<(), Error> {
    if bounds.holds(key) {
        return Ok(());
    }
    let prefix = bounds.key_prefix.as_deref().unwrap_or_default();
    Err(Error::invalid(
        "key",
        format!("must begin with {prefix}: nothing may be uploaded elsewhere"),
    ))
}

/// Begins an upload in its storage, unless its client does; gives the checksum that its parts are sent with, if any.
async fn begin(
    storage: &dyn Storage,
    upload: &mut Upload,
    is_checked: bool,
) -> Result<Option<Algorithm>, Error> {
    // A piece of an object to come has a key that is ours.
    if !upload.is_partial() {
        let refused = |error| Error::Invalid(vec![error]);
        storage.check_key(&upload.key).map_err(refused)?;
    }
    if !upload.cut.is_begun_by_us() {
        return Ok(None);
    }
    let (id, algorithm) = if is_checked {
        storage.begin_checked(upload).await?
    } else {
        (storage.begin(upload).await?, None)
    };
    upload.multipart_id = id;
    Ok(algorithm)
}
