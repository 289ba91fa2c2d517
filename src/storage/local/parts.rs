//! Numbered parts in a folder: each is written at its own place of the data, and counts once the journal has its line.
//!
//! Separate from appending, with which it shares nothing but the file. A part that counts already is never written
//! over: another version of it lies aside until the upload is finished, so that a failure or a kill in the middle of
//! sending it again costs nothing.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::in_blocking;
use super::tree::{
    DATA, JOURNAL, Tree, check_still_there, failed, no_room_for, open_to_write, refused, removed, vanished,
};
use super::writing::Writing;
use crate::domain::{PartNumber, StoredPart, Upload, check_whole};
use crate::error::Error;
use crate::storage::Body;
use crate::storage::journal::{Journal, Place, Record, record_of};

/// A part that is about to be written.
struct Opened {
    folder: Dir,
    file: Arc<File>,
    /// Where in the file it begins.
    start: u64,
    /// The name of the file, where it is not the data.
    aside: Option<String>,
    /// The part as it counts until now.
    before: Option<Record>,
}

/// Stores one part; see [`Storage::put`](crate::storage::Storage::put).
pub(super) async fn put(
    tree: Arc<Tree>,
    upload: &Upload,
    number: PartNumber,
    mut body: Body,
) -> Result<StoredPart, Error> {
    let plan = upload.plan();
    let Some(size) = plan.size_of(number) else {
        let detail = format!("this upload has parts 1 to {}, not {number}", plan.part_count());
        return Err(Error::invalid("part", detail));
    };
    let length = body
        .length()
        .ok_or_else(|| Error::internal("a part without its length"))?;
    if length != size {
        return Err(Error::WrongSize {
            what: "the part",
            expected: size,
            actual: length,
        });
    }
    let receipt = body.receipt();
    let start = u64::from(number.get() - 1) * plan.part_size();
    let opened = {
        let (tree, id) = (tree.clone(), upload.id.clone());
        in_blocking(move || open(&tree, tree.folder(&id)?, number, start)).await?
    };
    let mut writing = Writing::new(opened.file.clone(), opened.start, opened.start + size);
    let received = receive(&mut writing, &mut body).await;
    // Whatever became of it, nothing of this request is written from here on.
    let waited = writing.wait().await;
    if let Err(error) = received.and(waited) {
        in_blocking(move || {
            opened.give_up();
            Ok(())
        })
        .await?;
        return Err(error);
    }
    let sha256 = receipt
        .sha256()
        .ok_or_else(|| Error::internal("a body that ended well has no digest"))?;
    let place = if opened.aside.is_some() {
        Place::Aside
    } else {
        Place::Data
    };
    let record = Record {
        number,
        size,
        sha256,
        place,
    };
    in_blocking(move || commit(&tree, &opened, record)).await
}

async fn receive(writing: &mut Writing, body: &mut Body) -> Result<(), Error> {
    while let Some(piece) = body.next().await {
        writing.take(piece?)?;
        if writing.is_full() {
            writing.start().await?;
        }
    }
    writing.flush().await
}

fn open(tree: &Tree, folder: Dir, number: PartNumber, start: u64) -> Result<Opened, Error> {
    // An upload without its data has been finished, and was not cleaned up.
    let data = open_to_write(&folder, DATA)?;
    let Some(before) = record_of(&journal_text(tree, &folder)?, number) else {
        return Ok(Opened {
            folder,
            file: Arc::new(data),
            start,
            aside: None,
            before: None,
        });
    };
    let name = format!("{number}.{}", Uuid::new_v4().simple());
    let mut options = OpenOptions::new();
    let file = folder
        .open_with(&name, options.write(true).create_new(true))
        .map_err(failed)?;
    Ok(Opened {
        folder,
        file: Arc::new(file.into_std()),
        start: 0,
        aside: Some(name),
        before: Some(before),
    })
}

/// The journal as it lies there; it is made where it is missing, for by it an upload in parts is known.
fn journal_text(tree: &Tree, folder: &Dir) -> Result<Vec<u8>, Error> {
    match folder.read(JOURNAL) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = OpenOptions::new();
            folder
                .open_with(JOURNAL, options.append(true).create(true))
                .map_err(failed)?;
            tree.sync_folder(folder)?;
            Ok(Vec::new())
        }
        Err(error) => Err(failed(error)),
    }
}

impl Opened {
    /// Drops what came. In the data it may stay: without a line in the journal it is nothing.
    fn give_up(&self) {
        if let Some(name) = &self.aside
            && let Err(error) = self.folder.remove_file(name)
        {
            tracing::debug!(name, %error, "a refused part stays until its upload ends");
        }
    }
}

/// Makes the part durable, then its line.
fn commit(tree: &Tree, opened: &Opened, record: Record) -> Result<StoredPart, Error> {
    let folder = &opened.folder;
    if let (Some(name), Some(before)) = (&opened.aside, &opened.before) {
        if before.sha256 == record.sha256 {
            opened.give_up();
            return Ok(before.stored_part());
        }
        tree.sync_file(&opened.file)?;
        folder
            .rename(name, folder, record.aside_name())
            .map_err(vanished)?;
        tree.sync_folder(folder)?;
    } else {
        tree.sync_file(&opened.file)?;
    }
    let mut options = OpenOptions::new();
    let mut journal = folder
        .open_with(JOURNAL, options.append(true))
        .map_err(vanished)?
        .into_std();
    let line = record.line();
    journal
        .write_all(line.as_bytes())
        .map_err(|error| no_room_for(line.len() as u64, error))?;
    tree.sync_file(&journal)?;
    check_still_there(&journal)?;
    if let Some(before) = opened.before.filter(|before| before.place == Place::Aside) {
        removed(folder.remove_file(before.aside_name()))?;
    }
    Ok(record.stored_part())
}

/// The parts that count.
pub(super) fn stored(tree: &Tree, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
    let folder = tree.folder(&upload.id)?;
    folder.metadata(DATA).map_err(vanished)?;
    Ok(journal(&folder)?.unwrap_or_default().stored_parts())
}

/// The journal; `None` for an upload that was not sent in parts.
pub(super) fn journal(folder: &Dir) -> Result<Option<Journal>, Error> {
    match folder.read(JOURNAL) {
        Ok(text) => Ok(Some(Journal::read(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Makes the data what the journal says, so that it is the file; it may have been interrupted in that before.
///
/// # Errors
/// [`Error::Incomplete`] where parts are missing, [`Error::StoreRefused`] where the data is not what was stored.
pub(super) fn assemble(
    folder: &Dir,
    data: &mut File,
    journal: &Journal,
    upload: &Upload,
) -> Result<(), Error> {
    let plan = upload.plan();
    check_whole(&plan, &journal.stored_parts())?;
    for record in journal.records().filter(|record| record.place == Place::Aside) {
        let start = u64::from(record.number.get() - 1) * plan.part_size();
        let mut aside = folder.open(record.aside_name()).map_err(failed)?.into_std();
        data.seek(io::SeekFrom::Start(start))
            .and_then(|_| io::copy(&mut aside, data))
            .map_err(|error| no_room_for(record.size, error))?;
    }
    if data.metadata().map_err(failed)?.len() != upload.size {
        return Err(refused("DataDamaged"));
    }
    Ok(())
}
