//! How a session begins.

use serde_json::json;

use super::client::{Client, error, standing};
use super::{Backend, Kind, here, on};

#[tokio::test]
async fn a_session_begins_with_202_and_its_three_members() {
    here(async |place| {
        let client = Client::of(&place);
        for path in [
            "/chunk",
            "/chunk/",
            "/chunk?session_id=&offset=0",
            "/chunk?session_id=&offset=",
            "/chunk?upload_id=",
        ] {
            let body = br#"{"bytes": 10, "name": "x.bin", "mime_type": "text/plain", "more": [1]}"#;

            let answer = client.ask("PUT", path, &[], body).await.expect(202);

            let session = answer.json();
            assert_eq!(
                session.as_object().map(serde_json::Map::len),
                Some(3),
                "{session}"
            );
            assert_eq!(
                (standing(&session), session["expires"].as_str()),
                (0, Some("3600"))
            );
            assert_eq!(session["session_id"].as_str().map(str::len), Some(36));
            assert!(answer.header("content-type").starts_with("application/json"));
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_file_cannot_be_is_refused_by_the_name_of_its_member() {
    here(async |place| {
        let client = Client::of(&place);
        for (body, field) in [
            ("", "body"),
            ("no json", "body"),
            ("[1]", "body"),
            ("{}", "bytes"),
            (r#"{"name": "a"}"#, "bytes"),
            (r#"{"bytes": -1, "name": "a"}"#, "bytes"),
            (r#"{"bytes": 1.5, "name": "a"}"#, "bytes"),
            (r#"{"bytes": "1", "name": "a"}"#, "bytes"),
            (r#"{"bytes": 1}"#, "name"),
            (r#"{"bytes": 1, "name": 7}"#, "name"),
            (r#"{"bytes": 1, "name": ""}"#, "name"),
            (r#"{"bytes": 1, "name": ".."}"#, "name"),
            (r#"{"bytes": 1, "name": "../x"}"#, "name"),
            (r#"{"bytes": 1, "name": "a/b"}"#, "name"),
            (r#"{"bytes": 1, "name": "a\\b"}"#, "name"),
            (r#"{"bytes": 1, "name": "a\u0000b"}"#, "name"),
            (r#"{"bytes": 1, "name": "a", "mime_type": "none"}"#, "mime_type"),
            (r#"{"bytes": 1, "name": "a", "sha256": "12"}"#, "sha256"),
        ] {
            let refused = error(&client.start_with(body).await, 400, "invalid_request");

            assert_eq!(refused["details"][0]["field"], field, "{body}");
            assert!(refused.get("offset").is_none(), "{refused}");
        }
        let long = json!({ "bytes": 1, "name": "n".repeat(256) }).to_string();
        error(&client.start_with(&long).await, 400, "invalid_request");
        assert!(place.finished().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_and_one_at_it_is_taken() {
    here(async |place| {
        let client = Client::of(&place);
        let over = json!({ "bytes": (1u64 << 30) + 1, "name": "a" }).to_string();
        let refused = error(&client.start_with(&over).await, 413, "too_large");
        assert!(refused["error"].as_str().unwrap().contains("1073741824"));
        let at = json!({ "bytes": 1u64 << 30, "name": "a" }).to_string();
        client.start_with(&at).await.expect(202);
    })
    .await;
}

#[tokio::test]
async fn the_sample_of_the_original_works_where_the_limit_allows_it() {
    // A bucket, since a folder without room for it refuses it at once.
    on(
        Kind::Postgres,
        Backend::S3,
        |config| config.protocols.offset.file_max = 5120,
        async |place| {
            let client = Client::of(&place);
            let sample = r#"{"bytes": 5368709120, "name": "a.iso", "mime_type": "application/octet-stream"}"#;
            let answer = client.start_with(sample).await.expect(202).json();
            let session = answer["session_id"].as_str().unwrap();
            // Beyond 2^32.
            let refused = error(&client.put(session, 5_000_000_000u64, b"x").await, 400, "offset");
            assert_eq!(standing(&refused), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn a_blank_session_with_anything_but_json_is_refused() {
    here(async |place| {
        let client = Client::of(&place);
        let answer = client
            .ask("PUT", "/chunk?session_id=&offset=0", &[], b"raw bytes")
            .await;
        error(&answer, 400, "invalid_request");
        let answer = client
            .ask("PUT", "/chunk?session_id=a&upload_id=b", &[], b"x")
            .await;
        error(&answer, 400, "invalid_request");
        for method in ["POST", "PATCH"] {
            let answer = client.ask(method, "/chunk", &[], b"").await;
            error(&answer, 405, "method_not_allowed");
        }
    })
    .await;
}
