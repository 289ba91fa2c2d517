//! One key and two who write to it: nothing that is finished is overwritten or removed, whoever is late.

use muleteer::config::KeyChoice;
use muleteer::domain::State;
use serde_json::{Value, json};

use super::client::Client;
use super::presign::{PROPOSED, begin, send};
use super::tripping_store::{Trip, Tripping};
use super::{API_KEY, Kind, TestServer, bytes, on_both, page, record, record_of_key, start, store_of};

/// The ids of all multipart uploads that the store has.
async fn in_the_store(server: &TestServer) -> Vec<String> {
    let open = store_of(server).ask("GET", "").query("uploads", "").send().await;
    open.tags("UploadId").clone()
}

/// Joins one part at the store, with our signature; nobody tells the server.
async fn end(page: &Client, key: &str, id: &str, etag: &str) {
    let signed = page.presign(joining(key, id)).await.good();
    let document = crate::s3_client::completion(&[(1, etag)]);
    let (status, _, text) = page.send_presigned("POST", &signed, document.into_bytes()).await;
    assert_eq!(status, 200, "{text}");
}

fn joining(key: &str, id: &str) -> Value {
    json!({ "method": "POST", "key": key, "uploadId": id })
}

#[tokio::test]
async fn a_finished_key_of_ours_that_nobody_told_us_of_is_not_begun_again() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        let one = send(&page, &key, &id, 1, &bytes(10)).await;
        end(&page, &key, &id, &one).await;

        let (other, _) = begin(&page, &key).await;

        assert_ne!(other, key);
        assert_eq!(record_of_key(&server, &key).await.state, State::Complete);
        let whole = json!({ "method": "PUT", "key": PROPOSED });
        let put = page.presign(whole).await.good();
        page.send_presigned("PUT", &put, bytes(5)).await;
        let again = page
            .presign(json!({ "method": "PUT", "key": put["key"] }))
            .await
            .good();
        assert_ne!(again["key"], put["key"], "the same for a whole object");
    })
    .await;
}

#[tokio::test]
async fn a_second_beginning_does_not_overwrite_what_the_first_has_finished_unnoticed() {
    on_both(async |server| {
        let page = page(&server);
        let (key, first) = begin(&page, PROPOSED).await;
        let (_, second) = begin(&page, &key).await;
        let one = send(&page, &key, &first, 1, &bytes(10)).await;
        // The first use of one drops the other; a second one that came later still is not known to the server.
        let third = store_of(&server).begin(&key).await;
        end(&page, &key, &first, &one).await;

        for id in [&third, &second] {
            for wanted in [
                json!({ "method": "PUT", "key": key, "uploadId": id, "partNumber": 1 }),
                joining(&key, id),
            ] {
                let refused = page.presign(wanted).await;
                assert_eq!(refused.status, 409, "{refused:?}");
            }
        }

        assert_eq!(in_the_store(&server).await, Vec::<String>::new());
        let record = record_of_key(&server, &key).await;
        assert_eq!((record.state, record.size), (State::Complete, 10));
        assert_eq!(record.multipart_id, Some(first), "what it was made of");
        assert_eq!(store_of(&server).get(&key).await.body, bytes(10));
    })
    .await;
}

#[tokio::test]
async fn a_multipart_upload_is_not_joined_over_an_object_that_came_meanwhile() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        send(&page, &key, &id, 1, &bytes(10)).await;
        page.presign(joining(&key, &id)).await.good();
        store_of(&server).put(&key, b"meanwhile").await;

        let refused = page.presign(joining(&key, &id)).await;

        refused.refusal(409, "wrong-state");
        assert_eq!(in_the_store(&server).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_joining_whose_answer_was_lost_is_signed_again() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        let one = send(&page, &key, &id, 1, &bytes(10)).await;
        end(&page, &key, &id, &one).await;

        for _ in 0..2 {
            page.presign(joining(&key, &id)).await.good();
        }
        assert_eq!(record_of_key(&server, &key).await.state, State::Complete);
    })
    .await;
}

/// A server beside the first that reaches the store through a passage.
fn through(store: &Tripping, first: &TestServer) -> TestServer {
    let server = TestServer::start(Kind::Sqlite, |config| store.beside(first, config));
    server.expect("SQLite is never skipped")
}

#[tokio::test]
async fn a_late_look_at_a_given_up_upload_leaves_the_object_of_the_next_one_alone() {
    let first = start(Kind::Sqlite, |config| {
        config.protocols.uppy.keys = KeyChoice::Proposed;
        config.protocols.uppy.signed_headers = false;
    });
    let first = first.expect("SQLite is never skipped");
    let store = Tripping::before(&first, Trip::HeldHead, 1).await;
    let slow = through(&store, &first);
    let page = page(&first);
    let put = json!({ "method": "PUT", "key": "in/a.mp4" });
    page.presign(put.clone()).await.good();
    let given_up = record_of_key(&first, "in/a.mp4").await.id;
    let address = format!("/api/v1/uploads/{given_up}");

    // Somebody asks how it is; and while the store is asked, it is given up and another takes its key.
    let asking = Client::new(&slow, &slow.base).with_key(API_KEY);
    let asked = address.clone();
    let looking = tokio::spawn(async move { asking.ask("GET", &asked, None).await });
    store.holds().await;
    assert_eq!(page.ask("DELETE", &address, None).await.status, 204);
    let signed = page.presign(put).await.good();
    page.send_presigned("PUT", &signed, bytes(9)).await;
    store.let_pass();
    looking.await.expect("an answer");

    assert_eq!(store_of(&first).get("in/a.mp4").await.body, bytes(9));
    assert_eq!(record(&first, given_up.as_str()).await.state, State::Aborted);
    let next = record_of_key(&first, "in/a.mp4").await;
    assert_ne!(next.id, given_up);
    let shown = page
        .ask("GET", &format!("/api/v1/uploads/{}", next.id), None)
        .await;
    assert_eq!(shown.json()["state"], "complete");
}

#[tokio::test]
async fn a_look_does_not_wait_for_a_completion_and_tells_what_is_known() {
    let first = start(Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
    let store = Tripping::before(&first, Trip::HeldCompletion, 1).await;
    let slow = through(&store, &first);
    let page = page(&first);
    let (key, id) = begin(&page, PROPOSED).await;
    send(&page, &key, &id, 1, &bytes(10)).await;
    let upload = record_of_key(&first, &key).await.id;
    let asking = Client::new(&slow, &slow.base).with_key(API_KEY);
    let address = format!("/api/v1/uploads/{upload}/complete");
    let completing = tokio::spawn(async move { asking.ask("POST", &address, Some(&json!({}))).await });
    store.holds().await;

    // Beginning under a key that is known looks at it first.
    let again = page.presign(json!({ "method": "POST", "key": key })).await.good();

    assert_eq!(again["key"], key);
    assert_eq!(record_of_key(&first, &key).await.state, State::Completing);
    store.let_pass();
    assert_eq!(completing.await.expect("an answer").status, 200);
}

#[tokio::test]
async fn giving_up_by_a_new_beginning_waits_for_a_completion_that_is_under_way() {
    let first = start(Kind::Sqlite, |config| {
        config.protocols.uppy.keys = KeyChoice::Proposed;
    });
    let first = first.expect("SQLite is never skipped");
    let store = Tripping::before(&first, Trip::HeldCompletion, 1).await;
    let slow = through(&store, &first);
    let page = page(&first);
    let (key, id) = begin(&page, "in/a.mp4").await;
    send(&page, &key, &id, 1, &bytes(10)).await;
    let upload = record_of_key(&first, &key).await.id;

    let asking = Client::new(&slow, &slow.base).with_key(API_KEY);
    let address = format!("/api/v1/uploads/{upload}/complete");
    let completing = tokio::spawn(async move { asking.ask("POST", &address, Some(&json!({}))).await });
    store.holds().await;
    // A whole object under the same key would have the multipart upload given up.
    let other = page.clone();
    let beginning = tokio::spawn(async move {
        let whole = json!({ "method": "PUT", "key": "in/a.mp4" });
        other.presign(whole).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    store.let_pass();

    let completed = completing.await.expect("an answer");
    assert_eq!(completed.status, 200, "{completed:?}");
    beginning.await.expect("an answer").refusal(409, "key-taken");
    assert_eq!(store_of(&first).get(&key).await.body, bytes(10));
}
