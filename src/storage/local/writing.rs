//! Bytes on their way into a file: gathered as they come, and written as many at once.
//!
//! Separate from parts and appending, which differ in where the bytes go and in what becomes of them after a failure.
//! A thread that may block is asked for each gathering and not for the whole of a body, which can be slow for hours;
//! while one gathering is written the next comes in, so a request holds two of them at most.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::fence::Fence;
use super::tree::no_room_for;
use crate::error::Error;

/// Bytes that are written at once. Each writing costs a thread's waking, so more of them cost CPU time; each request that
/// sends fast holds twice this much memory.
const GATHERING: usize = 256 << 10;

/// The same where one request brings a whole file.
const LARGE_GATHERING: usize = 768 << 10;

/// Bytes after which what was written is made durable, where that is done along the way.
const SYNC_EVERY: u64 = 16 << 20;

/// A region of a file that is being written, from its start.
pub(super) struct Writing {
    file: Arc<File>,
    /// Where the gathered pieces go.
    at: u64,
    /// Nothing is written here or beyond.
    end: u64,
    pieces: Vec<Bytes>,
    gathered: usize,
    /// Bytes after which it is time to write.
    enough: usize,
    running: Option<JoinHandle<Result<(), Error>>>,
    /// Bytes that were written since they were last made durable; `None` where that is not done along the way.
    unsynced: Option<u64>,
    /// Asked before each write.
    fence: Option<Arc<Fence>>,
}

impl Writing {
    /// Into `start..end` of a file.
    pub(super) fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self {
            file,
            at: start,
            end,
            pieces: Vec::new(),
            gathered: 0,
            enough: GATHERING,
            running: None,
            unsynced: None,
            fence: None,
        }
    }

    /// Writes only while this fence is the highest.
    pub(super) fn fenced(mut self, fence: Option<Arc<Fence>>) -> Self {
        self.fence = fence;
        self
    }

    /// Writes more at once.
    pub(super) fn in_bulk(mut self) -> Self {
        self.enough = LARGE_GATHERING;
        self
    }

    /// Makes bytes durable along the way, not only when the caller does.
    pub(super) fn syncing(mut self, sync: bool) -> Self {
        self.unsynced = sync.then_some(0);
        self
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// [`Error::WrongSize`] for one that does not fit; nothing of it is written.
    pub(super) fn take(&mut self, piece: Bytes) -> Result<(), Error> {
        let end = self.at + (self.gathered + piece.len()) as u64;
        if end > self.end {
            return Err(Error::WrongSize {
                what: "the body",
                expected: self.end,
                actual: end,
            });
        }
        self.gathered += piece.len();
        self.pieces.push(piece);
        Ok(())
    }

    /// Whether it is time to [`start`](Self::start).
    pub(super) fn is_full(&self) -> bool {
        self.gathered >= self.enough
    }

    /// Where the next piece would go.
    pub(super) fn position(&self) -> u64 {
        self.at + self.gathered as u64
    }

    /// Starts to write what is gathered, once what was started before is written.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        self.wait().await?;
        let (pieces, at) = (std::mem::take(&mut self.pieces), self.at);
        let length = std::mem::take(&mut self.gathered) as u64;
        self.at += length;
        let is_sync_due = match &mut self.unsynced {
            Some(unsynced) => {
                *unsynced += length;
                let is_due = *unsynced >= SYNC_EVERY;
                if is_due {
                    *unsynced = 0;
                }
                is_due
            }
            None => false,
        };
        let (file, fence) = (self.file.clone(), self.fence.clone());
        self.running = Some(tokio::task::spawn_blocking(move || {
            fence.map_or(Ok(()), |fence| fence.check())?;
            let written = write_all(&file, &pieces, at);
            drop(pieces);
            written
                .and_then(|()| if is_sync_due { file.sync_data() } else { Ok(()) })
                .map_err(|error| no_room_for(length, error))
        }));
        Ok(())
    }

    /// Writes all that has come.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        if !self.pieces.is_empty() {
            self.start().await?;
        }
        self.wait().await
    }

    /// Writes all that has come and makes it durable, where that is done along the way.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        if let Some(unsynced) = &mut self.unsynced
            && (*unsynced > 0 || !self.pieces.is_empty())
        {
            *unsynced = SYNC_EVERY;
            self.start().await?;
        }
        self.flush().await
    }

    /// Waits for what was started: after a failure no write may come late, when somebody else has taken over.
    pub(super) async fn wait(&mut self) -> Result<(), Error> {
        match self.running.take() {
            Some(running) => running.await.map_err(Error::internal)?,
            None => Ok(()),
        }
    }
}

#[cfg(target_os = "linux")]
fn write_all(file: &File, pieces: &[Bytes], mut at: u64) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                io::IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn write_all(mut file: &File, pieces: &[Bytes], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    // The file is this request's own, and it has one write at a time.
    file.seek(io::SeekFrom::Start(at))?;
    pieces.iter().try_for_each(|piece| file.write_all(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_size_are_written_in_order_and_never_beyond_the_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writing = Writing::new(Arc::new(file.reopen().unwrap()), 3, 3_000_003).syncing(true);
        let bytes: Vec<u8> = (0..3_000_000u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let mut rest = Bytes::from(bytes.clone());

        for size in [1, 7, 1_300_000, 2000].into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            writing.take(rest.split_to(size.min(rest.len()))).unwrap();
            if writing.is_full() {
                writing.start().await.unwrap();
            }
        }
        assert_eq!(writing.position(), 3_000_003);
        let refused = writing.take(Bytes::from_static(b"x"));
        assert!(matches!(refused, Err(Error::WrongSize { .. })));
        writing.settle().await.unwrap();

        let written = std::fs::read(file.path()).unwrap();
        assert_eq!(&written[..3], [0, 0, 0]);
        assert!(written[3..] == bytes);
    }
}
