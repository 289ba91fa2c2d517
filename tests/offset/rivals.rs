//! Two chunks at once: one goes on, and bytes never mix.

use std::time::{Duration, Instant};

use futures_util::future::join;

use super::client::{Client, at, error, id_of, standing};
use super::{bytes, everywhere};

#[tokio::test]
async fn of_two_chunks_at_one_offset_exactly_one_is_stored() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for round in 0..4 {
            let session = client.start(200_000).await;
            let (one, other) = (vec![b'1'; 100_000], vec![b'2'; 100_000]);

            let (first, second) = join(client.put(&session, 0, &one), client.put(&session, 0, &other)).await;

            let stored = [&first, &second]
                .into_iter()
                .filter(|answer| answer.status == 201);
            assert_eq!(
                stored.count(),
                1,
                "round {round}: {} {}",
                first.text(),
                second.text()
            );
            let (winner, loser) = if first.status == 201 {
                (&one, &second)
            } else {
                (&other, &first)
            };
            assert!(matches!(loser.status, 400 | 409), "{}", loser.text());
            standing(&loser.json());
            client
                .put(&session, 100_000, &vec![b'3'; 100_000])
                .await
                .expect(200);
            let object = place.object_of(&id_of(&session)).await.unwrap();
            assert!(object[..100_000] == winner[..], "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_chunk_that_is_coming_in_keeps_others_out_until_it_goes_silent() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let file = bytes(100_000);
        let session = client.start(file.len()).await;
        let mut slow = client.connect().await;
        let fields = [("Content-Length", "100000")];
        slow.send(client.head("PUT", &at(&session, 0), &fields)).await;
        slow.send(&file[..1000]).await;
        let mut sent = 1000;
        // The first to come is the one that has it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let copy = file.clone();
        let mut rival = Box::pin(client.put(&session, 0, &copy));
        let refused = loop {
            slow.send(&file[sent..sent + 1000]).await;
            sent += 1000;
            tokio::select! {
                answer = &mut rival => break answer,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
            assert!(
                began.elapsed() < Duration::from_secs(9),
                "the rival hears nothing"
            );
        };
        error(&refused, 409, "busy");

        // Silent from now on: whoever comes next goes on behind what it has brought.
        let offset = loop {
            let answer = client.put(&session, sent, &file[sent..]).await;
            match answer.status {
                200 => break 200,
                409 => tokio::time::sleep(Duration::from_millis(100)).await,
                _ => panic!("{}", answer.text()),
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it never makes way");
        };
        assert_eq!(offset, 200);
        assert!(place.object_of(&id_of(&session)).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn who_only_looks_disturbs_no_chunk_that_pauses() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let file = bytes(100_000);
        let session = client.start(file.len()).await;
        let mut slow = client.connect().await;
        let fields = [("Content-Length", "100000")];
        slow.send(client.head("PUT", &at(&session, 0), &fields)).await;
        slow.send(&file[..1000]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;

        for _ in 0..3 {
            assert_eq!(client.look(&session).await.status, 200);
            error(&client.put(&session, "nonsense", b"x").await, 409, "busy");
        }
        // Longer than it may be idle while somebody waits for its place.
        tokio::time::sleep(Duration::from_millis(2500)).await;

        slow.send(&file[1000..]).await;
        assert_eq!(slow.answer().await.status, 200);
        assert!(place.object_of(&id_of(&session)).await == Some(file));
    })
    .await;
}
