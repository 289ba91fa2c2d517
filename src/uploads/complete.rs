//! Complete: see that everything is there, have the store join it, and be sure of the outcome.
//!
//! The answer to the store's completion may be lost, may come as a 200 that carries an error, and may come to a
//! second request that runs beside the first. So the list of parts is read before, the object itself is looked
//! at whenever the upload is gone (`outcome`), and every outcome can be asked for again.

use chrono::{DateTime, TimeDelta, Utc};

use super::Uploads;
use super::claims::{Claim, Manner};
use super::integrity::KnownBytes;
use crate::db::RecordedPart;
use crate::domain::{
    Checksum, Checksums, Cut, NamedPart, PartDefect, PartNumber, Principal, State, StoredPart, Upload,
    UploadId, check_chosen, check_joinable, check_whole, told_size,
};
use crate::error::{Digested, Error};

/// A record this much older than a listing is of a part that the listing must have had, whichever instance made it.
const SETTLED: TimeDelta = TimeDelta::seconds(30);

impl Uploads {
    /// Completes an upload; asked again, it answers the same.
    ///
    /// # Errors
    /// [`Error::Incomplete`] naming the parts that are missing or of another size, [`Error::Vanished`],
    /// [`Error::WrongState`] for one that was given up, [`Error::StoreRefused`], [`Error::Unavailable`].
    pub async fn complete(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        match upload.state {
            State::Complete if upload.cut != Cut::Whole => return Ok(upload),
            // Of a whole object that may be another by now.
            State::Open | State::Completing | State::Complete => {}
            state => return Err(self.why_ended(&upload.id, state).await?),
        }
        let this = self.clone();
        Self::see_through(async move { this.complete_once(&upload.id).await }).await
    }

    /// Completes an upload of which the whole must have the digest that is claimed of it. One with another is removed,
    /// unless it was complete before.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`], and as [`complete`](Self::complete).
    pub async fn complete_claimed(
        &self,
        caller: &Principal,
        id: &UploadId,
        claimed: Checksum,
    ) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        let this = self.clone();
        Self::see_through(async move { this.complete_in_turn(&upload.id, Some(claimed)).await }).await
    }

    /// Completes an upload that its client has cut, of the parts that the client names, or of all where it names none;
    /// asked again, it answers the same.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); [`Error::PartConflict`] for a tag that is not the stored one,
    /// [`Error::TooLarge`] where the parts are too many bytes together.
    pub async fn complete_of(
        &self,
        caller: &Principal,
        id: &UploadId,
        named: Vec<NamedPart>,
    ) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        let this = self.clone();
        Self::see_through(async move {
            let asked = Asked {
                named,
                ..Asked::default()
            };
            this.complete_as(&upload.id, &asked).await
        })
        .await
    }

    /// Completes an upload of which the client says what checksum the whole has. It is compared with what is known of the
    /// parts, before anything is made of them; where nothing is, the object is read.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`], and as [`complete`](Self::complete).
    pub async fn complete_stated(
        &self,
        caller: &Principal,
        id: &UploadId,
        stated: Checksum,
    ) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        let this = self.clone();
        Self::see_through(async move {
            let asked = Asked {
                stated: Some(stated),
                ..Asked::default()
            };
            this.complete_as(&upload.id, &asked).await
        })
        .await
    }

    /// Puts the upload together, unless somebody before us has by the time that it is our turn.
    pub(super) async fn complete_once(&self, id: &UploadId) -> Result<Upload, Error> {
        self.complete_as(id, &Asked::default()).await
    }

    /// The same, once the whole has the digest that is claimed of it besides what was said when it began.
    pub(super) async fn complete_in_turn(
        &self,
        id: &UploadId,
        claimed: Option<Checksum>,
    ) -> Result<Upload, Error> {
        let asked = Asked {
            claimed,
            ..Asked::default()
        };
        self.complete_as(id, &asked).await
    }

    /// The same, with all that may be asked for besides; a scanner that is to look at it is waited for.
    async fn complete_as(&self, id: &UploadId, asked: &Asked) -> Result<Upload, Error> {
        let turn = self.turn_to_complete(id, Manner::TURN).await?;
        // Boxed, so that whoever waits for a verdict does not keep the room for all that came before.
        let outcome = Box::pin(self.complete_asked(&turn, id, asked)).await;
        drop(turn);
        self.with_verdict(id, outcome).await
    }

    /// The same, unless somebody is at it.
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody is.
    pub(super) async fn complete_if_free(&self, id: &UploadId) -> Result<Upload, Error> {
        let turn = self.turn_to_complete(id, Manner::UNTAKEN).await?;
        self.complete_asked(&turn, id, &Asked::default()).await
    }

    /// Nobody else completes the upload while this is held, in no process: two that put one object together could each
    /// undo what the other has done.
    pub(super) async fn turn_to_complete(&self, id: &UploadId, manner: Manner) -> Result<Claim, Error> {
        self.0.claims.take(format!("complete:{id}"), manner).await
    }

    async fn complete_asked(&self, _turn: &Claim, id: &UploadId, asked: &Asked) -> Result<Upload, Error> {
        let upload = self.0.db.find_upload(id, None).await?;
        let upload = upload.ok_or(Error::NotFound("upload"))?;
        let upload = Box::pin(self.as_it_is(upload)).await?;
        match upload.state {
            State::Complete => {
                let claimed: Vec<Checksum> = asked.claimed.iter().chain(&asked.stated).cloned().collect();
                if self.has_digests(&upload, claimed).await? {
                    Ok(upload)
                } else {
                    Err(Error::ChecksumMismatch { what: Digested::File })
                }
            }
            // Boxed, so that completions that nobody looks at need no room for it.
            State::Open | State::Completing if Box::pin(self.is_quarantined(&upload)).await? => {
                match &asked.stated {
                    Some(stated) if !Box::pin(self.is_as_stated(&upload, stated)).await? => {
                        Err(Error::ChecksumMismatch { what: Digested::File })
                    }
                    _ => Err(Error::StillCompleting),
                }
            }
            State::Open | State::Completing => self.put_together(upload, asked).await,
            state => Err(self.why_ended(id, state).await?),
        }
    }

    async fn put_together(&self, mut upload: Upload, asked: &Asked) -> Result<Upload, Error> {
        let mut claimed = asked.claimed.as_ref();
        if upload.cut.is_ended_by_client() && upload.multipart_id.is_none() {
            let whole = self.find_whole_as(&upload, claimed).await?;
            return whole.map_or_else(|| check_chosen(&[], &[]).map(|()| upload), Ok);
        }
        let storage = self.storage(&upload)?;
        let (stored, known) = match self.whole_parts(&mut upload, asked).await {
            Err(Error::Vanished) => return self.settled(&upload, claimed).await,
            found => found?,
        };
        if let Some(stated) = &asked.stated
            && !known.confirms(stated)?
        {
            claimed = Some(stated);
        }
        self.change(&upload.id, &[State::Open], State::Completing).await?;
        let finished = match self.sources(&upload).await? {
            Some(sources) => storage.join(&upload, &sources).await,
            None => {
                storage
                    .finish_checked(&upload, &stored, known.whole.as_ref())
                    .await
            }
        };
        match finished {
            Ok(etag) => {
                let etag = match etag {
                    Some(etag) => Some(etag),
                    None => self.tag_of(&upload).await,
                };
                self.mark_complete(upload, etag, claimed).await
            }
            Err(Error::Vanished) => self.settled(&upload, claimed).await,
            Err(error) => Err(self.unfinished(&upload, &known, error).await?),
        }
    }

    /// The stored parts, all of them and right, and what is known of their bytes; none of an upload that is appended to.
    async fn whole_parts(
        &self,
        upload: &mut Upload,
        asked: &Asked,
    ) -> Result<(Vec<StoredPart>, KnownBytes), Error> {
        if upload.appending.is_some() {
            check_ended(upload)?;
            return Ok((Vec::new(), self.known_of_appended(upload).await?));
        }
        let began = self.now();
        let stored = self.counting_parts(upload).await?;
        if !upload.cut.is_ours() {
            // Boxed, so that completions of our own cut need no room for it.
            if let Err(error) = Box::pin(self.measure(upload, &stored, &asked.named)).await {
                Box::pin(self.drop_if_mixed(upload, &error)).await?;
                return Err(error);
            }
            return Ok((stored, KnownBytes::default()));
        }
        let known = match check_whole(&upload.plan(), &stored) {
            Ok(()) => self.check_bytes(upload, &stored).await,
            Err(error) => Err(error),
        };
        match known {
            Ok(known) => Ok((stored, known)),
            Err(error) => {
                self.forget_lost(upload, &error, began - SETTLED).await?;
                Err(error)
            }
        }
    }

    /// The storage has not finished an upload: what that means for it, and what is told.
    async fn unfinished(&self, upload: &Upload, known: &KnownBytes, error: Error) -> Result<Error, Error> {
        match &error {
            Error::ChecksumMismatch {
                what: Digested::Parts,
            } => return self.reopen_altered(upload, known).await,
            Error::ChecksumMismatch { .. } => self.reject(upload).await?,
            // Nothing was joined: parts may be sent again, or the operator mends what was refused; or bytes are missing
            // that may still come.
            Error::StoreRefused { .. } | Error::OffsetMismatch { .. } => {
                self.change(&upload.id, &[State::Completing], State::Open).await?;
            }
            _ => {}
        }
        Ok(error)
    }

    /// Holds the parts of an upload of a client's own cut against what the client says of them, and learns its size. They
    /// are written down, since the store forgets them when it joins them, and a client may ask again.
    async fn measure(
        &self,
        upload: &mut Upload,
        stored: &[StoredPart],
        named: &[NamedPart],
    ) -> Result<(), Error> {
        check_chosen(stored, named)?;
        let size = stored.iter().map(|part| part.size).sum();
        let told = match upload.cut {
            // What is no size was refused when it began.
            Cut::Client => told_size(&upload.metadata).unwrap_or_default(),
            _ => None,
        };
        if let Some(told) = told.filter(|told| *told != size) {
            return Err(Error::MixedParts {
                why: format!("the parts have {size} bytes together, and the file was said to have {told}"),
            });
        }
        self.policy_of(upload).check_size(size)?;
        check_joinable(stored, self.0.policy.parts.min)?;
        upload.size = size;
        upload.part_size = stored.first().map_or(size, |first| first.size);
        let record = |part: &StoredPart| RecordedPart {
            number: part.number,
            size: part.size,
            etag: Some(part.etag.clone()).filter(|etag| !etag.is_empty()),
            sha256: None,
            checksums: Checksums::default(),
        };
        let (records, now) = (stored.iter().map(record).collect(), self.now());
        let expires_at = self.life_until(upload, now);
        self.0.db.record_parts(&upload.id, records, now, expires_at).await
    }

    /// What the storage has lost must be sent again, so our record must not say that it is there. A record that is
    /// younger than `before` may be of a part that came after the storage was asked.
    async fn forget_lost(&self, upload: &Upload, error: &Error, before: DateTime<Utc>) -> Result<(), Error> {
        if let Error::Incomplete { defects, .. } = error {
            let numbers: Vec<PartNumber> = defects.iter().map(PartDefect::number).collect();
            self.0.db.forget_parts(&upload.id, &numbers, before).await?;
        }
        Ok(())
    }
}

/// What somebody asks for with a completion.
#[derive(Debug, Default)]
struct Asked {
    /// The digest that the whole must have, besides what was said when it began.
    claimed: Option<Checksum>,
    /// The checksum that the client says the whole has: what is not whole may still be mended.
    stated: Option<Checksum>,
    /// The parts that it is to be made of; empty for all.
    named: Vec<NamedPart>,
}

/// Whether an upload that is appended to can be put together at all; its storage knows whether all bytes are there.
fn check_ended(upload: &Upload) -> Result<(), Error> {
    if upload.is_partial() {
        return Err(Error::Forbidden(
            "this upload is a piece of another, and is never complete by itself",
        ));
    }
    let Some(size) = upload.known_size() else {
        return Err(Error::invalid("Upload-Length", "has not been told yet"));
    };
    match &upload.appending {
        Some(appending) if appending.is_settled && !upload.is_joined() && appending.offset != size => {
            Err(Error::WrongSize {
                what: "the upload",
                expected: size,
                actual: appending.offset,
            })
        }
        _ => Ok(()),
    }
}
