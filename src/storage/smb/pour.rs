//! A body on its way into an open file, and a file on its way out.
//!
//! Separate from the verbs, because how much may be in memory and in flight is decided here alone: blocks of at most a
//! mebibyte, at most four at once for one body, and all bodies together within the share's room.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, interval_at};

use super::book::Book;
use super::fault::Fault;
use super::file::{Mode, OpenFile};
use super::link::BLOCK;
use super::share::{Share, Writer};
use crate::domain::Sha256Sum;
use crate::error::Error;
use crate::storage::{Body, BodyError, ByteStream};

/// Blocks of one body that are in flight at once.
const AT_ONCE: usize = 4;

/// How one stretch of a body came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// The body has ended well.
    Whole,
    /// The body has failed.
    Failed(BodyError),
    /// As many bytes were written as were asked for, and more may come.
    More,
    /// Somebody with a higher fence writes there now.
    Superseded,
}

/// Asks before each block whether somebody with a higher fence has begun to write.
pub(super) struct Guard {
    /// The upload's record, where that is told.
    pub book: Arc<Mutex<Book>>,
    /// The upload's folder.
    pub folder: String,
    /// The fence under which is written.
    pub fence: u64,
}

impl Guard {
    async fn is_superseded(&self, share: &Arc<Share>) -> Result<bool, Fault> {
        let mut book = self.book.lock().await;
        book.refresh(share, &self.folder).await?;
        Ok(book.newest_fence() > self.fence)
    }
}

/// A body that is being written.
pub(super) struct Pour {
    share: Arc<Share>,
    file: Arc<OpenFile>,
    writer: Writer,
    body: Body,
    /// What came with the last piece but belongs to the next block.
    rest: Bytes,
    /// The next block, as far as it has come.
    block: Vec<u8>,
    in_flight: VecDeque<JoinHandle<Result<(), Fault>>>,
    position: u64,
    guard: Option<Guard>,
}

impl Pour {
    /// Writes `body` into `file` at `position`.
    pub fn new(share: &Arc<Share>, file: Arc<OpenFile>, position: u64, body: Body) -> Self {
        Self {
            share: Arc::clone(share),
            file,
            writer: share.writer(),
            body,
            rest: Bytes::new(),
            block: Vec::new(),
            in_flight: VecDeque::with_capacity(AT_ONCE),
            position,
            guard: None,
        }
    }

    /// Writes only while nobody has a higher fence.
    pub fn guarded(mut self, guard: Option<Guard>) -> Self {
        self.guard = guard;
        self
    }

    /// Where the next byte goes; all before it is written once [`Self::run`] has answered.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on until the body ends, or until `most` bytes more are written; or until `a_while` has passed, if more than a
    /// block came in that time. Nothing is in flight afterwards, whatever the answer is: nobody's late block may run over
    /// what comes next to the same place.
    pub async fn run(&mut self, most: u64, a_while: Option<Duration>) -> Result<End, Fault> {
        let end = self.write_blocks(most, a_while).await;
        let drained = self.drain().await;
        end.and_then(|end| drained.map(|()| end))
    }

    async fn write_blocks(&mut self, most: u64, a_while: Option<Duration>) -> Result<End, Fault> {
        let start = self.position;
        let until = start.saturating_add(most);
        let mut whiles = a_while.map(|a_while| interval_at(Instant::now() + a_while, a_while));
        while self.position < until {
            let link = self.file.link().await;
            if self.share.is_worn(&link) && !link.is_dead() {
                self.drain().await?;
                self.file.renew().await?;
            }
            let most = usize::try_from(until - self.position).unwrap_or(BLOCK);
            let size = self.writer.block(&link).min(most);
            let end = tokio::select! {
                biased;
                () = passed(&mut whiles) => {
                    let came = self.position - start + self.block.len() as u64;
                    if came <= BLOCK as u64 {
                        continue;
                    }
                    Some(End::More)
                }
                end = self.fill_block(size) => end,
            };
            // What comes before the end of a failed body counts for an upload that is appended to.
            if !self.block.is_empty() {
                if let Some(guard) = &self.guard
                    && guard.is_superseded(&self.share).await?
                {
                    return Ok(End::Superseded);
                }
                let block = std::mem::take(&mut self.block);
                self.send(block).await?;
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Ok(End::More)
    }

    /// Fills the next block, unless the body ends with it. It can be left and gone on with at any time.
    async fn fill_block(&mut self, size: usize) -> Option<End> {
        loop {
            let missing = size.saturating_sub(self.block.len());
            let taken = self.rest.split_to(self.rest.len().min(missing));
            if self.block.capacity() == 0 && !taken.is_empty() {
                self.block.reserve_exact(size);
            }
            self.block.extend_from_slice(&taken);
            if self.block.len() >= size {
                return None;
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(failure)) => return Some(End::Failed(failure)),
                None => return Some(End::Whole),
            }
        }
    }

    async fn send(&mut self, block: Vec<u8>) -> Result<(), Fault> {
        if self.in_flight.len() >= AT_ONCE {
            self.wait_for_oldest().await?;
        }
        let room = self.share.room(block.len()).await?;
        let (file, offset) = (Arc::clone(&self.file), self.position);
        self.position += block.len() as u64;
        self.in_flight.push_back(tokio::spawn(async move {
            let outcome = file.write(offset, block.into()).await;
            drop(room);
            outcome
        }));
        Ok(())
    }

    async fn wait_for_oldest(&mut self) -> Result<(), Fault> {
        match self.in_flight.pop_front() {
            Some(task) => task.await.map_err(Fault::broken)?,
            None => Ok(()),
        }
    }

    async fn drain(&mut self) -> Result<(), Fault> {
        let mut outcome = Ok(());
        while !self.in_flight.is_empty() {
            let next = self.wait_for_oldest().await;
            outcome = outcome.and(next);
        }
        outcome
    }
}

/// The next while has passed; never, where none is counted.
async fn passed(whiles: &mut Option<Interval>) {
    match whiles {
        Some(whiles) => {
            whiles.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The digest of what lies in a file now, read again from the server.
pub(super) async fn digest_of(share: &Arc<Share>, path: &str, range: Range<u64>) -> Result<Sha256Sum, Fault> {
    let file = OpenFile::open(share, path, Mode::Read).await?;
    let mut blocks = Box::pin(blocks_of(share, Arc::new(file), range));
    let mut hash = Sha256::new();
    while let Some(block) = blocks.try_next().await? {
        hash.update(&block);
    }
    Ok(Sha256Sum::new(hash.finalize().into()))
}

/// A range of a file, block by block, two of them read ahead. It must not reach beyond the file's end.
pub(super) fn blocks_of(
    share: &Arc<Share>,
    file: Arc<OpenFile>,
    range: Range<u64>,
) -> impl futures_util::Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    let share = Arc::clone(share);
    let starts = futures_util::stream::iter(range.clone().step_by(BLOCK));
    starts
        .map(move |start| {
            let (share, file) = (Arc::clone(&share), Arc::clone(&file));
            let length = usize::try_from(range.end - start).unwrap_or(BLOCK).min(BLOCK);
            async move {
                let largest = file.link().await.largest_block();
                if length <= largest {
                    return read_block(&share, &file, start, length).await;
                }
                // Rare: a server of old with small blocks.
                let mut whole = Vec::with_capacity(length);
                while whole.len() < length {
                    let next = (length - whole.len()).min(largest);
                    whole.extend(read_block(&share, &file, start + whole.len() as u64, next).await?);
                }
                Ok(Bytes::from(whole))
            }
        })
        .buffered(3)
}

async fn read_block(share: &Arc<Share>, file: &OpenFile, start: u64, length: usize) -> Result<Bytes, Fault> {
    let _room = share.room(length).await?;
    let block = file.read(start, length).await?;
    if block.len() < length {
        return Err(Fault::broken("the file is shorter than it was"));
    }
    Ok(block)
}

/// A range of a file as an answer. Read to its end, it closes the file: one that is removed while it is still open goes
/// away only later.
pub(super) fn stream_of(share: &Arc<Share>, file: OpenFile, range: Range<u64>) -> ByteStream {
    let file = Arc::new(file);
    let blocks = blocks_of(share, Arc::clone(&file), range).map_err(Error::from);
    let closing = futures_util::stream::once(async move {
        if let Some(file) = Arc::into_inner(file)
            && let Err(fault) = file.close().await
        {
            tracing::debug!(?fault, "a file that was read could not be closed");
        }
    });
    // It brings no bytes.
    let closing = closing.filter_map(|()| std::future::ready(None));
    blocks.chain(closing).boxed()
}

/// Copies `length` bytes of one file to the beginning at `offset` of another.
pub(super) async fn copy(
    share: &Arc<Share>,
    from: OpenFile,
    length: u64,
    to: &OpenFile,
    offset: u64,
) -> Result<(), Fault> {
    let mut blocks = Box::pin(blocks_of(share, Arc::new(from), 0..length));
    let mut at = offset;
    while let Some(block) = blocks.try_next().await? {
        let length = block.len() as u64;
        to.write(at, Arc::from(&block[..])).await?;
        at += length;
    }
    Ok(())
}
