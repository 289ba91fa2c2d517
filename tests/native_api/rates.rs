//! How often things may be done: through every door, for each owner and each address, and what whoever is too fast is told.

use chrono::TimeDelta;
use serde_json::json;

use super::api::{Api, all_parts, file, id};
use super::doors::{DOORS, begin_by, open_all};
use super::limits::{DEFERRED, begin};
use super::server::Kind;
use super::{on_both_with, start};

#[tokio::test]
async fn every_door_holds_the_same_rate_and_says_how_long_to_wait() {
    for door in DOORS.into_iter().chain([DEFERRED]) {
        let server = start(Kind::Sqlite, |config| {
            open_all(config);
            config.limits.rates.creations_per_owner = 1;
        });
        let server = server.expect("SQLite is never skipped");
        Api::of(&server).create("other.bin", 5).await;

        let refused = begin(&server, door).await;

        assert_eq!(refused.status, 429, "{door}: {}", refused.text());
        let seconds = refused.header("retry-after").parse::<i64>();
        let seconds = seconds.unwrap_or_else(|_| panic!("{door}: no seconds"));
        assert!((1..=60).contains(&seconds), "{door}: {seconds}");
        server.advance(TimeDelta::seconds(seconds));
        let begun = begin(&server, door).await;
        assert!(
            (200..300).contains(&begun.status),
            "{door}: {} {}",
            begun.status,
            begun.text()
        );
    }
}

#[tokio::test]
async fn what_is_presigned_counts_for_the_address_that_asks() {
    for door in ["uppy presign", "uppy form", "mule", "evaporate", "fine uploader"] {
        let server = start(Kind::Sqlite, |config| {
            open_all(config);
            config.limits.rates.signatures_per_address = 1;
        });
        let server = server.expect("SQLite is never skipped");

        let signed = begin_by(door, &server).await;
        assert_eq!(signed.status / 100, 2, "{door}: {}", signed.text());
        let refused = begin_by(door, &server).await;

        assert_eq!(refused.status, 429, "{door}: {}", refused.text());
        assert!(!refused.header("retry-after").is_empty(), "{door}");
    }
}

#[tokio::test]
async fn who_is_too_fast_is_told_how_long_to_wait_and_then_goes_on() {
    on_both_with(
        |config| {
            config.limits.rates.creations_per_owner = 3;
            config.limits.rates.signatures_per_address = 3;
        },
        async |server| {
            let api = Api::of(&server);
            let upload = api.create("a.bin", 48).await;
            for name in ["b.bin", "c.bin"] {
                api.create(name, 16).await;
            }
            let refused = api.post("/uploads", &file("d.bin", 16)).await;
            refused.problem(429, "too-fast");
            let seconds: i64 = refused.header("retry-after").parse().expect("seconds");
            assert!((1..=20).contains(&seconds), "{seconds}");
            // Others are not held up, and what goes on is no new upload of theirs.
            Api::nobody(&server)
                .post("/uploads", &file("e.bin", 16))
                .await
                .expect(201);

            assert_eq!(api.sign(&upload, all_parts(&upload)).await.len(), 3);
            let path = format!("/uploads/{}/signatures", id(&upload));
            let refused = api.post(&path, &json!({ "parts": [1] })).await;
            refused.problem(429, "too-fast");

            server.clock.advance(TimeDelta::seconds(seconds));
            api.create("d.bin", 16).await;
            assert_eq!(api.sign(&upload, json!([1])).await.len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn an_address_that_guesses_keys_is_not_listened_to_for_a_while() {
    on_both_with(
        |config| config.limits.rates.failures_per_address = 2,
        async |server| {
            let guesser = Api::nobody(&server).with("x-api-key", "mule_not-a-key-of-ours");
            for _ in 0..2 {
                guesser.get("/uploads").await.problem(401, "unauthenticated");
            }
            guesser.get("/uploads").await.problem(429, "too-fast");
            // Not even to the right one, since nobody looks; without a key nothing is asked.
            Api::of(&server).get("/uploads").await.problem(429, "too-fast");
            Api::nobody(&server)
                .post("/uploads", &file("a.bin", 16))
                .await
                .expect(201);

            server.clock.advance(TimeDelta::minutes(1));
            for _ in 0..20 {
                Api::of(&server).get("/uploads").await.expect(200);
            }
        },
    )
    .await;
}
