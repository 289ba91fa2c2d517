//! Sending again: the same bytes are fine, others never replace what is stored, and no two bodies ever mix.

use futures_util::future::join_all;

use super::client::{Client, content, sha256};
use super::{MIB, everywhere};

/// Bytes of a part that several senders race for.
const SIZE: u64 = 200_000;

#[tokio::test]
async fn the_same_bytes_again_get_the_same_answer() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        let first = client.send(&upload, 1).await;
        let seen = client.status(&upload).await.expect(200);

        let again = client.send(&upload, 1).await;

        assert_eq!(again, first);
        let part = &client.status(&upload).await.expect(200)["parts"][1];
        assert_eq!(part, &seen["parts"][1], "nothing is stored anew");
        client.send(&upload, 0).await;
        assert_eq!(client.send(&upload, 1).await["uploaded_parts"], 2);
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn other_bytes_are_refused_and_what_is_stored_stays() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        client.send_all(&upload).await;
        let mut other = upload.part(0);
        other[1000] ^= 1;

        let refused = client.put(&upload, 0, other).await.error(409, "part_conflict");

        let text = refused["error"].as_str().expect("a text");
        assert!(text.contains("part 0"), "{text}");
        client.put(&upload, 1, "other").await.error(409, "part_conflict");
        let status = client.status(&upload).await.expect(200);
        for part in [0, 1] {
            assert_eq!(
                status["parts"][part]["checksum_sha256"],
                sha256(&upload.part(part))
            );
        }
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_restart_forgets_nothing_of_what_is_stored() {
    everywhere(async |place| {
        let upload = {
            let client = Client::of(&place);
            let upload = client.init("a", MIB + 5).await;
            client.send(&upload, 0).await;
            upload
        };
        let place = place.restart();
        let client = Client::of(&place);

        assert_eq!(client.part_states(&upload).await, "up");
        client
            .put(&upload, 0, vec![7; 1 << 20])
            .await
            .error(409, "part_conflict");
        client.send(&upload, 0).await;
        client.send(&upload, 1).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

/// Eight senders of one part with two bodies; ten rounds on each database and storage.
#[tokio::test]
async fn of_two_bodies_at_once_exactly_one_is_stored() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let (one, mut two) = (content(SIZE), content(SIZE));
        for byte in &mut two {
            *byte = !*byte;
        }
        for round in 0..10 {
            let upload = client.init("a", SIZE).await;
            let bodies = [&one, &two];
            let sent = (0..8).map(|n| {
                let body = bodies[n % 2].clone();
                client.put(&upload, 0, body)
            });

            let replies = join_all(sent).await;

            let status = client.status(&upload).await.expect(200);
            let stored = status["parts"][0]["checksum_sha256"]
                .as_str()
                .expect("a digest")
                .to_owned();
            let winner = usize::from(stored != sha256(&one));
            for (n, reply) in replies.iter().enumerate() {
                if n % 2 == winner {
                    let answer = reply.expect(200);
                    assert_eq!(answer["checksum_sha256"], stored, "round {round}");
                    assert_eq!(answer["uploaded_parts"], 1);
                } else {
                    reply.error(409, "part_conflict");
                }
            }
            let path = client.finish(&upload).await;
            assert!(
                place.object(&path).await.as_ref() == Some(bodies[winner]),
                "round {round}"
            );
        }
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn of_two_bodies_at_two_servers_exactly_one_is_stored() {
    everywhere(async |place| {
        let twin = place.twin();
        let clients = [Client::of(&place), Client::of(&twin)];
        let (one, mut two) = (content(SIZE), content(SIZE));
        for byte in &mut two {
            *byte = !*byte;
        }
        for round in 0..3 {
            let upload = clients[0].init("a", SIZE).await;
            let bodies = [&one, &two];

            let sent = (0..4).map(|n| clients[n / 2].put(&upload, 0, bodies[n % 2].clone()));
            let replies = join_all(sent).await;

            let status = clients[1].status(&upload).await.expect(200);
            let stored = status["parts"][0]["checksum_sha256"]
                .as_str()
                .expect("a digest")
                .to_owned();
            let winner = usize::from(stored != sha256(&one));
            for (n, reply) in replies.iter().enumerate() {
                let expected = if n % 2 == winner { 200 } else { 409 };
                assert_eq!(reply.status, expected, "round {round}: {}", reply.text());
            }
            let (first, second) = tokio::join!(clients[0].finish(&upload), clients[1].finish(&upload));
            assert_eq!(first, second);
            assert!(
                place.object(&first).await.as_ref() == Some(bodies[winner]),
                "round {round}"
            );
        }
        assert!(place.is_clean().await);
    })
    .await;
}
