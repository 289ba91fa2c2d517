//! Receive: bytes of a part that pass through us, on to wherever they are stored.
//!
//! The work runs in a task of its own, so it ends in order whether the client waits or not: what is stored whole is
//! recorded, what is not counts for nothing. A part that is there already is compared while it comes in and never
//! written again.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::Uploads;
use super::claims::Manner;
use crate::db::{PartRecord, RecordedPart};
use crate::domain::{
    Algorithm, Checksum, PartNumber, PartPlan, Principal, State, Transfer, Upload, UploadId,
};
use crate::error::Error;
use crate::storage::{Body, BodyError, Expectation};

/// However active, an upload lives no longer than this.
const OLDEST: TimeDelta = TimeDelta::days(30);

/// The shortest life that activity gives an upload.
const SHORTEST: TimeDelta = TimeDelta::minutes(1);

/// The bytes of one part as a request brings them.
pub struct Incoming {
    /// How many there will be, where the request says.
    pub length: Option<u64>,
    /// The digest that the client claims they have.
    pub claimed: Option<Checksum>,
    /// The bytes.
    pub pieces: BoxStream<'static, Result<Bytes, BodyError>>,
}

/// How a protocol's clients cut their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// As the upload says, and no other way.
    Fixed,
    /// As the upload says, or into as many parts of even size: the first part that is stored decides.
    FixedOrEven,
}

/// A part that is stored and recorded.
#[derive(Debug, Clone)]
pub struct Received {
    /// The upload, as it is now.
    pub upload: Upload,
    /// The part.
    pub part: RecordedPart,
    /// How many of the upload's parts are recorded.
    pub recorded: u64,
}

impl Uploads {
    /// Takes one part. The same bytes again are fine; others are refused once a part is stored.
    ///
    /// # Errors
    /// [`Error::NotFound`] also for a part that the upload has not, [`Error::WrongState`] once it has ended,
    /// [`Error::WrongSize`], [`Error::ChecksumMismatch`], [`Error::PartConflict`], [`Error::Interrupted`],
    /// [`Error::Superseded`], [`Error::Busy`], and what the storage says.
    pub async fn receive_part(
        &self,
        caller: &Principal,
        id: &UploadId,
        number: u64,
        grid: Grid,
        incoming: Incoming,
    ) -> Result<Received, Error> {
        let upload = self.find(caller, id).await?;
        caller.may_send(&upload.owner)?;
        check_open(&upload)?;
        let number = PartNumber::new(number, "part").map_err(|_| Error::NotFound("part"))?;
        // Most of what can be wrong is known before a byte is read.
        if let Err(misfit) = size_in(&upload, number, incoming.length)
            && !(grid == Grid::FixedOrEven && even_plan(&upload).size_of(number) == incoming.length)
        {
            return Err(misfit);
        }
        let this = self.clone();
        Self::see_through(async move { this.take_in(upload.id, number, incoming).await }).await
    }

    async fn take_in(&self, id: UploadId, number: PartNumber, incoming: Incoming) -> Result<Received, Error> {
        // Before any claim: two parts of one even file would each take the other's claim for a part of another grid.
        self.fit_grid(&id, number, incoming.length).await?;
        let claim = self.0.claims.take(claim_name(&id, number), Manner::PART).await?;
        // What was true before may have changed while we waited.
        let upload = self.reload(&id).await?;
        check_open(&upload)?;
        let size = size_in(&upload, number, incoming.length)?;
        let known = self.0.db.recorded_part(&id, number).await?;
        let body = Body::new(
            claim.guard(self.counted(&upload, incoming.pieces)),
            Expectation::exactly(size, None).with_checksum(incoming.claimed),
        )
        .also(Algorithm::Crc64Nvme);
        let part = match known {
            Some(record) if record.part.sha256.is_some() && record.part.size == size => {
                same_again(record, body).await?
            }
            _ => self.store_part(&upload, number, body).await?,
        };
        drop(claim);
        // Where the upload was given up meanwhile, nothing is left of the part, whatever the storage has said.
        let state = self.reload(&id).await?.state;
        if matches!(state, State::Aborted | State::Expired | State::Failed) {
            // It may have been stored behind the back of whoever dropped the rest.
            if let Err(error) = self.storage(&upload)?.abort(&upload).await {
                tracing::warn!(upload = %id, %error, "a late part stays for now");
            }
            return Err(Error::WrongState {
                state,
                verb: "added to",
            });
        }
        let recorded = self.0.db.count_parts(&id).await?;
        Ok(Received {
            upload,
            part,
            recorded,
        })
    }

    async fn store_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: Body,
    ) -> Result<RecordedPart, Error> {
        let receipt = body.receipt();
        let stored = match self.storage(upload)?.put(upload, number, body).await {
            Err(Error::Vanished) => {
                self.settle_vanished(upload).await?;
                return Err(Error::Vanished);
            }
            stored => stored?,
        };
        let part = RecordedPart {
            number,
            size: stored.size,
            etag: Some(stored.etag).filter(|etag| !etag.is_empty()),
            sha256: receipt.sha256(),
            checksums: receipt.sums(),
        };
        let now = self.now();
        self.0
            .db
            .record_parts(&upload.id, vec![part.clone()], now, self.life_until(upload, now))
            .await?;
        self.0.metrics.parts(Transfer::Relay, 1);
        Ok(part)
    }

    /// When an upload ends that is active now.
    pub(super) fn life_until(&self, upload: &Upload, now: DateTime<Utc>) -> DateTime<Utc> {
        match upload.transfer {
            // What was promised is never taken back.
            Transfer::Direct => (now + self.0.time_to_live).max(upload.expires_at),
            Transfer::Relay => {
                let lifetime = (upload.expires_at - upload.updated_at).max(SHORTEST);
                let end = (now + lifetime).min((upload.created_at + OLDEST).max(now + SHORTEST));
                end.max(upload.expires_at)
            }
        }
    }

    /// Lets the upload have the even grid, where the part fits that one alone and nothing has been stored or is on its
    /// way: parts of two grids would cover one another.
    async fn fit_grid(&self, id: &UploadId, number: PartNumber, length: Option<u64>) -> Result<(), Error> {
        let upload = self.reload(id).await?;
        check_open(&upload)?;
        let Err(misfit) = size_in(&upload, number, length) else {
            return Ok(());
        };
        let even = even_plan(&upload);
        if even.size_of(number) != length {
            return Err(misfit);
        }
        let (from, to) = (upload.part_size, even.part_size());
        if self.0.db.recut(id, from, to, self.now()).await? {
            tracing::info!(upload = %id, part_size = to, "the client cuts evenly");
        }
        // Otherwise somebody may have switched it just before, for another part of the same file.
        Ok(())
    }

    async fn reload(&self, id: &UploadId) -> Result<Upload, Error> {
        let found = self.0.db.find_upload(id, None).await?;
        found.ok_or(Error::NotFound("upload"))
    }
}

/// What a claim on a part is called; all those of one upload begin alike.
fn claim_name(id: &UploadId, number: PartNumber) -> String {
    format!("part:{id}:{number}")
}

fn check_open(upload: &Upload) -> Result<(), Error> {
    if upload.appending.is_some() {
        return Err(Error::Forbidden("this upload is appended to, and takes no parts"));
    }
    if upload.state.is_unfinished() {
        return Ok(());
    }
    Err(Error::WrongState {
        state: upload.state,
        verb: "added to",
    })
}

/// The size that this part must have, which is the one that it was announced with, if it was.
fn size_in(upload: &Upload, number: PartNumber, announced: Option<u64>) -> Result<u64, Error> {
    let size = upload.plan().size_of(number).ok_or(Error::NotFound("part"))?;
    match announced {
        Some(actual) if actual != size => Err(wrong_size(size, actual)),
        _ => Ok(size),
    }
}

/// As many parts as the upload has, of even size.
fn even_plan(upload: &Upload) -> PartPlan {
    let count = u64::from(upload.plan().part_count().max(1));
    PartPlan::recorded(upload.size, upload.size.div_ceil(count))
}

fn wrong_size(expected: u64, actual: u64) -> Error {
    Error::WrongSize {
        what: "the part",
        expected,
        actual,
    }
}

/// Reads a part that is stored already, and holds it against what is.
async fn same_again(known: PartRecord, mut body: Body) -> Result<RecordedPart, Error> {
    while let Some(piece) = body.next().await {
        piece?;
    }
    if body.receipt().sha256() == known.part.sha256 {
        return Ok(known.part);
    }
    Err(Error::PartConflict {
        number: known.part.number,
    })
}
