//! Beginning an upload: what comes back, how a file is cut, and what is refused.

use serde_json::{Value, json};

use super::api::{Api, file, id, number_in};
use super::{PART, on_both, on_both_with, store_of};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[tokio::test]
async fn a_new_upload_comes_with_everything_that_a_client_needs() {
    on_both(async |server| {
        let wanted = json!({
            "filename": "clip été.mp4", "size": 40, "content_type": "video/mp4",
            "last_modified": 1_700_000_000_000_i64, "metadata": { "album": "été" },
        });
        let reply = Api::of(&server).post("/uploads", &wanted).await;
        let upload = reply.expect(201);

        assert_eq!(reply.header("cache-control"), "no-store");
        for (field, value) in [
            ("state", json!("open")),
            ("transfer", json!("direct")),
            ("bucket", json!("uploads")),
            ("filename", json!("clip été.mp4")),
            ("size", json!(40)),
            ("content_type", json!("video/mp4")),
            ("part_size", json!(PART)),
            ("part_count", json!(3)),
            ("parts", json!([])),
            ("metadata", json!({ "album": "été" })),
            ("location", Value::Null),
            ("etag", Value::Null),
        ] {
            assert_eq!(upload[field], value, "{field}");
        }
        assert!(upload["token"].as_str().is_some_and(|token| token.len() > 40));
        for time in ["created_at", "expires_at"] {
            let text = upload[time].as_str().expect("a time");
            assert!(
                chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z'),
                "{text}"
            );
        }
        // The store really has a place for it.
        let (key, multipart) = (
            upload["key"].as_str().expect("a key"),
            upload["upload_id"].as_str(),
        );
        let parts = store_of(&server).parts(key, multipart.expect("an id")).await;
        assert_eq!(parts.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_key_is_ours_alone_whatever_the_file_is_called() {
    on_both(async |server| {
        let api = Api::of(&server);
        for (name, ending) in [
            ("../../etc/passwd", "/passwd"),
            ("a b+c&d%e.txt", "/a_b_c_d_e.txt"),
            ("日本.png", "/_.png"),
            (".", "/file"),
            ("..", "/file"),
            (".htaccess", "/htaccess"),
            ("C:\\films\\a.mov", "/a.mov"),
        ] {
            let upload = api.create(name, 1).await;
            let key = upload["key"].as_str().expect("a key");

            assert!(
                key.starts_with("uploads/20") && key.ends_with(ending),
                "{name}: {key}"
            );
            assert!(key.contains(id(&upload)), "{key}");
            assert_eq!(upload["filename"], name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_is_cut_into_parts_at_its_edges() {
    on_both(async |server| {
        let api = Api::of(&server);
        for (size, count) in [
            (0, 0),
            (1, 1),
            (PART, 1),
            (PART + 1, 2),
            (3 * PART, 3),
            (PART * 10_000, 10_000),
        ] {
            let upload = api.create(&format!("{size}.bin"), size).await;

            assert_eq!(upload["part_count"], count, "{size} bytes");
            assert_eq!(upload["part_size"], PART);
            assert_eq!(upload["upload_id"].is_null(), size == 0);
        }
    })
    .await;
}

#[tokio::test]
async fn parts_grow_in_whole_mebibytes_and_never_exceed_ten_thousand() {
    let usual = |config: &mut muleteer::config::Config| {
        config.dev_s3.min_part_size = 5 * MIB;
        config.uploads.part_size = 6 * MIB;
    };
    on_both_with(usual, async |server| {
        let api = Api::of(&server);
        for (size, part_size) in [
            (7 * GIB, 6 * MIB),
            (6 * MIB * 10_000, 6 * MIB),
            (6 * MIB * 10_000 + 1, 7 * MIB),
            (1024 * GIB, 105 * MIB),
            (5 * GIB * 10_000, 5 * GIB),
        ] {
            let upload = api.create(&format!("{size}.bin"), size).await;

            assert_eq!(upload["part_size"], part_size, "{size} bytes");
            assert_eq!(number_in(&upload, "part_count"), size.div_ceil(part_size));
            assert!(number_in(&upload, "part_count") <= 10_000);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_may_ask_for_larger_parts() {
    on_both(async |server| {
        let api = Api::of(&server);
        let ask =
            |part_size: u64| json!({ "filename": "a", "size": 100, "part_size": part_size, "resume": false });

        let upload = api.post("/uploads", &ask(50)).await.expect(201);

        assert_eq!(
            (upload["part_size"].clone(), upload["part_count"].clone()),
            (json!(50), json!(2))
        );
        for out_of_limits in [0, 7, 5 * GIB + 1] {
            assert_eq!(
                api.post("/uploads", &ask(out_of_limits)).await.bad_fields(),
                ["part_size"]
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_with_the_limit() {
    on_both_with(
        |config| config.limits.max_size = 1000,
        async |server| {
            let api = Api::of(&server);
            api.create("fits", 1000).await;

            let problem = api
                .post("/uploads", &file("a", 1001))
                .await
                .problem(413, "too-large");

            assert_eq!(
                (problem["limit"].clone(), problem["size"].clone()),
                (json!(1000), json!(1001))
            );
        },
    )
    .await;
    on_both(async |server| {
        for size in [5 * GIB * 10_000 + 1, i64::MAX as u64, u64::MAX] {
            let refused = Api::of(&server).post("/uploads", &file("a", size)).await;
            assert_eq!(refused.problem(413, "too-large")["limit"], 5 * GIB * 10_000);
        }
    })
    .await;
}

#[tokio::test]
async fn a_type_that_the_operator_does_not_take_is_refused() {
    on_both_with(
        |config| config.limits.types = vec!["video/*".into()],
        async |server| {
            let api = Api::of(&server);
            let ask = |kind: &str| json!({ "filename": "a", "size": 1, "content_type": kind });

            api.post("/uploads", &ask("video/mp4")).await.expect(201);

            let problem = api
                .post("/uploads", &ask("image/png"))
                .await
                .problem(415, "type-refused");
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|text| text.contains("image/png"))
            );
        },
    )
    .await;
}
