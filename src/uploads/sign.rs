//! Sign: doors to the store for the browser, each good for one operation on one key.

use chrono::{DateTime, Utc};

use super::rates::Pace;
use super::{Note, Uploads};
use crate::domain::{Cut, PartNumber, PartPlan, PartSet, Principal, Transfer, Upload, UploadId};
use crate::error::Error;
use crate::metrics::Signed;
use crate::signing::{HandedKey, Operation, PartSigner, SignedRequest, v2};

/// Signed doors for parts of one upload; what each looks like is the protocol's to say.
pub struct SignedParts {
    signer: PartSigner,
    /// `None` where the parts may have any length.
    plan: Option<PartPlan>,
    set: PartSet,
}

impl SignedParts {
    /// When the URLs die.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.signer.expires_at()
    }

    /// The signer, for what all URLs share.
    pub fn signer(&self) -> &PartSigner {
        &self.signer
    }

    /// The parts with the sizes that they must have, ascending; none where they may have any.
    pub fn parts(&self) -> impl Iterator<Item = (PartNumber, u64)> + '_ {
        self.set
            .iter()
            .filter_map(|number| Some((number, self.plan?.size_of(number)?)))
    }

    /// The lowest and the highest of the parts.
    pub fn range(&self) -> Option<(u16, u16)> {
        let first = self.set.iter().next()?;
        let last = self.set.iter().next_back()?;
        Some((first.get(), last.get()))
    }

    /// The parts with their URLs, ascending.
    pub fn urls(&self) -> impl Iterator<Item = (PartNumber, String)> + '_ {
        self.set.iter().filter_map(|number| {
            let size = match self.plan {
                Some(plan) => plan.size_of(number)?,
                None => 0,
            };
            Some((number, self.signer.url(number.get(), size)))
        })
    }
}

impl Uploads {
    /// Signs the parts that `choose` picks out of the upload's number of parts. Each URL takes exactly the
    /// bytes of its part.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`] once the upload has ended, [`Error::Invalid`] from `choose`,
    /// [`Error::Forbidden`] for an admin who is not its owner.
    pub async fn sign_parts(
        &self,
        caller: &Principal,
        id: &UploadId,
        choose: impl FnOnce(u32) -> Result<PartSet, Error>,
    ) -> Result<SignedParts, Error> {
        let mut upload = self.record_to_sign(caller, id).await?;
        upload.check_unfinished("signed")?;
        caller.may_send(&upload.owner)?;
        check_direct(&upload)?;
        if !upload.cut.is_ours() {
            return Err(Error::Forbidden(
                "this upload's client cuts the file itself; its parts are signed where it began",
            ));
        }
        let plan = upload.plan();
        let set = choose(plan.part_count())?;
        self.pace(Pace::Sign, &caller.owner, caller.address, set.len() as u64)?;
        let Some(multipart_id) = &upload.multipart_id else {
            return Err(Error::invalid(
                "parts",
                "an empty file has no parts; complete the upload",
            ));
        };
        let signer = self.signer_of(&upload, multipart_id, true).await?;
        self.touch(&mut upload).await?;
        self.0.metrics.signed(Signed::Part, set.len() as u64);
        let plan = Some(plan);
        let signed = SignedParts { signer, plan, set };
        self.note(&upload.id, Note::signed(&signed));
        Ok(signed)
    }

    /// The upload as [`record_of`](Self::record_of) tells it, or as it was up to a second ago: a client that asks for the
    /// signature of each part by itself asks for the same record hundreds of times.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none.
    pub async fn record_to_sign(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let owner = caller.reach(id)?;
        self.alive(self.0.db.find_recent_upload(id, owner).await?)
    }

    async fn signer_of(
        &self,
        upload: &Upload,
        multipart_id: &str,
        binds_length: bool,
    ) -> Result<PartSigner, Error> {
        let store = &self.0.store;
        store
            .part_signer(&upload.key, multipart_id, binds_length, self.now())
            .await
    }

    /// Signs parts of an upload that its client cuts and we have begun, and that was just looked up: each URL takes
    /// whatever bytes come.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an upload that we cut; [`Error::WrongState`] once it has ended; [`Error::Forbidden`] for an
    /// admin who is not its owner.
    pub async fn sign_any_parts(
        &self,
        caller: &Principal,
        mut upload: Upload,
        set: PartSet,
    ) -> Result<SignedParts, Error> {
        upload.check_unfinished("signed")?;
        caller.may_send(&upload.owner)?;
        let multipart_id = upload.multipart_id.as_ref().filter(|_| upload.cut == Cut::Client);
        let multipart_id = multipart_id.ok_or(Error::NotFound("upload"))?;
        if let Some(highest) = set.iter().next_back() {
            self.admit_part(&upload, highest.get().into()).await?;
        }
        self.pace(Pace::Sign, &caller.owner, caller.address, set.len() as u64)?;
        let signer = self.signer_of(&upload, multipart_id, false).await?;
        self.touch(&mut upload).await?;
        self.0.metrics.signed(Signed::Part, set.len() as u64);
        let plan = None;
        let signed = SignedParts { signer, plan, set };
        self.note(&upload.id, Note::signed(&signed));
        Ok(signed)
    }

    /// A presigned URL for one operation on an unfinished upload's object, and when it dies.
    ///
    /// # Errors
    /// [`Error::TooFast`]; [`Error::TooManyParts`], [`Error::TooLarge`], [`Error::QuotaReached`] for a part that its client cuts beyond what
    /// holds for the upload; [`Error::Unavailable`].
    pub async fn presign(
        &self,
        upload: &Upload,
        operation: Operation<'_>,
    ) -> Result<(SignedRequest, DateTime<Utc>), Error> {
        // Who asks is its owner; from where, nobody tells us here.
        self.pace(Pace::Sign, &upload.owner, None, 1)?;
        if let Operation::UploadAnyPart { part_number, .. } = operation {
            self.admit_part(upload, part_number.into()).await?;
        }
        self.0.metrics.signed(signed_as(operation), 1);
        self.0.store.presign(operation, &upload.key, self.now()).await
    }

    /// The SigV2 signature of one operation, for clients that know nothing newer; `None` where the operator has
    /// not switched SigV2 on.
    pub fn sign_v2(
        &self,
        upload: &Upload,
        operation: Operation<'_>,
        content_type: &str,
    ) -> Result<Option<v2::HeaderSignature>, Error> {
        self.0.metrics.signed(signed_as(operation), 1);
        self.0
            .store
            .sign_v2(operation, content_type, &upload.key, self.now())
    }

    /// The signing key of the day for clients that sign by themselves; `None` where the operator has not set a
    /// credential for that apart. It signs whatever that credential may do, and not this upload alone: every one that
    /// is given is logged.
    pub async fn hand_out_key(&self, upload: &Upload) -> Result<Option<HandedKey>, Error> {
        let key = self.0.store.handed_key(self.now()).await?;
        if let Some(key) = &key {
            let credential = key.access_key_id.as_str();
            self.0.metrics.signed(Signed::Key, 1);
            tracing::info!(upload = %upload.id, owner = %upload.owner, credential, "a signing key was handed out");
        }
        Ok(key)
    }
}

/// What a signature of this operation counts as.
fn signed_as(operation: Operation<'_>) -> Signed {
    match operation {
        Operation::UploadPart { .. } | Operation::UploadAnyPart { .. } => Signed::Part,
        _ => Signed::Request,
    }
}

/// Refuses an upload whose bytes pass through us: nobody else may write to it, or say what has been written.
///
/// # Errors
/// [`Error::Forbidden`].
pub(super) fn check_direct(upload: &Upload) -> Result<(), Error> {
    match upload.transfer {
        Transfer::Direct => Ok(()),
        Transfer::Relay => Err(Error::Forbidden(
            "the bytes of this upload pass through the server",
        )),
    }
}
