//! A folder of an SMB share.
//!
//! An unfinished upload is a folder of its own, `<path>/.muleteer/<id>`: in it `data`, into which every part is written
//! at its own offset, and journals that say what of it counts. Finishing is a rename.
//!
//! Separate from the local folder, although the layout is the same, because everything else is not: a share goes away
//! and comes back, its answers are slow, and several instances may write to it at once.

mod book;
mod fault;
mod file;
mod finish;
mod folder;
mod join;
mod link;
mod name;
mod pour;
mod share;
mod wire;
mod write;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use uuid::Uuid;

use self::book::Books;
use self::fault::Fault;
use self::file::{Mode, OpenFile};
use self::name::Base;
use self::pour::stream_of;
use self::share::Share;
use super::{Body, ByteStream, Storage, StoredObject, Stray, is_partial_key};
use crate::domain::{
    Backend, MAX_PART_SIZE, MAX_PARTS, ObjectKey, PartLimits, PartNumber, StoredPart, Upload, UploadId,
};
use crate::error::{Error, FieldError};

/// How a share is reached.
#[derive(Debug, Clone)]
pub struct SmbSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port, mostly 445.
    pub port: u16,
    /// Who we are: `name`, `DOMAIN\name` or `name@domain`.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// The share's name.
    pub share: String,
    /// The folder inside the share; empty for the share itself. It is made where it is not there.
    pub path: String,
    /// Whether a part counts only once the server has brought it to its disk.
    pub sync: bool,
    /// Bytes of a part where nobody asks for another size.
    pub part_size: u64,
}

/// One folder of a share.
pub struct SmbStore {
    share: Arc<Share>,
    base: Base,
    books: Books,
    instance: Uuid,
}

impl SmbStore {
    /// A store that connects when it is first used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a share or folder that cannot be one.
    pub fn new(settings: SmbSettings) -> Result<Self, Error> {
        let base = Base::new(&settings.path).map_err(|detail| Error::invalid("storage.smb.path", detail))?;
        if settings.share.is_empty() || settings.share.contains(['/', '\\']) {
            return Err(Error::invalid(
                "storage.smb.share",
                "a share has a name without slashes",
            ));
        }
        if settings.host.is_empty() || settings.host.contains(['/', '\\']) {
            return Err(Error::invalid(
                "storage.smb.host",
                "a host has a name without slashes",
            ));
        }
        Ok(Self {
            share: Arc::new(Share::new(settings)),
            base,
            books: Books::default(),
            instance: Uuid::new_v4(),
        })
    }

    fn data_path(&self, upload: &Upload) -> String {
        format!("{}\\data", self.base.upload(&upload.id))
    }
}

/// What is not there any more was taken away by somebody.
fn or_vanished(fault: Fault) -> Error {
    if fault.is_absent() {
        Error::Vanished
    } else {
        fault.into()
    }
}

#[async_trait]
impl Storage for SmbStore {
    fn backend(&self) -> Backend {
        Backend::Smb
    }

    fn limits(&self) -> PartLimits {
        PartLimits {
            min: 1,
            preferred: self.share.settings().part_size,
            max: MAX_PART_SIZE,
            step: 1 << 20,
            most: MAX_PARTS,
        }
    }

    fn address(&self, key: &ObjectKey) -> String {
        let settings = self.share.settings();
        let port = match settings.port {
            445 => String::new(),
            port => format!(":{port}"),
        };
        let mut folder = self.base.shown();
        if !folder.is_empty() {
            folder.push('/');
        }
        format!("smb://{}{port}/{}/{folder}{key}", settings.host, settings.share)
    }

    fn check_key(&self, key: &ObjectKey) -> Result<(), FieldError> {
        if is_partial_key(key) {
            return Ok(());
        }
        name::check(key)
    }

    /// Also makes the folders, which shows that we may write.
    async fn check(&self) -> Result<(), Error> {
        Ok(self.share.make_folders(&self.base.hidden()).await?)
    }

    async fn begin(&self, upload: &Upload) -> Result<Option<String>, Error> {
        self.share.make_folders(&self.base.upload(&upload.id)).await?;
        if self.share.free(self.base.path()).await? < upload.size {
            self.abort(upload).await?;
            return Err(Error::NoSpace { needed: upload.size });
        }
        let data = OpenFile::open(&self.share, &self.data_path(upload), Mode::WriteOrMake).await?;
        data.close().await?;
        Ok(None)
    }

    async fn put(&self, upload: &Upload, number: PartNumber, body: Body) -> Result<StoredPart, Error> {
        self.put_part(upload, number, body).await
    }

    async fn append(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        self.append_body(upload, offset, body).await
    }

    async fn offset(&self, upload: &Upload) -> Result<u64, Error> {
        self.stands_at(upload).await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        self.open_data(upload, Mode::Look).await?.close().await?;
        let book = self.books.of(&upload.id);
        let mut book = book.lock().await;
        book.refresh(&self.share, &self.base.upload(&upload.id))
            .await
            .map_err(or_vanished)?;
        Ok(book.stored_parts())
    }

    async fn finish(&self, upload: &Upload, _parts: &[StoredPart]) -> Result<Option<String>, Error> {
        self.finish_upload(upload).await?;
        Ok(None)
    }

    async fn join(&self, upload: &Upload, sources: &[Upload]) -> Result<Option<String>, Error> {
        self.join_uploads(upload, sources).await?;
        Ok(None)
    }

    async fn abort(&self, upload: &Upload) -> Result<(), Error> {
        self.books.forget(&upload.id);
        match self.share.remove_folder(&self.base.upload(&upload.id)).await {
            // A part that is under way holds its file open, which goes away with it; the empty folder is swept.
            Err(fault) if fault.is(fault::status::DIRECTORY_NOT_EMPTY) => {
                tracing::debug!(upload = %upload.id, "somebody still holds a file of an upload that was given up");
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }

    async fn find(&self, key: &ObjectKey) -> Result<Option<StoredObject>, Error> {
        match OpenFile::open(&self.share, &self.base.object(key), Mode::Look).await {
            Ok(file) => {
                let size = file.length_at_opening();
                file.close().await?;
                Ok(Some(StoredObject { size, etag: None }))
            }
            Err(fault) if fault.is_absent() || fault.is(fault::status::FILE_IS_A_DIRECTORY) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let file = match OpenFile::open(&self.share, &self.base.object(key), Mode::Read).await {
            Ok(file) => file,
            Err(fault) if fault.is_absent() || fault.is(fault::status::FILE_IS_A_DIRECTORY) => {
                return Err(Error::NotFound("file"));
            }
            Err(fault) => return Err(fault.into()),
        };
        let size = file.length_at_opening();
        let range = range.map_or(0..size, |range| range.start.min(size)..range.end.min(size));
        Ok(stream_of(&self.share, file, range))
    }

    async fn remove(&self, key: &ObjectKey) -> Result<(), Error> {
        Ok(self.share.remove(&self.base.object(key)).await?)
    }

    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        let mut strays = Vec::new();
        for entry in self.share.list(&self.base.hidden()).await?.unwrap_or_default() {
            let Ok(upload) = UploadId::parse(&entry.name) else {
                continue;
            };
            if !entry.is_folder {
                continue;
            }
            // `None`: it has ended since.
            let Some(files) = self.share.list(&self.base.upload(&upload)).await? else {
                continue;
            };
            let times = files.iter().map(|file| file.modified);
            strays.push(Stray {
                upload,
                place: entry.name,
                multipart_id: None,
                last_active: times.fold(entry.modified, std::cmp::Ord::max),
            });
        }
        Ok(strays)
    }

    async fn discard(&self, stray: &Stray) -> Result<(), Error> {
        self.books.forget(&stray.upload);
        Ok(self.share.remove_folder(&self.base.upload(&stray.upload)).await?)
    }
}
