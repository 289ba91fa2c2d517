//! Numbered parts, in whatever order and however often.

use bytes::Bytes;
use futures_util::future::join_all;
use muleteer::error::Error;

use crate::Place;
use crate::files::{
    KIB, MIB, assert_is_there, begin, body, bytes_of, finish, is_of_a_body, number, part_of, put, put_all,
    read, stored, upload_of, wrong_bodies,
};

pub async fn parts_in_any_order_make_the_file(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(5 * MIB + 77, 1);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    assert_eq!(stored(&*store, &upload).await, []);

    for n in [4, 6, 1, 5, 3, 2] {
        put(&*store, &upload, &file, n).await;
    }

    let whole = [(1, MIB), (2, MIB), (3, MIB), (4, MIB), (5, MIB), (6, 77)];
    assert_eq!(stored(&*store, &upload).await, whole);
    assert!(
        store.find(&upload.key).await.unwrap().is_none(),
        "not before it is finished"
    );
    finish(&*store, &upload, &file).await;
}

pub async fn parts_at_once_make_the_file(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(64 * 256 * KIB, 2);
    let upload = begin(&*store, upload_of(file.len() as u64, 256 * KIB)).await;

    join_all((1..=64).map(|n| put(&*store, &upload, &file, n))).await;

    finish(&*store, &upload, &file).await;
}

pub async fn parts_of_every_size_make_the_file(place: &dyn Place) {
    let store = place.open().await;
    for part_size in [64 * KIB, MIB, 5 * MIB, 6 * MIB + 1] {
        let file = bytes_of(2 * part_size + 5, part_size);
        let upload = begin(&*store, upload_of(file.len() as u64, part_size)).await;

        put_all(&*store, &upload, &file).await;

        finish(&*store, &upload, &file).await;
    }
}

pub async fn parts_from_two_instances_make_the_file(place: &dyn Place) {
    let (one, other) = (place.open().await, place.open().await);
    let file = bytes_of(12 * MIB, 3);
    let upload = begin(&*one, upload_of(file.len() as u64, MIB)).await;

    join_all((1..=12).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        put(&**store, &upload, &file, n)
    }))
    .await;

    assert_eq!(stored(&*one, &upload).await, stored(&*other, &upload).await);
    finish(&*other, &upload, &file).await;
    assert_is_there(&*one, &upload, &file).await;
}

pub async fn a_file_is_read_in_ranges(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(MIB + 3, 4);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    put_all(&*store, &upload, &file).await;
    finish(&*store, &upload, &file).await;

    for range in [0..1, 0..MIB + 3, 5..6, 1000..900_000, MIB..MIB + 3] {
        let at = |offset: u64| usize::try_from(offset).unwrap();
        let expected = file.slice(at(range.start)..at(range.end));
        assert!(
            read(&*store, &upload.key, Some(range.clone())).await == expected,
            "{range:?}"
        );
    }
}

pub async fn a_part_that_is_sent_again_replaces(place: &dyn Place) {
    let store = place.open().await;
    let (first, second, last) = (bytes_of(3 * MIB, 5), bytes_of(3 * MIB, 6), bytes_of(3 * MIB, 7));
    let upload = begin(&*store, upload_of(first.len() as u64, MIB)).await;
    put_all(&*store, &upload, &first).await;

    // The first with the same bytes again, the second twice with others, the third with others and back.
    put(&*store, &upload, &first, 1).await;
    put(&*store, &upload, &second, 2).await;
    let tag = put(&*store, &upload, &last, 2).await.etag;
    put(&*store, &upload, &second, 3).await;
    put(&*store, &upload, &first, 3).await;

    let parts = store.parts(&upload).await.unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1].etag, tag, "the list tells of the last one");
    let parts = [(&first, 1), (&last, 2), (&first, 3)];
    let whole: Vec<Bytes> = parts.map(|(file, n)| part_of(&upload, file, n)).to_vec();
    finish(&*store, &upload, &whole.concat().into()).await;
}

pub async fn a_wrong_body_leaves_nothing(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(3 * MIB, 8);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    put(&*store, &upload, &file, 1).await;
    put(&*store, &upload, &file, 3).await;

    for (what, wrong) in wrong_bodies(MIB) {
        let refused = store.put(&upload, number(2), wrong).await.unwrap_err();
        assert!(is_of_a_body(&refused), "{what}: {refused:?}");
        assert_eq!(stored(&*store, &upload).await, [(1, MIB), (3, MIB)], "{what}");
    }

    put(&*store, &upload, &file, 2).await;
    finish(&*store, &upload, &file).await;
}

pub async fn a_wrong_body_leaves_the_part_that_was_there(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(3 * MIB, 9);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    put_all(&*store, &upload, &file).await;
    let before = store.parts(&upload).await.unwrap();

    for (what, wrong) in wrong_bodies(MIB) {
        let refused = store.put(&upload, number(2), wrong).await.unwrap_err();
        assert!(is_of_a_body(&refused), "{what}: {refused:?}");
        assert_eq!(store.parts(&upload).await.unwrap(), before, "{what}");
    }

    finish(&*store, &upload, &file).await;
}

pub async fn what_is_not_known_is_vanished(place: &dyn Place) {
    let store = place.open().await;
    let mut unknown = begin(&*store, upload_of(2 * MIB, MIB)).await;
    store.abort(&unknown).await.unwrap();

    let file = bytes_of(2 * MIB, 10);
    let put = store
        .put(&unknown, number(1), body(&part_of(&unknown, &file, 1)))
        .await;
    assert!(matches!(put, Err(Error::Vanished)), "{put:?}");
    let parts = store.parts(&unknown).await;
    assert!(matches!(parts, Err(Error::Vanished)), "{parts:?}");
    let finished = store.finish(&unknown, &[]).await;
    assert!(matches!(finished, Err(Error::Vanished)), "{finished:?}");
    let offset = store.offset(&unknown).await;
    assert!(matches!(offset, Err(Error::Vanished)), "{offset:?}");
    let appended = store.append(&unknown, 0, body(&file)).await;
    assert!(matches!(appended, Err(Error::Vanished)), "{appended:?}");

    // One upload's parts are not another's.
    let known = begin(&*store, upload_of(2 * MIB, MIB)).await;
    put_all(&*store, &known, &file).await;
    unknown.key = known.key.clone();
    assert!(matches!(store.parts(&unknown).await, Err(Error::Vanished)));
    finish(&*store, &known, &file).await;
    let after = store.parts(&known).await;
    assert!(matches!(after, Err(Error::Vanished)), "{after:?}");
}
