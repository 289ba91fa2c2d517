//! Beginning: what a client is told, and which sizes are taken.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::client::{Client, Upload, claims_of};
use super::{MIB, everywhere, in_buckets, on_both, on_both_with};

/// The names of an object's members, sorted.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_answer_has_the_published_members_and_a_token_for_each_part() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let before = place.clock.now();

        let upload = client.init("videos/film.mp4", 2 * MIB + 5).await;

        assert_eq!(
            members(&upload.view),
            ["chunk_size", "expires_at", "file_id", "parts", "total_parts"]
        );
        assert_eq!(upload.view["total_parts"], 3);
        assert_eq!(upload.view["chunk_size"], MIB);
        let id = uuid::Uuid::parse_str(&upload.id).expect("a UUID");
        assert_eq!(
            (id.get_version_num(), id.hyphenated().to_string()),
            (4, upload.id.clone())
        );
        let parts = upload.view["parts"].as_array().expect("a list");
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(members(part), ["part", "status", "token"]);
            assert_eq!(
                (part["part"].as_u64(), &part["status"]),
                (Some(number as u64), &json!("pending"))
            );
        }
        let expires_at: DateTime<Utc> = upload.view["expires_at"].as_str().unwrap().parse().unwrap();
        let lives = expires_at - before;
        assert!(
            (lives - TimeDelta::hours(24)).abs() < TimeDelta::seconds(10),
            "{lives}"
        );
        for (number, token) in upload.tokens.iter().enumerate() {
            let claims = claims_of(token);
            assert_eq!(claims["upload_id"], upload.id);
            assert_eq!(claims["part_number"], number);
            assert_eq!(claims["expected_size"], upload.part(number).len());
            assert_eq!(claims["exp"], expires_at.timestamp());
        }
    })
    .await;
}

#[tokio::test]
async fn files_of_every_awkward_size_arrive() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for (size, parts) in [(0, 0), (1, 1), (MIB, 1), (MIB + 1, 2), (2 * MIB, 2)] {
            let upload = client.init(&format!("{size}.bin"), size).await;
            assert_eq!(upload.view["total_parts"], parts, "{size}");
            assert_eq!(upload.tokens.len(), parts, "{size}");
            client.send_all(&upload).await;

            let path = client.finish(&upload).await;

            assert!(place.object(&path).await == Some(upload.whole()), "{size} bytes");
        }
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn by_default_a_file_is_cut_into_fifty_mebibytes() {
    in_buckets(
        |config| {
            config.protocols.chunks.chunk_size_mb =
                muleteer::config::Config::default().protocols.chunks.chunk_size_mb;
        },
        async |place| {
            let client = Client::of(&place);

            let upload = client.init("videos/2024/large-video.mp4", 10_737_418_240).await;

            assert_eq!(upload.view["chunk_size"], 52_428_800);
            assert_eq!(
                (upload.view["total_parts"].as_u64(), upload.tokens.len()),
                (Some(205), 205)
            );
            assert_eq!(
                claims_of(&upload.tokens[204])["expected_size"],
                10_737_418_240_u64 - 204 * 52_428_800
            );
        },
    )
    .await;
}

#[tokio::test]
async fn ten_thousand_parts_begin_and_one_more_is_refused() {
    in_buckets(
        |_| {},
        async |place| {
            let client = Client::of(&place);
            let most = 10_000 * MIB;

            let upload = client.init("long.bin", most).await;

            assert_eq!(upload.tokens.len(), 10_000);
            let wanted = json!({ "filename": "longer.bin", "total_size": most + 1 });
            let refused = client.init_with(&wanted).await.error(413, "too_large");
            assert_eq!(refused["details"], json!({ "limit": most, "size": most + 1 }));
            client.cancel(&upload).await.expect(200);
            assert_eq!(place.unfinished().await, Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_limit_and_leaves_nothing() {
    on_both_with(
        |config| config.limits.max_size = 3 * MIB,
        async |place| {
            let client = Client::of(&place);
            for size in [3 * MIB + 1, (1 << 53) - 1, (1 << 63) - 1, u64::MAX] {
                let wanted = json!({ "filename": "a", "total_size": size });

                let refused = client.init_with(&wanted).await.error(413, "too_large");

                assert_eq!(refused["details"], json!({ "limit": 3 * MIB, "size": size }));
            }
            assert_eq!(place.unfinished().await, Vec::<String>::new());
            client.init("b", 3 * MIB).await;
        },
    )
    .await;
}

#[tokio::test]
async fn sizes_that_are_none_are_refused() {
    on_both(async |place| {
        let client = Client::of(&place);
        for size in [
            "-1",
            "-104857600",
            "1.5",
            "0.1",
            "-0.5",
            "1e300",
            "\"1024\"",
            "null",
            "true",
            "[]",
            "{}",
            "18446744073709551616",
        ] {
            let text = format!("{{\"filename\":\"a\",\"total_size\":{size}}}");

            let refused = client.init_text(&text).await.error(400, "invalid_request");

            assert_eq!(refused["details"][0]["field"], "total_size", "{size}: {refused}");
        }
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_double_without_a_fraction_is_a_size() {
    on_both(async |place| {
        let client = Client::of(&place);
        for (text, size) in [
            ("1024.0", 1024),
            ("2e3", 2000),
            ("-0", 0),
            ("0.0", 0),
            ("1048577.0", MIB + 1),
        ] {
            let reply = client
                .init_text(&format!("{{\"filename\":\"a\",\"total_size\":{text}}}"))
                .await;

            let upload = Upload::new(size, reply.expect(200));

            let status = client.status(&upload).await.expect(200);
            assert_eq!(status["total_size"], size, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn optional_members_may_be_null_and_unknown_ones_are_left_alone() {
    on_both(async |place| {
        let client = Client::of(&place);
        let wanted = json!({ "filename": "a", "total_size": 1, "webhook_url": null, "checksum_sha256": null, "later": 7 });
        client.init_with(&wanted).await.expect(200);

        let wanted = json!({ "filename": "a", "total_size": 1, "checksum_sha256": "xyz" });
        let refused = client.init_with(&wanted).await.error(400, "invalid_request");
        assert_eq!(refused["details"][0]["field"], "checksum_sha256");
        let wanted = json!({ "filename": "a", "total_size": 1, "webhook_url": 7 });
        client.init_with(&wanted).await.error(400, "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn equal_files_are_uploads_of_their_own() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let (one, other) = (client.init("same.bin", 5).await, client.init("same.bin", 5).await);
        assert_ne!(one.id, other.id);

        client.put(&one, 0, "first").await.expect(200);
        client.put(&other, 0, "other").await.expect(200);
        let (first, second) = (client.finish(&one).await, client.finish(&other).await);

        assert_eq!(place.object(&first).await.as_deref(), Some(b"first".as_slice()));
        assert_eq!(place.object(&second).await.as_deref(), Some(b"other".as_slice()));
    })
    .await;
}
