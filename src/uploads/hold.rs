//! Hold: one sender has an upload to itself for a whole conversation, and appends to it as often as it likes.
//!
//! Separate from appending by single requests, each of which takes its claim and writes down where the upload stands.
//! Who sends over one long connection does that once, hears at once of somebody who takes over, and knows after each
//! append what is stored for good.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::Uploads;
use super::append::drain;
use super::claims::{Claim, Manner};
use super::guard::Loss;
use super::standing::taking;
use crate::domain::{Checksum, Principal, Upload, UploadId};
use crate::error::Error;
use crate::storage::{Body, BodyError, Expectation, Receipt};

/// The right to append to one upload, until somebody takes over. What is not [released](Self::release) is still true:
/// the storage is asked where the upload stands when somebody comes back.
pub struct Hold {
    uploads: Uploads,
    claim: Claim,
    upload: Upload,
    offset: u64,
    /// Whether the offset is what the storage says.
    is_sure: bool,
}

/// Tells when a [`Hold`] is lost.
pub struct HoldWatch(Loss);

impl HoldWatch {
    /// Waits until somebody takes over, or this process is about to end.
    pub async fn lost(&mut self) -> BodyError {
        self.0.wait().await
    }
}

impl Uploads {
    /// Takes an upload that is appended to, and goes on being sent to by nobody else. Whoever is sending to it makes way.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an upload that is sent in parts; [`Error::Forbidden`]; [`Error::WrongState`] once it
    /// has ended; [`Error::Vanished`]; [`Error::Busy`] where whoever is sending does not make way in time;
    /// [`Error::Unavailable`].
    pub async fn hold(&self, caller: &Principal, id: &UploadId) -> Result<Hold, Error> {
        let upload = self.find(caller, id).await?;
        caller.may_send(&upload.owner)?;
        taking(&upload)?;
        let this = self.clone();
        Self::see_through(async move {
            let (claim, mut upload) = this.claim(&upload.id, Manner::TAKE_OVER).await?;
            let offset = this.begin_turn(&mut upload).await?;
            Ok(Hold {
                uploads: this,
                claim,
                upload,
                offset,
                is_sure: true,
            })
        })
        .await
    }

    /// Notes that somebody still sends to an upload, so that it does not run out meanwhile.
    ///
    /// # Errors
    /// [`Error::NotFound`] once it is gone, [`Error::Unavailable`].
    pub async fn keep_alive(&self, caller: &Principal, id: &UploadId) -> Result<(), Error> {
        let mut upload = self.find(caller, id).await?;
        self.touch(&mut upload).await
    }

    /// Whether this process is about to end, now and from now on.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.0.claims.stopping()
    }
}

impl Hold {
    /// The upload as it was when it was taken.
    pub fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Bytes that are stored for good.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What tells when it is lost.
    pub fn watch(&self) -> HoldWatch {
        HoldWatch(self.claim.loss())
    }

    /// Appends these bytes; afterwards all of them are stored that came, whichever way they ended, which is told. It must
    /// be seen through: what is dropped half way leaves the offset to be asked for.
    ///
    /// # Errors
    /// What the storage says; how much it has is not known then.
    pub async fn append(
        &mut self,
        pieces: BoxStream<'static, Result<Bytes, BodyError>>,
    ) -> Result<Option<BodyError>, Error> {
        let receipt = Receipt::default();
        let expected = Expectation::at_most(self.upload.size.saturating_sub(self.offset));
        let is_full = expected.most == 0;
        let body = Body::new(self.claim.guard(pieces), expected).with_receipt(receipt.clone());
        if is_full {
            // Nothing can come that is to be stored.
            drain(body).await;
            return Ok(receipt.failure());
        }
        self.is_sure = false;
        let storage = self.uploads.storage(&self.upload)?;
        match storage.append(&self.upload, self.offset, body).await {
            Ok(end) => self.offset = end,
            Err(Error::Vanished) => {
                self.uploads.settle_vanished(&self.upload).await?;
                return Err(Error::Vanished);
            }
            Err(error) => return Err(error),
        }
        self.is_sure = true;
        Ok(receipt.failure())
    }

    /// Lets go, with a note of where the upload stands.
    ///
    /// # Errors
    /// [`Error::Superseded`] where somebody was faster, [`Error::Unavailable`].
    pub async fn release(mut self) -> Result<Upload, Error> {
        if self.is_sure {
            let offset = self.offset;
            self.uploads.settle(&mut self.upload, offset).await?;
        }
        Ok(self.upload)
    }

    /// Completes the upload, which must have all its bytes, once the whole has the digest that is claimed of it. One with
    /// another is removed.
    ///
    /// # Errors
    /// [`Error::WrongSize`], [`Error::ChecksumMismatch`], and as [`Uploads::complete`].
    pub async fn complete(self, claimed: Option<Checksum>) -> Result<Upload, Error> {
        if self.offset != self.upload.size {
            let (expected, actual) = (self.upload.size, self.offset);
            self.release().await?;
            return Err(Error::WrongSize {
                what: "the file",
                expected,
                actual,
            });
        }
        let uploads = self.uploads.clone();
        let upload = self.release().await?;
        Uploads::see_through(async move { uploads.complete_in_turn(&upload.id, claimed).await }).await
    }
}
