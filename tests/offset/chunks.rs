//! Chunks: what is stored, what is not, and what the client is told.

use super::client::{Client, at, error, id_of, standing};
use super::raw_http::{chunk, in_chunks};
use super::{bytes, everywhere, here, here_with};

#[tokio::test]
async fn chunks_of_any_size_make_the_file_and_the_last_one_answers_200() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let file = bytes(1_000_003);
        let session = client.start(file.len()).await;
        let mut at = 0;
        for size in [1, 0, 65_536, 300_000, 7, 500_000, 1_000_000] {
            let end = (at + size).min(file.len());
            let answer = client.put(&session, at, &file[at..end]).await;
            let expected = if end == file.len() { 200 } else { 201 };
            let json = answer.expect(expected).json();
            assert_eq!(standing(&json), end as u64);
            assert_eq!(json["session_id"], session.as_str());
            assert!(json["expires"].is_string());
            at = end;
        }
        assert!(place.object_of(&id_of(&session)).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn an_empty_file_is_made_by_an_empty_chunk() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(0).await;
        assert!(place.finished().await.is_empty());

        client.put(&session, 0, b"").await.expect(200);

        assert_eq!(place.object_of(&id_of(&session)).await, Some(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn an_offset_that_is_not_where_it_stands_is_told_where_that_is() {
    here(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;

        for offset in ["0", "4", "6", "9999999999", "18446744073709551615"] {
            let refused = error(&client.put(&session, offset, b"x").await, 400, "offset");
            assert_eq!(standing(&refused), 5, "{offset}");
            assert_eq!(refused["session_id"], session.as_str());
            assert!(refused["expires"].is_string());
        }
        for offset in [
            "",
            "-1",
            "%2B5",
            "5.0",
            "0x5",
            "five",
            "18446744073709551616",
            "5%20",
        ] {
            let refused = error(&client.put(&session, offset, b"x").await, 400, "invalid_request");
            assert_eq!(standing(&refused), 5, "{offset}");
        }
        let missing = client
            .ask("PUT", &format!("/chunk?session_id={session}"), &[], b"x")
            .await;
        assert_eq!(standing(&error(&missing, 400, "invalid_request")), 5);
        client.put(&session, "05", b"fghij").await.expect(200);
        assert_eq!(place.object_of(&id_of(&session)).await.unwrap(), b"abcdefghij");
    })
    .await;
}

#[tokio::test]
async fn a_chunk_that_goes_beyond_the_file_counts_for_nothing() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;

        let refused = error(&client.put(&session, 5, b"123456").await, 409, "past_end");
        assert_eq!(standing(&refused), 5);
        let mut connection = client.connect().await;
        let fields = [("Transfer-Encoding", "chunked")];
        connection
            .send(client.head("PUT", &at(&session, 5), &fields))
            .await;
        connection.send(in_chunks(b"123456", 2)).await;
        let refused = error(&connection.answer().await, 409, "past_end");
        assert_eq!(standing(&refused), 5);

        client.put(&session, 5, b"fghij").await.expect(200);
        assert_eq!(place.object_of(&id_of(&session)).await.unwrap(), b"abcdefghij");
    })
    .await;
}

#[tokio::test]
async fn a_chunk_over_the_limit_is_refused_by_its_head_or_as_soon_as_it_is_over() {
    here_with(
        |config| config.protocols.offset.chunk_max = 1,
        async |place| {
            let client = Client::of(&place);
            let file = bytes(3 << 20);
            let session = client.start(file.len()).await;

            let mut connection = client.connect().await;
            let fields = [("Content-Length", "1048577")];
            connection
                .send(client.head("PUT", &at(&session, 0), &fields))
                .await;
            let refused = error(&connection.answer().await, 413, "body_too_large");
            assert_eq!(standing(&refused), 0);

            let mut connection = client.connect().await;
            let fields = [("Transfer-Encoding", "chunked")];
            connection
                .send(client.head("PUT", &at(&session, 0), &fields))
                .await;
            connection.send_while_taken(&chunk(&file[..=(1 << 20)])).await;
            let refused = error(&connection.answer().await, 413, "body_too_large");
            assert_eq!(standing(&refused), 0);

            for at in [0, 1, 2] {
                client
                    .send(&session, at << 20, &file[at << 20..(at + 1) << 20])
                    .await;
            }
            assert!(place.object_of(&id_of(&session)).await == Some(file));
        },
    )
    .await;
}

#[tokio::test]
async fn without_a_limit_of_its_own_a_chunk_may_be_the_whole_file() {
    here_with(
        |config| config.protocols.offset.chunk_max = -1,
        async |place| {
            let client = Client::of(&place);
            let file = bytes(60 << 20);
            let session = client.start(file.len()).await;
            client.put(&session, 0, &file).await.expect(200);
            assert!(place.object_of(&id_of(&session)).await == Some(file));
        },
    )
    .await;
}

#[tokio::test]
async fn who_lost_the_last_answer_is_told_that_it_is_done() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(5).await;
        client.put(&session, 0, b"abcde").await.expect(200);

        let refused = error(&client.put(&session, 0, b"abcde").await, 400, "offset");
        assert_eq!(standing(&refused), 5);
        client.put(&session, 5, b"").await.expect(200);

        assert_eq!(place.finished().await.len(), 1);
        assert_eq!(place.object_of(&id_of(&session)).await.unwrap(), b"abcde");
    })
    .await;
}

#[tokio::test]
async fn a_chunk_is_raw_whatever_it_is_called() {
    here(async |place| {
        let client = Client::of(&place);
        let file: &[u8] = br#"{"bytes": 1, "name": "a"}"#;
        for kind in [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let session = client.start(file.len()).await;
            let answer = client
                .ask("PUT", &at(&session, 0), &[("Content-Type", kind)], file)
                .await;
            answer.expect(200);
            assert_eq!(place.object_of(&id_of(&session)).await.as_deref(), Some(file));
        }
    })
    .await;
}

#[tokio::test]
async fn chunked_coding_and_expect_work() {
    here(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        let mut connection = client.connect().await;
        let fields = [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")];
        connection
            .send(client.head("PUT", &at(&session, 0), &fields))
            .await;
        assert_eq!(connection.answer().await.status, 100);
        connection.send(in_chunks(b"abcdefghij", 3)).await;
        connection.answer().await.expect(200);

        let other = client.start(10).await;
        let fields = [("Content-Length", "5"), ("Expect", "100-continue")];
        let mut connection = client.connect().await;
        connection.send(client.head("PUT", &at(&other, 3), &fields)).await;
        // Hopeless, so its body is not asked for.
        error(&connection.answer().await, 400, "offset");
    })
    .await;
}

#[tokio::test]
async fn two_files_of_one_name_are_two_files() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let (one, other) = (client.start(3).await, client.start(3).await);
        client.put(&one, 0, b"one").await.expect(200);
        client.put(&other, 0, b"two").await.expect(200);
        assert_eq!(place.object_of(&id_of(&one)).await.unwrap(), b"one");
        assert_eq!(place.object_of(&id_of(&other)).await.unwrap(), b"two");
        let keys = place.finished().await;
        assert!(
            keys.iter().any(|key| key.ends_with(&format!("{one}_a_file.bin"))
                || key.ends_with(&format!("{one}_a file.bin"))),
            "{keys:?}"
        );
    })
    .await;
}
