//! One file, written once: what a kill leaves of it, and who may have it.

use bytes::Bytes;
use muleteer::error::Error;
use muleteer::storage::{Expectation, Storage};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Folder, assert_refused, is_empty};
use crate::files::{
    MIB, assert_is_there, begin, body, bytes_of, cut_body, finish, finish_appended, number, part_of, put,
    put_all, stored, upload_of,
};

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
    assert_refused(&store.finish(&upload, &parts).await);

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
