//! A signature for a whole object cannot be taken back, and is good for a while after the upload is complete: whatever it
//! brings then goes through the same gate, and what was told of the first bytes is told anew, or taken back.

use std::time::Duration;

use chrono::TimeDelta;
use muleteer::config::Config;
use muleteer::db::Database;
use muleteer::domain::UploadId;
use serde_json::{Value, json};

use super::api::{Api, id};
use super::quarantine::{later, object_status, says, scanned_by, waiting_for};
use super::server::TestServer;
use super::webhook_receiver::{Answer, Delivery, Receiver};
use super::{on_both_with, store_of};

/// Settings with which this receiver is told that uploads are complete; it asked for nothing else.
fn told_to(operator: &Receiver) -> impl Fn(&mut Config) {
    let url = operator.url();
    move |config| {
        config.hooks.url.clone_from(&url);
        config.protocols.uppy.presign = true;
    }
}

/// A signed PUT of a whole object, and the record that it is of.
async fn signed_put(server: &TestServer) -> (Api, Value, Value) {
    let api = Api::of(server);
    let wanted = json!({ "method": "PUT", "key": "a.bin" });
    let put = api.outside().post("/s3/presign", &wanted).await.expect(200);
    let upload = api.get("/uploads").await.expect(200)["uploads"][0].clone();
    assert_eq!(upload["key"], put["key"]);
    (api, put, upload)
}

/// Sends bytes with a presigned request; the status.
async fn send_presigned(signed: &Value, bytes: Vec<u8>) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = http.put(signed["url"].as_str().expect("a URL")).body(bytes);
    for (name, value) in signed["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().expect("text"));
    }
    request.send().await.expect("an answer").status().as_u16()
}

fn events(told: &[Delivery]) -> Vec<Value> {
    told.iter().map(|told| told.json()["event"].clone()).collect()
}

#[tokio::test]
async fn other_bytes_get_a_receipt_of_their_own_and_whoever_heard_of_the_first_hears_of_them() {
    let operator = Receiver::start().await;
    on_both_with(told_to(&operator), async |server| {
        operator.forget();
        let (api, put, upload) = signed_put(&server).await;
        let receipt = format!("/uploads/{}/receipt", id(&upload));
        assert_eq!(send_presigned(&put, b"first".to_vec()).await, 200);
        let shown = api.show(&upload).await;
        assert_eq!((&shown["state"], &shown["size"]), (&json!("complete"), &json!(5)));
        let first = api.get(&receipt).await.expect(200);
        operator.wait_for(1).await;

        assert_eq!(send_presigned(&put, b"first".to_vec()).await, 200);
        let same = api.show(&upload).await;
        assert_eq!(
            (&same["state"], &same["etag"]),
            (&json!("complete"), &shown["etag"])
        );
        api.complete(&upload).await.expect(200);
        assert_eq!(
            api.get(&receipt).await.expect(200),
            first,
            "the same bytes change nothing"
        );

        assert_eq!(send_presigned(&put, b"another".to_vec()).await, 200);
        let second = api.get(&receipt).await.expect(200);
        assert_eq!(second["receipt"]["size"], 7);
        assert_ne!(second["receipt"]["etag"], first["receipt"]["etag"]);
        assert_eq!(second["receipt"]["part_size"], 7);
        let shown = api.show(&upload).await;
        assert_eq!((&shown["state"], &shown["size"]), (&json!("complete"), &json!(7)));
        assert_eq!(shown["etag"], second["receipt"]["etag"]);

        let told = operator.wait_for(2).await;
        assert_eq!(events(&told), ["upload.complete", "upload.replaced"]);
        let last = told[1].json();
        assert_eq!(
            (&last["upload_id"], &last["total_size"], &last["etag"]),
            (&upload["id"], &json!(7), &shown["etag"])
        );
        assert!(last["completed_at"].is_string(), "{last}");
    })
    .await;
}

#[tokio::test]
async fn a_scanner_is_asked_about_other_bytes_and_about_the_same_ones_only_once() {
    let (scanner, operator) = (Receiver::start().await, Receiver::start().await);
    let (scanned, told) = (waiting_for(&scanner), told_to(&operator));
    let adjust = |config: &mut Config| {
        scanned(config);
        told(config);
    };
    on_both_with(adjust, async |server| {
        scanner.forget();
        operator.forget();
        scanner.next_answers(&[says("accept"), says("reject")]);
        let (api, put, upload) = signed_put(&server).await;
        assert_eq!(send_presigned(&put, b"first".to_vec()).await, 200);
        api.complete(&upload).await.expect(200);
        operator.wait_for(1).await;

        assert_eq!(send_presigned(&put, b"first".to_vec()).await, 200);
        api.complete(&upload).await.expect(200);
        assert_eq!(scanner.seen().len(), 1, "the same bytes are not shown again");

        assert_eq!(send_presigned(&put, b"a worm".to_vec()).await, 200);
        api.complete(&upload).await.problem(422, "rejected");

        assert_eq!(scanner.seen().len(), 2);
        assert_eq!(scanner.seen()[1].json()["size"], 6);
        let shown = api.show(&upload).await;
        assert_eq!(
            (&shown["state"], &shown["etag"]),
            (&json!("failed"), &Value::Null)
        );
        assert_eq!(object_status(&server, &upload).await, 404);
        let receipt = format!("/uploads/{}/receipt", id(&upload));
        assert_eq!(api.get(&receipt).await.status, 409);
        let told = operator.wait_for(2).await;
        assert_eq!(events(&told), ["upload.complete", "upload.rejected"]);
    })
    .await;
}

#[tokio::test]
async fn a_verdict_on_an_object_that_was_replaced_meanwhile_is_none_on_the_other() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        let said = |verdict: &str| json!({ "verdict": verdict, "reason": "a worm" }).to_string();
        scanner.next_answers(&[
            Answer::LateJson(Duration::from_millis(1500), said("accept")),
            Answer::LateJson(Duration::from_secs(4), said("reject")),
        ]);
        let (api, application) = (Api::of(&server), Receiver::start().await);
        let upload = api.sent("a.bin", &application).await;
        api.complete(&upload).await.problem(503, "still-completing");
        scanner.wait_for(1).await;

        // As where a client sends another object with a signature that is still good, and asks for its upload then.
        let (store, key) = (store_of(&server), upload["key"].as_str().expect("a key"));
        assert_eq!(store.put(key, b"a worm, not the file").await.status, 200);
        let tag = store.ask("HEAD", key).send().await;
        let tag = tag.header("etag").expect("a tag").to_owned();
        let db = Database::open(&server.config.database_url(), 1).await;
        let db = db.expect("the database");
        let its_id = UploadId::parse(id(&upload)).expect("an id");
        db.begin_scan(&its_id, Some(tag), server.clock.now())
            .await
            .expect("written down");
        db.close().await.expect("closed");

        scanner.wait_for(2).await;
        let mut state = api.show(&upload).await["state"].clone();
        for _ in 0..400 {
            if state != "completing" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            state = api.show(&upload).await["state"].clone();
        }
        assert_eq!(state, "failed", "the other was rejected");
        assert_eq!(object_status(&server, &upload).await, 404);
    })
    .await;
}

#[tokio::test]
async fn an_object_that_takes_anothers_place_is_held_against_the_largest_size_too() {
    let scanner = Receiver::start().await;
    scanner.always(later());
    let adjust = |config: &mut Config| {
        scanned_by(&scanner)(config);
        config.protocols.uppy.presign = true;
        config.limits.max_size = 8;
    };
    on_both_with(adjust, async |server| {
        scanner.forget();
        let api = Api::of(&server);
        let wanted = json!({ "method": "PUT", "key": "a.bin" });
        let put = api.outside().post("/s3/presign", &wanted).await.expect(200);
        assert_eq!(send_presigned(&put, vec![b'x'; 5]).await, 200);
        server.advance(TimeDelta::minutes(3));
        muleteer::app::sweep(&super::around::beside(&server), server.clock.clone())
            .await
            .expect("a sweep");
        let asked = scanner.wait_for(1).await.remove(0).json();
        let upload = api.get("/uploads").await.expect(200)["uploads"][0].clone();
        assert_eq!(upload["id"], asked["upload_id"]);

        // The signature is still good, and bounds no size.
        assert_eq!(send_presigned(&put, vec![b'x'; 9]).await, 200);
        let token = asked["verdict_token"].as_str().expect("a token");
        assert_eq!(api.judge(&upload, token, "accept").await, 204);

        assert_eq!(api.show(&upload).await["state"], "failed");
        assert_eq!(object_status(&server, &upload).await, 404);
    })
    .await;
}
