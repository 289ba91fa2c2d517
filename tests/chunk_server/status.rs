//! Status: everything that a resume needs, always.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::client::{Client, sha256};
use super::{MIB, everywhere, on_both};

const MEMBERS: [&str; 18] = [
    "chunk_size",
    "created_at",
    "expires_at",
    "file_id",
    "filename",
    "final_path",
    "finalization_error",
    "finalizing_progress_percent",
    "parts",
    "phase",
    "progress_percent",
    "status",
    "storage_backend",
    "total_parts",
    "total_size",
    "upload_progress_percent",
    "uploaded_parts",
    "uploaded_at",
];

/// Asserts the names and JSON types of every member.
fn check_shape(status: &Value) {
    let object = status.as_object().expect("an object");
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected: Vec<&str> = MEMBERS
        .into_iter()
        .filter(|name| *name != "uploaded_at")
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for text in ["file_id", "filename", "status", "phase", "storage_backend"] {
        assert!(status[text].is_string(), "{text}: {status}");
    }
    for number in ["total_size", "chunk_size", "total_parts", "uploaded_parts"] {
        assert!(status[number].is_u64(), "{number}: {status}");
    }
    for percent in [
        "progress_percent",
        "upload_progress_percent",
        "finalizing_progress_percent",
    ] {
        assert!(
            (0.0..=100.0).contains(&status[percent].as_f64().expect("a number")),
            "{percent}: {status}"
        );
    }
    for time in ["created_at", "expires_at"] {
        let _: DateTime<Utc> = status[time].as_str().expect("a text").parse().expect("a time");
    }
    for (number, part) in status["parts"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(part["part"], number);
        let is_uploaded = part["status"] == "uploaded";
        assert!(is_uploaded || part["status"] == "pending", "{part}");
        assert_eq!(part["checksum_sha256"].is_string(), is_uploaded, "{part}");
        assert_eq!(part["uploaded_at"].is_string(), is_uploaded, "{part}");
        let members = part.as_object().expect("an object");
        assert!(
            members.contains_key("checksum_sha256") && members.contains_key("uploaded_at"),
            "{part}"
        );
        assert_eq!(part.get("token").is_some(), !is_uploaded, "{part}");
    }
}

#[tokio::test]
async fn status_tells_everything_while_the_parts_come() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("videos/2024/x y.mp4", 2 * MIB + 5).await;

        let fresh = client.status(&upload).await.expect(200);
        check_shape(&fresh);
        for (name, value) in [
            ("file_id", json!(upload.id)),
            ("filename", json!("x y.mp4")),
            ("total_size", json!(2 * MIB + 5)),
            ("chunk_size", json!(MIB)),
            ("total_parts", json!(3)),
            ("uploaded_parts", json!(0)),
            ("status", json!("pending")),
            ("phase", json!("uploading")),
            ("storage_backend", json!(place.backend_name())),
            ("final_path", json!(null)),
            ("finalization_error", json!(null)),
            ("expires_at", upload.view["expires_at"].clone()),
        ] {
            assert_eq!(fresh[name], value, "{name}");
        }
        assert_eq!(fresh["progress_percent"].as_f64(), Some(0.0));

        let sent_at = place.clock.now();
        client.send(&upload, 1).await;
        let going = client.status(&upload).await.expect(200);
        check_shape(&going);
        assert_eq!(going["uploaded_parts"], 1);
        assert!(
            (going["progress_percent"].as_f64().unwrap() - 33.33).abs() < 0.01,
            "{going}"
        );
        assert_eq!(going["parts"][1]["checksum_sha256"], sha256(&upload.part(1)));
        let at: DateTime<Utc> = going["parts"][1]["uploaded_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((at - sent_at).abs() < TimeDelta::seconds(10), "{at}");
    })
    .await;
}

#[tokio::test]
async fn status_tells_of_a_whole_upload_whether_it_is_complete() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("videos/2024/x y.mp4", 2 * MIB + 5).await;
        client.send_all(&upload).await;
        let whole = client.status(&upload).await.expect(200);
        assert_eq!(
            (whole["status"].clone(), whole["final_path"].clone()),
            (json!("pending"), json!(null))
        );
        assert_eq!(whole["progress_percent"].as_f64(), Some(100.0));

        let path = client.finish(&upload).await;
        let done = client.status(&upload).await.expect(200);
        check_shape(&done);
        assert_eq!(
            (&done["status"], &done["phase"]),
            (&json!("complete"), &json!("complete"))
        );
        assert_eq!(
            (done["final_path"].as_str(), done["uploaded_parts"].as_u64()),
            (Some(path.as_str()), Some(3))
        );
        for percent in [
            "progress_percent",
            "upload_progress_percent",
            "finalizing_progress_percent",
        ] {
            assert_eq!(done[percent].as_f64(), Some(100.0), "{percent}");
        }
        for (part, seen) in done["parts"].as_array().unwrap().iter().enumerate() {
            assert_eq!(seen["checksum_sha256"], sha256(&upload.part(part)));
        }
    })
    .await;
}

#[tokio::test]
async fn an_empty_file_has_no_parts_and_is_whole_once_it_is_complete() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("empty", 0).await;
        let fresh = client.status(&upload).await.expect(200);
        check_shape(&fresh);
        assert_eq!(
            (&fresh["parts"], &fresh["status"]),
            (&json!([]), &json!("pending"))
        );

        client.finish(&upload).await;

        let done = client.status(&upload).await.expect(200);
        assert_eq!(done["progress_percent"].as_f64(), Some(100.0));
        assert_eq!(done["parts"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn the_parts_are_there_whatever_the_query_says() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 1).await;
        for query in ["", "?include_parts=true", "?include_parts=false", "?x=%ff"] {
            let status = client
                .get(&upload.path(&format!("/status{query}")))
                .await
                .expect(200);
            assert_eq!(status["parts"].as_array().map(Vec::len), Some(2), "{query}");
        }
    })
    .await;
}
