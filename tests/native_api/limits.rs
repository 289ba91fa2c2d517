//! What an owner may have open at once: through every door, for all who begin at once, and until something ends.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use super::api::{Api, Reply, all_parts, file, id};
use super::doors::{DOORS, begin_by, open_all};
use super::server::{Kind, TestServer};
use super::{beside, on_both, on_both_with, start};

#[tokio::test]
async fn beyond_the_quota_nothing_begins_until_something_ends_and_what_is_open_goes_on() {
    on_both_with(
        |config| {
            config.limits.named.open_uploads = 2;
            config.limits.named.open_bytes = 100;
        },
        async |server| {
            let api = Api::of(&server);
            let first = api.create("a.bin", 32).await;
            let second = api.create("b.bin", 40).await;

            let refused = api.post("/uploads", &file("c.bin", 1)).await;
            let problem = refused.problem(429, "quota-reached");
            assert_eq!(problem["what"], "open_uploads");
            assert_eq!((&problem["limit"], &problem["held"]), (&json!(2), &json!(2)));
            assert!(
                refused
                    .header("retry-after")
                    .parse::<u64>()
                    .is_ok_and(|seconds| seconds > 0)
            );
            // The same file again is no new upload.
            let again = api.post("/uploads", &file("b.bin", 40)).await.expect(200);
            assert_eq!(id(&again), id(&second));

            api.send_parts(&first, all_parts(&first)).await;
            api.complete(&first).await.expect(200);
            let problem = api
                .post("/uploads", &file("c.bin", 61))
                .await
                .problem(429, "quota-reached");
            assert_eq!(
                (&problem["what"], &problem["held"]),
                (&json!("open_bytes"), &json!(40))
            );
            api.create("c.bin", 60).await;
            // What never fits is no matter of waiting.
            api.delete(&format!("/uploads/{}", id(&second))).await.expect(204);
            let problem = api
                .post("/uploads", &file("d.bin", 101))
                .await
                .problem(413, "too-large");
            assert_eq!(problem["limit"], 100);
            // Somebody else has room of their own.
            Api::nobody(&server)
                .post("/uploads", &file("e.bin", 1000))
                .await
                .expect(201);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_who_begin_at_once_at_two_servers_as_many_as_allowed_do() {
    on_both_with(
        |config| config.limits.named.open_uploads = 17,
        async |server| {
            let other = beside(&server);
            let tries = (0..200).map(|n| {
                let api = Api::of(if n % 2 == 0 { &server } else { &other });
                async move { api.post("/uploads", &file(&format!("{n}.bin"), 20)).await.status }
            });
            let answers = join_all(tries).await;
            let of = |status| answers.iter().filter(|answer| **answer == status).count();
            assert_eq!((of(201), of(429)), (17, 183), "{answers:?}");

            let open = Api::of(&server)
                .get("/uploads?state=open&limit=100")
                .await
                .expect(200);
            assert_eq!(open["uploads"].as_array().map(Vec::len), Some(17));
        },
    )
    .await;
}

/// Begins an upload at one of all [`DOORS`], or by tus without a length.
pub async fn begin(server: &TestServer, door: &str) -> Reply {
    if door != DEFERRED {
        return begin_by(door, server).await;
    }
    let api = Api::of(server).outside().with("tus-resumable", "1.0.0");
    api.with("upload-defer-length", "1")
        .raw("POST", "/files", Vec::new())
        .await
}

pub const DEFERRED: &str = "tus, deferred";

#[tokio::test]
async fn every_door_holds_the_same_quota() {
    for door in DOORS.into_iter().chain([DEFERRED]) {
        let server = start(Kind::Sqlite, |config| {
            open_all(config);
            config.limits.named.open_uploads = 1;
        });
        let server = server.expect("SQLite is never skipped");
        let api = Api::of(&server);
        let other = api.create("other.bin", 5).await;

        let refused = begin(&server, door).await;
        assert_eq!(refused.status, 429, "{door}: {}", refused.text());
        let seconds = refused.header("retry-after").parse::<u64>();
        assert!(
            seconds.is_ok_and(|seconds| seconds > 0),
            "{door}: {}",
            refused.text()
        );

        api.delete(&format!("/uploads/{}", id(&other))).await.expect(204);
        let begun = begin(&server, door).await;
        assert!(
            (200..300).contains(&begun.status),
            "{door}: {} {}",
            begun.status,
            begun.text()
        );
        let refused = api.post("/uploads", &file("another.bin", 5)).await;
        refused.problem(429, "quota-reached");
    }
}

#[tokio::test]
async fn parts_grow_where_we_cut_and_are_refused_where_the_client_does() {
    on_both_with(
        |config| config.limits.max_parts = 3,
        async |server| {
            let api = Api::of(&server);
            let upload = api.create("a.bin", 1000).await;
            assert!(
                upload["part_count"].as_u64().is_some_and(|count| count <= 3),
                "{upload}"
            );

            let outside = api.outside().with("content-type", "application/json");
            let wanted = json!({ "filename": "u.bin", "type": "text/plain", "metadata": {} });
            let begun = outside
                .raw("POST", "/s3/multipart", wanted.to_string().into())
                .await
                .expect(200);
            let (upload, key) = (begun["uploadId"].as_str(), begun["key"].as_str());
            let path = |number: u32| {
                let (upload, key) = (upload.expect("an id"), key.expect("a key"));
                format!("/s3/multipart/{upload}/{number}?key={key}")
            };
            outside.get(&path(3)).await.expect(200);
            assert_eq!(outside.get(&path(4)).await.status, 413);
        },
    )
    .await;
}

#[tokio::test]
async fn a_file_of_unknown_length_counts_as_it_comes() {
    on_both_with(
        |config| config.limits.named.open_bytes = 50,
        async |server| {
            let api = Api::of(&server);
            let tus = api.outside().with("tus-resumable", "1.0.0");
            let begun = tus
                .with("upload-defer-length", "1")
                .raw("POST", "/files", Vec::new())
                .await;
            let place = begun.header("location").to_owned();
            let patch = tus
                .with("content-type", "application/offset+octet-stream")
                .with("upload-offset", "0");
            let sent = patch.raw("PATCH", &place, vec![b'x'; 30]).await;
            assert_eq!(sent.status, 204, "{}", sent.text());

            let problem = api
                .post("/uploads", &file("a.bin", 21))
                .await
                .problem(429, "quota-reached");
            assert_eq!(problem["held"], 30);
            api.create("b.bin", 20).await;

            // Not one byte more, neither sent nor declared.
            let patch = patch.with("upload-offset", "30");
            assert_eq!(patch.raw("PATCH", &place, vec![b'x'; 1]).await.status, 429);
            let declared = patch
                .with("upload-length", "40")
                .raw("PATCH", &place, Vec::new())
                .await;
            assert_eq!(declared.status, 429, "{}", declared.text());
            let whole = patch
                .with("upload-length", "30")
                .raw("PATCH", &place, Vec::new())
                .await;
            assert_eq!(whole.status, 204, "{}", whole.text());
        },
    )
    .await;
}

#[tokio::test]
async fn a_session_that_has_run_out_makes_room_before_anybody_sweeps() {
    let server = start(Kind::Sqlite, |config| {
        open_all(config);
        config.limits.named.open_uploads = 1;
        // The store counts time by itself, and takes no request that is a quarter of an hour off.
        config.protocols.offset.expires = 600;
    });
    let server = server.expect("SQLite is never skipped");
    let begun = begin(&server, "offset").await;
    assert_eq!(begun.status / 100, 2, "{}", begun.text());
    let api = Api::of(&server);
    let refused = api.post("/uploads", &file("a.bin", 5)).await;
    refused.problem(429, "quota-reached");

    let life = i64::try_from(server.config.protocols.offset.expires).expect("an hour");
    server.advance(TimeDelta::seconds(life));

    api.create("a.bin", 5).await;
}

#[tokio::test]
async fn without_limits_the_session_tells_the_stores_own() {
    on_both(async |server| {
        let session = Api::of(&server).get("/session").await.expect(200);
        assert_eq!(session["limits"]["max_parts"], 10_000);
    })
    .await;
}
