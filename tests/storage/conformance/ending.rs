//! How uploads end, and what is there afterwards.

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use muleteer::domain::Upload;
use muleteer::error::Error;

use crate::Place;
use crate::files::{
    MIB, assert_is_there, begin, body, bytes_of, finish, finish_appended, open_body, put, put_all,
    upload_named, upload_of,
};

pub async fn finishing_twice_is_vanished_and_the_file_is_there(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * MIB, 16);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    put_all(&*store, &upload, &file).await;
    let parts = store.parts(&upload).await.unwrap();
    finish(&*store, &upload, &file).await;

    let again = store.finish(&upload, &parts).await;

    assert!(matches!(again, Err(Error::Vanished)), "{again:?}");
    assert_is_there(&*store, &upload, &file).await;
    store.abort(&upload).await.unwrap();
    assert_is_there(&*store, &upload, &file).await;
}

pub async fn finishing_never_overwrites(place: &dyn Place) {
    if !place.keeps_what_is_there() {
        return;
    }
    let store = place.open().await;
    let (first, second) = (bytes_of(MIB, 17), bytes_of(MIB, 18));
    let one = begin(&*store, upload_of(MIB, MIB)).await;
    let mut other = upload_of(MIB, MIB);
    other.key = one.key.clone();
    let other = begin(&*store, other).await;
    put_all(&*store, &one, &first).await;
    put_all(&*store, &other, &second).await;
    finish(&*store, &one, &first).await;

    let parts = store.parts(&other).await.unwrap();
    let refused = store.finish(&other, &parts).await;

    assert!(matches!(refused, Err(Error::StoreRefused { .. })), "{refused:?}");
    assert_is_there(&*store, &one, &first).await;
}

pub async fn finishing_too_early_is_refused_and_can_be_done_later(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * MIB, 19);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    store.append(&upload, 0, body(&file.slice(..1000))).await.unwrap();

    let refused = store.finish(&upload, &[]).await;

    let expected = matches!(refused, Err(Error::OffsetMismatch { expected: 1000, .. }));
    assert!(expected, "{refused:?}");
    assert!(store.find(&upload.key).await.unwrap().is_none());
    store
        .append(&upload, 1000, body(&file.slice(1000..)))
        .await
        .unwrap();
    finish_appended(&*store, &upload, &file).await;
}

pub async fn giving_up_drops_everything_and_can_be_repeated(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * MIB, 20);
    let unknown = upload_of(MIB, MIB);
    store.abort(&unknown).await.unwrap();
    let in_parts = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    put_all(&*store, &in_parts, &file).await;
    let appended = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    store.append(&appended, 0, body(&file)).await.unwrap();

    for upload in [&in_parts, &appended] {
        store.abort(upload).await.unwrap();
        store.abort(upload).await.unwrap();

        assert!(matches!(store.parts(upload).await, Err(Error::Vanished)));
        assert!(store.find(&upload.key).await.unwrap().is_none());
    }
    assert_eq!(store.strays().await.unwrap(), []);
}

pub async fn empty_and_tiny_files_are_files(place: &dyn Place) {
    let store = place.open().await;

    let empty = begin(&*store, upload_of(0, MIB)).await;
    finish(&*store, &empty, &Bytes::new()).await;
    let appended = begin(&*store, upload_of(0, MIB)).await;
    finish_appended(&*store, &appended, &Bytes::new()).await;

    let byte = Bytes::from_static(b"x");
    let tiny = begin(&*store, upload_of(1, MIB)).await;
    put_all(&*store, &tiny, &byte).await;
    finish(&*store, &tiny, &byte).await;
    let appended = begin(&*store, upload_of(1, MIB)).await;
    store.append(&appended, 0, open_body(&byte)).await.unwrap();
    finish_appended(&*store, &appended, &byte).await;
}

pub async fn names_of_any_letters_are_kept(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(1000, 21);
    let long = "n".repeat(222);
    let names = [
        ("videos/2024", "héllo wörld 漢.bin"),
        ("a/b/c/d/e/f", "+%2F%20&=?#;:@!'\"()*[]{}<>|~^`$"),
        ("Привет", " spaces  and.dots "),
        ("x", long.as_str()),
    ];
    for (folder, name) in names {
        let upload = upload_named(folder, name, 1000, MIB);
        store.check_key(&upload.key).unwrap();
        let upload = begin(&*store, upload).await;
        put_all(&*store, &upload, &file).await;
        finish(&*store, &upload, &file).await;
        assert!(store.address(&upload.key).ends_with(upload.key.as_str()));
    }
}

pub async fn a_removed_file_is_gone(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(1000, 22);
    let upload = begin(&*store, upload_of(1000, MIB)).await;
    put_all(&*store, &upload, &file).await;
    finish(&*store, &upload, &file).await;

    store.remove(&upload.key).await.unwrap();
    store.remove(&upload.key).await.unwrap();

    assert!(store.find(&upload.key).await.unwrap().is_none());
    let read = store.read(&upload.key, None).await.map(drop);
    assert!(matches!(read, Err(Error::NotFound(_))), "{read:?}");
}

pub async fn what_is_unfinished_is_listed_and_can_be_dropped(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * MIB, 23);
    let mut unfinished: Vec<Upload> = Vec::new();
    for _ in 0..3 {
        let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
        put(&*store, &upload, &file, 1).await;
        unfinished.push(upload);
    }
    put(&*store, &unfinished[0], &file, 2).await;
    finish(&*store, &unfinished[0], &file).await;

    let strays = store.strays().await.unwrap();

    let dropped = &unfinished[1].id;
    for upload in &unfinished[1..] {
        assert!(strays.iter().any(|stray| stray.upload == upload.id), "{strays:?}");
    }
    assert!(
        strays.iter().all(|stray| stray.upload != unfinished[0].id),
        "{strays:?}"
    );
    for stray in &strays {
        let age = Utc::now() - store.last_active(stray).await.unwrap();
        assert!(
            age > TimeDelta::seconds(-5) && age < TimeDelta::minutes(2),
            "{age}"
        );
    }

    for stray in strays.iter().filter(|stray| stray.upload == *dropped) {
        store.discard(stray).await.unwrap();
        store.discard(stray).await.unwrap();
    }
    assert!(matches!(store.parts(&unfinished[1]).await, Err(Error::Vanished)));
    put(&*store, &unfinished[2], &file, 2).await;
    finish(&*store, &unfinished[2], &file).await;
}

pub async fn it_is_well(place: &dyn Place) {
    let store = place.open().await;
    store.check().await.unwrap();
    let limits = store.limits();
    assert!(limits.min <= limits.preferred && limits.preferred <= limits.max);
    assert_eq!(store.strays().await.unwrap(), [], "asking leaves nothing behind");
}
