//! What is special to folders of this machine: symbolic links, renames, and what a kill leaves behind.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use muleteer::domain::{ObjectKey, Upload};
use muleteer::error::Error;
use muleteer::storage::{Expectation, LocalSettings, LocalStore, Storage};
use tempfile::TempDir;

use crate::Place;
use crate::files::{
    MIB, assert_is_there, begin, body, bytes_of, cut_body, finish, finish_appended, number, part_of, put,
    put_all, read, stored, upload_of,
};

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

fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::StoreRefused { .. })), "{result:?}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[tokio::test]
async fn a_link_out_of_the_root_is_refused_wherever_a_key_leads_through_it() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 1));
    fs::write(outside.join("secret"), "secret").unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;
    symlink(&outside, place.root().join("files")).unwrap();

    let parts = store.parts(&upload).await.unwrap();
    assert_refused(store.finish(&upload, &parts).await);

    let secret = ObjectKey::path("files/secret").unwrap();
    assert_refused(store.find(&secret).await);
    assert_refused(store.read(&secret, None).await.map(drop));
    assert_refused(store.remove(&secret).await);
    assert_refused(store.begin(&upload_of(1, MIB)).await);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);

    fs::remove_file(place.root().join("files")).unwrap();
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_relative_link_out_of_the_root_is_refused_too() {
    let place = Folder::make();
    let (store, outside) = (place.store(), place.outside());
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink("../outside", place.root().join("files")).unwrap();

    assert_refused(store.begin(&upload_of(1, MIB)).await);
    assert_refused(store.find(&ObjectKey::path("files/secret").unwrap()).await);
}

#[tokio::test]
async fn a_link_that_bears_an_objects_own_name_is_neither_followed_nor_replaced() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 2));
    fs::write(outside.join("secret"), "secret").unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;
    let target = place.root().join(upload.key.as_str());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    symlink(outside.join("secret"), &target).unwrap();

    let parts = store.parts(&upload).await.unwrap();
    assert_refused(store.finish(&upload, &parts).await);
    assert_refused(store.find(&upload.key).await);
    assert_refused(store.read(&upload.key, None).await.map(drop));

    // Removing it removes the link.
    store.remove(&upload.key).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_link_in_the_place_of_unfinished_data_is_not_followed_out() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 3));
    fs::write(outside.join("data"), "secret").unwrap();
    let folder = begin(&store, upload_of(1000, MIB)).await;
    fs::remove_dir_all(place.work(&folder, "")).unwrap();
    symlink(&outside, place.root().join(".muleteer").join(folder.id.as_str())).unwrap();
    let data = begin(&store, upload_of(1000, MIB)).await;
    fs::remove_file(place.work(&data, "data")).unwrap();
    symlink(outside.join("data"), place.work(&data, "data")).unwrap();

    for upload in [&folder, &data] {
        assert_refused(store.put(upload, number(1), body(&file)).await);
        assert_refused(store.append(upload, 0, body(&file)).await);
        assert_refused(store.finish(upload, &[]).await);
    }

    let _ = store.abort(&folder).await;
    store.abort(&data).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("data")).unwrap(), "secret");
}

#[tokio::test]
async fn links_within_the_root_lead_where_they_lead() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(1000, 4));
    fs::create_dir(place.root().join("elsewhere")).unwrap();
    symlink("elsewhere", place.root().join("files")).unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;

    finish(&store, &upload, &file).await;

    assert_eq!(fs::read_dir(place.root().join("elsewhere")).unwrap().count(), 1);
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
async fn finishing_is_a_rename_whatever_the_size() {
    let place = Folder::make();
    let store = place.store();
    let size = 1 << 30;
    let upload = begin(&store, upload_of(size, size)).await;
    let data = fs::File::options()
        .write(true)
        .open(place.work(&upload, "data"))
        .unwrap();
    data.set_len(size).unwrap();
    let inode = data.metadata().unwrap().ino();

    let before = std::time::Instant::now();
    store.finish(&upload, &[]).await.unwrap();
    let took = before.elapsed();

    let finished = fs::metadata(place.root().join(upload.key.as_str())).unwrap();
    assert_eq!((finished.len(), finished.ino()), (size, inode));
    assert!(finished.blocks() < 100, "it was copied");
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn the_bytes_of_parts_are_written_once() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(4 * MIB, 5));
    let upload = begin(&store, upload_of(4 * MIB, MIB)).await;
    let inode = fs::metadata(place.work(&upload, "data")).unwrap().ino();
    put_all(&store, &upload, &file).await;
    // A part whose answer was lost comes again, and leaves nothing beside it.
    put(&store, &upload, &file, 2).await;
    let mut names: Vec<_> = fs::read_dir(place.work(&upload, ""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "journal"]);

    finish(&store, &upload, &file).await;

    let finished = fs::metadata(place.root().join(upload.key.as_str())).unwrap();
    assert_eq!(finished.ino(), inode);
    assert!(is_empty(&place.root().join(".muleteer")));
}

#[tokio::test]
async fn a_torn_journal_tells_of_what_was_acknowledged_and_goes_on() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(3 * MIB, 6));
    let upload = begin(&store, upload_of(3 * MIB, MIB)).await;
    put(&store, &upload, &file, 1).await;
    put(&store, &upload, &file, 2).await;
    let journal = place.work(&upload, "journal");
    let length = fs::metadata(&journal).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&journal)
        .unwrap()
        .set_len(length - 9)
        .unwrap();

    assert_eq!(stored(&store, &upload).await, [(1, MIB)]);
    let early = store.finish(&upload, &[]).await;
    assert!(
        matches!(early, Err(Error::Incomplete { total: 2, .. })),
        "{early:?}"
    );
    put(&store, &upload, &file, 3).await;
    assert_eq!(stored(&store, &upload).await, [(1, MIB), (3, MIB)]);
    put(&store, &upload, &file, 2).await;
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_kill_while_a_part_comes_again_costs_nothing() {
    let place = Folder::make();
    let (store, file, other) = (place.store(), bytes_of(2 * MIB, 7), bytes_of(2 * MIB, 8));
    let upload = begin(&store, upload_of(2 * MIB, MIB)).await;
    put_all(&store, &upload, &file).await;
    put(&store, &upload, &other, 2).await;
    // The next is cut before its line, and finishing is cut while the replaced part is put into its place.
    fs::write(place.work(&upload, "1.half"), "half of it").unwrap();
    let data = place.work(&upload, "data");
    let mut bytes = fs::read(&data).unwrap();
    bytes[usize::try_from(MIB).unwrap()..][..1000].copy_from_slice(&part_of(&upload, &other, 2)[..1000]);
    fs::write(&data, bytes).unwrap();

    let whole = [part_of(&upload, &file, 1), part_of(&upload, &other, 2)].concat();
    finish(&place.store(), &upload, &whole.into()).await;
    assert!(is_empty(&place.root().join(".muleteer")));
}

#[tokio::test]
async fn a_kill_after_the_rename_leaves_what_can_be_cleaned() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(MIB, 9));
    let upload = begin(&store, upload_of(MIB, MIB)).await;
    put_all(&store, &upload, &file).await;
    let parts = store.parts(&upload).await.unwrap();
    let target = place.root().join(upload.key.as_str());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::rename(place.work(&upload, "data"), target).unwrap();

    let again = store.finish(&upload, &parts).await;
    assert!(matches!(again, Err(Error::Vanished)), "{again:?}");
    assert!(matches!(store.parts(&upload).await, Err(Error::Vanished)));
    assert!(matches!(store.offset(&upload).await, Err(Error::Vanished)));
    assert_is_there(&store, &upload, &file).await;

    let strays = store.strays().await.unwrap();
    assert_eq!(strays.len(), 1);
    store.discard(&strays[0]).await.unwrap();
    assert!(is_empty(&place.root().join(".muleteer")));
    assert_is_there(&store, &upload, &file).await;
}

#[tokio::test]
async fn bytes_that_were_never_proven_right_do_not_count_after_a_kill() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(MIB, 10));
    let upload = begin(&store, upload_of(MIB, MIB)).await;
    store.append(&upload, 0, body(&file.slice(..1000))).await.unwrap();
    fs::write(place.work(&upload, "unproven"), "1000").unwrap();
    let mut bytes = fs::read(place.work(&upload, "data")).unwrap();
    bytes.extend_from_slice(&[7; 5000]);
    fs::write(place.work(&upload, "data"), bytes).unwrap();

    assert_eq!(store.offset(&upload).await.unwrap(), 1000);
    store
        .append(&upload, 1000, body(&file.slice(1000..2000)))
        .await
        .unwrap();
    assert_eq!(store.offset(&upload).await.unwrap(), 2000);
    // One that was torn before any byte was written says nothing.
    fs::write(place.work(&upload, "unproven"), "").unwrap();
    assert_eq!(store.offset(&upload).await.unwrap(), 2000);
    store
        .append(&upload, 2000, body(&file.slice(2000..)))
        .await
        .unwrap();
    finish_appended(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_copy_of_the_folder_at_any_moment_holds_all_that_was_acknowledged() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(8 * MIB, 11));
    let upload = begin(&store, upload_of(8 * MIB, MIB)).await;
    for n in 1..=5 {
        put(&store, &upload, &file, n).await;
    }
    let half = part_of(&upload, &file, 6).slice(..600_000);
    let cut = cut_body(&half, Expectation::exactly(MIB, None));
    store.put(&upload, number(6), cut).await.unwrap_err();

    let other = Folder::make();
    let after = other.store();
    fs::create_dir(other.work(&upload, "")).unwrap();
    for name in ["data", "journal"] {
        fs::copy(place.work(&upload, name), other.work(&upload, name)).unwrap();
    }

    assert_eq!(stored(&after, &upload).await.len(), 5);
    for n in 6..=8 {
        put(&after, &upload, &file, n).await;
    }
    finish(&after, &upload, &file).await;
}

#[tokio::test]
async fn a_finished_upload_does_not_take_the_place_of_a_file_that_is_there() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(1000, 12));
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;
    let target = place.root().join(upload.key.as_str());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(&target, "somebody's").unwrap();

    let parts = store.parts(&upload).await.unwrap();
    assert_refused(store.finish(&upload, &parts).await);

    assert_eq!(fs::read_to_string(&target).unwrap(), "somebody's");
    fs::remove_file(&target).unwrap();
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_part_never_reaches_beyond_its_own_place() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(2 * MIB, 13));
    let upload = begin(&store, upload_of(2 * MIB, MIB)).await;
    put_all(&store, &upload, &file).await;

    let two_parts = store.put(&upload, number(1), body(&bytes_of(2 * MIB, 14))).await;
    assert!(matches!(two_parts, Err(Error::WrongSize { .. })), "{two_parts:?}");
    let third = store.put(&upload, number(3), body(&bytes_of(MIB, 15))).await;
    assert!(matches!(third, Err(Error::Invalid(_))), "{third:?}");

    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_part_of_an_upload_that_was_dropped_meanwhile_is_not_acknowledged() {
    use futures_util::StreamExt as _;
    let place = Folder::make();
    let (store, other, file) = (place.store(), place.store(), bytes_of(MIB, 16));
    let upload = begin(&store, upload_of(MIB, MIB)).await;
    let dropped = upload.clone();
    let pieces = crate::files::pieces(&file).chain(futures_util::stream::once(async move {
        other.abort(&dropped).await.expect("it is dropped");
        Ok(Bytes::new())
    }));
    let body = muleteer::storage::Body::new(pieces, Expectation::exactly(MIB, None));

    let put = store.put(&upload, number(1), body).await;

    assert!(matches!(put, Err(Error::Vanished)), "{put:?}");
    assert!(is_empty(&place.root().join(".muleteer")));
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
async fn a_pipe_or_a_folder_is_no_file() {
    let place = Folder::make();
    let store = place.store();
    fs::create_dir_all(place.root().join("files/folder")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(place.root().join("files/pipe"))
        .status();
    assert!(made.unwrap().success());

    for key in ["files/folder", "files/pipe", "files/folder/none"] {
        let key = ObjectKey::path(key).unwrap();
        assert_eq!(store.find(&key).await.unwrap(), None);
        assert!(matches!(
            store.read(&key, None).await.map(drop),
            Err(Error::NotFound(_))
        ));
    }
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
