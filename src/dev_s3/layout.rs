//! The directory: where each thing lies, and the only code that creates, renames or removes files in it.
//!
//! Separate because every promise about crashes is made here. A name that a client chose never becomes part of a
//! path: bodies have random names, and an object's record lies under the hash of its bucket and key.
//!
//! ```text
//! lock                    held while a server runs on this directory
//! buckets/<name>.json     a bucket and its CORS rules
//! objects/<hash>.json     an object: its headers and the ordered list of its segments
//! uploads/<id>/           an unfinished upload: upload.json, and parts.log with one line for each part that came
//! segments/<id>           the bytes of one part or one small object
//! tmp/                    records being written; emptied at start
//! ```

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// An opened directory, locked against a second server.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    segments: Arc<Path>,
    /// The lock lives as long as the open file.
    _lock: File,
}

impl Layout {
    /// Opens or creates the directory and throws away what an earlier run left half written in `tmp`.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when another server holds the directory; whatever the file system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        for name in ["buckets", "objects", "uploads", "segments", "tmp"] {
            fs::create_dir_all(root.join(name))?;
        }
        for left_over in fs::read_dir(root.join("tmp"))? {
            fs::remove_file(left_over?.path())?;
        }
        sync_directory(root)?;
        Ok(Self {
            root: root.to_path_buf(),
            segments: root.join("segments").into(),
            _lock: lock,
        })
    }

    /// Where a bucket's record lies. The name was checked by [`s3s::path::check_bucket_name`]: it has no slash.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.root.join("buckets").join(format!("{name}.json"))
    }

    /// Where an object's record lies.
    pub fn object(&self, bucket: &str, key: &str) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(bucket);
        hash.update([0]);
        hash.update(key);
        self.root
            .join("objects")
            .join(format!("{}.json", hex::encode(hash.finalize())))
    }

    /// The folder of an unfinished upload.
    pub fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// The paths of everything in one of the top folders.
    pub fn entries(&self, folder: &str) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(self.root.join(folder))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    /// Replaces `path` so that, whatever happens meanwhile, either the old or the new content is there, and
    /// afterwards the new one for good.
    pub fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let draft = self.root.join("tmp").join(Uuid::new_v4().simple().to_string());
        let written = File::create_new(&draft).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&draft, path)
        });
        if written.is_err() {
            // The first error is the one worth telling; the draft would go at the next start in any case.
            let _ = fs::remove_file(&draft);
        }
        written?;
        path.parent().map_or(Ok(()), sync_directory)
    }

    /// Removes a record for good; that it is gone already is no error.
    pub fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => path.parent().map_or(Ok(()), sync_directory),
        }
    }

    /// A fresh segment with its open file. Until [`Segment::keep`] it goes away with its last owner.
    pub fn new_segment(&self) -> io::Result<(Segment, File)> {
        let segment = Segment {
            folder: self.segments.clone(),
            id: Uuid::new_v4(),
            discard: AtomicBool::new(true),
        };
        let file = File::create_new(segment.path())?;
        Ok((segment, file))
    }

    /// Makes the names of new segments durable; their content is synced by whoever wrote it.
    pub fn sync_segments(&self) -> io::Result<()> {
        sync_directory(&self.segments)
    }

    /// A segment that a record of an earlier run names; `None` when its file is not there.
    pub fn existing_segment(&self, id: Uuid) -> Option<Arc<Segment>> {
        let segment = Segment {
            folder: self.segments.clone(),
            id,
            discard: AtomicBool::new(false),
        };
        segment.path().is_file().then(|| Arc::new(segment))
    }

    /// Removes every segment that `is_used` does not know; returns how many there were.
    pub fn remove_orphans(&self, is_used: impl Fn(Uuid) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for path in self.entries("segments")? {
            let id = path
                .file_name()
                .and_then(OsStr::to_str)
                .and_then(|name| Uuid::try_parse(name).ok());
            if !id.is_some_and(&is_used) {
                fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Makes renames, creations and removals in a folder durable.
fn sync_directory(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The file behind one part or one small object.
///
/// Its owners share it, so a download goes on unharmed while the object is replaced: a discarded segment's file is
/// removed only when the last owner lets go.
#[derive(Debug)]
pub struct Segment {
    folder: Arc<Path>,
    id: Uuid,
    discard: AtomicBool,
}

impl Segment {
    /// The name that records use.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Where the bytes lie.
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.id.simple().to_string())
    }

    /// A record names this segment now: its file stays.
    pub fn keep(&self) {
        self.discard.store(false, Ordering::Release);
    }

    /// No record names this segment any longer: its file goes with the last owner.
    pub fn discard(&self) {
        self.discard.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.discard.load(Ordering::Acquire)
            && let Err(error) = fs::remove_file(self.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, segment = %self.id, "a segment could not be removed; the next start will");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_the_same_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = Layout::open(folder.path()).expect("the first may");

        let second = Layout::open(folder.path());

        assert_eq!(
            second.expect_err("it is taken").kind(),
            io::ErrorKind::ResourceBusy
        );
    }

    #[test]
    fn a_segment_that_nobody_kept_goes_away_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::open(folder.path()).expect("open");
        let (lost, _) = layout.new_segment().expect("a segment");
        let (kept, _) = layout.new_segment().expect("a segment");
        kept.keep();
        let (lost_path, kept_path) = (lost.path(), kept.path());

        drop((lost, kept));

        assert!(!lost_path.exists());
        assert!(kept_path.exists());
    }

    #[test]
    fn opening_clears_drafts_and_asking_for_orphans_clears_unknown_segments() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::open(folder.path()).expect("open");
        let (known, _) = layout.new_segment().expect("a segment");
        known.keep();
        fs::write(
            folder
                .path()
                .join("segments")
                .join(Uuid::new_v4().simple().to_string()),
            "x",
        )
        .expect("orphan");
        fs::write(folder.path().join("segments/not-a-segment"), "x").expect("stray");
        fs::write(folder.path().join("tmp/draft"), "x").expect("draft");
        drop(layout);

        let layout = Layout::open(folder.path()).expect("open again");
        let removed = layout.remove_orphans(|id| id == known.id()).expect("clean");

        assert_eq!(removed, 2);
        assert!(known.path().exists());
        assert!(layout.entries("tmp").expect("list").is_empty());
    }

    #[test]
    fn keys_that_look_like_paths_stay_inside_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::open(folder.path()).expect("open");

        for key in ["../../etc/passwd", "/", "a", "a/b", &"x".repeat(1024)] {
            let path = layout.object("bucket", key);
            assert_eq!(
                path.parent(),
                Some(folder.path().join("objects").as_path()),
                "{key}"
            );
        }
    }
}
