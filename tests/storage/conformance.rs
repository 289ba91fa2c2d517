//! What every storage has to do, as [`Storage`](muleteer::storage::Storage) promises it.

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use muleteer::domain::Upload;
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation};

use crate::Place;
use crate::files::{
    KIB, MIB, assert_is_there, begin, body, bytes_of, cut_body, finish, finish_appended, is_of_a_body,
    number, part_of, pieces, put, put_all, read, stored, sum, upload_named, upload_of, wrong_bodies,
};

/// One line for each backend: its name, and a future that gives an `Option` of its [`Place`]; `None` leaves it out.
macro_rules! conformance {
    ($($backend:ident => $place:expr;)*) => {$(
        mod $backend {
            use super::*;

            conformance! { @tests $place;
                parts_in_any_order_make_the_file,
                parts_at_once_make_the_file,
                parts_of_every_size_make_the_file,
                parts_from_two_instances_make_the_file,
                a_file_is_read_in_ranges,
                a_part_that_is_sent_again_replaces,
                a_wrong_body_leaves_nothing,
                a_wrong_body_leaves_the_part_that_was_there,
                what_is_not_known_is_vanished,
                bytes_are_appended_in_any_sizes,
                bytes_for_another_offset_are_refused,
                a_cut_body_keeps_what_came_where_every_byte_counts,
                a_body_that_counts_as_a_whole_keeps_nothing_when_it_fails,
                a_new_instance_sees_parts_and_offset,
                finishing_twice_is_vanished_and_the_file_is_there,
                finishing_never_overwrites,
                finishing_too_early_is_refused_and_can_be_done_later,
                giving_up_drops_everything_and_can_be_repeated,
                empty_and_tiny_files_are_files,
                names_of_any_letters_are_kept,
                a_removed_file_is_gone,
                what_is_unfinished_is_listed_and_can_be_dropped,
                it_is_well,
            }
        }
    )*};
    (@tests $place:expr; $($name:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            match $place.await {
                Some(place) => conformance::$name(&place).await,
                None => eprintln!("left out: there is no such storage here"),
            }
        }
    )*};
}

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

/// A body whose every byte counts.
fn open_body(bytes: &Bytes) -> Body {
    Body::new(pieces(bytes), Expectation::at_most(bytes.len() as u64))
}

fn offset_of(bytes: &Bytes, rest: &Bytes) -> u64 {
    (bytes.len() - rest.len()) as u64
}

pub async fn bytes_are_appended_in_any_sizes(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(7 * MIB + 13, 11);
    let upload = begin(&*store, upload_of(file.len() as u64, 5 * MIB)).await;
    assert_eq!(store.offset(&upload).await.unwrap(), 0);
    let mut rest = file.clone();

    for (turn, size) in [0, 1, 0, 1_000_003, 17, 262_144, 3_000_000]
        .into_iter()
        .cycle()
        .enumerate()
    {
        if rest.is_empty() {
            break;
        }
        let offset = offset_of(&file, &rest);
        let next = rest.split_to(size.min(rest.len()));
        let body = if turn % 2 == 0 {
            open_body(&next)
        } else {
            body(&next)
        };

        let after = store.append(&upload, offset, body).await.unwrap();

        assert_eq!(after, offset + next.len() as u64);
        assert_eq!(store.offset(&upload).await.unwrap(), after);
    }

    finish_appended(&*store, &upload, &file).await;
}

pub async fn bytes_for_another_offset_are_refused(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(MIB, 12);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    let (head, tail) = (file.slice(..1000), file.slice(1000..));
    store.append(&upload, 0, body(&head)).await.unwrap();

    for wrong in [0, 999, 1001, MIB] {
        let refused = store.append(&upload, wrong, body(&tail)).await;
        let expected =
            matches!(refused, Err(Error::OffsetMismatch { expected: 1000, provided }) if provided == wrong);
        assert!(expected, "{refused:?}");
    }

    store.append(&upload, 1000, body(&tail)).await.unwrap();
    let again = store.append(&upload, 1000, body(&tail)).await;
    assert!(
        matches!(again, Err(Error::OffsetMismatch { expected: MIB, .. })),
        "{again:?}"
    );
    finish_appended(&*store, &upload, &file).await;
}

pub async fn a_cut_body_keeps_what_came_where_every_byte_counts(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(3 * MIB, 13);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    let mut rest = file.clone();

    for size in [1, 700_000, 0, 1_500_000, 3] {
        let offset = offset_of(&file, &rest);
        let came = rest.split_to(size);
        let body = cut_body(&came, Expectation::at_most(3 * MIB));
        let receipt = body.receipt();

        let after = store.append(&upload, offset, body).await.unwrap();

        assert_eq!(after, offset + size as u64);
        assert_eq!(receipt.failure(), Some(BodyError::Cut));
        assert_eq!(store.offset(&upload).await.unwrap(), after);
    }

    store
        .append(&upload, offset_of(&file, &rest), open_body(&rest))
        .await
        .unwrap();
    finish_appended(&*store, &upload, &file).await;
}

pub async fn a_body_that_counts_as_a_whole_keeps_nothing_when_it_fails(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * MIB, 14);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    let (head, tail) = (file.slice(..1000), file.slice(1000..));
    store.append(&upload, 0, open_body(&head)).await.unwrap();

    let digest_alone = Expectation {
        sha256: Some(sum(&tail)),
        ..Expectation::at_most(2 * MIB)
    };
    let half = tail.slice(..1 << 20);
    for length in [10, MIB] {
        for (what, wrong) in wrong_bodies(length) {
            let refused = store.append(&upload, 1000, wrong).await.unwrap_err();
            assert!(is_of_a_body(&refused), "{what}: {refused:?}");
            assert_eq!(store.offset(&upload).await.unwrap(), 1000, "{what} of {length}");
        }
    }
    let refused = store
        .append(&upload, 1000, cut_body(&half, digest_alone))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Interrupted), "{refused:?}");
    assert_eq!(store.offset(&upload).await.unwrap(), 1000);

    let right = Body::new(pieces(&tail), digest_alone);
    assert_eq!(store.append(&upload, 1000, right).await.unwrap(), 2 * MIB);
    finish_appended(&*store, &upload, &file).await;
}

pub async fn a_new_instance_sees_parts_and_offset(place: &dyn Place) {
    let file = bytes_of(2 * MIB, 15);
    let before = place.open().await;
    let in_parts = begin(&*before, upload_of(file.len() as u64, MIB)).await;
    let appended = begin(&*before, upload_of(file.len() as u64, MIB)).await;
    let part = put(&*before, &in_parts, &file, 2).await;
    let head = file.slice(..1_234_567);
    before.append(&appended, 0, open_body(&head)).await.unwrap();
    drop(before);

    let after = place.open().await;

    assert_eq!(after.parts(&in_parts).await.unwrap(), [part]);
    put(&*after, &in_parts, &file, 1).await;
    finish(&*after, &in_parts, &file).await;
    assert_eq!(after.offset(&appended).await.unwrap(), 1_234_567);
    let tail = file.slice(1_234_567..);
    after.append(&appended, 1_234_567, body(&tail)).await.unwrap();
    finish_appended(&*after, &appended, &file).await;
}

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
