//! Bytes at the end of what is there.

use bytes::Bytes;
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation};

use crate::Place;
use crate::files::{
    MIB, begin, body, bytes_of, cut_body, finish, finish_appended, is_of_a_body, open_body, pieces, put, sum,
    upload_of, wrong_bodies,
};

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

    let digest_alone = || Expectation::at_most(2 * MIB).with_checksum(Some(sum(&tail).into()));
    let half = tail.slice(..1 << 20);
    for length in [10, MIB] {
        for (what, wrong) in wrong_bodies(length) {
            let refused = store.append(&upload, 1000, wrong).await.unwrap_err();
            assert!(is_of_a_body(&refused), "{what}: {refused:?}");
            assert_eq!(store.offset(&upload).await.unwrap(), 1000, "{what} of {length}");
        }
    }
    let refused = store
        .append(&upload, 1000, cut_body(&half, digest_alone()))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Interrupted), "{refused:?}");
    assert_eq!(store.offset(&upload).await.unwrap(), 1000);

    let right = Body::new(pieces(&tail), digest_alone());
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
