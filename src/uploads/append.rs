//! Append: bytes at the end of what an upload has, on to wherever they are stored.
//!
//! Separate from receiving parts, because here every byte counts that came, in whatever way its request ended, and
//! because a client that comes back after a lost connection must find the way free: its new request ends the old one.
//! Where an upload stands is written down when a request has ended (`standing`); after a kill the storage is asked.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::Uploads;
use super::claims::{Claim, Manner};
use super::standing::{appending, taking};
use crate::domain::{Algorithm, Checksum, Length, Principal, State, Upload, UploadId};
use crate::error::{Digested, Error};
use crate::storage::{Body, BodyError, Expectation, Receipt};

/// How often it is noted that somebody is still sending.
const NOTE_EVERY: Duration = Duration::from_secs(61);

/// Which request ends an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Not this one, even if nothing is missing after it.
    Later,
    /// Whichever brings the last byte of a known length.
    WhenFull,
    /// This one: its end is the file's end.
    Here,
}

/// What becomes of a request that is sending when another comes for the same upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rivals {
    /// It makes way at once: it is taken for the lost connection of the same client.
    Yield,
    /// It goes on, and the newcomer is refused, unless it has gone silent.
    Stay,
}

/// Bytes as a request brings them.
pub struct Append {
    /// Where its client takes the upload to stand.
    pub offset: u64,
    /// Bytes of the whole file, where the request tells them.
    pub size: Option<u64>,
    /// Bytes of its body, where it says.
    pub length: Option<u64>,
    /// The digest that the client claims its body has. Of a body with a digest all counts or nothing.
    pub checksum: Option<Checksum>,
    /// Whether it ends the upload.
    pub ends: Ends,
    /// Most bytes that a file may have through this protocol.
    pub most: u64,
    /// The bytes.
    pub pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    /// What becomes of another request that is sending.
    pub rivals: Rivals,
    /// Whether its body counts as a whole only, even without a digest.
    pub is_whole: bool,
    /// What tells of its progress meanwhile.
    pub receipt: Receipt,
}

/// Where an upload stands after a request.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The upload.
    pub upload: Upload,
    /// Why the request ended too soon, if it did. What came before that is kept, and the upload can go on.
    pub failure: Option<BodyError>,
}

impl Uploads {
    /// Takes bytes at the end of what is there, and completes the upload where they are its last. Whoever else is
    /// sending to it makes way.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that is sent in parts; [`Error::Forbidden`] for one that is made of
    /// others; [`Error::WrongState`] once it has ended, but for a request that repeats the last one;
    /// [`Error::OffsetMismatch`], [`Error::LengthConflict`], [`Error::TooLarge`], [`Error::BodyTooLarge`] for bytes
    /// beyond the length, [`Error::WrongSize`] where the end comes too soon, [`Error::ChecksumMismatch`],
    /// [`Error::Busy`] where whoever is sending does not make way in time, and what storage and completion say.
    pub async fn append(
        &self,
        caller: &Principal,
        id: &UploadId,
        mut append: Append,
    ) -> Result<Appended, Error> {
        let upload = self.find(caller, id).await?;
        caller.may_send(&upload.owner)?;
        append.most = append.most.min(self.policy_of(&upload).max_size);
        // Most of what can be wrong is known before a byte is read.
        judge(&upload, &append)?;
        let this = self.clone();
        Self::see_through(async move { this.take_up(&upload.id, append).await }).await
    }

    /// Ends all requests that append, now and from now on, because this process is about to end: what they have
    /// brought is kept.
    pub fn stop_appending(&self) {
        self.0.claims.stop();
    }

    async fn take_up(&self, id: &UploadId, mut append: Append) -> Result<Appended, Error> {
        let manner = match append.rivals {
            Rivals::Yield => Manner::TAKE_OVER,
            Rivals::Stay => Manner::IF_FREE,
        };
        let (claim, mut upload) = self.claim(id, manner).await?;
        // What was true before may have changed while we waited.
        judge(&upload, &append)?;
        if upload.state == State::Complete {
            return repeated(&claim, upload, append).await;
        }
        let offset = self.begin_turn(&mut upload).await?;
        let told = match agree(&upload, offset, append.offset, append.size) {
            Ok(told) => self.make_room(&upload, told, &mut append).await.map(|()| told),
            refused => refused,
        };
        let told = match told {
            Ok(told) => told,
            Err(refused) => {
                self.settle(&mut upload, offset).await?;
                return Err(refused);
            }
        };
        let ends = append.ends;
        let receipt = append.receipt.clone();
        // Written down below, once the request that tells it has come to anything.
        let mut as_told = upload.clone();
        if let Some(size) = told {
            fix_length(&mut as_told, size);
        }
        let end = self.pour(&claim, &as_told, offset, append).await?;
        self.settle(&mut upload, end).await?;
        self.sum_up(&upload, offset, end, &receipt).await;
        let failure = receipt.failure();
        let is_refused = matches!(
            failure,
            Some(BodyError::Mismatch | BodyError::TooLong { .. } | BodyError::TooShort { .. })
        );
        if let Some(size) = told.filter(|_| !is_refused) {
            self.declare(&mut upload, size).await?;
        }
        match failure {
            Some(BodyError::Mismatch) => return Err(Error::ChecksumMismatch { what: Digested::Part }),
            None => self.end(&mut upload, end, ends, claim).await?,
            Some(_) => {}
        }
        Ok(Appended { upload, failure })
    }

    /// Takes room for what a request brings to an upload whose length was not known when it began. A body whose length
    /// nobody tells may have what is free.
    async fn make_room(&self, upload: &Upload, told: Option<u64>, append: &mut Append) -> Result<(), Error> {
        if upload.length() != Length::Deferred {
            return Ok(());
        }
        let end = append.length.map(|length| append.offset.saturating_add(length));
        if let Some(bytes) = told.or(end) {
            self.grow(upload, bytes).await
        } else {
            append.most = append.most.min(self.room_of(upload).await?);
            Ok(())
        }
    }

    /// Fixes the length of an upload whose length was not known.
    async fn declare(&self, upload: &mut Upload, size: u64) -> Result<(), Error> {
        let fence = appending(upload)?.fence;
        if !self.0.db.declare_length(&upload.id, fence, size).await? {
            return Err(Error::Superseded);
        }
        fix_length(upload, size);
        Ok(())
    }

    /// Passes the body on to the storage; gives where the upload stands then, whichever way the body ended.
    async fn pour(&self, claim: &Claim, upload: &Upload, offset: u64, append: Append) -> Result<u64, Error> {
        let room = upload.known_size().unwrap_or(append.most).saturating_sub(offset);
        let most = append.length.map_or(room, |length| length.min(room));
        let expected = Expectation {
            is_whole: append.is_whole,
            ..Expectation::at_most(most).with_checksum(append.checksum)
        };
        let receipt = append.receipt.clone();
        let body = Body::new(claim.guard(self.counted(upload, append.pieces)), expected)
            .with_receipt(append.receipt)
            .also(Algorithm::Crc64Nvme);
        if most == 0 {
            // Nothing can come that is to be stored.
            drain(body).await;
            return Ok(offset);
        }
        let counts_byte_by_byte = body.counts_byte_by_byte();
        let appended = self.storage(upload)?.append(upload, offset, body);
        match self.kept_alive(upload, appended).await {
            Err(Error::Vanished) => {
                self.settle_vanished(upload).await?;
                Err(Error::Vanished)
            }
            Err(Error::OffsetMismatch { expected, .. }) if expected < offset => {
                self.lost_bytes(upload, expected).await
            }
            // It is the body that failed, and nothing of it was kept. Where every byte counts the storage has failed as
            // well, and only it knows how many it has.
            Err(_) if receipt.failure().is_some() && !counts_byte_by_byte => Ok(offset),
            end => end,
        }
    }

    /// Notes every minute that somebody sends to the upload, for as long as `work` takes.
    async fn kept_alive<T>(&self, upload: &Upload, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut upload = upload.clone();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(NOTE_EVERY) => {
                    if let Err(error) = self.touch(&mut upload).await {
                        tracing::warn!(upload = %upload.id, %error, "it may run out while it is sent");
                    }
                }
            }
        }
    }

    /// Completes the upload if this was its last request.
    async fn end(&self, upload: &mut Upload, end: u64, ends: Ends, claim: Claim) -> Result<(), Error> {
        let is_over = match (ends, upload.known_size()) {
            (Ends::Later, _) | (Ends::WhenFull, None) => false,
            (Ends::WhenFull, Some(size)) => end == size,
            (Ends::Here, Some(size)) if end != size => {
                return Err(Error::WrongSize {
                    what: "the upload",
                    expected: size,
                    actual: end,
                });
            }
            (Ends::Here, Some(_)) => true,
            (Ends::Here, None) => {
                self.declare(upload, end).await?;
                true
            }
        };
        if is_over && !upload.is_partial() {
            // Who looks meanwhile need not wait until the storage has put it together.
            drop(claim);
            *upload = self.complete_once(&upload.id).await?;
        }
        Ok(())
    }
}

/// Holds a request against where the upload stands in truth; gives the length that it tells, where none was known.
fn agree(upload: &Upload, offset: u64, provided: u64, size: Option<u64>) -> Result<Option<u64>, Error> {
    if provided != offset {
        return Err(Error::OffsetMismatch {
            expected: offset,
            provided,
        });
    }
    let told = size.filter(|_| upload.length() == Length::Deferred);
    if told.is_some_and(|size| size < offset) {
        let detail = format!("must not be less than the {offset} bytes that are there");
        return Err(Error::invalid("Upload-Length", detail));
    }
    Ok(told)
}

/// Tells the length of an upload of which it was not known before.
fn fix_length(upload: &mut Upload, size: u64) {
    upload.size = size;
    if let Some(appending) = &mut upload.appending {
        appending.length = Length::Declared;
    }
}

/// Reads a body of which nothing is to be stored; its receipt tells how it ended.
pub(super) async fn drain(mut body: Body) {
    while body.next().await.is_some_and(|piece| piece.is_ok()) {}
}

/// What is wrong with a request, as far as our record tells.
fn judge(upload: &Upload, append: &Append) -> Result<(), Error> {
    let known = taking(upload)?;
    let is_repeated = upload.state == State::Complete
        && append.offset == upload.size
        && append.length.is_none_or(|length| length == 0);
    if !is_repeated {
        upload.check_unfinished("added to")?;
    }
    if known.is_settled && !is_repeated && append.offset != known.offset {
        return Err(Error::OffsetMismatch {
            expected: known.offset,
            provided: append.offset,
        });
    }
    match (append.size, upload.known_size()) {
        (Some(told), Some(known)) if told != known => {
            return Err(Error::LengthConflict { known, told });
        }
        (Some(size), _) if size > append.most => {
            return Err(Error::TooLarge {
                limit: append.most,
                size,
            });
        }
        _ => {}
    }
    let end = upload.known_size().or(append.size).unwrap_or(append.most);
    let room = end.saturating_sub(append.offset);
    if append.length.is_some_and(|length| length > room) {
        return Err(Error::BodyTooLarge { limit: room });
    }
    Ok(())
}

/// The answer to the last request was lost, and its client asks again: nothing may come that is not there.
async fn repeated(claim: &Claim, upload: Upload, append: Append) -> Result<Appended, Error> {
    let expected = Expectation::at_most(0).with_checksum(append.checksum);
    let body = Body::new(claim.guard(append.pieces), expected).with_receipt(append.receipt.clone());
    drain(body).await;
    match append.receipt.failure() {
        Some(BodyError::TooLong { .. }) => Err(Error::WrongState {
            state: upload.state,
            verb: "added to",
        }),
        Some(BodyError::Mismatch) => Err(Error::ChecksumMismatch { what: Digested::Part }),
        failure => Ok(Appended { upload, failure }),
    }
}
