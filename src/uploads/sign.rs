//! Sign: doors to the store for the browser, each good for one operation on one key.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::rates::Pace;
use super::topic::is_about;
use super::{Note, Uploads};
use crate::domain::{
    Algorithm, Checksum, Cut, PartNumber, PartPlan, PartSet, Principal, Transfer, Upload, UploadId,
};
use crate::error::Error;
use crate::metrics::Signed;
use crate::signing::{HandedKey, Operation, PartSigner, Signature, SignedRequest, v2};
use crate::storage::{Binds, is_signed};

/// Signed doors for parts of one upload; what each looks like is the protocol's to say.
pub struct SignedParts {
    signer: PartSigner,
    /// `None` where the parts may have any length.
    plan: Option<PartPlan>,
    set: PartSet,
    claims: Option<Claims>,
}

/// The checksums that parts are signed with.
struct Claims {
    algorithm: Algorithm,
    by_number: BTreeMap<u16, String>,
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

    /// The URL of one part of so many bytes.
    pub fn url(&self, number: PartNumber, size: u64) -> String {
        let checksum = self.checksum(number).map_or("", |(_, value)| value);
        self.signer.url_claimed(number.get(), size, checksum)
    }

    /// The signature of one part of so many bytes.
    pub fn signature(&self, number: PartNumber, size: u64) -> Signature {
        let checksum = self.checksum(number).map_or("", |(_, value)| value);
        self.signer.sign_claimed(number.get(), size, checksum)
    }

    /// The checksum that a part was signed with, in base64, and so must be sent with it.
    pub fn checksum(&self, number: PartNumber) -> Option<(Algorithm, &str)> {
        let claims = self.claims.as_ref()?;
        let value = claims.by_number.get(&number.get())?;
        Some((claims.algorithm, value))
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
            Some((number, self.url(number, size)))
        })
    }
}

impl Uploads {
    /// Signs the parts that `choose` picks out of the upload's number of parts. Each URL takes exactly the
    /// bytes of its part; and, where `checksums` tells that of each part by its number, in base64, bytes of that checksum
    /// alone.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`] once the upload has ended, [`Error::Invalid`] from `choose`, for
    /// checksums of an upload whose parts are not [signed with one](Self::part_checksum), and for a part without;
    /// [`Error::Forbidden`] for an admin who is not its owner.
    pub async fn sign_parts(
        &self,
        caller: &Principal,
        id: &UploadId,
        choose: impl FnOnce(u32) -> Result<PartSet, Error>,
        checksums: Option<BTreeMap<u16, String>>,
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
        self.count_signatures_of(caller, &upload, set.len() as u64)?;
        let Some(multipart_id) = &upload.multipart_id else {
            return Err(Error::invalid(
                "parts",
                "an empty file has no parts; complete the upload",
            ));
        };
        let claims = match checksums {
            Some(checksums) => Some(self.claims_of(&upload, &set, checksums).await?),
            None => None,
        };
        let binds = claims
            .as_ref()
            .map_or(Binds::Length, |claims| Binds::Checksum(claims.algorithm));
        let signer = self.signer_of(&upload, multipart_id, binds).await?;
        self.touch(&mut upload).await?;
        self.0.metrics.signed(Signed::Part, set.len() as u64);
        let signed = SignedParts {
            signer,
            plan: Some(plan),
            set,
            claims,
        };
        self.note(&upload.id, Note::signed(&signed));
        Ok(signed)
    }

    /// The store has refused a part of this upload with this error code, says whoever may sign its parts. Where it is about
    /// credentials, ours are looked at: whoever signs alone would be the last to learn that they were taken back.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::CredentialsExpired`] where the store takes none that we have.
    pub async fn store_has_refused(
        &self,
        caller: &Principal,
        id: &UploadId,
        code: &str,
    ) -> Result<(), Error> {
        self.record_to_sign(caller, id).await?;
        self.store()?.doubt_credentials(code, self.now()).await
    }

    /// The upload as [`record_of`](Self::record_of) tells it, or as it was up to a second ago: a client that asks for the
    /// signature of each part by itself asks for the same record hundreds of times.
    ///
    /// # Errors
    /// [`Error::NotFound`] for somebody else's upload as for none.
    pub async fn record_to_sign(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let owner = caller.reach(id)?;
        let found = self.0.db.find_recent_upload(id, owner).await?;
        found.iter().for_each(is_about);
        self.alive(found)
    }

    /// The checksums of exactly these parts, as this upload's are signed with them.
    async fn claims_of(
        &self,
        upload: &Upload,
        set: &PartSet,
        mut told: BTreeMap<u16, String>,
    ) -> Result<Claims, Error> {
        let algorithm = self.0.db.integrity(&upload.id).await?.algorithm;
        let Some(algorithm) = algorithm.filter(|algorithm| is_signed(*algorithm)) else {
            let detail = "the parts of this upload are not signed with a checksum";
            return Err(Error::invalid("checksums", detail));
        };
        let mut by_number = BTreeMap::new();
        for number in set.iter().map(PartNumber::get) {
            let field = format!("checksums.{number}");
            let text = told
                .remove(&number)
                .ok_or_else(|| Error::invalid(&field, "is missing: it is told of all parts or of none"))?;
            let sum = Checksum::from_base64(algorithm, &text, &field)
                .map_err(|error| Error::Invalid(vec![error]))?;
            by_number.insert(number, sum.to_base64());
        }
        if let Some(number) = told.keys().next() {
            let detail = "is of a part that is not asked for in parts";
            return Err(Error::invalid(format!("checksums.{number}"), detail));
        }
        Ok(Claims { algorithm, by_number })
    }

    async fn signer_of(
        &self,
        upload: &Upload,
        multipart_id: &str,
        binds: Binds,
    ) -> Result<PartSigner, Error> {
        self.store()?
            .part_signer(&upload.key, multipart_id, binds, self.now())
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
        self.count_signatures_of(caller, &upload, set.len() as u64)?;
        let signer = self.signer_of(&upload, multipart_id, Binds::Nothing).await?;
        self.touch(&mut upload).await?;
        self.0.metrics.signed(Signed::Part, set.len() as u64);
        let signed = SignedParts {
            signer,
            plan: None,
            set,
            claims: None,
        };
        self.note(&upload.id, Note::signed(&signed));
        Ok(signed)
    }

    /// Counts so many signatures that are about to be given to this caller. Those that are asked for together are counted
    /// together: one by one, more than a minute's worth of them would never come to an end.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub fn count_signatures(&self, caller: &Principal, count: u64) -> Result<(), Error> {
        self.pace_caller(Pace::Sign, caller, count)
    }

    /// The same of signatures for this upload, which may have been narrowed further when it began.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub fn count_signatures_of(&self, caller: &Principal, upload: &Upload, count: u64) -> Result<(), Error> {
        self.count_signatures(caller, count)?;
        self.count_beside(caller, upload, count)
    }

    /// What [`count_signatures`](Self::count_signatures) could not know of before the upload was found.
    ///
    /// # Errors
    /// [`Error::TooFast`].
    pub fn count_beside(&self, caller: &Principal, upload: &Upload, count: u64) -> Result<(), Error> {
        self.pace_narrowed(Pace::Sign, caller, &upload.bounds, &caller.bounds, count)
    }

    /// A presigned URL for one operation on an unfinished upload's object, and when it dies. It was
    /// [counted](Self::count_signatures) before.
    ///
    /// # Errors
    /// [`Error::TooManyParts`], [`Error::TooLarge`], [`Error::QuotaReached`] for a part that its client cuts beyond what
    /// holds for the upload; [`Error::Unavailable`].
    pub async fn presign(
        &self,
        upload: &Upload,
        operation: Operation<'_>,
    ) -> Result<(SignedRequest, DateTime<Utc>), Error> {
        if let Operation::UploadAnyPart { part_number, .. } = operation {
            self.admit_part(upload, part_number.into()).await?;
        }
        self.0.metrics.signed(signed_as(operation), 1);
        self.store()?.presign(operation, &upload.key, self.now()).await
    }

    /// The SigV2 signature of one operation, which was [counted](Self::count_signatures) before, for clients that know
    /// nothing newer; `None` where the operator has not switched SigV2 on.
    pub fn sign_v2(
        &self,
        upload: &Upload,
        operation: Operation<'_>,
        content_type: &str,
    ) -> Result<Option<v2::HeaderSignature>, Error> {
        self.0.metrics.signed(signed_as(operation), 1);
        self.store()?
            .sign_v2(operation, content_type, &upload.key, self.now())
    }

    /// The signing key of the day for clients that sign by themselves; `None` where the operator has not set a
    /// credential for that apart. It signs whatever that credential may do, and not this upload alone: every one that
    /// is given is logged.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a caller, or an upload, with bounds, in which nothing would hold it.
    pub async fn hand_out_key(
        &self,
        caller: &Principal,
        upload: &Upload,
    ) -> Result<Option<HandedKey>, Error> {
        caller.may_have_keys()?;
        if !upload.bounds.is_open() {
            return Err(Error::Forbidden(
                "this upload has limits of its own, in which keys of the store cannot be held",
            ));
        }
        let key = self.store()?.handed_key(self.now()).await?;
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
