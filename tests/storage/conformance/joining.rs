//! One object of the bytes of several uploads.

use bytes::Bytes;
use muleteer::domain::Upload;
use muleteer::error::Error;
use muleteer::storage::Storage;

use crate::Place;
use crate::files::{
    MIB, assert_is_there, begin, body, bytes_of, declared, deferred, open_body, partial, partial_of,
    upload_of,
};

/// Joins these, and compares the object with what it has to be.
async fn join(store: &dyn Storage, sources: &[(&Upload, &Bytes)]) -> Upload {
    let whole: Bytes = sources
        .iter()
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    let upload = begin(store, upload_of(whole.len() as u64, MIB)).await;
    let sources: Vec<Upload> = sources.iter().map(|(source, _)| (*source).clone()).collect();
    store.join(&upload, &sources).await.expect("they are joined");
    assert_is_there(store, &upload, &whole).await;
    upload
}

async fn partials(store: &dyn Storage, sizes: &[u64]) -> Vec<(Upload, Bytes)> {
    let mut made = Vec::new();
    for (seed, size) in (100..).zip(sizes) {
        let bytes = bytes_of(*size, seed);
        made.push((partial(store, &bytes).await, bytes));
    }
    made
}

fn refer(sources: &[(Upload, Bytes)]) -> Vec<(&Upload, &Bytes)> {
    sources.iter().map(|(source, bytes)| (source, bytes)).collect()
}

pub async fn uploads_of_every_size_are_joined_in_order(place: &dyn Place) {
    let store = place.open().await;
    let least = place.least_part();
    let sizes = [3, least + 9, 0, least / 2, 1, 2 * least, least, 7];
    let sources = partials(&*store, &sizes).await;
    let sources = refer(&sources);

    join(&*store, &sources).await;

    let in_reverse: Vec<_> = sources.iter().rev().copied().collect();
    join(&*place.open().await, &in_reverse).await;
}

pub async fn one_upload_is_joined_as_often_as_it_is_wanted(place: &dyn Place) {
    let store = place.open().await;
    let sources = partials(&*store, &[5000, place.least_part()]).await;
    let (small, large) = ((&sources[0].0, &sources[0].1), (&sources[1].0, &sources[1].1));

    join(&*store, &[small, small]).await;
    join(&*store, &[large, small, large, large]).await;
    join(&*store, &[large]).await;
    join(&*store, &[small]).await;

    // It is still what it was.
    assert_eq!(store.offset(small.0).await.unwrap(), 5000);
    assert_eq!(store.offset(large.0).await.unwrap(), large.0.size);
}

pub async fn nothing_joined_with_nothing_is_an_empty_file(place: &dyn Place) {
    let store = place.open().await;
    let sources = partials(&*store, &[0, 0]).await;
    let unknown = {
        let mut upload = deferred();
        (upload.key, upload.appending) = {
            let partial = partial_of(0);
            let mut appending = partial.appending.clone().unwrap();
            appending.length = muleteer::domain::Length::Deferred;
            (
                muleteer::domain::ObjectKey::path(&format!(".muleteer/{}/whole", upload.id)).unwrap(),
                Some(appending),
            )
        };
        declared(&begin(&*store, upload).await, 0)
    };

    let nothing = Bytes::new();
    join(
        &*store,
        &[
            (&sources[0].0, &nothing),
            (&unknown, &nothing),
            (&sources[1].0, &nothing),
        ],
    )
    .await;
}

pub async fn joining_begins_anew_after_a_failure(place: &dyn Place) {
    let store = place.open().await;
    let least = place.least_part();
    let sources = partials(&*store, &[least, 1000]).await;
    let bytes = bytes_of(2 * least, 110);
    let late = begin(&*store, partial_of(bytes.len() as u64)).await;
    let half = usize::try_from(least).unwrap() + 5;
    store
        .append(&late, 0, open_body(&bytes.slice(..half)))
        .await
        .unwrap();
    let whole: Bytes = [&sources[0].1[..], &sources[1].1, &bytes].concat().into();
    let upload = begin(&*store, upload_of(whole.len() as u64, MIB)).await;
    let all = [sources[0].0.clone(), sources[1].0.clone(), late.clone()];

    let early = store.join(&upload, &all).await;

    let expected = least + 5;
    assert!(
        matches!(early, Err(Error::OffsetMismatch { expected: e, provided }) if e == expected && provided == late.size),
        "{early:?}"
    );
    assert!(store.find(&upload.key).await.unwrap().is_none());
    store
        .append(&late, expected, body(&bytes.slice(half..)))
        .await
        .unwrap();
    place.open().await.join(&upload, &all).await.unwrap();
    assert_is_there(&*store, &upload, &whole).await;

    let again = store.join(&upload, &all).await;
    assert!(matches!(again, Err(Error::Vanished)), "{again:?}");
    for source in &all {
        store.abort(source).await.unwrap();
    }
    let after = store.join(&upload, &all).await;
    assert!(matches!(after, Err(Error::Vanished)), "{after:?}");
    assert_is_there(&*store, &upload, &whole).await;
}

pub async fn a_partial_upload_leaves_nothing_when_it_is_given_up(place: &dyn Place) {
    let store = place.open().await;
    let sources = partials(&*store, &[2000, place.least_part()]).await;
    let joined = join(&*store, &refer(&sources)).await;
    let waiting = begin(&*store, upload_of(joined.size, MIB)).await;

    for (source, _) in &sources {
        store.check_key(&source.key).unwrap();
        store.abort(source).await.unwrap();
        store.abort(source).await.unwrap();
        assert!(store.find(&source.key).await.unwrap().is_none());
        assert!(matches!(store.offset(source).await, Err(Error::Vanished)));
    }

    let whole: Bytes = [&sources[0].1[..], &sources[1].1].concat().into();
    assert_is_there(&*store, &joined, &whole).await;
    let lost = [sources[0].0.clone(), sources[1].0.clone()];
    let refused = store.join(&waiting, &lost).await;
    assert!(matches!(refused, Err(Error::NotFound("part"))), "{refused:?}");
    store.abort(&waiting).await.unwrap();
    assert_eq!(store.strays().await.unwrap(), []);
}
