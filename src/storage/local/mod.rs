//! A folder of this machine as a storage.
//!
//! Separate as every backend is. An unfinished upload has a folder of its own with its bytes in one file, so that
//! finishing it is a rename, whatever its size: `<root>/.muleteer/<upload id>/data`, beside it `journal`
//! ([`journal`](super::journal)) where it is sent in parts. A finished file lies at its key beneath the root, under
//! exactly that name.

mod append;
mod fence;
mod join;
mod parts;
mod publish;
mod reading;
mod tree;
mod writing;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use chrono::{DateTime, Utc};

use self::tree::{DATA, JOURNAL, Tree, WORK, failed, made, open_to_write, removed};
use super::{Body, ByteStream, Storage, StoredObject, Stray, is_partial_key};
use crate::domain::{
    Backend, MAX_PART_SIZE, MAX_PARTS, ObjectKey, PartLimits, PartNumber, StoredPart, Upload, UploadId,
};
use crate::error::{Error, FieldError};

/// Longest segment of a path, in bytes.
const MAX_SEGMENT: usize = 255;

/// Parts that have to grow do so in steps of this, in bytes.
const PART_STEP: u64 = 1 << 20;

/// Which folder, and how carefully.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// The folder of finished files; it is made where it is missing.
    pub root: PathBuf,
    /// The folder as the operator wrote it, for addresses: `./uploads`.
    pub shown_root: String,
    /// Another folder for what is unfinished; taken only where files can be moved from there into the root by a rename.
    pub temp: Option<PathBuf>,
    /// Whether what is acknowledged must survive a power cut.
    pub sync: bool,
    /// Bytes of a part where nobody asks for another size.
    pub part_size: u64,
}

/// A folder that is written by us; several processes may share one.
pub struct LocalStore {
    tree: Arc<Tree>,
    shown_root: String,
    part_size: u64,
}

impl LocalStore {
    /// Makes the folders where they are missing. Called once at the start, for it asks the file system at once and logs
    /// which folder is used.
    ///
    /// # Errors
    /// [`Error::StoreRefused`] for a folder that cannot be made or written, [`Error::Unavailable`].
    pub fn open(settings: &LocalSettings) -> Result<Self, Error> {
        Ok(Self {
            tree: Arc::new(Tree::open(settings)?),
            shown_root: settings.shown_root.trim_end_matches('/').to_owned(),
            part_size: settings.part_size,
        })
    }

    async fn with_tree<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let tree = self.tree.clone();
        in_blocking(move || work(&tree)).await
    }
}

/// Runs what waits for the disk on a thread that may.
async fn in_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

#[async_trait]
impl Storage for LocalStore {
    fn backend(&self) -> Backend {
        Backend::Local
    }

    fn limits(&self) -> PartLimits {
        PartLimits {
            min: 1,
            preferred: self.part_size,
            max: MAX_PART_SIZE,
            step: PART_STEP,
            most: MAX_PARTS,
        }
    }

    fn address(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.shown_root)
    }

    fn check_key(&self, key: &ObjectKey) -> Result<(), FieldError> {
        if key.as_str().starts_with(WORK) && !is_partial_key(key) {
            let detail = format!("begins with {WORK}, which is the server's own folder");
            return Err(FieldError::new("filename", detail));
        }
        if key.segments().any(|segment| segment.len() > MAX_SEGMENT) {
            let detail = format!("has a folder or a name of more than {MAX_SEGMENT} bytes");
            return Err(FieldError::new("filename", detail));
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Error> {
        self.with_tree(Tree::check).await
    }

    async fn begin(&self, upload: &Upload) -> Result<Option<String>, Error> {
        let upload = upload.clone();
        self.with_tree(move |tree| begin(tree, &upload)).await?;
        Ok(None)
    }

    async fn put(&self, upload: &Upload, number: PartNumber, body: Body) -> Result<StoredPart, Error> {
        parts::put(self.tree.clone(), upload, number, body).await
    }

    async fn append(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        append::append(self.tree.clone(), upload, offset, body).await
    }

    async fn offset(&self, upload: &Upload) -> Result<u64, Error> {
        let id = upload.id.clone();
        self.with_tree(move |tree| append::standing(&tree.folder(&id)?))
            .await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let upload = upload.clone();
        self.with_tree(move |tree| parts::stored(tree, &upload)).await
    }

    async fn finish(&self, upload: &Upload, _parts: &[StoredPart]) -> Result<Option<String>, Error> {
        let upload = upload.clone();
        self.with_tree(move |tree| finish(tree, &upload)).await?;
        Ok(None)
    }

    async fn join(&self, upload: &Upload, sources: &[Upload]) -> Result<Option<String>, Error> {
        let (upload, sources) = (upload.clone(), sources.to_vec());
        self.with_tree(move |tree| join::join(tree, &upload, &sources))
            .await?;
        Ok(None)
    }

    async fn abort(&self, upload: &Upload) -> Result<(), Error> {
        let id = upload.id.clone();
        self.with_tree(move |tree| drop_folder(tree, &id)).await
    }

    async fn find(&self, key: &ObjectKey) -> Result<Option<StoredObject>, Error> {
        let key = key.clone();
        self.with_tree(move |tree| reading::find(&tree.root()?, &key))
            .await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let key = key.clone();
        self.with_tree(move |tree| reading::stream(reading::open(&tree.root()?, &key)?, range))
            .await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<(), Error> {
        let key = key.clone();
        self.with_tree(move |tree| removed(tree.root()?.remove_file(key.as_str())).map(drop))
            .await
    }

    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        self.with_tree(strays).await
    }

    async fn discard(&self, stray: &Stray) -> Result<(), Error> {
        let id = stray.upload.clone();
        self.with_tree(move |tree| drop_folder(tree, &id)).await
    }
}

/// Makes the upload's folder with its empty data; that it is there already is fine.
fn begin(tree: &Tree, upload: &Upload) -> Result<(), Error> {
    let work = tree.work()?;
    // A partial upload never gets the name that its key is.
    if !upload.is_partial() {
        Tree::check_target(&tree.root()?, &work, &upload.key)?;
    }
    Tree::check_room(&work, upload.size)?;
    let is_new = made(work.create_dir(upload.id.as_str())).map_err(failed)?;
    let folder = tree.folder(&upload.id)?;
    let mut options = cap_std::fs::OpenOptions::new();
    folder
        .open_with(DATA, options.write(true).create(true))
        .map_err(failed)?;
    tree.sync_folder(&folder)?;
    if is_new { tree.sync_folder(&work) } else { Ok(()) }
}

/// Makes the file of the data: a rename.
fn finish(tree: &Tree, upload: &Upload) -> Result<(), Error> {
    let folder = tree.folder(&upload.id)?;
    let mut data = open_to_write(&folder, DATA)?;
    if let Some(journal) = parts::journal(&folder)? {
        parts::assemble(&folder, &mut data, &journal, upload)?;
    } else {
        let standing = append::standing(&folder)?;
        if standing != upload.size {
            return Err(Error::OffsetMismatch {
                expected: standing,
                provided: upload.size,
            });
        }
        if data.metadata().map_err(failed)?.len() != standing {
            // What lies behind it was never proven right.
            data.set_len(standing).map_err(failed)?;
        }
    }
    seal(tree, &folder, &data, upload)
}

/// Gives data that is whole its name.
fn seal(tree: &Tree, folder: &Dir, data: &std::fs::File, upload: &Upload) -> Result<(), Error> {
    tree.sync_file(data)?;
    publish::publish(tree, folder, DATA, &tree.root()?, &upload.key)?;
    if let Err(error) = drop_folder(tree, &upload.id) {
        tracing::warn!(upload = %upload.id, %error, "the folder of a finished upload stays for now");
    }
    Ok(())
}

/// Drops all that is unfinished of an upload; that there is nothing is fine.
fn drop_folder(tree: &Tree, id: &UploadId) -> Result<(), Error> {
    let work = tree.work()?;
    let mut outcome = work.remove_dir_all(id.as_str());
    for _ in 0..20 {
        // A part that is under way has put a file into it meanwhile; without the data it makes no other.
        match &outcome {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                outcome = work.remove_dir_all(id.as_str());
            }
            _ => break,
        }
    }
    removed(outcome).map(drop)
}

fn strays(tree: &Tree) -> Result<Vec<Stray>, Error> {
    let work = tree.work()?;
    let mut strays = Vec::new();
    for entry in work.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| UploadId::parse(name).ok()) else {
            continue;
        };
        // One that is gone by now is none.
        if let Ok(folder) = work.open_dir(id.as_str())
            && let Some(last_active) = last_change(&folder)
        {
            strays.push(Stray {
                place: format!("{WORK}/{id}"),
                upload: id,
                multipart_id: None,
                last_active,
            });
        }
    }
    Ok(strays)
}

/// When anything was last written here.
fn last_change(folder: &Dir) -> Option<DateTime<Utc>> {
    [".", DATA, JOURNAL]
        .into_iter()
        .filter_map(|name| folder.metadata(name).ok()?.modified().ok())
        .map(cap_std::time::SystemTime::into_std)
        .max()
        .map(DateTime::from)
}
