//! Several instances over one database and one storage: any request may reach any of them.

use super::client::{Client, content};
use super::locks::{at_once, comes_back};
use super::on;
use super::place::{Backend, Place};
use super::server::Kind;

/// Runs a test with two instances: over a file and a folder, and over a database server and a bucket.
async fn with_two(test: impl AsyncFn(&Place, Client, Client)) {
    for (database, backend) in [(Kind::Sqlite, Backend::Local), (Kind::Postgres, Backend::S3)] {
        on(
            database,
            backend,
            |_| {},
            async |place| {
                let twin = place.twin();
                let (one, other) = (place.client(), Client::new(&twin.base));
                Box::pin(test(&place, one, other)).await;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn inst_01_requests_go_to_either_and_both_agree() {
    with_two(async |place, one, other| {
        let file = content(1_000_000);
        let upload = one
            .create_with(&[("Upload-Length", "1000000"), ("Upload-Metadata", "a eA==,flag")])
            .await;
        for (n, piece) in file.chunks(100_000).enumerate() {
            let (sender, looker) = if n % 2 == 0 {
                (&one, &other)
            } else {
                (&other, &one)
            };
            sender.send(&upload, n * 100_000, piece).await;
            let looked = looker.look(&upload).await.expect(200);
            assert_eq!(looked.number("Upload-Offset"), (n as u64 + 1) * 100_000);
            assert_eq!(looked.header("Upload-Metadata"), "a eA==,flag");
        }

        assert!(place.object(&upload).await == Some(file));
        other.delete(&upload).await.expect(204);
        one.look(&upload).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn inst_02_who_comes_back_elsewhere_finds_the_way_free() {
    with_two(async |place, one, other| comes_back(&one, &other, place).await).await;
}

#[tokio::test]
async fn inst_03_of_two_at_once_at_two_instances_one_is_heard() {
    with_two(async |place, one, other| {
        for _ in 0..2 {
            at_once(&one, &other, place).await;
        }
    })
    .await;
}

#[tokio::test]
async fn inst_04_pieces_that_were_made_at_two_instances_join() {
    with_two(async |place, one, other| {
        let file = content(30_000);
        let mut parts = Vec::new();
        for (client, piece) in [&one, &other, &one].into_iter().zip(file.chunks(10_000)) {
            let part = client
                .create_with(&[("Upload-Concat", "partial"), ("Upload-Length", "10000")])
                .await;
            client.send(&part, 0, piece).await;
            parts.push(part);
        }

        let list = format!("final;{}", parts.join(" "));
        let whole = other.create_with(&[("Upload-Concat", &list)]).await;

        assert_eq!(one.offset(&whole).await, 30_000);
        assert!(place.object(&whole).await == Some(file));
    })
    .await;
}
