//! One store and a server that stays.

use muleteer::domain::Sha256Sum;
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation, SmbStore, Storage as _};

use crate::kit::{bytes_of, failing, number, object, upload};
use crate::samba;

const MIB: usize = 1 << 20;

fn store() -> Option<SmbStore> {
    samba::fresh_folder().map(|settings| SmbStore::new(settings).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_any_order_become_the_file() {
    let Some(store) = store() else { return };
    let upload = upload(10 * MIB as u64 + 3, 4 * MIB as u64, "héllo wörld 漢.bin");
    let parts: Vec<_> = [(1, 4 * MIB), (2, 4 * MIB), (3, 2 * MIB + 3)]
        .map(|(n, length)| bytes_of(n, length))
        .into();
    store.check().await.unwrap();
    store.begin(&upload).await.unwrap();

    for n in [3, 1, 2] {
        let body = Body::of(parts[n - 1].clone());
        store.put(&upload, number(n as u64), body).await.unwrap();
    }
    let stored = store.parts(&upload).await.unwrap();
    store.finish(&upload, &stored).await.unwrap();

    assert_eq!(stored.iter().map(|part| part.size).sum::<u64>(), upload.size);
    assert!(object(&store, &upload).await.unwrap() == parts.concat());
    assert_eq!(store.find(&upload.key).await.unwrap().unwrap().size, upload.size);
    let again = store.finish(&upload, &stored).await;
    assert!(matches!(again, Err(Error::Vanished)), "{again:?}");
    assert!(store.strays().await.unwrap().is_empty());
    let range = store
        .read(&upload.key, Some(4 * MIB as u64 - 2..4 * MIB as u64 + 2))
        .await
        .unwrap();
    let range: Vec<_> = futures_util::TryStreamExt::try_collect(range).await.unwrap();
    assert_eq!(range.concat(), parts.concat()[4 * MIB - 2..4 * MIB + 2]);
    store.remove(&upload.key).await.unwrap();
    store.remove(&upload.key).await.unwrap();
    assert_eq!(store.find(&upload.key).await.unwrap(), None);
    assert!(matches!(
        store.read(&upload.key, None).await.err(),
        Some(Error::NotFound(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_take_several_requests_to_copy_are_joined() {
    let Some(store) = store() else { return };
    let bytes = [(1, 33 * MIB + 5), (2, 3), (3, 16 * MIB)].map(|(n, length)| bytes_of(n, length));
    let mut sources = Vec::new();
    for bytes in &bytes {
        let source = upload(bytes.len() as u64, MIB as u64, "source");
        store.begin(&source).await.unwrap();
        store.append(&source, 0, Body::of(bytes.clone())).await.unwrap();
        sources.push(source);
    }
    let whole = bytes.concat();
    let joined = upload(whole.len() as u64, MIB as u64, "joined");
    store.begin(&joined).await.unwrap();

    store.join(&joined, &sources).await.unwrap();

    assert!(object(&store, &joined).await.unwrap() == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_sent_again_replaces_the_first_only_once_it_is_whole() {
    let Some(store) = store() else { return };
    let upload = upload(2 * MIB as u64, MIB as u64, "x");
    let (one, other, two) = (bytes_of(1, MIB), bytes_of(9, MIB), bytes_of(2, MIB));
    store.begin(&upload).await.unwrap();
    store
        .put(&upload, number(2), Body::of(two.clone()))
        .await
        .unwrap();
    let first = store.put(&upload, number(1), Body::of(one)).await.unwrap();

    let claim = Expectation::exactly(MIB as u64, Some(Sha256Sum::new([1; 32])));
    let body = failing(other.slice(..MIB / 2), BodyError::Cut, claim);
    let cut = store.put(&upload, number(1), body).await;
    assert!(matches!(cut, Err(Error::Interrupted)), "{cut:?}");
    assert_eq!(store.parts(&upload).await.unwrap()[0], first);
    let second = store
        .put(&upload, number(1), Body::of(other.clone()))
        .await
        .unwrap();

    let stored = store.parts(&upload).await.unwrap();
    assert_eq!(stored[0], second);
    assert_eq!(stored.len(), 2);
    store.finish(&upload, &stored).await.unwrap();
    assert!(object(&store, &upload).await.unwrap() == [other, two].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_counts_up_to_the_cut() {
    let Some(store) = store() else { return };
    let bytes = bytes_of(1, 5 * MIB);
    let upload = upload(bytes.len() as u64, 1, "x");
    let half = 2 * MIB + 7;
    store.begin(&upload).await.unwrap();

    let open = Expectation::at_most(upload.size);
    let body = failing(bytes.slice(..half), BodyError::Cut, open);
    assert_eq!(store.append(&upload, 0, body).await.unwrap(), half as u64);
    let wrong = store.append(&upload, 1, Body::of("x")).await;
    assert!(matches!(wrong, Err(Error::OffsetMismatch { expected, provided: 1 }) if expected == half as u64));
    let claim = Expectation::exactly(3, Some(Sha256Sum::new([1; 32])));
    let body = failing("xy".into(), BodyError::Mismatch, claim);
    let mismatch = store.append(&upload, half as u64, body).await;
    assert!(
        matches!(mismatch, Err(Error::ChecksumMismatch { .. })),
        "{mismatch:?}"
    );
    assert_eq!(store.offset(&upload).await.unwrap(), half as u64);
    let early = store.finish(&upload, &[]).await;
    assert!(matches!(early, Err(Error::OffsetMismatch { .. })), "{early:?}");
    let end = store
        .append(&upload, half as u64, Body::of(bytes.slice(half..)))
        .await
        .unwrap();

    assert_eq!(end, upload.size);
    store.finish(&upload, &[]).await.unwrap();
    assert!(object(&store, &upload).await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_hole_is_not_finished_however_long_it_is() {
    let Some(store) = store() else { return };
    let upload = upload(3 * MIB as u64, MIB as u64, "x");
    store.begin(&upload).await.unwrap();
    for n in [1, 3] {
        store
            .put(&upload, number(n), Body::of(bytes_of(n, MIB)))
            .await
            .unwrap();
    }

    let stored = store.parts(&upload).await.unwrap();
    let refused = store.finish(&upload, &stored).await;

    assert!(
        matches!(refused, Err(Error::Incomplete { total: 1, .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_one_and_what_is_given_up_is_gone() {
    let Some(store) = store() else { return };
    let (empty, given_up) = (upload(0, 1, "empty"), upload(9, 9, "given up"));
    store.begin(&empty).await.unwrap();
    store.begin(&given_up).await.unwrap();
    let strays = store.strays().await.unwrap();

    store.finish(&empty, &[]).await.unwrap();
    store.abort(&given_up).await.unwrap();
    store.abort(&given_up).await.unwrap();

    assert_eq!(strays.len(), 2);
    let age = chrono::Utc::now() - strays[0].last_active;
    assert!(age.abs() < chrono::TimeDelta::minutes(1), "{age}");
    assert_eq!(object(&store, &empty).await.unwrap(), b"");
    let late = store.put(&given_up, number(1), Body::of(bytes_of(1, 9))).await;
    assert!(matches!(late, Err(Error::Vanished)), "{late:?}");
    assert!(matches!(store.parts(&given_up).await, Err(Error::Vanished)));
    assert!(store.strays().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_there_is_never_overwritten() {
    let Some(store) = store() else { return };
    let first = upload(3, 3, "x");
    let mut second = upload(3, 3, "x");
    second.key = first.key.clone();
    for (upload, text) in [(&first, "one"), (&second, "two")] {
        store.begin(upload).await.unwrap();
        store.put(upload, number(1), Body::of(text)).await.unwrap();
    }

    store.finish(&first, &[]).await.unwrap();
    let refused = store.finish(&second, &[]).await;

    assert!(matches!(refused, Err(Error::StoreRefused { .. })), "{refused:?}");
    assert_eq!(object(&store, &first).await.unwrap(), b"one");
}
