//! PATCH: bytes at the end of what is there, and nowhere else.

use std::time::Duration;

use super::client::{BYTES, Client, VERSION, content};
use super::raw_http::{LAST_CHUNK, chunk, in_chunks};
use super::{MIB, everywhere, here, here_with};

#[tokio::test]
async fn patch_01_bytes_at_the_right_place_are_taken() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(70_000));
        let upload = client.create(70_000).await;

        let answer = client.patch(&upload, 0, &file).await.expect(204);

        assert_eq!(answer.number("Upload-Offset"), 70_000);
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn patch_02_pieces_of_any_size_add_up() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(6 * MIB + 3));
        let upload = client.create(file.len()).await;
        let mut offset: usize = 0;
        for size in [1, 0, 1, 70_000, 0, 2 * MIB, MIB - 1, 3 * MIB, usize::MAX] {
            let end = file.len().min(offset.saturating_add(size));
            client.send(&upload, offset, &file[offset..end]).await;
            offset = end;
        }

        assert!(place.object(&upload).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn patch_03_many_small_pieces_read_back_exactly() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(1500));
        let upload = client.create(file.len()).await;
        for (n, piece) in file.chunks(31).enumerate() {
            client.send(&upload, n * 31, piece).await;
        }

        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn patch_04_a_body_of_another_type_is_not_taken() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        for kind in [
            vec![],
            vec![("Content-Type", "application/octet-stream")],
            vec![("Content-Type", "")],
        ] {
            let mut fields = vec![("Upload-Offset", "0")];
            fields.extend(kind);
            client.ask("PATCH", &upload, &fields, b"hello").await.expect(415);
        }
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn patch_05_and_patch_06_bytes_for_another_place_are_refused_and_nothing_is_overwritten() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(20));
        let upload = client.create(20).await;
        client.send(&upload, 0, &file[..10]).await;

        for offset in [0, 9, 11, 19, 20, 21] {
            let refused = client.patch(&upload, offset, b"x").await;
            assert!(matches!(refused.status, 409 | 413), "{offset} {refused:?}");
        }
        client.patch(&upload, 0, b"").await.expect(409);
        let vast = [
            BYTES,
            ("Upload-Offset", "99999999999999999999999999999999999999999"),
        ];
        client.ask("PATCH", &upload, &vast, b"x").await.expect(409);

        assert_eq!(client.offset(&upload).await, 10);
        client.send(&upload, 10, &file[10..]).await;
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn patch_07_and_patch_18_an_offset_is_digits_alone() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.ask("PATCH", &upload, &[BYTES], b"hello").await.expect(400);
        for text in ["-1", "abc", "1e3", "0x0", "", "+0", "0, 0"] {
            let fields = [BYTES, ("Upload-Offset", text)];
            client.ask("PATCH", &upload, &fields, b"hello").await.expect(400);
        }
        let twice = [BYTES, ("Upload-Offset", "0"), ("Upload-Offset", "0")];
        client.ask("PATCH", &upload, &twice, b"hello").await.expect(400);
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn patch_08_an_unknown_upload_takes_nothing() {
    here(async |place| {
        let path = "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6";

        place.client().patch(path, 0, b"hello").await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn patch_09_a_body_beyond_the_length_is_refused_before_it_comes() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        let mut connection = client.begin_patch(&upload, 0, 6, b"").await;

        connection.answer().await.expect(413);
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn patch_10_a_body_in_chunks_stops_at_the_length() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(100_000));
        for each in [1000, 100_001] {
            let upload = client.create(100_000).await;
            let mut connection = client.begin_chunked(&upload, 0, &[]).await;

            connection
                .send_while_taken(&in_chunks(&[&file[..], b"more"].concat(), each))
                .await;

            connection.answer().await.expect(413);
            let offset = client.offset(&upload).await;
            assert!(offset <= 100_000);
            assert_eq!(
                place.finished().await,
                Vec::<String>::new(),
                "what is too long is not whole"
            );
            client.send(&upload, offset, &file[offset..]).await;
            assert!(place.object(&upload).await == Some(file.clone()));
            client.delete(&upload).await.expect(204);
        }
    })
    .await;
}

#[tokio::test]
async fn patch_11_a_body_in_chunks_needs_no_length() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(100_000));
        let upload = client.create(100_000).await;
        let mut connection = client.begin_chunked(&upload, 0, &[]).await;

        connection.send(in_chunks(&file, 7001)).await;

        let answer = connection.answer().await.expect(204);
        assert_eq!(answer.number("Upload-Offset"), 100_000);
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn patch_12_no_bytes_at_the_right_place_are_fine() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"").await;
        client.send(&upload, 0, b"he").await;
        client.send(&upload, 2, b"").await;
        let mut connection = client.begin_chunked(&upload, 2, &[]).await;
        connection.send(LAST_CHUNK).await;
        assert_eq!(connection.answer().await.expect(204).number("Upload-Offset"), 2);
    })
    .await;
}

#[tokio::test]
async fn patch_13_a_client_that_lost_the_last_answer_asks_again() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"hello").await;

        client.send(&upload, 5, b"").await;
        client.send(&upload, 5, b"").await;

        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}

#[tokio::test]
async fn patch_14_a_finished_upload_takes_no_more() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"hello").await;

        for offset in [0, 4, 5, 6] {
            let refused = client.patch(&upload, offset, b"x").await;
            assert!((400..500).contains(&refused.status), "{refused:?}");
        }
        let mut connection = client.begin_chunked(&upload, 5, &[]).await;
        connection.send(chunk(b"x")).await;
        connection.send_while_taken(LAST_CHUNK).await;
        let refused = connection.answer().await;
        assert!((400..500).contains(&refused.status), "{refused:?}");

        assert_eq!(client.offset(&upload).await, 5);
        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}

#[tokio::test]
async fn patch_15_a_client_that_waits_for_leave_gets_it() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Offset", "0"),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("PATCH", &upload, &fields)).await;

        assert_eq!(connection.answer().await.status, 100);
        connection.send(b"hello").await;

        assert_eq!(connection.answer().await.expect(204).number("Upload-Offset"), 5);
    })
    .await;
}

#[tokio::test]
async fn patch_16_what_is_hopeless_is_refused_without_leave() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        let fields = |version, offset, length| {
            [
                ("Tus-Resumable", version),
                BYTES,
                ("Upload-Offset", offset),
                ("Content-Length", length),
                ("Expect", "100-continue"),
            ]
        };
        for (path, fields, status) in [
            (upload.as_str(), fields("1.0.0", "3", "2"), 409),
            (&upload, fields("1.0.0", "0", "6"), 413),
            (
                "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6",
                fields("1.0.0", "0", "5"),
                404,
            ),
            (&upload, fields("0.2.2", "0", "5"), 412),
            (&upload, fields("1.0.0", "x", "5"), 400),
        ] {
            let mut connection = client.connect().await;
            connection.send(client.head_of("PATCH", path, &fields)).await;

            connection.answer().await.expect(status);
        }
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn patch_19_a_body_may_be_as_large_as_the_file() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(24 * MIB));
        let upload = client.create(file.len()).await;

        client.send(&upload, 0, &file).await;

        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

/// Somebody whose bytes look like a request.
async fn smuggle(client: &Client, victim: &str, head: String) {
    let mut connection = client.connect().await;
    let hidden = client.head_of("DELETE", victim, &[VERSION]);
    connection.send(head).await;
    // Late enough to be read after the refusal.
    tokio::time::sleep(Duration::from_millis(100)).await;
    connection.send_while_taken(hidden.as_bytes()).await;
    let refused = connection.answer().await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
    connection.finish().await;
    let rest = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert!(!rest.contains(" 204 "), "{rest}");
}

#[tokio::test]
async fn patch_20_the_rest_of_a_refused_body_is_no_request() {
    here(async |place| {
        let client = place.client();
        let (upload, victim) = (client.create(50_000).await, client.create(5).await);
        let length = client.head_of("DELETE", &victim, &[VERSION]).len().to_string();
        let hopeless = [
            VERSION,
            BYTES,
            ("Upload-Offset", "7"),
            ("Content-Length", &length),
        ];
        smuggle(&client, &victim, client.head_of("PATCH", &upload, &hopeless)).await;
        let old = [("Tus-Resumable", "0.2.2"), BYTES, ("Content-Length", &length)];
        smuggle(&client, &victim, client.head_of("PATCH", &upload, &old)).await;
        let untyped = [VERSION, ("Content-Length", &length)];
        smuggle(
            &client,
            &victim,
            client.head_of("PATCH", "/files/unknown", &untyped),
        )
        .await;

        assert_eq!(client.offset(&victim).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_does_not_hold_the_server_up() {
    here_with(
        |config| config.server.workers = 1,
        async |place| {
            let client = place.client();
            let (slow, quick) = (client.create(50).await, client.create(5).await);
            let _waiting = client.begin_patch(&slow, 0, 50, b"a").await;

            client.send(&quick, 0, b"hello").await;
        },
    )
    .await;
}

#[tokio::test]
async fn patch_21_a_store_that_fails_at_the_end_is_asked_again_by_an_empty_patch() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        // Where the object's folder would be lies a file.
        let in_the_way = std::path::Path::new(&place.config.storage.local.path).join("uploads");
        std::fs::write(&in_the_way, b"x").expect("a file");
        let mut connection = client.begin_patch(&upload, 0, 5, b"hello").await;
        let failed = connection.answer().await;
        assert!(failed.status >= 500, "{failed:?}");
        assert_eq!(failed.header("Tus-Resumable"), "1.0.0");
        assert_eq!(client.offset(&upload).await, 5, "the last bytes stay");
        assert_eq!(place.object(&upload).await, None);

        std::fs::remove_file(in_the_way).expect("removed");
        client.send(&upload, 5, b"").await;

        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}
