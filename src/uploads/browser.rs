//! Uploads that the client begins and ends at the store itself: all that we do is sign, and find out.
//!
//! Separate from `create` and `complete`, because here the store is told first and we hear of it later, or from nobody:
//! a record is made for a key before anything is signed for it, the store's id is believed once the store confirms it,
//! and an upload is complete when its object is there. What is signed is good for the recorded key alone.

use chrono::{DateTime, TimeDelta, Utc};

use super::Uploads;
use super::claims::Manner;
use super::topic::is_about;
use crate::db::{NewEvent, Room};
use crate::domain::{
    Cut, MAX_PART_SIZE, NewUpload, ObjectKey, Owner, Principal, State, Upload, UploadId, check_joinable,
    check_one_cut,
};
use crate::error::Error;
use crate::metrics::Signed;
use crate::signing::policy::SignedForm;
use crate::signing::{Operation, SignedRequest};

/// How long an upload is left alone by another beginning of the same key, from its latest part on, or from its own
/// beginning where no part has come yet.
const UNDER_WAY: TimeDelta = TimeDelta::minutes(2);

const IS_UNDER_WAY: Error = Error::Forbidden(
    "key: an upload of this very key is under way; name each file differently, or wait until two minutes after its last \
     part",
);

/// Longest id of a multipart upload; the stores' own have up to some two hundred characters.
const MAX_MULTIPART_ID: usize = 1024;

impl Uploads {
    /// The caller's newest upload with this key that its client begins itself, in whatever state it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload, and one that we begin, as for none.
    pub async fn by_key(&self, caller: &Principal, key: &ObjectKey) -> Result<Upload, Error> {
        // What is asked of it next is a signature, which is the owner's alone.
        let found = self.0.db.find_by_key(Some(&caller.owner), key.as_str()).await?;
        let upload = found
            .filter(|upload| upload.cut.is_ended_by_client())
            .ok_or(Error::NotFound("upload"))?;
        caller.reach(&upload.id)?;
        is_about(&upload);
        Ok(upload)
    }

    /// The upload as it is now: complete, if its client has ended it at the store meanwhile, and no longer so, if its
    /// object was replaced by one that is not taken. While somebody puts it together, or gives it up, as it is on record.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::TooLarge`] where the client has made an object that is too large, which is gone
    /// then; [`Error::Unavailable`].
    pub async fn look(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let known = self.find(caller, id).await?;
        match self.look_in_turn(known.clone()).await {
            Err(Error::Busy(_)) => Ok(known),
            // It is there, and not announced yet.
            Err(Error::StillCompleting) => self.as_recorded(id).await,
            outcome => outcome,
        }
    }

    /// The same, or that somebody is at it.
    ///
    /// # Errors
    /// [`Error::Busy`] then, and as [`look`](Self::look).
    pub(super) async fn look_in_turn(&self, upload: Upload) -> Result<Upload, Error> {
        let is_settled = if upload.state.is_unfinished() {
            !upload.cut.is_ended_by_client()
        } else {
            !self.is_replaced(&upload).await?
        };
        if is_settled {
            return Ok(upload);
        }
        let this = self.clone();
        Self::see_through(async move {
            let _turn = this.turn_to_complete(&upload.id, Manner::LOOK).await?;
            let upload = this.as_recorded(&upload.id).await?;
            if !upload.state.is_unfinished() {
                return Box::pin(this.as_it_is(upload)).await;
            }
            Ok(this.find_whole(&upload).await?.unwrap_or(upload))
        })
        .await
    }

    /// The record as it is by now.
    pub(super) async fn as_recorded(&self, id: &UploadId) -> Result<Upload, Error> {
        let found = self.0.db.find_upload(id, None).await?;
        found.ok_or(Error::NotFound("upload"))
    }

    /// Binds an upload that its client has begun to the id that the store gave it, once the store confirms that it knows
    /// that id for this key. An earlier id makes way, since the client has started over, unless parts of it are still coming:
    /// then it is another page that sends a file of the same name.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id that the store does not know for this key; [`Error::WrongState`] once the upload has
    /// ended; [`Error::Invalid`] for text that is no id; [`Error::Forbidden`], also while another is under way;
    /// [`Error::Unavailable`].
    pub async fn adopt(
        &self,
        caller: &Principal,
        upload: &Upload,
        multipart_id: &str,
    ) -> Result<Upload, Error> {
        caller.may_send(&upload.owner)?;
        if upload.cut != Cut::Browser {
            return Err(Error::NotFound("upload"));
        }
        if upload.multipart_id.as_deref() == Some(multipart_id) {
            return Ok(upload.clone());
        }
        upload.check_unfinished("begun again")?;
        check_multipart_id(multipart_id)?;
        let (this, upload, id) = (self.clone(), upload.id.clone(), multipart_id.to_owned());
        Self::see_through(async move { this.bind(&upload, id).await }).await
    }

    async fn bind(&self, id: &UploadId, multipart_id: String) -> Result<Upload, Error> {
        let (store, db) = (self.store()?, &self.0.db);
        let _turn = self.turn_to_complete(id, Manner::TURN).await?;
        let mut upload = self.as_recorded(id).await?;
        if upload.multipart_id.as_deref() == Some(&multipart_id) {
            return Ok(upload);
        }
        upload.check_unfinished("begun again")?;
        let may_be_whole = upload.multipart_id.is_some() || upload.state == State::Completing;
        if may_be_whole {
            self.refuse_if_whole(&upload).await?;
        }
        self.refuse_if_under_way(&upload).await?;
        match store.last_part_at(&upload.key, &multipart_id, self.now()).await {
            // Some stores call an id that is none of theirs a bad request.
            Err(Error::Vanished | Error::StoreRefused { .. }) => return Err(Error::NotFound("upload")),
            known => known?,
        };
        if let Err(error) = store
            .abort_others(&upload.key, Some(&multipart_id), self.now())
            .await
        {
            tracing::warn!(upload = %upload.id, %error, "an earlier multipart upload stays for now");
        }
        if may_be_whole {
            // The earlier one may have been joined at the last moment; now that it is gone, it cannot be any more.
            self.refuse_if_whole(&upload).await?;
        }
        let known = upload.multipart_id.as_deref();
        if !db.bind_multipart(&upload.id, known, &multipart_id).await? {
            return Err(Error::Superseded);
        }
        upload.multipart_id = Some(multipart_id);
        Ok(upload)
    }

    /// Refuses to begin an upload again whose parts are coming just now.
    async fn refuse_if_under_way(&self, upload: &Upload) -> Result<(), Error> {
        let Some(bound) = upload.multipart_id.as_deref() else {
            return Ok(());
        };
        let now = self.now();
        let last = match self.store()?.last_part_at(&upload.key, bound, now).await {
            // It is over, whoever ended it.
            Err(Error::Vanished | Error::StoreRefused { .. }) => return Ok(()),
            last => last?.unwrap_or(upload.created_at),
        };
        if now - last < UNDER_WAY {
            return Err(IS_UNDER_WAY);
        }
        Ok(())
    }

    /// Refuses to go on with an upload whose object is there, though nobody told us: another that was begun under its key
    /// could only overwrite it, and is dropped.
    async fn refuse_if_whole(&self, upload: &Upload) -> Result<(), Error> {
        let Some(whole) = self.find_whole(upload).await? else {
            return Ok(());
        };
        let (store, now) = (self.store()?, self.now());
        if let Err(error) = store.abort_others(&upload.key, None, now).await {
            tracing::warn!(upload = %upload.id, %error, "a superfluous multipart upload stays for now");
        }
        whole.check_unfinished("begun again")
    }

    /// From now on the object is looked for that the client makes of this multipart upload, which is the upload's own.
    /// What has arrived of it is counted first, since no size was ever declared. Where it is joined already, and the
    /// client has not heard of that, the store tells it so.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::WrongState`] once the upload has ended, and where there is an object that was not
    /// made of it; [`Error::Vanished`], [`Error::Unavailable`].
    pub(super) async fn expect_joined(&self, upload: &Upload, multipart_id: &str) -> Result<(), Error> {
        if upload.state == State::Complete && upload.multipart_id.as_deref() == Some(multipart_id) {
            return Ok(());
        }
        upload.check_unfinished("signed")?;
        let parts = self
            .store()?
            .list_parts(&upload.key, multipart_id, self.now())
            .await;
        let parts = match parts {
            Err(Error::Vanished) => match self.find_whole(upload).await {
                Ok(Some(_)) | Err(Error::StillCompleting) => return Ok(()),
                Ok(None) => return Err(Error::Vanished),
                Err(error) => return Err(error),
            },
            parts => parts?,
        };
        if upload.state == State::Completing {
            self.refuse_if_whole(upload).await?;
        }
        if let Err(error) = check_one_cut(&parts) {
            Box::pin(self.drop_if_mixed(upload, &error)).await?;
            return Err(error);
        }
        check_joinable(&parts, self.0.policy.parts.min)?;
        self.policy_of(upload)
            .check_size(parts.iter().map(|part| part.size).sum())?;
        self.expect_end(upload).await
    }

    /// As [`presign`](Self::presign), for the request with which the client itself ends the upload: it is looked for from
    /// now on.
    ///
    /// # Errors
    /// [`Error::WrongState`] once the upload has ended; [`Error::TooLarge`], [`Error::Vanished`], [`Error::Unavailable`].
    pub async fn presign_end(
        &self,
        upload: &Upload,
        operation: Operation<'_>,
    ) -> Result<(SignedRequest, DateTime<Utc>), Error> {
        match operation {
            Operation::CompleteMultipartUpload { upload_id } => self.expect_joined(upload, upload_id).await?,
            _ => self.expect_end(upload).await?,
        }
        self.presign(upload, operation).await
    }

    /// A form with which a browser posts the whole object of an upload that is [not cut](Cut::Whole), within the limits
    /// of what may be uploaded, and when it dies. The object is looked for from now on.
    ///
    /// # Errors
    /// As [`presign_end`](Self::presign_end).
    pub async fn sign_form(&self, upload: &Upload) -> Result<(SignedForm, DateTime<Utc>), Error> {
        self.expect_end(upload).await?;
        // More than one part's bytes no store takes in one request.
        let most = self.policy_of(upload).max_size().min(MAX_PART_SIZE);
        let most = most.min(self.room_of(upload).await?);
        self.0.metrics.signed(Signed::Form, 1);
        self.store()?.sign_form(upload, most, self.now()).await
    }

    /// From now on the object of an unfinished upload is looked for: its client may end it at any time. What brings a
    /// [whole](Cut::Whole) one is good beyond that end, so it is looked at once more after that.
    pub(super) async fn expect_end(&self, upload: &Upload) -> Result<(), Error> {
        upload.check_unfinished("signed")?;
        if upload.cut == Cut::Whole {
            let due = self.now() + self.whole_signed_for();
            self.0.db.note_recheck(&upload.id, due).await?;
        }
        self.change(&upload.id, &[State::Open], State::Completing).await?;
        self.touch(&mut upload.clone()).await
    }

    /// The owner's own unfinished upload with this key, if the new one may go on with it; `None` where the key is free.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] for a key that anybody else ever had, or under which there is an object; [`Error::Forbidden`]
    /// while parts of it are coming.
    pub(super) async fn go_on_with_key(
        &self,
        owner: &Owner,
        new: &NewUpload,
        key: &ObjectKey,
    ) -> Result<Option<Upload>, Error> {
        let refused = |error| Error::Invalid(vec![error]);
        self.bucket()?.check_key(key).map_err(refused)?;
        let db = &self.0.db;
        if db.is_key_of_others(owner, key.as_str()).await? {
            return Err(taken(key));
        }
        let found = db.find_by_key(Some(owner), key.as_str()).await?;
        found.iter().for_each(is_about);
        match found {
            Some(known) if known.state == State::Complete || known.cut.is_ours() => return Err(taken(key)),
            Some(known) if known.state.is_unfinished() => {
                let (_alone, known) = self.alone(&known, Manner::TAKE_OVER, Manner::TURN).await?;
                if known.cut == Cut::Browser && known.state.is_unfinished() {
                    self.refuse_if_under_way(&known).await?;
                }
                if let Some(same) = self.go_on_or_give_up(known, new).await? {
                    return Ok(Some(same));
                }
            }
            _ => {}
        }
        match self.bucket()?.find(key).await? {
            Some(_) => Err(taken(key)),
            None => Ok(None),
        }
    }

    /// An upload that nobody else works on, if the new one may go on with it. Else it ends, and without an object.
    async fn go_on_or_give_up(&self, mut known: Upload, new: &NewUpload) -> Result<Option<Upload>, Error> {
        let is_unfinished = known.state.is_unfinished();
        if known.state == State::Complete || (is_unfinished && self.find_whole(&known).await?.is_some()) {
            return Err(taken(&known.key));
        }
        let is_same = known.cut == new.wishes.cut
            && known.content_type == new.content_type
            && known.metadata == new.metadata;
        if is_unfinished && is_same {
            self.touch(&mut known).await?;
            return Ok(Some(known));
        }
        if is_unfinished && self.give_up(&known, State::Aborted).await? == State::Complete {
            return Err(taken(&known.key));
        }
        Ok(None)
    }

    /// Keeps a new upload with a key of its client's choice.
    pub(super) async fn keep_claimed(
        &self,
        upload: &Upload,
        room: Room,
        events: Vec<NewEvent>,
    ) -> Result<(), Error> {
        debug_assert!(!upload.cut.is_ours(), "what we cut has a key of ours");
        if self.0.db.claim_key(upload.clone(), room, events).await? {
            Ok(())
        } else {
            Err(taken(&upload.key))
        }
    }
}

fn taken(key: &ObjectKey) -> Error {
    Error::KeyTaken { key: key.to_string() }
}

/// Refuses text that is no store's id of a multipart upload.
fn check_multipart_id(id: &str) -> Result<(), Error> {
    let is_one = id.len() <= MAX_MULTIPART_ID
        && !id.is_empty()
        && id.bytes().all(|b| b.is_ascii_graphic() && !b"&?#".contains(&b));
    if is_one {
        return Ok(());
    }
    let detail = format!("is the store's own, of 1 to {MAX_MULTIPART_ID} visible characters without & ? #");
    Err(Error::invalid("uploadId", detail))
}
