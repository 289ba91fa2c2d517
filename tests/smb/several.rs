//! Many requests at once, and more than one instance.

use std::sync::Arc;

use muleteer::domain::{PartNumber, Upload};
use muleteer::storage::{Body, SmbStore, Storage as _};

use crate::kit::{bytes_of, number, object, upload};
use crate::samba;

const MIB: usize = 1 << 20;

/// Sends these parts, all at once.
async fn send(stores: &[Arc<SmbStore>], upload: &Upload, parts: std::ops::RangeInclusive<u64>) {
    let upload = Arc::new(upload.clone());
    let tasks: Vec<_> = parts
        .map(|n| {
            let store = Arc::clone(&stores[usize::try_from(n).unwrap() % stores.len()]);
            let upload = Arc::clone(&upload);
            tokio::spawn(async move {
                let length = usize::try_from(upload.part_size).unwrap();
                store
                    .put(&upload, number(n), Body::of(bytes_of(n, length)))
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_write_different_parts_of_one_upload_at_once() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let stores = [0, 1].map(|_| Arc::new(SmbStore::new(settings.clone()).unwrap()));
    let upload = upload(16 * MIB as u64, MIB as u64, "x");
    stores[0].begin(&upload).await.unwrap();

    send(&stores, &upload, 1..=16).await;

    for store in &stores {
        let numbers: Vec<_> = store
            .parts(&upload)
            .await
            .unwrap()
            .iter()
            .map(|part| part.number)
            .collect();
        assert_eq!(numbers, (1..=16).map(number).collect::<Vec<PartNumber>>());
    }
    stores[1].finish(&upload, &[]).await.unwrap();
    let expected: Vec<_> = (1..=16).map(|n| bytes_of(n, MIB)).collect();
    assert!(object(&stores[0], &upload).await.unwrap() == expected.concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_that_sent_the_same_part_the_later_counts() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let stores = [0, 1].map(|_| SmbStore::new(settings.clone()).unwrap());
    let upload = upload(3, 3, "x");
    stores[0].begin(&upload).await.unwrap();

    for (store, text) in [(0, "one"), (1, "two"), (0, "six")] {
        stores[store]
            .put(&upload, number(1), Body::of(text))
            .await
            .unwrap();
    }

    assert_eq!(
        stores[0].parts(&upload).await.unwrap(),
        stores[1].parts(&upload).await.unwrap()
    );
    stores[1].finish(&upload, &[]).await.unwrap();
    assert_eq!(object(&stores[0], &upload).await.unwrap(), b"six");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_large_parts_at_once_do_not_stall() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let stores = [Arc::new(SmbStore::new(settings).unwrap())];
    let upload = upload(32 * 16 * MIB as u64, 16 * MIB as u64, "x");
    stores[0].begin(&upload).await.unwrap();

    send(&stores, &upload, 1..=32).await;

    assert_eq!(stores[0].parts(&upload).await.unwrap().len(), 32);
    stores[0].finish(&upload, &[]).await.unwrap();
    let expected: Vec<_> = (1..=32).map(|n| bytes_of(n, 16 * MIB)).collect();
    assert!(object(&stores[0], &upload).await.unwrap() == expected.concat());
}
