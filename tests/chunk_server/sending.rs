//! Sending parts: in any order, at once, by any client's way of sending; of the right size or not at all.

use futures_util::future::join_all;
use futures_util::stream;
use serde_json::json;

use super::client::{Client, Upload, sha256};
use super::{MIB, everywhere, on_both};

/// A body that comes in chunks, without its length.
fn in_chunks(bytes: &[u8]) -> reqwest::Body {
    let pieces: Vec<_> = bytes
        .chunks(100_000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect();
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_part_is_answered_with_its_digest_and_the_count_so_far() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB + 5).await;
        for (sent, part) in [2, 0, 1].into_iter().enumerate() {
            let answer = client.send(&upload, part).await;

            let expected = json!({
                "upload_id": upload.id,
                "part_number": part,
                "status": "uploaded",
                "checksum_sha256": sha256(&upload.part(part)),
                "uploaded_parts": sent + 1,
                "total_parts": 3,
            });
            assert_eq!(answer, expected);
        }
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_part_comes_with_or_without_a_type_and_with_or_without_its_length() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 4 * MIB).await;
        let part = |number: usize, kind: Option<&str>| {
            let bearer = client.bearing(&upload.tokens[number]);
            kind.map_or(bearer.clone(), |kind| bearer.with("content-type", kind))
        };
        for (number, kind) in [
            (0, None),
            (1, Some("application/octet-stream")),
            (2, Some("application/json")),
        ] {
            let reply = part(number, kind)
                .raw("PUT", &upload.part_path(number), upload.part(number))
                .await;
            reply.expect(200);
        }

        let chunked = part(3, None)
            .raw("PUT", &upload.part_path(3), in_chunks(&upload.part(3)))
            .await;

        assert_eq!(chunked.expect(200)["checksum_sha256"], sha256(&upload.part(3)));
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn parts_come_in_any_order_and_at_once() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 6 * MIB + 77).await;
        for round in [vec![6], vec![3, 1, 5], vec![0, 4, 2]] {
            join_all(round.into_iter().map(|part| client.send(&upload, part))).await;
        }

        assert_eq!(client.part_states(&upload).await, "uuuuuuu");
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_part_of_another_size_is_refused_and_stays_pending() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 1000).await;
        let sizes = |part: usize| match part {
            0 => vec![0, 1, MIB - 1, MIB + 1, 2 * MIB],
            _ => vec![0, 1, 999, 1001, MIB],
        };
        for part in [0, 1] {
            for size in sizes(part) {
                let bytes = vec![7; usize::try_from(size).expect("small")];
                for body in [reqwest::Body::from(bytes.clone()), in_chunks(&bytes)] {
                    let refused = client.put(&upload, part, body).await.error(400, "wrong_size");

                    let expected = upload.part(part).len();
                    assert_eq!(
                        refused["details"]["expected"], expected,
                        "{part} {size}: {refused}"
                    );
                }
            }
        }
        assert_eq!(client.part_states(&upload).await, "pp");
        client.send_all(&upload).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_body_far_over_the_size_of_a_part_is_refused_by_its_length() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 1000).await;
        let fits = client.put(&upload, 0, vec![7; 2 << 20]).await;
        fits.error(400, "wrong_size");

        let refused = client.put(&upload, 0, vec![7; (2 << 20) + 1]).await;

        assert_eq!(refused.error(413, "body_too_large")["details"]["limit"], 2 << 20);
        // Without a length it is refused once it is too long.
        let long = client.put(&upload, 0, in_chunks(&vec![7; 4 << 20])).await;
        assert!(matches!(long.status, 400 | 413), "{}", long.text());
        assert_eq!(client.part_states(&upload).await, "pp");
    })
    .await;
}

#[tokio::test]
async fn parts_that_the_upload_has_not_are_not_found() {
    on_both(async |place| {
        let client = Client::of(&place);
        let empty = client.init("empty", 0).await;
        let upload = client.init("a", 5).await;
        let path = upload.part_path(1);

        let beyond = client.bearing(&upload.tokens[0]).raw("PUT", &path, "hello").await;

        // No token is ever made for it.
        beyond.error(401, "unauthenticated");
        let of_empty = client
            .bearing(&upload.tokens[0])
            .raw("PUT", &empty.part_path(0), "x")
            .await;
        of_empty.error(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn uploads_at_once_do_not_mix() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let sizes = [MIB + 1, 5, 2 * MIB, MIB + 70_000];
        let uploads: Vec<Upload> = join_all(sizes.iter().map(|size| client.init("same.bin", *size))).await;

        let paths = join_all(uploads.iter().map(|upload| async {
            client.send_all(upload).await;
            client.finish(upload).await
        }))
        .await;

        for (upload, path) in uploads.iter().zip(&paths) {
            assert!(place.object(path).await == Some(upload.whole()), "{path}");
        }
        assert!(place.is_clean().await);
    })
    .await;
}
