//! Bytes at the end of what is there: the length of the data is where an upload stands.
//!
//! Separate from parts. What must count only as a whole (a body with a digest or an exact length) lies at the data's
//! end before it is known to be right; [`UNPROVEN`] says from where on, so that it counts for nothing if we are killed.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::fence::Fence;
use super::in_blocking;
use super::tree::{DATA, Tree, check_still_there, failed, open_to_write, removed, vanished};
use super::writing::Writing;
use crate::domain::Upload;
use crate::error::Error;
use crate::storage::Body;

/// Holds, in decimal digits, how many bytes of the data count while more than these are being written.
const UNPROVEN: &str = "unproven";

/// What came is written, and made durable, at least this often: so much is lost in the worst case.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

/// Data that is about to be appended to.
struct Opened {
    tree: Arc<Tree>,
    folder: Dir,
    file: Arc<File>,
    offset: u64,
    fence: Option<Arc<Fence>>,
}

/// Appends a body; see [`Storage::append`](crate::storage::Storage::append).
pub(super) async fn append(
    tree: Arc<Tree>,
    upload: &Upload,
    offset: u64,
    mut body: Body,
) -> Result<u64, Error> {
    let (upload, receipt) = (upload.clone(), body.receipt());
    let opened = in_blocking(move || {
        let folder = tree.folder(&upload.id)?;
        Opened::new(tree, folder, &upload, offset)
    })
    .await?;
    let opened = Arc::new(opened);
    let mut writing = Writing::new(opened.file.clone(), offset, u64::MAX)
        .in_bulk()
        .syncing(opened.tree.sync)
        .fenced(opened.fence.clone());
    let mut kept = offset;
    let received = if body.counts_byte_by_byte() {
        let keep = |position| {
            kept = position;
            receipt.keep(position);
        };
        receive_what_comes(&mut writing, &mut body, keep).await
    } else {
        receive_all_or_nothing(&opened, &mut writing, &mut body).await
    };
    // Whatever became of it, nothing of this request is written from here on.
    let received = received.and(writing.wait().await);
    let end = writing.position();
    let end = in_blocking(move || match received {
        Ok(()) => opened.keep(end).map(|()| end),
        Err(error) => {
            opened.undo(kept)?;
            Err(error)
        }
    })
    .await?;
    receipt.keep(end);
    Ok(end)
}

/// Every byte counts that came before the body's end, whichever end that is: its receipt tells of it. `keep` is told
/// what is safe already.
async fn receive_what_comes(
    writing: &mut Writing,
    body: &mut Body,
    mut keep: impl FnMut(u64),
) -> Result<(), Error> {
    let mut settle = interval_at(Instant::now() + SETTLE_EVERY, SETTLE_EVERY);
    settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = settle.tick() => {
                writing.settle().await?;
                keep(writing.position());
            }
            piece = body.next() => match piece {
                Some(Ok(piece)) => writing.take(piece)?,
                Some(Err(_)) | None => return writing.flush().await,
            },
        }
        if writing.is_full() {
            writing.start().await?;
        }
    }
}

/// The body counts once it has proven right. A short one is not written before that at all.
async fn receive_all_or_nothing(
    opened: &Arc<Opened>,
    writing: &mut Writing,
    body: &mut Body,
) -> Result<(), Error> {
    let mut is_marked = false;
    while let Some(piece) = body.next().await {
        writing.take(piece?)?;
        if writing.is_full() {
            if !is_marked {
                let opened = opened.clone();
                in_blocking(move || opened.mark()).await?;
                is_marked = true;
            }
            writing.start().await?;
        }
    }
    writing.flush().await
}

impl Opened {
    fn new(tree: Arc<Tree>, folder: Dir, upload: &Upload, offset: u64) -> Result<Self, Error> {
        let file = open_to_write(&folder, DATA)?;
        // Before anything is looked at: from here on nobody else writes.
        let fence = Fence::raise(&folder, upload)?.map(Arc::new);
        let (length, expected) = (file.metadata().map_err(failed)?.len(), standing(&folder)?);
        if expected != offset {
            return Err(Error::OffsetMismatch {
                expected,
                provided: offset,
            });
        }
        let opened = Self {
            tree,
            folder,
            file: Arc::new(file),
            offset,
            fence,
        };
        // The remains of a body that we were killed in: its bytes, or the mark alone, under which none of those that come
        // now would count before the end.
        if length == offset {
            opened.unmark()?;
        } else {
            opened.undo(offset)?;
        }
        Ok(opened)
    }

    /// Says that what is written from here on does not count yet.
    fn mark(&self) -> Result<(), Error> {
        // No data is written before this is whole, so one that is torn can be passed over.
        let mut marker = self.folder.create(UNPROVEN).map_err(vanished)?.into_std();
        std::io::Write::write_all(&mut marker, self.offset.to_string().as_bytes()).map_err(failed)?;
        self.tree.sync_file(&marker)?;
        self.tree.sync_folder(&self.folder)
    }

    /// What was written up to `end` counts.
    fn keep(&self, end: u64) -> Result<(), Error> {
        if let Some(fence) = &self.fence {
            fence.check()?;
            // A write that had begun before the fence was raised may have ended after that.
            if self.file.metadata().map_err(failed)?.len() > end {
                self.file.set_len(end).map_err(failed)?;
            }
        }
        self.tree.sync_file(&self.file)?;
        check_still_there(&self.file)?;
        self.unmark()
    }

    /// What was written behind `kept` is nothing.
    fn undo(&self, kept: u64) -> Result<(), Error> {
        if let Some(fence) = &self.fence {
            // Else the data is somebody else's by now.
            fence.check()?;
        }
        self.file.set_len(kept).map_err(failed)?;
        self.tree.sync_file(&self.file)?;
        self.unmark()
    }

    fn unmark(&self) -> Result<(), Error> {
        if removed(self.folder.remove_file(UNPROVEN))? {
            self.tree.sync_folder(&self.folder)?;
        }
        Ok(())
    }
}

/// Where an upload stands: bytes of the data that count.
///
/// # Errors
/// [`Error::Vanished`] where there is no data.
pub(super) fn standing(folder: &Dir) -> Result<u64, Error> {
    let length = folder.metadata(DATA).map_err(vanished)?.len();
    let proven = match folder.read_to_string(UNPROVEN) {
        Ok(digits) => digits.parse().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    Ok(proven.map_or(length, |proven: u64| proven.min(length)))
}
