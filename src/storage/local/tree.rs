//! The folders of a local storage: which they are, and that nothing leads out of them.
//!
//! Separate from what is done with them, because here alone a name becomes a path of this machine. Every path is
//! resolved beneath an open folder (`cap-std`): a symbolic link that leads out of it is refused wherever it stands.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};
use uuid::Uuid;

use super::LocalSettings;
use crate::domain::{ObjectKey, UploadId};
use crate::error::Error;

/// The folder within the root that holds what is unfinished. No key may begin with this.
pub(super) const WORK: &str = ".muleteer";

/// The bytes of an unfinished upload: what is renamed in the end.
pub(super) const DATA: &str = "data";

/// Which parts count; only an upload that is sent in parts has one.
pub(super) const JOURNAL: &str = "journal";

/// Where what is unfinished lies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    /// In [`WORK`] within the root.
    Within,
    /// In a folder elsewhere on the same file system.
    Elsewhere(PathBuf),
}

/// The root, and the folder of what is unfinished. Nothing is kept open: the operator may unmount it at any time.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    work: Work,
    /// Whether what is acknowledged must survive a power cut.
    pub(super) sync: bool,
}

impl Tree {
    /// Makes the folders where they are missing, and chooses between `temp` and the root: files must get from the one to
    /// the other by a rename.
    pub(super) fn open(settings: &LocalSettings) -> Result<Self, Error> {
        let root = ambient(&settings.root)?;
        let mut tree = Self {
            root: settings.root.clone(),
            work: Work::Within,
            sync: settings.sync,
        };
        if let Some(temp) = &settings.temp {
            let temp_dir = ambient(temp)?;
            if lies_below(temp, &settings.root) {
                // A client could name it as its folder.
                tracing::error!(temp = %temp.display(), "the temporary folder must not lie in the folder of finished files");
                return Err(refused("TemporaryFolderInRoot"));
            }
            match probe(&temp_dir, &root) {
                Ok(()) => {
                    tree.work = Work::Elsewhere(temp.clone());
                    return Ok(tree);
                }
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => tracing::warn!(
                    temp = %temp.display(),
                    root = %settings.root.display(),
                    "the temporary folder is on another file system than the storage; {WORK} within the storage \
                     is used instead, so that finishing a file stays a rename"
                ),
                Err(error) => return Err(failed(error)),
            }
        }
        made(root.create_dir(WORK)).map_err(failed)?;
        tree.sync_folder(&root)?;
        Ok(tree)
    }

    /// The root as it is now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is away: it is never made again, because it may be a disk that is not mounted.
    pub(super) fn root(&self) -> Result<Dir, Error> {
        Dir::open_ambient_dir(&self.root, ambient_authority()).map_err(failed)
    }

    /// The folder of all that is unfinished.
    pub(super) fn work(&self) -> Result<Dir, Error> {
        match &self.work {
            Work::Within => self.root()?.open_dir(WORK).map_err(failed),
            Work::Elsewhere(path) => Dir::open_ambient_dir(path, ambient_authority()).map_err(failed),
        }
    }

    /// The folder of one unfinished upload.
    ///
    /// # Errors
    /// [`Error::Vanished`] where there is none.
    pub(super) fn folder(&self, upload: &UploadId) -> Result<Dir, Error> {
        self.work()?.open_dir(upload.as_str()).map_err(vanished)
    }

    /// Asks whether files can be made and be moved to where they belong.
    pub(super) fn check(&self) -> Result<(), Error> {
        probe(&self.work()?, &self.root()?).map_err(failed)
    }

    /// Makes the entries of this folder durable.
    pub(super) fn sync_folder(&self, folder: &Dir) -> Result<(), Error> {
        if cfg!(unix) && self.sync {
            folder
                .open(".")
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the bytes of this file durable.
    pub(super) fn sync_file(&self, file: &std::fs::File) -> Result<(), Error> {
        if self.sync {
            file.sync_data().map_err(failed)
        } else {
            Ok(())
        }
    }

    /// Refuses `size` bytes that the file system has no room for; many of them say nothing that could be trusted to
    /// the byte, so this only tells early what a write would tell late.
    pub(super) fn check_room(work: &Dir, size: u64) -> Result<(), Error> {
        #[cfg(unix)]
        {
            let room = rustix::fs::fstatvfs(work).map_err(|error| failed(error.into()))?;
            // A file system without blocks does not tell.
            if room.f_blocks > 0 && room.f_bavail.saturating_mul(room.f_frsize) < size {
                return Err(Error::NoSpace { needed: size });
            }
        }
        #[cfg(not(unix))]
        let _ = (work, size);
        Ok(())
    }

    /// Refuses a key whose folder, as far as it is there, is no folder, leads out of the root, or lies on another file
    /// system, to which nothing can be renamed.
    pub(super) fn check_target(root: &Dir, work: &Dir, key: &ObjectKey) -> Result<(), Error> {
        for folder in Path::new(key.as_str()).ancestors().skip(1) {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            match root.metadata(folder) {
                Ok(found) if !found.is_dir() => return Err(refused("NotAFolder")),
                Ok(found) if is_elsewhere(&found, work)? => return Err(refused("OtherFileSystem")),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn is_elsewhere(found: &cap_std::fs::Metadata, work: &Dir) -> Result<bool, Error> {
    use cap_std::fs::MetadataExt as _;
    Ok(found.dev() != work.dir_metadata().map_err(failed)?.dev())
}

#[cfg(not(unix))]
fn is_elsewhere(_: &cap_std::fs::Metadata, _: &Dir) -> Result<bool, Error> {
    Ok(false)
}

/// Whether a folder lies in another, or is the same; both are there.
fn lies_below(folder: &Path, root: &Path) -> bool {
    match (folder.canonicalize(), root.canonicalize()) {
        (Ok(folder), Ok(root)) => folder.starts_with(root),
        _ => false,
    }
}

/// A folder by its own path, made where it is missing.
fn ambient(path: &Path) -> Result<Dir, Error> {
    Dir::create_ambient_dir_all(path, ambient_authority())
        .and_then(|()| Dir::open_ambient_dir(path, ambient_authority()))
        .map_err(failed)
}

/// Makes an empty file in one folder, moves it to the other and removes it.
fn probe(from: &Dir, to: &Dir) -> io::Result<()> {
    let name = format!("{WORK}-probe-{}", Uuid::new_v4().simple());
    from.create(&name)?;
    let moved = from.rename(&name, to, &name);
    let _ = if moved.is_ok() {
        to.remove_file(&name)
    } else {
        from.remove_file(&name)
    };
    moved
}

/// Whether it was made just now; that it was there already is fine.
pub(super) fn made(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether it was removed just now; that it was not there is fine.
pub(super) fn removed(result: io::Result<()>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Whether nothing has this name, also because a file stands where a folder would have to.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Opens a file of an unfinished upload to write in it.
///
/// # Errors
/// [`Error::Vanished`] where it is not there.
pub(super) fn open_to_write(folder: &Dir, name: &str) -> Result<std::fs::File, Error> {
    let mut options = OpenOptions::new();
    folder
        .open_with(name, options.write(true))
        .map(File::into_std)
        .map_err(vanished)
}

/// Refuses a file that somebody has removed while it was being written: what was written is lost.
pub(super) fn check_still_there(file: &std::fs::File) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if file.metadata().map_err(failed)?.nlink() == 0 {
            return Err(Error::Vanished);
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// As [`failed`], where that something is not there means that the upload is not.
pub(super) fn vanished(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Vanished,
        _ => failed(error),
    }
}

/// What a file system's refusal means.
pub(super) fn failed(error: io::Error) -> Error {
    no_room_for(1, error)
}

/// What a file system's refusal means for a write of `needed` bytes.
pub(super) fn no_room_for(needed: u64, error: io::Error) -> Error {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Error::NoSpace { needed },
        // Among them every path that leads out of the root.
        Kind::PermissionDenied => refused("AccessDenied"),
        Kind::ReadOnlyFilesystem => refused("ReadOnly"),
        Kind::CrossesDevices => refused("OtherFileSystem"),
        Kind::NotADirectory | Kind::IsADirectory | Kind::AlreadyExists => refused("NameTaken"),
        Kind::InvalidFilename | Kind::InvalidInput => refused("NameRefused"),
        _ => Error::unavailable("the storage folder", error),
    }
}

/// The file system will not do it, however often it is asked.
pub(super) fn refused(code: &str) -> Error {
    Error::StoreRefused {
        code: code.to_owned(),
    }
}
