//! A file on the share that stays open when its connection does not.
//!
//! Separate, because everything that is done to an open file here may be done twice (the same bytes to the same place,
//! a flush, a length), so all of it can share one way of going on after a break.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use smb::{
    CreateDisposition, CreateOptions, FileAccessMask, FileAttributes, FileCreateArgs,
    FileEndOfFileInformation, FileRenameInformation, FileStandardInformation, GetLen as _, Resource,
    SrvCopychunkCopy, SrvCopychunkItem, SrvRequestResumeKeyRequest,
};
use tokio::sync::Mutex;

use super::fault::{Fault, status};
use super::link::{BLOCK, Link};
use super::share::Share;

/// The most that every server copies for one request, in bytes; one of its pieces has a [`BLOCK`].
const COPIED_AT_ONCE: u64 = 16 << 20;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// To know its size.
    Look,
    /// To be read.
    Read,
    /// To be written; it must be there.
    Write,
    /// To be written; it is made where it is not there.
    WriteOrMake,
    /// To be written; it is made, and must not be there yet.
    Make,
    /// To be written; whatever it held is dropped.
    Empty,
}

impl Mode {
    fn args(self) -> FileCreateArgs {
        let access = FileAccessMask::new()
            .with_file_read_attributes(true)
            .with_synchronize(true);
        let reading = access.with_file_read_data(true);
        let writing = reading
            .with_file_write_data(true)
            .with_file_append_data(true)
            .with_file_write_attributes(true)
            .with_delete(true);
        let (disposition, desired_access) = match self {
            Self::Look => (CreateDisposition::Open, access),
            Self::Read => (CreateDisposition::Open, reading),
            Self::Write => (CreateDisposition::Open, writing),
            Self::WriteOrMake => (CreateDisposition::OpenIf, writing),
            Self::Make => (CreateDisposition::Create, writing),
            Self::Empty => (CreateDisposition::OverwriteIf, writing),
        };
        FileCreateArgs {
            disposition,
            attributes: FileAttributes::new(),
            options: CreateOptions::new().with_non_directory_file(true),
            desired_access,
        }
    }

    /// How it is opened again after a break: what was made then is there by now.
    fn again(self) -> Self {
        match self {
            Self::WriteOrMake | Self::Make | Self::Empty => Self::Write,
            same => same,
        }
    }
}

/// An open file on one connection.
struct Handle {
    link: Arc<Link>,
    file: Arc<smb::File>,
}

/// An open file.
pub(super) struct OpenFile {
    share: Arc<Share>,
    path: String,
    mode: Mode,
    length: u64,
    handle: Mutex<Arc<Handle>>,
    breaks: AtomicU32,
}

impl OpenFile {
    /// Opens it. A [`Mode::Make`] whose answer is lost may be told as a collision; no harm is done where names are
    /// tried one after the other.
    pub async fn open(share: &Arc<Share>, path: &str, mode: Mode) -> Result<Self, Fault> {
        let handle = share
            .attempt(async |link| open_on(link, path, mode).await)
            .await?;
        Ok(Self {
            share: Arc::clone(share),
            path: path.to_owned(),
            mode: mode.again(),
            length: handle.file.get_len().await?,
            handle: Mutex::new(handle),
            breaks: AtomicU32::new(0),
        })
    }

    /// Bytes that it had when it was opened.
    pub fn length_at_opening(&self) -> u64 {
        self.length
    }

    /// How often its connection broke. After a break the server may have lost what was not flushed, although it said
    /// that it had it.
    pub fn breaks(&self) -> u32 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// The connection of the moment.
    pub async fn link(&self) -> Arc<Link> {
        Arc::clone(&self.handle.lock().await.link)
    }

    /// Goes over to a fresh connection where this one should be replaced. Nothing must be in flight.
    pub async fn renew(&self) -> Result<(), Fault> {
        let mut handle = self.handle.lock().await;
        if !self.share.is_worn(&handle.link) {
            return Ok(());
        }
        let fresh = open_on(self.share.link().await?, &self.path, self.mode).await?;
        let worn = std::mem::replace(&mut *handle, fresh);
        // Also the proof that the server has been there all the time.
        let file = Arc::clone(&worn.file);
        if worn
            .link
            .call(0, async move { Ok(file.close().await?) })
            .await
            .is_err()
        {
            self.breaks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn attempt<T, F, Fut>(&self, bytes: usize, operation: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(Arc<smb::File>) -> Fut,
        Fut: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let handle = Arc::clone(&*self.handle.lock().await);
        match handle.link.call(bytes, operation(Arc::clone(&handle.file))).await {
            Err(fault) if fault.is_broken() => {
                let fresh = self.reopen(&handle).await?;
                fresh.link.call(bytes, operation(Arc::clone(&fresh.file))).await
            }
            outcome => outcome,
        }
    }

    /// Opens it again, once for all whose request has failed on the same connection.
    async fn reopen(&self, failed: &Arc<Handle>) -> Result<Arc<Handle>, Fault> {
        let mut handle = self.handle.lock().await;
        if Arc::ptr_eq(&handle, failed) {
            self.breaks.fetch_add(1, Ordering::Relaxed);
            self.share.give_up(&failed.link);
            *handle = self
                .share
                .attempt(async |link| open_on(link, &self.path, self.mode).await)
                .await?;
        }
        Ok(Arc::clone(&handle))
    }

    /// Writes all of `block` at `offset`.
    pub async fn write(&self, offset: u64, block: Arc<[u8]>) -> Result<(), Fault> {
        let length = block.len();
        self.attempt(length, |file| {
            let block = Arc::clone(&block);
            async move {
                let mut written = file.write_block_zc(Arc::clone(&block), offset, None).await?;
                while written < block.len() {
                    let more = file
                        .write_block(&block[written..], offset + written as u64, None)
                        .await?;
                    if more == 0 {
                        return Err(Fault::Status(status::DISK_FULL));
                    }
                    written += more;
                }
                Ok(())
            }
        })
        .await
    }

    /// Reads `length` bytes at `offset`; fewer only where the file ended there when it was opened.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Fault> {
        self.attempt(length, |file| async move {
            let mut buffer = vec![0; length];
            let mut filled = 0;
            while filled < length {
                let more = file
                    .read_block(&mut buffer[filled..], offset + filled as u64, None, false)
                    .await?;
                if more == 0 {
                    break;
                }
                filled += more;
            }
            buffer.truncate(filled);
            Ok(Bytes::from(buffer))
        })
        .await
    }

    /// Has the server copy a range of another file to `offset` of this one:
    /// <https://learn.microsoft.com/openspecs/windows_protocols/ms-smb2/cd0162e5-b4cb-4bd2-b3b9-d8f3e9e6ae2f>. Not tried
    /// again by itself: after a break the key of the other file means nothing any more.
    pub async fn copy_on_server(&self, offset: u64, from: &Self, range: Range<u64>) -> Result<(), Fault> {
        let (to, from) = (
            Arc::clone(&*self.handle.lock().await),
            Arc::clone(&*from.handle.lock().await),
        );
        if !Arc::ptr_eq(&to.link, &from.link) {
            return Err(Fault::Status(status::NAME_NOT_FOUND));
        }
        let source = Arc::clone(&from.file);
        let asked = to.link.call(0, async move {
            let answer = source.fsctl(SrvRequestResumeKeyRequest(())).await?;
            Ok(answer.resume_key)
        });
        let source_key = asked.await?;
        let mut done = range.start;
        while done < range.end {
            let end = range.end.min(done + COPIED_AT_ONCE);
            let chunk = |start: u64| SrvCopychunkItem {
                source_offset: start,
                target_offset: offset + (start - range.start),
                // At most a block.
                length: u32::try_from((end - start).min(BLOCK as u64)).unwrap_or(u32::MAX),
            };
            let chunks = (done..end).step_by(BLOCK).map(chunk).collect();
            let (target, request) = (Arc::clone(&to.file), SrvCopychunkCopy { source_key, chunks });
            let copied = to.link.call(0, async move {
                let answer = target.fsctl(request).await?;
                Ok(u64::from(answer.total_bytes_written))
            });
            if copied.await? != end - done {
                return Err(Fault::Status(status::DISK_FULL));
            }
            done = end;
        }
        Ok(())
    }

    /// Has the server bring all of it to its disk: <https://learn.microsoft.com/openspecs/windows_protocols/ms-smb2/e494678b-b1fc-44a0-b86e-8195acf74ad7>.
    pub async fn flush(&self) -> Result<(), Fault> {
        self.attempt(0, |file| async move { Ok(file.flush().await?) })
            .await
    }

    /// Bytes that it has now.
    pub async fn length(&self) -> Result<u64, Fault> {
        self.attempt(0, |file| async move {
            let information: FileStandardInformation = file.query_info().await?;
            Ok(information.end_of_file)
        })
        .await
    }

    /// Cuts or extends it to `length` bytes.
    pub async fn set_length(&self, length: u64) -> Result<(), Fault> {
        self.attempt(0, |file| async move {
            let end = FileEndOfFileInformation { end_of_file: length };
            Ok(file.set_info(end).await?)
        })
        .await
    }

    /// Gives it another path on the share. Not tried again by itself: after a break nobody knows whether it was done.
    pub async fn rename(&self, path: &str, may_replace: bool) -> Result<(), Fault> {
        let handle = Arc::clone(&*self.handle.lock().await);
        let file = Arc::clone(&handle.file);
        let target = FileRenameInformation {
            replace_if_exists: may_replace.into(),
            root_directory: 0,
            file_name: path.into(),
        };
        handle
            .link
            .call(0, async move { Ok(file.set_info(target).await?) })
            .await
    }

    /// Closes it; a server tells of some errors only now. On a broken connection it is closed already.
    pub async fn close(self) -> Result<(), Fault> {
        let handle = self.handle.into_inner();
        let file = Arc::clone(&handle.file);
        match handle.link.call(0, async move { Ok(file.close().await?) }).await {
            Err(fault) if fault.is_broken() => Ok(()),
            outcome => outcome,
        }
    }
}

async fn open_on(link: Arc<Link>, path: &str, mode: Mode) -> Result<Arc<Handle>, Fault> {
    match link.create(path, mode.args()).await? {
        Resource::File(file) => Ok(Arc::new(Handle {
            link,
            file: Arc::new(file),
        })),
        // Asked for a file, a server does not open anything else.
        Resource::Directory(_) | Resource::Pipe(_) => Err(Fault::Status(status::NAME_NOT_FOUND)),
    }
}
