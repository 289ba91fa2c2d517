//! What is special to folders of this machine: symbolic links, renames, and what a kill leaves behind.

mod kills;
mod links;

use async_trait::async_trait;
use muleteer::domain::{ObjectKey, Upload};
use muleteer::error::Error;
use muleteer::storage::{LocalSettings, LocalStore, Storage};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use crate::Place;
use crate::files::{MIB, begin, bytes_of, finish, put_all, read, upload_of};

/// A root in a folder of the test's own.
pub struct Folder {
    folder: TempDir,
    settings: LocalSettings,
}

impl Folder {
    fn make() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("uploads");
        Self {
            folder,
            settings: LocalSettings {
                root,
                shown_root: "./uploads/".to_owned(),
                temp: None,
                sync: true,
                part_size: 50 * MIB,
            },
        }
    }

    pub async fn new() -> Option<Self> {
        std::future::ready(Some(Self::make())).await
    }

    pub async fn without_sync() -> Option<Self> {
        let mut place = Self::make();
        place.settings.sync = false;
        std::future::ready(Some(place)).await
    }

    pub async fn with_temp() -> Option<Self> {
        let mut place = Self::make();
        place.settings.temp = Some(place.folder.path().join("temp/chunks"));
        std::future::ready(Some(place)).await
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(&self.settings).expect("it opens")
    }

    fn root(&self) -> &Path {
        &self.settings.root
    }

    /// A file or folder of an unfinished upload.
    fn work(&self, upload: &Upload, name: &str) -> PathBuf {
        self.root().join(".muleteer").join(upload.id.as_str()).join(name)
    }

    /// A folder that is nobody's business.
    fn outside(&self) -> PathBuf {
        let outside = self.folder.path().join("outside");
        fs::create_dir_all(&outside).expect("a folder");
        outside
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Box<dyn Storage> {
        Box::new(self.store())
    }
}

fn assert_refused<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::StoreRefused { .. })), "{result:?}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn keys_that_a_folder_cannot_have_are_refused() {
    let place = Folder::make();
    let store = place.store();

    for key in [
        ".muleteer/x",
        ".muleteer",
        ".muleteer-probe-1",
        &format!("a/{}/b", "x".repeat(256)),
    ] {
        let refused = store.check_key(&ObjectKey::path(key).unwrap()).unwrap_err();
        assert_eq!(refused.field, "filename", "{key}");
    }
    for key in ["../x", "a/../../x", "/x", "a//x", "."] {
        assert!(ObjectKey::path(key).is_err(), "{key}");
    }
    store
        .check_key(&ObjectKey::path("files/.muleteer").unwrap())
        .unwrap();
    let address = store.address(&ObjectKey::path("files/x").unwrap());
    assert_eq!(address, "./uploads/files/x");
}

#[tokio::test]
async fn a_temporary_folder_on_the_same_file_system_is_used() {
    let place = Folder::with_temp().await.unwrap();
    let store = place.store();
    let upload = begin(&store, upload_of(1000, MIB)).await;

    let temp = place.settings.temp.clone().unwrap();
    assert!(temp.join(upload.id.as_str()).join("data").exists());
    assert!(!place.root().join(".muleteer").exists());
    store.check().await.unwrap();
    assert!(is_empty(place.root()));
}

#[tokio::test]
async fn a_temporary_folder_on_another_file_system_is_not_used() {
    let mut place = Folder::make();
    let Ok(other) = TempDir::new_in("/dev/shm") else {
        eprintln!("left out: there is no /dev/shm");
        return;
    };
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(place.folder.path()).unwrap().dev() {
        eprintln!("left out: /dev/shm is no other file system");
        return;
    }
    place.settings.temp = Some(other.path().join("chunks"));
    let (store, file) = (place.store(), bytes_of(1000, 17));
    let upload = begin(&store, upload_of(1000, MIB)).await;

    assert!(place.work(&upload, "data").exists());
    assert!(is_empty(&other.path().join("chunks")));
    put_all(&store, &upload, &file).await;
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_file_that_cannot_fit_is_refused_before_it_is_sent() {
    let place = Folder::make();
    let store = place.store();
    let upload = upload_of(1 << 60, MIB);

    let refused = store.begin(&upload).await;

    assert!(
        matches!(refused, Err(Error::NoSpace { needed }) if needed == 1 << 60),
        "{refused:?}"
    );
    assert!(is_empty(&place.root().join(".muleteer")));
}

#[tokio::test]
async fn a_root_that_is_away_is_not_made_again() {
    let place = Folder::make();
    let store = place.store();
    fs::rename(place.root(), place.folder.path().join("unmounted")).unwrap();

    let begun = store.begin(&upload_of(1, MIB)).await;
    assert!(matches!(begun, Err(Error::Unavailable { .. })), "{begun:?}");
    assert!(matches!(store.check().await, Err(Error::Unavailable { .. })));
    // What is left there is a folder to mount on.
    fs::create_dir(place.root()).unwrap();
    assert!(matches!(store.check().await, Err(Error::Unavailable { .. })));
    let begun = store.begin(&upload_of(1, MIB)).await;
    assert!(matches!(begun, Err(Error::Unavailable { .. })), "{begun:?}");
    assert!(is_empty(place.root()));
}

#[tokio::test]
async fn what_is_finished_before_is_found_by_another_process() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(1000, 18));
    fs::write(place.root().join("by hand.txt"), &file).unwrap();

    let key = ObjectKey::path("by hand.txt").unwrap();
    assert_eq!(store.find(&key).await.unwrap().unwrap().size, 1000);
    assert!(read(&store, &key, Some(10..5000)).await == file.slice(10..));
}
