//! Uploads whose length is told late.

use bytes::Bytes;
use muleteer::error::Error;

use crate::Place;
use crate::files::{
    MIB, assert_is_there, begin, body, bytes_of, declared, deferred, finish_appended, open_body,
};

pub async fn a_length_may_be_told_at_the_end(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * place.least_part() + MIB + 13, 31);
    let upload = begin(&*store, deferred()).await;
    let mut offset = 0;

    for size in [1, 700_000, file.len()] {
        let start = usize::try_from(offset).unwrap();
        let next = file.slice(start..file.len().min(start + size));
        let body = if size == 1 { body(&next) } else { open_body(&next) };
        offset = store.append(&upload, offset, body).await.unwrap();
        assert_eq!(store.offset(&upload).await.unwrap(), offset);
    }

    let early = store.finish(&declared(&upload, offset + 1), &[]).await;
    assert!(
        matches!(early, Err(Error::OffsetMismatch { expected, .. }) if expected == offset),
        "{early:?}"
    );
    finish_appended(&*store, &declared(&upload, offset), &file).await;
}

pub async fn a_length_may_be_told_on_the_way(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(place.least_part() + 1000, 32);
    let upload = begin(&*store, deferred()).await;
    store
        .append(&upload, 0, open_body(&file.slice(..500)))
        .await
        .unwrap();

    let upload = declared(&upload, file.len() as u64);
    place
        .open()
        .await
        .append(&upload, 500, open_body(&file.slice(500..)))
        .await
        .unwrap();

    finish_appended(&*store, &upload, &file).await;
}

pub async fn a_length_that_was_told_and_is_not_on_record_loses_nothing(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(place.least_part() + 1000, 33);
    let upload = begin(&*store, deferred()).await;
    let first = file.slice(..500);
    store.append(&upload, 0, open_body(&first)).await.unwrap();
    let told = declared(&upload, file.len() as u64);
    let rest = open_body(&file.slice(500..));
    store.append(&told, 500, rest).await.unwrap();

    // The program dies before it writes the length down: whoever looks knows none, and finds every byte.
    let offset = place.open().await.offset(&upload).await.unwrap();

    assert_eq!(offset, file.len() as u64);
    finish_appended(&*store, &told, &file).await;
}

pub async fn a_file_of_unknown_length_may_turn_out_empty(place: &dyn Place) {
    let store = place.open().await;
    let nothing = Bytes::new();
    let upload = begin(&*store, deferred()).await;
    assert_eq!(store.offset(&upload).await.unwrap(), 0);
    assert_eq!(store.append(&upload, 0, open_body(&nothing)).await.unwrap(), 0);

    finish_appended(&*store, &declared(&upload, 0), &nothing).await;

    assert_eq!(store.strays().await.unwrap(), []);
    let again = store.finish(&declared(&upload, 0), &[]).await;
    assert!(matches!(again, Err(Error::Vanished)), "{again:?}");
    assert_is_there(&*store, &upload, &nothing).await;
}
