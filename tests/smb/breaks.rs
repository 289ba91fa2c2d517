//! A server that goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use muleteer::error::Error;
use muleteer::storage::{Body, SmbStore, Storage as _};

use crate::kit::{bytes_of, number, object, slowly, upload};
use crate::samba::Samba;

const MIB: usize = 1 << 20;

async fn away_for(samba: &Arc<Samba>, time: Duration) {
    let samba = Arc::clone(samba);
    tokio::task::spawn_blocking(move || {
        samba.stop();
        std::thread::sleep(time);
        samba.start_again();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_two_requests_is_not_noticed() {
    let Some(samba) = Samba::start("").map(Arc::new) else {
        return;
    };
    let store = SmbStore::new(samba.settings("up/loads")).unwrap();
    let upload = upload(2 * MIB as u64, MIB as u64, "x");
    store.begin(&upload).await.unwrap();
    store
        .put(&upload, number(1), Body::of(bytes_of(1, MIB)))
        .await
        .unwrap();

    away_for(&samba, Duration::ZERO).await;
    store
        .put(&upload, number(2), Body::of(bytes_of(2, MIB)))
        .await
        .unwrap();
    away_for(&samba, Duration::ZERO).await;
    store.finish(&upload, &[]).await.unwrap();
    away_for(&samba, Duration::ZERO).await;

    assert!(object(&store, &upload).await.unwrap() == [bytes_of(1, MIB), bytes_of(2, MIB)].concat());
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_parts_loses_nothing() {
    let Some(samba) = Samba::start("").map(Arc::new) else {
        return;
    };
    let store = Arc::new(SmbStore::new(samba.settings("")).unwrap());
    let upload = Arc::new(upload(4 * 8 * MIB as u64, 8 * MIB as u64, "x"));
    store.begin(&upload).await.unwrap();
    let puts: Vec<_> = (1..=4)
        .map(|n| {
            let (store, upload) = (Arc::clone(&store), Arc::clone(&upload));
            tokio::spawn(async move {
                let body = slowly(&bytes_of(n, 8 * MIB), MIB / 2, Duration::from_millis(100));
                store.put(&upload, number(n), body).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(600)).await;

    away_for(&samba, Duration::from_millis(300)).await;
    for put in puts {
        put.await.unwrap().unwrap();
    }

    store.finish(&upload, &[]).await.unwrap();
    let expected: Vec<_> = (1..=4).map(|n| bytes_of(n, 8 * MIB)).collect();
    assert!(object(&store, &upload).await.unwrap() == expected.concat());
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_requests_fail_and_what_was_acknowledged_is_there_afterwards() {
    let Some(samba) = Samba::start("").map(Arc::new) else {
        return;
    };
    let store = SmbStore::new(samba.settings("")).unwrap();
    let upload = upload(2 * MIB as u64, MIB as u64, "x");
    store.begin(&upload).await.unwrap();
    let first = store
        .put(&upload, number(1), Body::of(bytes_of(1, MIB)))
        .await
        .unwrap();
    samba.stop();

    let away = store.put(&upload, number(2), Body::of(bytes_of(2, MIB))).await;
    samba.start_again();

    assert!(matches!(away, Err(Error::Unavailable { .. })), "{away:?}");
    // The failure speaks for all for a moment.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(store.parts(&upload).await.unwrap(), [first]);
    store
        .put(&upload, number(2), Body::of(bytes_of(2, MIB)))
        .await
        .unwrap();
    store.finish(&upload, &[]).await.unwrap();
    assert!(object(&store, &upload).await.unwrap() == [bytes_of(1, MIB), bytes_of(2, MIB)].concat());
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_goes_on_where_the_last_acknowledged_one_ended() {
    let Some(samba) = Samba::start("").map(Arc::new) else {
        return;
    };
    let store = Arc::new(SmbStore::new(samba.settings("")).unwrap());
    let bytes = bytes_of(1, 10 * MIB);
    let upload = Arc::new(upload(bytes.len() as u64, 1, "x"));
    store.begin(&upload).await.unwrap();
    let held = store
        .append(&upload, 0, Body::of(bytes.slice(..2 * MIB)))
        .await
        .unwrap();
    let appending = tokio::spawn({
        let (store, upload) = (Arc::clone(&store), Arc::clone(&upload));
        let body = slowly(&bytes.slice(2 * MIB..), MIB / 2, Duration::from_millis(100));
        async move { store.append(&upload, held, body).await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;

    away_for(&samba, Duration::ZERO).await;
    let broken = appending.await.unwrap();

    assert!(matches!(broken, Err(Error::Unavailable { .. })), "{broken:?}");
    assert_eq!(store.offset(&upload).await.unwrap(), held);
    store
        .append(&upload, held, Body::of(bytes.slice(2 * MIB..)))
        .await
        .unwrap();
    store.finish(&upload, &[]).await.unwrap();
    assert!(object(&store, &upload).await.unwrap() == bytes);
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_after_a_restart() {
    let Some(samba) = Samba::start("").map(Arc::new) else {
        return;
    };
    let store = SmbStore::new(samba.settings("")).unwrap();
    let bytes = bytes_of(1, 12 * MIB);
    let upload = upload(bytes.len() as u64, bytes.len() as u64, "x");
    store.begin(&upload).await.unwrap();
    store
        .put(&upload, number(1), Body::of(bytes.clone()))
        .await
        .unwrap();
    store.finish(&upload, &[]).await.unwrap();
    let mut stream = store.read(&upload.key, None).await.unwrap();
    let mut read = futures_util::StreamExt::next(&mut stream)
        .await
        .unwrap()
        .unwrap()
        .to_vec();

    away_for(&samba, Duration::ZERO).await;
    while let Some(piece) = futures_util::StreamExt::next(&mut stream).await {
        read.extend_from_slice(&piece.unwrap());
    }

    assert!(read == bytes);
    samba.stop();
}
