//! One file made of the data of several uploads.
//!
//! Separate from finishing, which copies nothing. The server is asked to copy by itself; one that does not know how has
//! the bytes pass through us, a few blocks at a time.

use super::SmbStore;
use super::fault::Fault;
use super::file::{Mode, OpenFile};
use super::pour::copy;
use crate::domain::Upload;
use crate::error::Error;

/// Bytes after which a connection is looked at, and replaced where it is worn.
const STRETCH: u64 = 1 << 30;

impl SmbStore {
    /// Makes the file; see [`Storage::join`](crate::storage::Storage::join). What an earlier call has copied is dropped.
    pub(super) async fn join_uploads(&self, upload: &Upload, sources: &[Upload]) -> Result<(), Error> {
        let data = self.open_data(upload, Mode::Write).await?;
        data.set_length(0).await?;
        let mut end = 0;
        for source in sources {
            end += self.append_source(source, &data, end).await?;
        }
        if end != upload.size {
            return Err(Error::OffsetMismatch {
                expected: end,
                provided: upload.size,
            });
        }
        self.seal(upload, data).await
    }

    /// Copies all of a source to `offset`; gives how many bytes that were.
    async fn append_source(&self, source: &Upload, data: &OpenFile, offset: u64) -> Result<u64, Error> {
        let is_lost = |error| match error {
            Error::Vanished => Error::NotFound("part"),
            error => error,
        };
        let standing = self.stands_at(source).await.map_err(is_lost)?;
        if source.known_size() != Some(standing) {
            return Err(Error::OffsetMismatch {
                expected: standing,
                provided: source.size,
            });
        }
        let from = self.open_data(source, Mode::Read).await.map_err(is_lost)?;
        match copy_on_server(data, offset, &from, standing).await {
            Ok(()) => from.close().await?,
            Err(Fault::Status(status)) => {
                tracing::debug!(status, "the SMB server does not copy by itself");
                copy(&self.share, from, standing, data, offset).await?;
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(standing)
    }
}

async fn copy_on_server(data: &OpenFile, offset: u64, from: &OpenFile, length: u64) -> Result<(), Fault> {
    let mut start = 0;
    while start < length {
        data.renew().await?;
        from.renew().await?;
        let end = length.min(start + STRETCH);
        data.copy_on_server(offset + start, from, start..end).await?;
        start = end;
    }
    Ok(())
}
