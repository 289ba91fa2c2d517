//! Chunks that are cut off, and servers that are killed.

use std::time::Duration;

use super::client::{Client, at, error, id_of, standing};
use super::raw_http::chunk;
use super::{bytes, everywhere};

/// Waits until a session stands at least there.
async fn stands_at(client: &Client, session: &str, least: u64) -> u64 {
    for _ in 0..200 {
        let offset = standing(&client.look(session).await.expect(200).json());
        if offset >= least {
            return offset;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never stood at {least}");
}

#[tokio::test]
async fn what_came_before_a_cut_is_kept_and_the_file_comes_out_right() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let file = bytes(400_000);
        let session = client.start(file.len()).await;
        let mut offset = 0;
        for (round, reset) in [false, true, false, true].into_iter().enumerate() {
            let length = (file.len() - offset).to_string();
            let mut connection = client.connect().await;
            let fields = [("Content-Length", length.as_str())];
            connection
                .send(client.head("PUT", &at(&session, offset), &fields))
                .await;
            connection.send(&file[offset..offset + 70_000]).await;
            // A reset may take back what lies unread in the socket, so it is read first.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if reset {
                connection.reset();
            } else {
                drop(connection);
            }
            let now = stands_at(&client, &session, (offset + 70_000) as u64).await;
            assert_eq!(now, (offset + 70_000) as u64, "round {round}");
            offset = usize::try_from(now).unwrap();
        }
        client.put(&session, offset, &file[offset..]).await.expect(200);
        assert!(place.object_of(&id_of(&session)).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn of_a_cut_chunk_without_a_length_nothing_counts() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let file = bytes(300_000);
        let session = client.start(file.len()).await;
        client.send(&session, 0, &file[..1000]).await;
        let mut connection = client.connect().await;
        let fields = [("Transfer-Encoding", "chunked")];
        connection
            .send(client.head("PUT", &at(&session, 1000), &fields))
            .await;
        connection.send(chunk(&file[1000..100_000])).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(connection);
        tokio::time::sleep(Duration::from_millis(200)).await;

        assert_eq!(stands_at(&client, &session, 1000).await, 1000);
        client.put(&session, 1000, &file[1000..]).await.expect(200);
        assert!(place.object_of(&id_of(&session)).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn sessions_survive_a_restart_of_the_server() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;

        let place = place.restart();

        let client = Client::of(&place);
        let refused = error(&client.put(&session, 0, b"abcde").await, 400, "offset");
        assert_eq!(standing(&refused), 5);
        client.put(&session, 5, b"fghij").await.expect(200);
        assert_eq!(place.object_of(&id_of(&session)).await.unwrap(), b"abcdefghij");
    })
    .await;
}
