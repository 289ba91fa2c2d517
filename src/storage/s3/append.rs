//! Bytes appended to an upload, which S3 cannot do, turned into parts, which it can.
//!
//! Separate from the relay's plain way. Where an upload stands is not written down anywhere: it follows from [what lies in
//! the bucket](super::appended), whichever instance looks. Here is what is asked and written there; when, is decided by
//! the [intake](super::intake), except for bodies that count only as a whole: they become pieces first.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::appended::{Appended, Cut, Piece, confirmation, mark, newest_fence};
use super::intake::Intake;
use super::joined::Ending;
use super::relay::S3Relay;
use super::sending::PAUSES;
use crate::domain::{Length, PartNumber, Sha256Sum, StoredPart, Upload};
use crate::error::Error;
use crate::storage::{Body, Expectation};

/// Bytes of a piece, unless it ends with its part or its body, or waits in memory to be sent with its part.
pub(super) const PIECE: u64 = 1 << 20;

/// An upload as bytes are appended to it: without a length that was told late. That is on record only after the request which
/// tells it, and whoever looks before does not count a last part that is short. So none is sent until all is joined.
fn without_late_length(upload: &Upload) -> Upload {
    let mut upload = upload.clone();
    if let Some(appending) = &mut upload.appending
        && appending.length == Length::Declared
    {
        appending.length = Length::Deferred;
    }
    upload
}

impl S3Relay {
    /// Into which parts the bytes of an upload are cut.
    pub(super) fn cut(&self, upload: &Upload) -> Cut {
        Cut::of(upload, self.least_part)
    }

    /// The fence under which is written.
    pub(super) fn fence(upload: &Upload) -> u64 {
        upload.appending.as_ref().map_or(0, |appending| appending.fence)
    }

    /// Where an upload stands.
    pub(super) async fn appended(&self, upload: &Upload) -> Result<Appended, Error> {
        let Some(multipart_id) = &upload.multipart_id else {
            return Ok(Appended::default());
        };
        let (listed, objects) = futures_util::join!(
            self.store.list_parts(&upload.key, multipart_id, self.now()),
            self.pieces(&upload.id, ""),
        );
        let listed = match listed {
            // A partial upload stays what it is when an object is made of it.
            Err(Error::Vanished) if upload.is_partial() => {
                let whole = self.store.head(&upload.key, self.now()).await?;
                return Ok(Appended {
                    base: whole.ok_or(Error::Vanished)?.size,
                    ..Appended::default()
                });
            }
            listed => listed?,
        };
        let objects: Vec<(String, u64)> = objects?
            .into_iter()
            .map(|(name, object)| (name, object.size))
            .collect();
        Ok(Appended::new(&self.cut(upload), &listed, &objects))
    }

    /// Appends a body; see [`Storage::append`](crate::storage::Storage::append).
    pub(super) async fn append_bytes(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        let upload = &without_late_length(upload);
        let mut state = self.appended(upload).await?;
        if upload.appending.is_some() && state.newest > Self::fence(upload) {
            return Err(Error::Superseded);
        }
        if state.end() != offset {
            return Err(Error::OffsetMismatch {
                expected: state.end(),
                provided: offset,
            });
        }
        self.fold(upload, &mut state).await?;
        if body.counts_byte_by_byte() {
            let receipt = body.receipt();
            return Intake::new(self, upload, state, receipt).receive(body).await;
        }
        self.append_whole(upload, state, body).await
    }

    /// Appends a body of which all counts or nothing: its pieces count from the moment that the call is confirmed.
    async fn append_whole(&self, upload: &Upload, mut state: Appended, mut body: Body) -> Result<u64, Error> {
        let receipt = body.receipt();
        let call = Uuid::new_v4().simple().to_string();
        let (start, mut fresh) = (state.end(), Vec::new());
        let mut came = self
            .write_whole(upload, &call, &state, &mut body, &mut fresh)
            .await;
        if came.is_ok() {
            came = self.refuse_if_superseded(upload).await;
        }
        if let Err(error) = came {
            self.forget(upload, &fresh).await;
            return Err(error);
        }
        if fresh.is_empty() {
            return Ok(start);
        }
        let key = Self::piece_key(&upload.id, &confirmation(&call))?;
        self.store.send_object(&key, Body::of("1"), self.now()).await?;
        state.tail.append(&mut fresh);
        let end = state.end();
        receipt.keep(end);
        if self.cut(upload).end_of(state.parts, state.base)? <= end
            && let Err(error) = self.fold_fenced(upload, &mut state, start).await
        {
            // They are stored as they are; whoever comes next does it.
            tracing::warn!(upload = %upload.id, %error, "pieces do not become parts for now");
        }
        Ok(end)
    }

    async fn fold_fenced(&self, upload: &Upload, state: &mut Appended, start: u64) -> Result<(), Error> {
        self.refuse_if_superseded(upload).await?;
        // The pieces that tell of this fence are about to go.
        self.write_mark(upload, start, &state.marks).await?;
        self.fold(upload, state).await
    }

    /// Writes a body behind `state`, in pieces of which none reaches beyond its part.
    async fn write_whole(
        &self,
        upload: &Upload,
        call: &str,
        state: &Appended,
        body: &mut Body,
        fresh: &mut Vec<Piece>,
    ) -> Result<(), Error> {
        let cut = self.cut(upload);
        let (mut parts, mut base, mut end) = (state.parts, state.base, state.end());
        let mut buffer = BytesMut::new();
        let mut is_over = false;
        while !is_over {
            match body.next().await {
                Some(bytes) => buffer.extend_from_slice(&bytes?),
                None => is_over = true,
            }
            while !buffer.is_empty() {
                let boundary = cut.end_of(parts, base)?;
                if end == boundary && boundary > base {
                    (parts, base) = (parts + 1, boundary);
                    continue;
                }
                let size = PIECE.min(boundary - end);
                let length = buffer.len().min(usize::try_from(size).unwrap_or(usize::MAX));
                if (length as u64) < size && !is_over {
                    break;
                }
                if length == 0 {
                    return Err(Error::WrongSize {
                        what: "the body",
                        expected: end,
                        actual: end + buffer.len() as u64,
                    });
                }
                let piece = Piece::new(Some(call), Self::fence(upload), end, length as u64);
                let bytes = buffer.split_to(length).freeze();
                // First of all: also one whose answer was lost has to go if the body fails.
                fresh.push(piece.clone());
                self.write_piece(upload, &piece, vec![bytes]).await?;
                end += length as u64;
            }
        }
        Ok(())
    }

    /// Sends every whole part that the tail holds.
    async fn fold(&self, upload: &Upload, state: &mut Appended) -> Result<(), Error> {
        let cut = self.cut(upload);
        let mut tail: VecDeque<Piece> = std::mem::take(&mut state.tail).into();
        loop {
            let end = tail.back().map_or(state.base, |last| last.start + last.size);
            if end == state.base {
                return Ok(());
            }
            let boundary = cut.end_of(state.parts, state.base)?;
            if end < boundary {
                state.tail = tail.into();
                return Ok(());
            }
            let count = tail.iter().take_while(|piece| piece.start < boundary).count();
            let covered: Vec<Piece> = tail.drain(..count).collect();
            let number = PartNumber::new(state.parts + 1, "part")?;
            self.send_gathered(upload, number, &covered, Ending::default(), boundary - state.base)
                .await?;
            state.parts += 1;
            state.base = boundary;
            self.forget(upload, &covered).await;
        }
    }

    /// Sends a part: the bytes of `pieces`, read again, and what comes behind them.
    pub(super) async fn send_gathered(
        &self,
        upload: &Upload,
        number: PartNumber,
        pieces: &[Piece],
        ending: Ending,
        length: u64,
    ) -> Result<(), Error> {
        let keys = pieces
            .iter()
            .map(|piece| Self::piece_key(&upload.id, &piece.name))
            .collect::<Result<Vec<_>, _>>()?;
        self.send_joined(upload, number, keys, ending, length).await
    }

    /// Has to be asked before a part is sent: parts, unlike pieces, cannot be void. Else it only says so early.
    ///
    /// # Errors
    /// [`Error::Superseded`] where a higher fence has begun.
    pub(super) async fn refuse_if_superseded(&self, upload: &Upload) -> Result<(), Error> {
        if upload.appending.is_none() {
            return Ok(());
        }
        let objects = self.pieces(&upload.id, "").await?;
        if newest_fence(objects.iter().map(|(name, _)| name.as_str())) > Self::fence(upload) {
            Err(Error::Superseded)
        } else {
            Ok(())
        }
    }

    /// Writes one piece.
    pub(super) async fn write_piece(
        &self,
        upload: &Upload,
        piece: &Piece,
        bytes: Vec<Bytes>,
    ) -> Result<(), Error> {
        let key = Self::piece_key(&upload.id, &piece.name)?;
        let (sum, mut pauses) = (Sha256Sum::of(&bytes), PAUSES.into_iter());
        loop {
            let pieces = stream::iter(bytes.clone().into_iter().map(Ok));
            let body = Body::new(pieces, Expectation::unhashed(piece.size)).summed(sum);
            match (
                self.store.send_object(&key, body, self.now()).await,
                pauses.next(),
            ) {
                (Err(Error::Unavailable { .. }), Some(pause)) => tokio::time::sleep(pause).await,
                (sent, _) => return sent.map(drop),
            }
        }
    }

    /// Says that a fence has begun at `start`, where there may be a lower one; the `marks` of those are over.
    pub(super) async fn write_mark(
        &self,
        upload: &Upload,
        start: u64,
        marks: &[String],
    ) -> Result<(), Error> {
        let fence = Self::fence(upload);
        if fence <= 1 {
            return Ok(());
        }
        let own = mark(fence, start);
        let key = Self::piece_key(&upload.id, &own)?;
        self.store.send_object(&key, Body::of("1"), self.now()).await?;
        self.forget_objects(upload, marks.iter().filter(|name| **name < own))
            .await;
        Ok(())
    }

    /// Drops pieces that are not needed any more.
    pub(super) async fn forget(&self, upload: &Upload, pieces: &[Piece]) {
        self.forget_objects(upload, pieces.iter().map(|piece| &piece.name))
            .await;
    }

    async fn forget_objects(&self, upload: &Upload, names: impl Iterator<Item = &String>) {
        for name in names {
            let gone = match Self::piece_key(&upload.id, name) {
                Ok(key) => self.store.delete(&key, self.now()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = gone {
                // It counts for nothing, and goes with the upload.
                tracing::warn!(upload = %upload.id, %error, "a piece that is not needed stays for now");
            }
        }
    }

    /// Sends the tail as the last part, and gives all parts.
    pub(super) async fn all_appended(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let mut state = self.appended(upload).await?;
        if state.end() != upload.size {
            return Err(Error::OffsetMismatch {
                expected: state.end(),
                provided: upload.size,
            });
        }
        self.fold(upload, &mut state).await?;
        let multipart_id = Self::multipart_id(upload)?;
        let mut listed = self
            .store
            .list_parts(&upload.key, multipart_id, self.now())
            .await?;
        // What lies behind was sent by somebody who has been cut off, and never counted.
        listed.retain(|part| u64::from(part.number.get()) <= state.parts);
        Ok(listed)
    }
}
