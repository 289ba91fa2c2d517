//! A signature for a whole object cannot be taken back, and is good for a while after the upload is complete: whatever it
//! brings then goes through the same gate, and what was told of the first bytes is told anew, or taken back.

use muleteer::config::Config;
use serde_json::{Value, json};

use super::api::{Api, id};
use super::on_both_with;
use super::quarantine::{object_status, says, send_presigned, waiting_for};
use super::server::TestServer;
use super::webhook_receiver::{Delivery, Receiver};

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
