//! Two grids: the published SDK cuts resumed files into even parts. The first part decides, and grids never mix.

use futures_util::future::join_all;

use super::client::{Client, Upload};
use super::{MIB, everywhere};

/// The size of an even part.
fn even(upload: &Upload) -> u64 {
    upload.size.div_ceil(upload.tokens.len() as u64)
}

/// Sends part `number` as the even grid cuts it.
async fn put_even(client: &Client, upload: &Upload, number: usize) -> super::client::Reply {
    client
        .put(upload, number, upload.part_of_grid(number, even(upload)))
        .await
}

#[tokio::test]
async fn a_first_part_of_even_size_switches_the_upload() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for (size, first) in [
            (2 * MIB + 100_001, 0),
            (2 * MIB + 100_001, 2),
            (3 * MIB + 1, 1),
            (MIB + 1, 1),
        ] {
            let upload = client.init("a", size).await;
            let parts = upload.tokens.len();

            put_even(&client, &upload, first).await.expect(200);

            let status = client.status(&upload).await.expect(200);
            assert_eq!(status["chunk_size"], even(&upload), "{size}");
            assert_eq!(
                (status["total_parts"].as_u64(), status["uploaded_parts"].as_u64()),
                (Some(parts as u64), Some(1))
            );
            let other = (first + 1) % parts;
            let refused = client
                .put(&upload, other, upload.part(other))
                .await
                .error(400, "wrong_size");
            assert_eq!(
                refused["details"]["expected"],
                upload.part_of_grid(other, even(&upload)).len()
            );
            client
                .put(&upload, first, upload.part(first))
                .await
                .error(400, "wrong_size");
            let rest = (0..parts).map(|number| put_even(&client, &upload, number));
            for reply in join_all(rest).await {
                reply.expect(200);
            }
            let path = client.finish(&upload).await;
            assert!(
                place.object(&path).await == Some(upload.whole()),
                "{size} from {first}"
            );
        }
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn a_first_part_of_the_announced_size_keeps_it() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for first in [0, 2] {
            let upload = client.init("a", 2 * MIB + 100_001).await;
            client.send(&upload, first).await;

            for number in 0..3 {
                put_even(&client, &upload, number).await.error(400, "wrong_size");
            }

            assert_eq!(client.status(&upload).await.expect(200)["chunk_size"], MIB);
            client.send_all(&upload).await;
            let path = client.finish(&upload).await;
            assert!(place.object(&path).await == Some(upload.whole()));
        }
    })
    .await;
}

#[tokio::test]
async fn where_both_grids_are_the_same_nothing_switches() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for size in [1, 5, MIB - 1, MIB, 2 * MIB, 3 * MIB] {
            let upload = client.init("a", size).await;
            for number in 0..upload.tokens.len() {
                put_even(&client, &upload, number).await.expect(200);
            }
            assert_eq!(
                client.status(&upload).await.expect(200)["chunk_size"],
                MIB,
                "{size}"
            );
            let path = client.finish(&upload).await;
            assert!(place.object(&path).await == Some(upload.whole()), "{size}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_switch_survives_a_restart_and_new_tokens_know_of_it() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB + 100_001).await;
        put_even(&client, &upload, 1).await.expect(200);
        let place = place.restart();
        let client = Client::of(&place);
        let status = client.status(&upload).await.expect(200);
        assert_eq!(
            (status["chunk_size"].as_u64(), client.part_states(&upload).await),
            (Some(even(&upload)), "pup".to_owned())
        );

        for number in [0, 2] {
            let token = status["parts"][number]["token"].as_str().expect("a token");
            let bytes = upload.part_of_grid(number, even(&upload));
            let claims = super::client::claims_of(token);
            assert_eq!(claims["expected_size"], bytes.len());
            client
                .bearing(token)
                .raw("PUT", &upload.part_path(number), bytes)
                .await
                .expect(200);
        }

        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn even_parts_that_come_at_once_do_not_keep_one_another_out() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for round in 0..8 {
            let upload = client.init("a", 4 * MIB + 100_001).await;
            let parts = upload.tokens.len();

            let replies = join_all((0..parts).map(|number| put_even(&client, &upload, number))).await;

            for reply in replies {
                assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
            }
            let path = client.finish(&upload).await;
            assert!(place.object(&path).await == Some(upload.whole()), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn two_clients_with_two_grids_at_once_never_mix() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for round in 0..6 {
            let upload = client.init("a", 2 * MIB + 100_001).await;
            let (one, other) = ([(0, 1), (1, 0), (2, 2)][round % 3], round % 2 == 0);
            let as_announced = client.put(&upload, one.0, upload.part(one.0));
            let evenly = put_even(&client, &upload, one.1);
            let (first, second) = if other {
                tokio::join!(as_announced, evenly)
            } else {
                let (second, first) = tokio::join!(evenly, as_announced);
                (first, second)
            };

            let stored = [&first, &second]
                .into_iter()
                .filter(|reply| reply.status == 200)
                .count();
            assert_eq!(stored, 1, "{} {}", first.text(), second.text());
            let loser = if first.status == 200 { &second } else { &first };
            assert!(loser.status == 400 || loser.status == 409, "{}", loser.text());
            let grid = client.status(&upload).await.expect(200)["chunk_size"]
                .as_u64()
                .expect("a size");
            let expected = if first.status == 200 { MIB } else { even(&upload) };
            assert_eq!(grid, expected, "round {round}");
            for number in 0..3 {
                client
                    .put(&upload, number, upload.part_of_grid(number, grid))
                    .await
                    .expect(200);
            }
            let path = client.finish(&upload).await;
            assert!(place.object(&path).await == Some(upload.whole()), "round {round}");
        }
    })
    .await;
}
