//! One file made of the data of several uploads.
//!
//! Separate from finishing, which moves data and copies nothing. The bytes are copied within the kernel where it can, and
//! not at all where the file system lets files share them.

use std::io::{self, Read as _};

use super::append::standing;
use super::seal;
use super::tree::{DATA, Tree, failed, no_room_for, open_to_write};
use crate::domain::Upload;
use crate::error::Error;

/// Makes the file; see [`Storage::join`](crate::storage::Storage::join). What an earlier call has copied is dropped.
pub(super) fn join(tree: &Tree, upload: &Upload, sources: &[Upload]) -> Result<(), Error> {
    let folder = tree.folder(&upload.id)?;
    let mut data = open_to_write(&folder, DATA)?;
    data.set_len(0).map_err(failed)?;
    let mut end = 0;
    for source in sources {
        let copied = copy(tree, source, &mut data)?;
        end += copied;
    }
    if end != upload.size {
        return Err(Error::OffsetMismatch {
            expected: end,
            provided: upload.size,
        });
    }
    seal(tree, &folder, &data, upload)
}

/// Copies all of a source; gives how many bytes that were.
fn copy(tree: &Tree, source: &Upload, data: &mut std::fs::File) -> Result<u64, Error> {
    let is_lost = |error| match error {
        Error::Vanished => Error::NotFound("part"),
        error => error,
    };
    let folder = tree.folder(&source.id).map_err(is_lost)?;
    let standing = standing(&folder).map_err(is_lost)?;
    if source.known_size() != Some(standing) {
        return Err(Error::OffsetMismatch {
            expected: standing,
            provided: source.size,
        });
    }
    let mut bytes = folder.open(DATA).map_err(failed)?.into_std().take(standing);
    let copied = io::copy(&mut bytes, data).map_err(|error| no_room_for(standing, error))?;
    if copied == standing {
        Ok(copied)
    } else {
        Err(Error::unavailable(
            "the storage folder",
            "a source became shorter while it was copied",
        ))
    }
}
