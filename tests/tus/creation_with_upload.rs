//! Creation with the first bytes: an upload with what came, or none.

use std::time::Duration;

use super::client::{BYTES, VERSION, content, location};
use super::raw_http::{LAST_CHUNK, chunk, in_chunks};
use super::{MIB, everywhere, here};

#[tokio::test]
async fn with_01_the_first_bytes_come_with_the_creation() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(20));

        let made = client
            .ask("POST", "/files", &[BYTES, ("Upload-Length", "20")], &file[..12])
            .await
            .expect(201);

        assert_eq!(made.number("Upload-Offset"), 12);
        assert!(made.field("Upload-Expires").is_some());
        let upload = location(&made);
        assert_eq!(client.offset(&upload).await, 12);
        client.send(&upload, 12, &file[12..]).await;
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn with_02_all_bytes_in_the_creation_are_the_whole_upload() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(6 * MIB + 1));
        let length = file.len().to_string();

        let made = client
            .ask("POST", "/files", &[BYTES, ("Upload-Length", &length)], &file)
            .await
            .expect(201);

        assert_eq!(made.header("Upload-Offset"), length);
        assert_eq!(made.field("Upload-Expires"), None);
        assert!(place.object(&location(&made)).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn with_03_a_body_of_another_type_is_no_piece_of_the_file() {
    here(async |place| {
        let client = place.client();
        for kind in ["application/json", "application/octet-stream", "text/plain"] {
            let fields = [("Content-Type", kind), ("Upload-Length", "5")];

            let made = client.ask("POST", "/files", &fields, b"hello").await.expect(201);

            assert_eq!(made.number("Upload-Offset"), 0);
            assert_eq!(client.offset(&location(&made)).await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn with_04_more_bytes_than_the_length_make_no_upload() {
    everywhere(async |place| {
        let client = place.client();

        let refused = client
            .ask("POST", "/files", &[BYTES, ("Upload-Length", "5")], b"hello!")
            .await
            .expect(413);

        assert_eq!(refused.field("Location"), None);
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Length", "5"),
            ("Transfer-Encoding", "chunked"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("POST", "/files", &fields)).await;
        connection.send(in_chunks(b"hello!", 2)).await;
        let refused = connection.answer().await.expect(413);
        assert_eq!(refused.field("Location"), None);
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn with_06_what_is_hopeless_is_refused_without_leave() {
    here(async |place| {
        let client = place.client();
        for (fields, status) in [
            (
                vec![VERSION, ("Upload-Length", "5"), ("Content-Length", "6")],
                413,
            ),
            (vec![VERSION, ("Content-Length", "6")], 400),
            (
                vec![
                    ("Tus-Resumable", "0.2.2"),
                    ("Upload-Length", "6"),
                    ("Content-Length", "6"),
                ],
                412,
            ),
        ] {
            let mut fields = fields;
            fields.extend([BYTES, ("Expect", "100-continue")]);
            let mut connection = client.connect().await;

            connection.send(client.head_of("POST", "/files", &fields)).await;

            connection.answer().await.expect(status);
        }
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Length", "5"),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("POST", "/files", &fields)).await;
        assert_eq!(
            connection.answer().await.status,
            100,
            "what is not hopeless may come"
        );
        connection.send(b"hello").await;
        assert_eq!(connection.answer().await.expect(201).number("Upload-Offset"), 5);
    })
    .await;
}

#[tokio::test]
async fn with_07_a_creation_that_is_cut_keeps_what_came_until_it_expires() {
    everywhere(async |place| {
        let client = place.client();
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Length", "500000"),
            ("Content-Length", "500000"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("POST", "/files", &fields)).await;
        connection.send(content(300_000)).await;
        tokio::time::sleep(Duration::from_millis(500)).await;

        connection.reset();

        let db = place.database().await;
        let mut offset = None;
        for _ in 0..100 {
            let waiting = db
                .expired_uploads(place.clock.now() + chrono::TimeDelta::hours(25), 10, 0)
                .await
                .expect("the database");
            let [upload] = &waiting[..] else {
                panic!("{waiting:?}")
            };
            let standing = upload.appending.as_ref().expect("it is appended to");
            offset = standing.is_settled.then_some(standing.offset);
            if offset == Some(300_000) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        db.close().await.expect("closed");
        assert_eq!(offset, Some(300_000));
    })
    .await;
}

#[tokio::test]
async fn an_empty_body_with_the_right_type_is_no_more_than_a_creation() {
    here(async |place| {
        let client = place.client();
        let made = client
            .ask("POST", "/files", &[BYTES, ("Upload-Length", "5")], b"")
            .await
            .expect(201);
        assert_eq!(made.number("Upload-Offset"), 0);
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Length", "0"),
            ("Transfer-Encoding", "chunked"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("POST", "/files", &fields)).await;
        connection.send(chunk(b"x")).await;
        connection.send_while_taken(LAST_CHUNK).await;
        connection.answer().await.expect(413);
    })
    .await;
}
