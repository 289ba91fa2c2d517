//! Bytes appended to an upload, which S3 cannot do, turned into parts, which it can.
//!
//! Separate from the relay's plain way. Appended bytes become small objects at once, a mebibyte each at most, so that
//! nothing more than that is ever at risk; as soon as these make a part, they are sent as one and dropped. Where an
//! upload stands is not written down anywhere: it follows from the parts and from the objects that carry on behind
//! them, whichever instance looks.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use uuid::Uuid;

use super::gather::unread;
use super::relay::S3Relay;
use crate::domain::{Length, ObjectKey, PartNumber, PartSizes, StoredPart, Upload};
use crate::error::Error;
use crate::storage::{Body, BodyError, Expectation};

/// Most bytes of a small object, and so most that are lost of a body when we are killed.
const PIECE: usize = 1 << 20;

/// A small object that carries on where the parts end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    name: String,
    start: u64,
    size: u64,
}

/// Where an upload stands that is appended to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Appended {
    parts: u64,
    /// Bytes of all parts.
    base: u64,
    tail: Vec<Piece>,
}

impl Appended {
    /// Puts together what was found; pieces that do not carry on are leftovers, and count for nothing.
    fn new(sizes: PartSizes, listed: &[StoredPart], mut pieces: Vec<Piece>) -> Self {
        let whole = (1u64..).zip(listed).take_while(|(number, part)| {
            u64::from(part.number.get()) == *number && part.size == sizes.size_of(part.number)
        });
        let (parts, base) = whole.fold((0, 0), |(count, bytes), (_, part)| (count + 1, bytes + part.size));
        pieces.sort_by_key(|piece| piece.start);
        let mut end = base;
        let mut tail = Vec::new();
        for piece in pieces {
            if piece.start == end && piece.size > 0 {
                end += piece.size;
                tail.push(piece);
            }
        }
        Self { parts, base, tail }
    }

    /// Bytes that are stored.
    pub(super) fn end(&self) -> u64 {
        self.base + self.tail.iter().map(|piece| piece.size).sum::<u64>()
    }
}

/// How the pieces of one call are named. Those that count only once the whole body has proven right bear the call's id,
/// and count from the moment that the object of that id is there.
struct Naming(Option<String>);

impl Naming {
    fn piece(&self, start: u64) -> String {
        match &self.0 {
            None => format!("t{start:020}"),
            Some(call) => format!("s{call}-{start:020}"),
        }
    }

    /// The piece that an object is, if its call has been confirmed.
    fn read(name: &str, size: u64, confirmed: &[String]) -> Option<Piece> {
        let digits = if let Some(digits) = name.strip_prefix('t') {
            digits
        } else {
            let (call, digits) = name.strip_prefix('s')?.split_once('-')?;
            confirmed.iter().any(|known| known == call).then_some(digits)?
        };
        Some(Piece {
            name: name.to_owned(),
            start: digits.parse().ok()?,
            size,
        })
    }
}

impl S3Relay {
    /// How the bytes are cut into parts.
    fn part_sizes(&self, upload: &Upload) -> PartSizes {
        let size = (upload.length() == Length::Known).then_some(upload.size);
        PartSizes::new(size, self.least_part)
    }

    /// Where an upload stands.
    pub(super) async fn appended(&self, upload: &Upload) -> Result<Appended, Error> {
        let Some(multipart_id) = &upload.multipart_id else {
            return Ok(Appended::default());
        };
        let listed = match self.store.list_parts(&upload.key, multipart_id, self.now()).await {
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
        let objects = self.pieces(&upload.id, "").await?;
        let confirmed: Vec<String> = objects
            .iter()
            .filter_map(|(name, _)| name.strip_prefix('c').map(str::to_owned))
            .collect();
        let pieces = objects
            .iter()
            .filter_map(|(name, object)| Naming::read(name, object.size, &confirmed))
            .collect();
        Ok(Appended::new(self.part_sizes(upload), &listed, pieces))
    }

    /// Appends a body; see [`Storage::append`](crate::storage::Storage::append).
    pub(super) async fn append_bytes(
        &self,
        upload: &Upload,
        offset: u64,
        mut body: Body,
    ) -> Result<u64, Error> {
        let mut state = self.appended(upload).await?;
        if state.end() != offset {
            return Err(Error::OffsetMismatch {
                expected: state.end(),
                provided: offset,
            });
        }
        let receipt = body.receipt();
        let naming = Naming((!body.counts_byte_by_byte()).then(|| Uuid::new_v4().simple().to_string()));
        let mut fresh = Vec::new();
        let mut end = offset;
        let mut buffer = BytesMut::new();
        let failure = loop {
            let (piece, failure) = match body.next().await {
                Some(Ok(piece)) => (piece, None),
                Some(Err(failure)) => (Bytes::new(), Some(failure)),
                None => break None,
            };
            buffer.extend_from_slice(&piece);
            while buffer.len() >= PIECE {
                let piece = self
                    .keep(upload, &naming, end, buffer.split_to(PIECE).freeze())
                    .await?;
                end += piece.size;
                if naming.0.is_none() {
                    state.tail.push(piece);
                    self.fold(upload, &mut state).await?;
                    receipt.keep(state.end());
                } else {
                    fresh.push(piece);
                }
            }
            if failure.is_some() {
                break failure;
            }
        };
        if let (Some(failure), true) = (failure, naming.0.is_some()) {
            self.forget(upload, &fresh).await;
            return Err(failure.into());
        }
        if !buffer.is_empty() {
            fresh.push(self.keep(upload, &naming, end, buffer.freeze()).await?);
        }
        if let Some(call) = &naming.0 {
            let key = Self::piece_key(&upload.id, &format!("c{call}"))?;
            self.store.send_object(&key, Body::of("1"), self.now()).await?;
        }
        state.tail.append(&mut fresh);
        self.fold(upload, &mut state).await?;
        Ok(state.end())
    }

    /// Keeps one piece as an object of its own.
    async fn keep(&self, upload: &Upload, naming: &Naming, start: u64, bytes: Bytes) -> Result<Piece, Error> {
        let (name, size) = (naming.piece(start), bytes.len() as u64);
        let key = Self::piece_key(&upload.id, &name)?;
        self.store.send_object(&key, Body::of(bytes), self.now()).await?;
        Ok(Piece { name, start, size })
    }

    async fn forget(&self, upload: &Upload, pieces: &[Piece]) {
        for piece in pieces {
            let gone = match Self::piece_key(&upload.id, &piece.name) {
                Ok(key) => self.store.delete(&key, self.now()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = gone {
                // It counts for nothing, and goes with the upload.
                tracing::warn!(upload = %upload.id, %error, "a refused piece stays for now");
            }
        }
    }

    /// Sends every whole part that the tail holds.
    async fn fold(&self, upload: &Upload, state: &mut Appended) -> Result<(), Error> {
        let sizes = self.part_sizes(upload);
        loop {
            let number = PartNumber::new(state.parts + 1, "part")?;
            let part_size = sizes.size_of(number);
            if state.end() - state.base < part_size {
                return Ok(());
            }
            let boundary = state.base + part_size;
            let whole = state
                .tail
                .iter()
                .take_while(|piece| piece.start < boundary)
                .count();
            let covered: Vec<Piece> = state.tail.drain(..whole).collect();
            // What reaches beyond the part is kept under its own name first: once the part is there, a piece that
            // begins before its end is a leftover.
            if let Some(last) = covered.last()
                && last.start + last.size > boundary
            {
                let rest = self.rest_of(upload, last, boundary).await?;
                state.tail.insert(0, rest);
            }
            self.send_tail(upload, number, &covered, part_size).await?;
            state.parts += 1;
            state.base = boundary;
            self.forget(upload, &covered).await;
        }
    }

    async fn rest_of(&self, upload: &Upload, piece: &Piece, boundary: u64) -> Result<Piece, Error> {
        let (name, size) = (Naming(None).piece(boundary), piece.start + piece.size - boundary);
        let key = Self::piece_key(&upload.id, &piece.name)?;
        let range = boundary - piece.start..piece.size;
        let bytes = self.store.fetch(&key, Some(range), self.now()).await?;
        let bytes = bytes.map(|piece| piece.map_err(|_| BodyError::Cut));
        let body = Body::new(bytes, Expectation::exactly(size, None));
        self.store
            .send_object(&Self::piece_key(&upload.id, &name)?, body, self.now())
            .await
            .map_err(unread)?;
        Ok(Piece {
            name,
            start: boundary,
            size,
        })
    }

    /// Sends the first `length` bytes of these pieces as part `number`.
    async fn send_tail(
        &self,
        upload: &Upload,
        number: PartNumber,
        pieces: &[Piece],
        length: u64,
    ) -> Result<(), Error> {
        let multipart_id = Self::multipart_id(upload)?;
        let keys = pieces
            .iter()
            .map(|piece| Self::piece_key(&upload.id, &piece.name))
            .collect::<Result<Vec<ObjectKey>, _>>()?;
        let this = self.clone();
        let bytes = stream::iter(keys)
            .then(move |key| {
                let this = this.clone();
                async move { this.piece(&key).await }
            })
            .flatten();
        // The last piece may reach beyond the part.
        let bytes = first_bytes(bytes, length);
        let body = Body::new(bytes, Expectation::exactly(length, None));
        self.store
            .send_part(&upload.key, multipart_id, number, body, self.now())
            .await
            .map(drop)
            .map_err(unread)
    }

    /// Sends the tail as the last part, and gives all parts.
    pub(super) async fn all_appended(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let state = self.appended(upload).await?;
        if state.end() != upload.size {
            return Err(Error::OffsetMismatch {
                expected: state.end(),
                provided: upload.size,
            });
        }
        let (rest, mut parts) = (state.end() - state.base, state.parts);
        if rest > 0 {
            parts += 1;
            let number = PartNumber::new(parts, "part")?;
            self.send_tail(upload, number, &state.tail, rest).await?;
        }
        let multipart_id = Self::multipart_id(upload)?;
        let mut listed = self
            .store
            .list_parts(&upload.key, multipart_id, self.now())
            .await?;
        // What lies behind was sent by somebody who has been cut off, and never counted.
        listed.retain(|part| u64::from(part.number.get()) <= parts);
        Ok(listed)
    }
}

/// The stream up to `length` bytes.
fn first_bytes(
    pieces: impl stream::Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    length: u64,
) -> impl stream::Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    pieces.scan(length, |left, piece| {
        let piece = piece.map(|piece| {
            let most = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= most as u64;
            piece.slice(..most)
        });
        std::future::ready(Some(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u64, size: u64) -> StoredPart {
        StoredPart {
            number: PartNumber::new(number, "part").unwrap(),
            size,
            etag: String::new(),
        }
    }

    fn piece(start: u64, size: u64) -> Piece {
        Piece {
            name: Naming(None).piece(start),
            start,
            size,
        }
    }

    #[test]
    fn the_end_is_where_whole_parts_and_the_pieces_behind_them_end() {
        let parts = [part(1, 10), part(2, 10), part(3, 4)];
        let pieces = vec![piece(25, 3), piece(15, 5), piece(20, 5), piece(40, 1)];

        let state = Appended::new(PartSizes::Equal(10), &parts, pieces);

        assert_eq!((state.parts, state.base, state.end()), (2, 20, 28));
        assert_eq!(
            Appended::new(PartSizes::Equal(10), &[part(2, 10)], vec![piece(0, 3)]).end(),
            3
        );
    }

    #[test]
    fn a_piece_of_an_unconfirmed_call_does_not_count() {
        let name = Naming(Some("abc".into())).piece(7);

        assert_eq!(Naming::read(&name, 5, &[]), None);
        let read = Naming::read(&name, 5, &["abc".into()]).unwrap();
        assert_eq!((read.start, read.size), (7, 5));
        assert_eq!(Naming::read("cabc", 1, &["abc".into()]), None);
    }
}
