//! Completing: nothing is joined that is not whole, and whatever happens, the answer can be had again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{Client, Upload, sha256};
use super::gate::Gate;
use super::place::Place;
use super::wire::{Wire, head};
use super::{MIB, everywhere};
use crate::server::{API_KEY, Kind};

#[tokio::test]
async fn the_answer_has_the_published_members() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("videos/2024/december/large video.mp4", MIB + 5).await;
        client.send_all(&upload).await;

        let done = client.complete(&upload).await.expect(200);

        let expected = json!({
            "file_id": upload.id,
            "filename": "large video.mp4",
            "total_size": MIB + 5,
            "status": "complete",
            "final_path": format!("{}videos/2024/december/{}_large video.mp4", place.root(), upload.id),
            "storage_backend": place.backend_name(),
            "phase": "complete",
        });
        assert_eq!(done, expected);
        assert!(place.object(expected["final_path"].as_str().unwrap()).await == Some(upload.whole()));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn missing_parts_are_counted_and_the_upload_stays_usable() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 3 * MIB + 5).await;
        client.send(&upload, 2).await;

        let refused = client.complete(&upload).await.error(400, "parts_missing");

        let text = refused["error"].as_str().expect("a text");
        assert!(text.contains("1 of 4"), "{text}");
        assert_eq!(refused["details"], json!({ "missing": 3, "parts": [0, 1, 3] }));
        let status = client.status(&upload).await.expect(200);
        assert_eq!(
            (&status["status"], &status["final_path"]),
            (&json!("pending"), &Value::Null)
        );
        assert_eq!(place.finished().await, Vec::<String>::new());
        client.send_all(&upload).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn asked_again_the_answer_is_the_same_even_after_a_restart() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        client.send_all(&upload).await;
        let done = client.complete(&upload).await.expect(200);

        assert_eq!(client.complete(&upload).await.expect(200), done);
        // A body is none of its business.
        let with_body = client.with("content-type", "application/json");
        let again = with_body.raw("POST", &upload.path("/complete"), "{ broken").await;
        assert_eq!(again.expect(200), done);
        let place = place.restart();
        assert_eq!(Client::of(&place).complete(&upload).await.expect(200), done);
    })
    .await;
}

#[tokio::test]
async fn many_who_complete_at_once_get_one_result() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB + 5).await;
        client.send_all(&upload).await;

        let replies = join_all((0..8).map(|_| client.complete(&upload))).await;

        let first = replies[0].expect(200);
        for reply in &replies {
            assert_eq!(reply.expect(200), first);
        }
        let path = first["final_path"].as_str().expect("a path");
        assert!(place.object(path).await == Some(upload.whole()));
        assert_eq!(place.finished().await.len(), 1);
        assert!(place.is_clean().await);
    })
    .await;
}

/// Waits until `status` says so.
async fn wait_for(client: &Client, upload: &Upload, word: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if client.status(upload).await.expect(200)["phase"] == word {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_a_completion_that_goes_on() {
    let gate = Gate::closed().await;
    let place = Place::start(Kind::Sqlite, super::Backend::S3, |config| gate.configure(config));
    let place = place.expect("SQLite is never skipped");
    let client = Client::of(&place);
    let upload = client.init("a", MIB + 5).await;
    client.send_all(&upload).await;
    let key = format!("X-API-Key: {API_KEY}");
    let head = head("POST", &upload.path("/complete"), &[&key, "Content-Length: 0"]);
    let wire = Wire::begin(&place, &head, &[]).await;
    gate.reached().await;

    wire.reset();
    gate.open();

    assert!(wait_for(&client, &upload, "complete").await);
    let path = client.finish(&upload).await;
    assert!(gate.behind().object(&path).await == Some(upload.whole()));
}

#[tokio::test]
async fn a_completion_that_takes_long_is_joined_or_left_as_the_client_prefers() {
    let gate = Gate::closed().await;
    let place = Place::start(Kind::Sqlite, super::Backend::S3, |config| gate.configure(config));
    let place = place.expect("SQLite is never skipped");
    let client = Client::of(&place);
    let upload = client.init("a", MIB + 5).await;
    client.send_all(&upload).await;
    let hurried = client.with("prefer", "return=minimal, respond-async, wait=0");

    let accepted = hurried.complete(&upload).await.expect(202);

    assert_eq!(
        (&accepted["status"], &accepted["final_path"]),
        (&json!("finalizing"), &Value::Null)
    );
    let status = client.status(&upload).await.expect(200);
    assert_eq!(
        (&status["phase"], &status["status"]),
        (&json!("finalizing"), &json!("pending"))
    );
    assert_eq!(status["final_path"], Value::Null);
    let began = Instant::now();
    let (patient, ()) = tokio::join!(client.complete(&upload), async { gate.open() });
    assert!(began.elapsed() < Duration::from_secs(10));
    let done = patient.expect(200);
    assert_eq!(hurried.complete(&upload).await.expect(200), done);
    assert_eq!(
        client.status(&upload).await.expect(200)["final_path"],
        done["final_path"]
    );
}

/// The one wait in these tests that cannot be shorter: clients give up after 30 seconds, so we answer before.
#[tokio::test]
async fn a_completion_that_takes_very_long_is_answered_before_clients_give_up() {
    let gate = Gate::closed().await;
    let place = Place::start(Kind::Sqlite, super::Backend::S3, |config| gate.configure(config));
    let place = place.expect("SQLite is never skipped");
    let client = Client::of(&place);
    let upload = client.init("a", 5).await;
    client.send_all(&upload).await;
    let began = Instant::now();

    let late = client.complete(&upload).await;

    late.error(503, "finalizing");
    assert!(late.header("retry-after").parse::<u32>().is_ok());
    assert!(began.elapsed() < Duration::from_secs(29), "{:?}", began.elapsed());
    gate.open();
    let path = client.finish(&upload).await;
    assert!(gate.behind().object(&path).await == Some(upload.whole()));
}

#[tokio::test]
async fn a_right_digest_of_the_whole_file_completes_it() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for size in [0, 5, MIB + 5] {
            let digest = sha256(&super::client::content(size));
            for digest in [digest.clone(), digest.to_uppercase()] {
                let wanted = json!({ "filename": "a", "total_size": size, "checksum_sha256": digest });
                let upload = Upload::new(size, client.init_with(&wanted).await.expect(200));
                client.send_all(&upload).await;

                let path = client.finish(&upload).await;

                assert!(place.object(&path).await == Some(upload.whole()));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_digest_of_the_whole_file_fails_it_and_leaves_no_object() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for size in [0, MIB + 5] {
            let wanted = json!({ "filename": "a", "total_size": size, "checksum_sha256": sha256(b"other") });
            let upload = Upload::new(size, client.init_with(&wanted).await.expect(200));
            client.send_all(&upload).await;

            client.complete(&upload).await.error(409, "checksum_mismatch");

            let status = client.status(&upload).await.expect(200);
            assert_eq!(
                (&status["status"], &status["phase"]),
                (&json!("failed"), &json!("failed"))
            );
            assert_eq!(status["final_path"], Value::Null);
            assert!(status["finalization_error"].is_string(), "{status}");
            assert_eq!(place.finished().await, Vec::<String>::new());
            let again = client.complete(&upload).await;
            assert_eq!(again.status, 409, "{}", again.text());
            assert!(place.is_clean().await);
            client.cancel(&upload).await.expect(200);
            client.status(&upload).await.error(404, "not_found");
            client.cancel(&upload).await.error(404, "not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn parts_and_completion_may_race_and_nothing_is_lost() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for _ in 0..3 {
            let upload = client.init("a", MIB + 5).await;
            client.send(&upload, 0).await;

            let (sent, ended) =
                tokio::join!(client.put(&upload, 1, upload.part(1)), client.complete(&upload));

            sent.expect(200);
            if ended.status != 200 {
                ended.error(400, "parts_missing");
            }
            let path = client.finish(&upload).await;
            assert!(place.object(&path).await == Some(upload.whole()));
        }
    })
    .await;
}
