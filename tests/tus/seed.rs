//! The Goa example's address, beside the chunk server's.

use super::checksum::checksum;
use super::client::{BYTES, content, location};
use super::server::API_KEY;
use super::{here, here_with};

#[tokio::test]
async fn seed_01_the_whole_protocol_is_spoken_beside_the_chunk_server() {
    here(async |place| {
        let (client, file) = (place.client(), content(20));
        client.raw("OPTIONS", "/upload", &[], b"").await.expect(204);
        let made = client
            .ask("POST", "/upload", &[("Upload-Length", "20")], b"")
            .await
            .expect(201);
        assert!(made.field("Upload-Expires").is_some());
        let upload = location(&made);

        client.send(&upload, 0, &file[..7]).await;
        assert_eq!(client.offset(&upload).await, 7);
        client.send(&upload, 7, &file[7..]).await;
        assert!(place.object(&upload).await == Some(file));
        client.delete(&upload).await.expect(204);
        client.look(&upload).await.expect(404);

        // The other protocol's own requests say nothing of a version.
        let mut connection = client.connect().await;
        let body = r#"{"filename":"a","total_size":5}"#;
        let length = body.len().to_string();
        let fields = [
            ("X-API-Key", API_KEY),
            ("Content-Type", "application/json"),
            ("Content-Length", &length),
        ];
        connection
            .send(client.head_of("POST", "/upload/init", &fields))
            .await;
        connection.send(body).await;
        let begun = connection.answer().await.expect(200);
        assert!(begun.json()["file_id"].is_string(), "{begun:?}");
        let status = format!(
            "/upload/{}/status",
            begun.json()["file_id"].as_str().expect("an id")
        );
        connection
            .send(client.head_of("GET", &status, &[("X-API-Key", API_KEY)]))
            .await;
        connection.answer().await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn seed_02_the_address_keeps_its_prefix_and_the_upload_answers_at_both() {
    here(async |place| {
        let client = place.client();
        let made = client
            .ask("POST", "/upload/", &[("Upload-Length", "10")], b"")
            .await
            .expect(201);
        let upload = location(&made);
        assert!(upload.starts_with("/upload/"), "{upload}");
        let other = upload.replace("/upload/", "/files/");

        client.send(&other, 0, b"hello").await;

        assert_eq!(client.offset(&upload).await, 5);
        let at_files = client.create(5).await;
        assert_eq!(client.offset(&at_files.replace("/files/", "/upload/")).await, 0);
    })
    .await;
}

#[tokio::test]
async fn seed_03_a_creation_always_tells_the_offset() {
    here(async |place| {
        for path in ["/upload", "/files"] {
            let made = place
                .client()
                .ask("POST", path, &[("Upload-Length", "5")], b"")
                .await;

            assert_eq!(made.expect(201).number("Upload-Offset"), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn seed_04_the_examples_algorithms_are_offered() {
    here(async |place| {
        let answer = place.client().raw("OPTIONS", "/upload", &[], b"").await;

        let offered = answer.header("Tus-Checksum-Algorithm");
        for algorithm in ["sha1", "md5", "crc32"] {
            assert!(offered.split(',').any(|own| own == algorithm), "{offered}");
        }
    })
    .await;
}

#[tokio::test]
async fn seed_05_a_creation_with_bytes_may_bring_their_digest() {
    here(async |place| {
        let client = place.client();
        for algorithm in ["sha1", "md5", "crc32"] {
            let sum = checksum(algorithm, b"hello");
            let fields = [BYTES, ("Upload-Length", "5"), ("Upload-Checksum", &sum)];

            let made = client.ask("POST", "/upload", &fields, b"hello").await.expect(201);

            assert_eq!(made.number("Upload-Offset"), 5);
            client.ask("POST", "/upload", &fields, b"hellO").await.expect(460);
        }
    })
    .await;
}

#[tokio::test]
async fn the_chunk_servers_address_may_be_the_same_and_the_door_may_be_closed() {
    here_with(
        |config| config.protocols.tus.enabled = false,
        async |place| {
            let client = place.client();
            let mut connection = client.connect().await;
            for path in ["/files", "/upload"] {
                let fields = [
                    super::client::VERSION,
                    ("Upload-Length", "5"),
                    ("Content-Length", "0"),
                ];
                connection.send(client.head_of("POST", path, &fields)).await;
                connection.answer().await.expect(404);
            }
        },
    )
    .await;
}
