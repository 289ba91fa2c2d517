//! Parts that are smaller than the store takes: they survive kills in any order, and the object is exact.

use futures_util::future::join_all;
use muleteer::config::Config;

use super::client::Client;
use super::{MIB, everywhere_with};

/// Parts of our own stay at 1 MiB; the store takes none below 5 MiB.
fn as_a_real_store(config: &mut Config) {
    config.dev_s3.min_part_size = 5 * MIB;
    config.uploads.part_size = 5 * MIB;
}

#[tokio::test]
async fn twelve_small_parts_with_kills_between_make_one_exact_object() {
    everywhere_with(as_a_real_store, async |place| {
        let upload = Client::of(&place).init("small parts.bin", 11 * MIB + 4321).await;
        assert_eq!(upload.tokens.len(), 12);
        let mut place = place;
        let mut expected = vec![b'p'; 12];
        for round in [vec![7, 2, 11], vec![0, 4, 9, 3], vec![1, 10], vec![8, 6, 5]] {
            let client = Client::of(&place);
            join_all(round.iter().map(|part| client.send(&upload, *part))).await;
            for part in &round {
                expected[*part] = b'u';
            }

            place = place.restart();

            let client = Client::of(&place);
            let states = client.part_states(&upload).await;
            assert_eq!(states.as_bytes(), expected);
            // What is stored is known by its digest, wherever it waits.
            client.send(&upload, round[0]).await;
            let mut other = upload.part(round[0]);
            other[0] ^= 1;
            client
                .put(&upload, round[0], other)
                .await
                .error(409, "part_conflict");
        }
        let client = Client::of(&place);

        let path = client.finish(&upload).await;

        assert!(place.object(&path).await == Some(upload.whole()));
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        assert_eq!(place.finished().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn small_parts_that_are_given_up_or_run_out_leave_nothing() {
    everywhere_with(as_a_real_store, async |place| {
        let client = Client::of(&place);
        let (given_up, late) = (client.init("a", 7 * MIB).await, client.init("b", 7 * MIB).await);
        for part in 0..6 {
            client.send(&given_up, part).await;
        }
        client.send(&late, 6).await;

        client.cancel(&given_up).await.expect(200);
        place.run_out(&late);
        place.sweep().await;

        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn missing_small_parts_are_named_also_where_their_group_is_sent() {
    everywhere_with(as_a_real_store, async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 6 * MIB + 1).await;
        for part in [4, 3, 2, 1, 0, 6] {
            client.send(&upload, part).await;
        }

        let refused = client.complete(&upload).await.error(400, "parts_missing");

        assert_eq!(refused["details"]["parts"], serde_json::json!([5]));
        client.send(&upload, 5).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
        assert!(place.is_clean().await);
    })
    .await;
}
