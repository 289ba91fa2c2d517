//! The id of a request: the client's own where it is sane, else ours; in the answer, in every shape of error, in the log.

use std::collections::BTreeMap;

use serde_json::Value;

use super::api::Api;
use super::process::Place;
use super::{PART, plain};

#[tokio::test]
async fn a_sane_id_is_taken_over_and_any_other_is_replaced() {
    let server = plain(|_| {});
    let api = Api::of(&server);

    let longest = "x".repeat(128);
    for sane in ["a", "4bf92f35-77b3.4da6:(1)/\"q\"", longest.as_str()] {
        let answer = api.with("x-request-id", sane).get("/uploads/nothing").await;
        assert_eq!(answer.header("x-request-id"), sane);
        assert_eq!(answer.problem(404, "not-found")["request_id"], sane);
    }
    let too_long = "x".repeat(129);
    for odd in ["", "two words", "tab\there", too_long.as_str()] {
        let answer = api.with("x-request-id", odd).get("/uploads/nothing").await;
        let id = answer.header("x-request-id").to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{odd:?}: {id}"
        );
        assert_eq!(answer.problem(404, "not-found")["request_id"], id.as_str());
    }
}

#[tokio::test]
async fn every_shape_of_error_that_has_room_names_the_request() {
    let server = plain(|_| {});
    let api = Api::of(&server)
        .outside()
        .with("x-request-id", "asked-by-the-test");
    let shapes = [
        ("GET", "/nowhere"),
        ("GET", "/api/v1/uploads/nothing"),
        ("GET", "/upload/00000000-0000-4000-8000-000000000000/status"),
        ("GET", "/s3/multipart/x?key=y"),
        ("DELETE", "/chunk/nothing"),
        ("POST", "/fineuploader/success"),
        // Methods that an address does not take.
        ("POST", "/chunk"),
        ("GET", "/fineuploader/signature"),
        ("PUT", "/upload/00000000-0000-4000-8000-000000000000/status"),
    ];
    for (method, path) in shapes {
        let answer = api.send(method, path, None).await;
        assert!(
            (400..500).contains(&answer.status),
            "{method} {path}: {}",
            answer.status
        );
        assert_eq!(
            answer.json()["request_id"],
            "asked-by-the-test",
            "{method} {path}: {}",
            answer.text()
        );
        assert_eq!(answer.header("x-request-id"), "asked-by-the-test");
    }
}

#[tokio::test]
async fn what_is_logged_while_a_request_is_served_bears_its_id() {
    let place = Place::new();
    let key = "a-very-secret-key-0123456789";
    let server = place.serve(&[("MULETEER_LOG__FORMAT", "json"), ("API_KEY", key)]);
    let api = Api::at(&server.base).with("x-api-key", key);
    let upload = api.create("film.mp4", PART).await;
    api.send_parts(&upload, serde_json::json!("1")).await;
    api.with("x-request-id", "the-last-one")
        .complete(&upload)
        .await
        .expect(200);
    let (_, log) = server.stop();

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let by_text: BTreeMap<&str, &Value> = lines
        .iter()
        .filter_map(|line| Some((line["message"].as_str()?, line)))
        .collect();
    // Completing runs in a task of its own.
    assert_eq!(by_text["complete"]["span"]["request_id"], "the-last-one", "{log}");
    assert_eq!(by_text["request"]["request_id"], "the-last-one", "{log}");
    assert_eq!(by_text["request"]["door"], "native", "{log}");
    assert!(
        by_text["request"]["trace_id"].is_null(),
        "nobody collects traces: {log}"
    );
}
