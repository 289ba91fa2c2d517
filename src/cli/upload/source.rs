//! A file on its way: what it is, its pieces as a stream, and whether it is still the same.
//!
//! Never more than a piece for each part under way is in memory. Every part opens the file anew, so that parts do not share
//! a position.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use sha2::{Digest as _, Sha256};

use super::trouble::Trouble;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
/// What the fingerprint reads at either end; the browser kit does the same.
const SAMPLE: u64 = 64 * 1024;

/// A file to send.
#[derive(Debug)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What the server is told; below a folder that is walked, with the folders.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Guessed from the name.
    pub content_type: String,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: i64,
    /// What knows the file again: of its name, size, time and both ends, in hexadecimal. The browser kit's is the same.
    pub fingerprint: String,
    state: State,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy)]
struct State {
    size: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn ensure(self, path: &Path) -> Result<(), Trouble> {
        let about = std::fs::metadata(path)
            .map_err(|error| Trouble::file("unreadable", format!("cannot be read any more: {error}")))?;
        if about.len() != self.size {
            let (was, is) = (self.size, about.len());
            return Err(Trouble::changed(&format!("its {was} bytes have become {is}")));
        }
        if about.modified().ok() != self.modified {
            return Err(Trouble::changed("it was written to"));
        }
        Ok(())
    }
}

impl Source {
    /// Looks at the file, and reads its ends.
    ///
    /// # Errors
    /// It is no file, or cannot be read.
    pub fn open(path: &Path, name: String) -> Result<Self, Trouble> {
        let unreadable = |error: std::io::Error| Trouble::file("unreadable", error.to_string());
        // Opening a pipe would wait for its other end.
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if about.is_dir() {
            let hint = "is a folder; --recursive sends the files in it";
            return Err(Trouble::file("folder", hint.to_owned()));
        }
        if !about.is_file() {
            return Err(Trouble::file("not-a-file", "is not a regular file".to_owned()));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        let size = about.len();
        let modified_ms = about.modified().map_or(0, milliseconds);
        let mut hash = Sha256::new();
        hash.update(format!("{name}\n{size}\n{modified_ms}\n"));
        for from in [0, SAMPLE.max(size.saturating_sub(SAMPLE))] {
            file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
            let mut sample = Vec::new();
            (&file)
                .take(SAMPLE)
                .read_to_end(&mut sample)
                .map_err(unreadable)?;
            hash.update(&sample);
        }
        Ok(Self {
            content_type: mime_guess::from_path(path).first_or_octet_stream().to_string(),
            path: path.to_owned(),
            name,
            size,
            modified_ms,
            fingerprint: hex::encode(hash.finalize()),
            state: State {
                size,
                modified: about.modified().ok(),
            },
        })
    }

    /// Whether size and time are what they were.
    ///
    /// # Errors
    /// It was changed, or is gone.
    pub fn ensure_unchanged(&self) -> Result<(), Trouble> {
        self.state.ensure(&self.path)
    }

    /// `length` bytes from `start`, to be sent once.
    pub fn slice(&self, start: u64, length: u64) -> Slice {
        Slice {
            path: self.path.clone(),
            state: self.state,
            start,
            length,
            read: Arc::default(),
            failure: Arc::default(),
        }
    }
}

/// A stretch of a file, and how far it was read.
#[derive(Debug, Clone)]
pub struct Slice {
    path: PathBuf,
    state: State,
    start: u64,
    length: u64,
    read: Arc<AtomicU64>,
    failure: Arc<OnceLock<Trouble>>,
}

impl Slice {
    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that were handed to the connection.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Why the file could not be read, where that is why nothing came of a request.
    ///
    /// # Errors
    /// The failure to read.
    pub fn ensure_read(&self) -> Result<(), Trouble> {
        self.failure.get().map_or(Ok(()), |trouble| Err(trouble.clone()))
    }

    /// Reads it all, piece by piece, for something else than sending.
    ///
    /// # Errors
    /// The file cannot be read, or was changed.
    pub fn each_piece(&self, mut take: impl FnMut(&[u8])) -> Result<(), Trouble> {
        let (mut file, mut at) = (None, 0);
        while at < self.length {
            let (bytes, next) = self.piece(file, at)?;
            take(&bytes);
            (file, at) = (Some(next), at + bytes.len() as u64);
        }
        Ok(())
    }

    /// The bytes as they are read. What cannot be read ends the stream with an error, which [`Slice::ensure_read`] names.
    pub fn stream(&self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        stream::try_unfold((self.clone(), None::<File>, 0), |(slice, file, at)| async move {
            if at == slice.length {
                return Ok(None);
            }
            let reading = slice.clone();
            let piece = tokio::task::spawn_blocking(move || reading.piece(file, at)).await;
            let panicked =
                |error: tokio::task::JoinError| Err(Trouble::file("unreadable", error.to_string()));
            match piece.unwrap_or_else(panicked) {
                Ok((bytes, file)) => {
                    let next = at + bytes.len() as u64;
                    slice.read.store(next, Ordering::Relaxed);
                    Ok(Some((bytes, (slice, Some(file), next))))
                }
                Err(trouble) => {
                    let _ = slice.failure.set(trouble.clone());
                    Err(std::io::Error::other(trouble))
                }
            }
        })
    }

    fn piece(&self, file: Option<File>, at: u64) -> Result<(Bytes, File), Trouble> {
        let length = usize::try_from(self.length - at).map_or(PIECE, |left| left.min(PIECE));
        let mut bytes = vec![0; length];
        let read = || {
            let mut file = if let Some(file) = file {
                file
            } else {
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(self.start + at))?;
                file
            };
            file.read_exact(&mut bytes)?;
            Ok(file)
        };
        let read: std::io::Result<File> = read();
        // Before the last piece leaves: without it the other side does not take the rest for a whole.
        if read.is_err() || at + length as u64 == self.length {
            self.state.ensure(&self.path)?;
        }
        let file =
            read.map_err(|error| Trouble::file("unreadable", format!("cannot be read any more: {error}")))?;
        Ok((bytes.into(), file))
    }
}

/// Whole milliseconds since 1970, as a browser tells them.
fn milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).map_or(i64::MIN, |ms| -ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_is_rounded_down_too() {
        let early = UNIX_EPOCH - std::time::Duration::from_micros(1500);
        assert_eq!(milliseconds(early), -2);
        assert_eq!(
            milliseconds(UNIX_EPOCH + std::time::Duration::from_micros(1500)),
            1
        );
    }

    /// What `sdk/src/fingerprint.js` makes of the same files.
    #[test]
    fn the_fingerprint_is_the_browser_kits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("film.mp4");
        for (length, expected) in [
            (
                10,
                "9206dfd7e040c716876982690727c9cdd5b3e55f4324deb9d7089cbbeef0a477",
            ),
            (
                100_000,
                "cca83312378bd06a9ea4af17e06d15d5fc05124b9e288b6f046b2549f1055af7",
            ),
            (
                200_000,
                "cb8de55c6e91e9c2ac282d0e0d523bc1e2b5f737d643e001836ac14320e07de5",
            ),
        ] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            std::fs::write(&path, bytes).expect("written");
            let file = File::options().append(true).open(&path).expect("opened");
            let time = UNIX_EPOCH + std::time::Duration::from_micros(1_757_939_412_123_999);
            file.set_modified(time).expect("dated");
            let source = Source::open(&path, "film.mp4".to_owned()).expect("readable");
            assert_eq!(source.fingerprint, expected, "{length} bytes");
        }
    }
}
