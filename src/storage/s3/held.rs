//! Appended bytes that wait in memory for their part to be whole.
//!
//! Separate, because how much memory appending may take is decided here alone. An upload holds a mebibyte by itself. For
//! more it needs a [`Room`], of which there are few, so that any number of uploads stays within bounds: 64 of them hold
//! less than 128 MiB together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all rooms hold together, in bytes.
const ALL_ROOMS: u64 = 50 << 20;

/// The largest room that anybody gets, in bytes: longer parts pass piece by piece.
const LARGEST_ROOM: u64 = 16 << 20;

/// The unit in which rooms are given, in bytes.
const UNIT: u64 = 64 << 10;

/// Bytes that are gathered in one go.
const CHUNK: usize = 64 << 10;

/// The memory that is given to those whose bytes come fast.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Semaphore>);

/// Memory for one part; it is free again with the value's end.
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
}

impl Default for Rooms {
    fn default() -> Self {
        let units = usize::try_from(ALL_ROOMS / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(units)))
    }
}

impl Rooms {
    /// A room for `bytes`, if there is one just now.
    pub(super) fn take(&self, bytes: u64) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.0).try_acquire_many_owned(units);
        (bytes <= LARGEST_ROOM)
            .then_some(permit)?
            .ok()
            .map(|permit| Room { _permit: permit })
    }
}

/// Bytes in the order in which they came; none is kept twice.
#[derive(Debug, Default)]
pub(super) struct Held {
    chunks: Vec<Bytes>,
    open: BytesMut,
    size: u64,
    /// Bytes and chunks from the beginning that are stored elsewhere too.
    safe: u64,
    safe_chunks: usize,
}

impl Held {
    /// Bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that are nowhere else.
    pub(super) fn at_risk(&self) -> u64 {
        self.size - self.safe
    }

    /// Takes bytes in. They are copied: what a connection has read would else be kept as a whole for a piece of it.
    pub(super) fn extend(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.open.capacity() == 0 {
                self.open.reserve(CHUNK);
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == CHUNK {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.chunks.push(std::mem::take(&mut self.open).freeze());
        }
    }

    /// The bytes that are nowhere else, to be stored now; once they are, say [`saved`](Self::saved).
    pub(super) fn unsaved(&mut self) -> Vec<Bytes> {
        self.close();
        self.chunks[self.safe_chunks..].to_vec()
    }

    /// All bytes are stored elsewhere too.
    pub(super) fn saved(&mut self) {
        self.safe = self.size;
        self.safe_chunks = self.chunks.len();
    }

    /// All bytes; nothing is held any more.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.close();
        std::mem::take(self).chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_still_held_and_not_saved_again() {
        let mut held = Held::default();
        let bytes: Vec<u8> = (0..600_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();

        held.extend(&bytes[..1000]);
        assert_eq!(held.unsaved().concat(), &bytes[..1000]);
        assert_eq!(held.at_risk(), 1000);
        held.saved();
        held.extend(&bytes[1000..]);

        assert_eq!((held.size(), held.at_risk()), (600_000, 599_000));
        assert!(held.unsaved().concat() == bytes[1000..]);
        assert!(held.take().concat() == bytes);
        assert_eq!((held.size(), held.at_risk(), held.take().len()), (0, 0, 0));
    }

    #[test]
    fn rooms_are_few_and_come_back() {
        let rooms = Rooms::default();
        assert!(rooms.take(LARGEST_ROOM + 1).is_none());

        let taken: Vec<_> = std::iter::from_fn(|| rooms.take(5 << 20)).collect();
        assert_eq!(taken.len(), 10);
        assert!(rooms.take(1).is_none());

        drop(taken);
        assert!(rooms.take(LARGEST_ROOM).is_some());
    }
}
