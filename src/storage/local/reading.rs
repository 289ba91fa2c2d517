//! Finished files on their way out.
//!
//! Separate from writing: a thread that may block is asked for a piece at a time, when the client has taken the last.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Range;

use bytes::Bytes;
use cap_std::fs::Dir;
use futures_util::stream::{self, StreamExt as _};

use super::in_blocking;
use super::tree::{failed, is_missing};
use crate::domain::ObjectKey;
use crate::error::Error;
use crate::storage::{ByteStream, StoredObject};

/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;

/// The finished file of this key, if there is one; a folder, a pipe or a device is none.
pub(super) fn find(root: &Dir, key: &ObjectKey) -> Result<Option<StoredObject>, Error> {
    match root.metadata(key.as_str()) {
        Ok(found) if found.is_file() => Ok(Some(StoredObject {
            size: found.len(),
            etag: None,
        })),
        Ok(_) => Ok(None),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Opens a finished file; gives it with its size.
pub(super) fn open(root: &Dir, key: &ObjectKey) -> Result<(File, u64), Error> {
    // Before it is opened: opening a pipe would wait for whoever writes to it.
    let Some(found) = find(root, key)? else {
        return Err(Error::NotFound("object"));
    };
    let file = root.open(key.as_str()).map_err(failed)?.into_std();
    Ok((file, found.size))
}

/// The bytes of `range`, as far as the file has them.
pub(super) fn stream((mut file, size): (File, u64), range: Option<Range<u64>>) -> Result<ByteStream, Error> {
    let range = range.unwrap_or(0..size);
    let end = range.end.min(size);
    file.seek(io::SeekFrom::Start(range.start)).map_err(failed)?;
    let pieces = stream::try_unfold((file, range.start), move |(mut file, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let length = usize::try_from(PIECE.min(end - at)).unwrap_or(usize::MAX);
        let (file, piece) = in_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact(&mut piece).map_err(failed)?;
            Ok((file, Bytes::from(piece)))
        })
        .await?;
        Ok(Some((piece, (file, at + length as u64))))
    });
    Ok(pieces.boxed())
}
