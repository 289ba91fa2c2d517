//! Version 6 with `signRequest`: six operations, each for a key that is on record for whoever asks.

use chrono::TimeDelta;
use muleteer::config::KeyChoice;
use muleteer::domain::State;
use serde_json::{Value, json};

use super::client::Client;
use super::time_line::{assert_tells, assert_tells_nothing, page_of_upload};
use super::{bytes, leave_alone, on_both, on_both_with, page, page_of, record_of_key, store_of, sweep};

pub const PROPOSED: &str = "0190a1b2-0000-4000-8000-000000000000-clip é.mp4";

/// Begins an upload at the store as the browser does; its key and the store's id.
pub async fn begin(page: &Client, proposed: &str) -> (String, String) {
    let signed = page
        .presign(json!({ "method": "POST", "key": proposed }))
        .await
        .good();
    let (status, _, text) = page.send_presigned("POST", &signed, Vec::new()).await;
    assert_eq!(status, 200, "{text}");
    let id = text
        .split_once("<UploadId>")
        .and_then(|(_, rest)| rest.split_once("</UploadId>"));
    let (id, _) = id.expect("an id");
    (signed["key"].as_str().expect("a key").to_owned(), id.to_owned())
}

pub async fn send(page: &Client, key: &str, id: &str, number: u16, bytes: &[u8]) -> String {
    let wanted = json!({ "method": "PUT", "key": key, "uploadId": id, "partNumber": number });
    let signed = page.presign(wanted).await.good();
    page.put(signed["url"].as_str().expect("a URL"), bytes).await
}

#[tokio::test]
async fn a_browser_begins_sends_lists_and_completes_by_itself_and_the_sweeper_finds_out() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        assert!(key.starts_with("uploads/") && key.ends_with("clip_.mp4"), "{key}");
        let one = send(&page, &key, &id, 1, &bytes(10)).await;
        let two = send(&page, &key, &id, 2, &bytes(3)).await;

        let list = page
            .presign(json!({ "method": "GET", "key": key, "uploadId": id }))
            .await
            .good();
        let (_, _, listed) = page.send_presigned("GET", &list, Vec::new()).await;
        assert_eq!(listed.matches("<PartNumber>").count(), 2, "{listed}");
        let end = page
            .presign(json!({ "method": "POST", "key": key, "uploadId": id }))
            .await
            .good();
        let document = crate::s3_client::completion(&[(1, &one), (2, &two)]);
        let (status, _, text) = page.send_presigned("POST", &end, document.into_bytes()).await;
        assert_eq!(status, 200, "{text}");

        let record = record_of_key(&server, &key).await;
        assert_eq!(
            (record.state, record.multipart_id.as_deref()),
            (State::Completing, Some(id.as_str()))
        );
        server.advance(TimeDelta::minutes(3));
        assert_eq!(sweep(&server).await.completed, 1);
        let record = record_of_key(&server, &key).await;
        assert_eq!((record.state, record.size), (State::Complete, 13));
        assert_eq!(record.filename.as_str(), "clip é.mp4");
        let object = store_of(&server).get(&key).await;
        assert_eq!(object.header("content-type"), Some("video/mp4"));
        assert!(
            object
                .header("content-disposition")
                .expect("one")
                .starts_with("attachment")
        );
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_is_still_sending_is_not_completed_by_the_sweeper() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        send(&page, &key, &id, 1, &bytes(10)).await;
        page.presign(json!({ "method": "POST", "key": key, "uploadId": id }))
            .await
            .good();

        server.advance(TimeDelta::minutes(10));
        assert_eq!(sweep(&server).await.completed, 0);
        assert_eq!(record_of_key(&server, &key).await.state, State::Completing);
        let id = record_of_key(&server, &key).await.id;
        leave_alone(&server, &id, TimeDelta::hours(3));
        sweep(&server).await;

        assert_eq!(record_of_key(&server, &key).await.state, State::Open);
        assert_eq!(store_of(&server).get(&key).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_browser_aborts_and_one_that_never_comes_back_is_cleaned_up_after() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        send(&page, &key, &id, 1, &bytes(10)).await;
        let abort = page
            .presign(json!({ "method": "DELETE", "key": key, "uploadId": id }))
            .await
            .good();
        let (status, _, _) = page.send_presigned("DELETE", &abort, Vec::new()).await;
        assert_eq!(status, 204);

        // This one's id is never seen here at all.
        let (lost, _) = begin(&page, PROPOSED).await;
        let id = record_of_key(&server, &lost).await.id;
        leave_alone(&server, &id, TimeDelta::days(8));
        sweep(&server).await;

        assert_eq!(record_of_key(&server, &lost).await.state, State::Expired);
        let open = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert!(open.tags("UploadId").is_empty(), "{}", open.text());
    })
    .await;
}

#[tokio::test]
async fn a_browser_that_starts_over_is_followed_and_its_first_attempt_is_dropped() {
    on_both(async |server| {
        let page = page(&server);
        let (key, first) = begin(&page, PROPOSED).await;
        send(&page, &key, &first, 1, &bytes(10)).await;

        let (same, second) = begin(&page, &key).await;
        assert_eq!((same.as_str(), first == second), (key.as_str(), false));
        // For all that is known it is another page, as long as parts of the first are coming.
        let wanted = json!({ "method": "PUT", "key": key, "uploadId": second, "partNumber": 1 });
        page.presign(wanted).await.refusal(403, "forbidden");
        server.advance(TimeDelta::minutes(3));
        send(&page, &key, &second, 1, &bytes(10)).await;

        let open = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert_eq!(open.tags("UploadId"), [second]);
    })
    .await;
}

#[tokio::test]
async fn a_completion_is_not_signed_over_parts_of_two_chunk_sizes_and_the_store_forgets_them() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        for (number, size) in [(1, 20), (2, 10), (3, 10)] {
            send(&page, &key, &id, number, &bytes(size)).await;
        }

        let complete = json!({ "method": "POST", "key": key, "uploadId": id });
        let message = page.presign(complete).await.refusal(409, "mixed-parts");

        assert!(message.starts_with("part 2 has 10 bytes"), "{message}");
        let open = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert!(open.tags("UploadId").is_empty(), "{}", open.text());
        let (again, second) = begin(&page, &key).await;
        assert_eq!(again, key);
        send(&page, &key, &second, 1, &bytes(10)).await;
    })
    .await;
}

#[tokio::test]
async fn a_whole_object_is_a_form_for_clients_that_tell_its_type_and_a_put_for_others() {
    on_both(async |server| {
        let page = page(&server);
        let wanted = json!({ "method": "PUT", "key": PROPOSED, "contentType": "video/mp4" });
        let form = page.presign(wanted).await.good();
        assert_eq!(form["key"], form["fields"]["key"]);
        let (status, _, text) = page.post_form(&form, &bytes(9)).await;
        assert_eq!(status, 201, "{text}");

        let put = page
            .presign(json!({ "method": "PUT", "key": PROPOSED }))
            .await
            .good();
        let (status, _, text) = page.send_presigned("PUT", &put, bytes(9)).await;
        assert_eq!(status, 200, "{text}");

        server.advance(TimeDelta::minutes(3));
        assert_eq!(sweep(&server).await.completed, 2);
    })
    .await;
}

#[tokio::test]
async fn an_object_larger_than_any_may_be_does_not_stay() {
    on_both_with(
        |config| config.limits.max_size = 8,
        async |server| {
            let page = page(&server);
            let put = page
                .presign(json!({ "method": "PUT", "key": PROPOSED }))
                .await
                .good();
            page.send_presigned("PUT", &put, bytes(9)).await;
            server.advance(TimeDelta::minutes(3));
            sweep(&server).await;

            let key = put["key"].as_str().expect("a key");
            assert_eq!(record_of_key(&server, key).await.state, State::Failed);
            assert_eq!(store_of(&server).get(key).await.status, 404);
        },
    )
    .await;
}

#[tokio::test]
async fn anything_but_the_six_operations_is_refused() {
    on_both(async |server| {
        let page = page(&server);
        let (key, id) = begin(&page, PROPOSED).await;
        for wanted in [
            json!({ "method": "DELETE", "key": key }),
            json!({ "method": "GET", "key": key }),
            json!({ "method": "HEAD", "key": key, "uploadId": id }),
            json!({ "method": "PUT", "key": key, "uploadId": id }),
            json!({ "method": "PUT", "key": key, "partNumber": 1 }),
            json!({ "method": "POST", "key": key, "uploadId": id, "partNumber": 1 }),
            json!({ "method": "post", "key": key }),
        ] {
            page.presign(wanted).await.refusal(403, "forbidden");
        }
        for (number, status) in [(0, 400), (10_001, 400)] {
            let wanted = json!({ "method": "PUT", "key": key, "uploadId": id, "partNumber": number });
            page.presign(wanted).await.refusal(status, "invalid-request");
        }
        for text in ["", "a&x=y", "a?b", "a\nb"] {
            let wanted = json!({ "method": "GET", "key": key, "uploadId": text });
            page.presign(wanted).await.refusal(400, "invalid-request");
        }
        let wanted = json!({ "method": "GET", "key": key, "uploadId": "no-such-upload" });
        page.presign(wanted).await.refusal(404, "not-found");
    })
    .await;
}

/// The five requests about a multipart upload that is under way.
fn about(key: &str, id: &str) -> [Value; 4] {
    [
        json!({ "method": "PUT", "key": key, "uploadId": id, "partNumber": 1 }),
        json!({ "method": "GET", "key": key, "uploadId": id }),
        json!({ "method": "POST", "key": key, "uploadId": id }),
        json!({ "method": "DELETE", "key": key, "uploadId": id }),
    ]
}

#[tokio::test]
async fn nobody_but_its_owner_gets_anything_signed_for_a_key_even_knowing_the_stores_id() {
    on_both(async |server| {
        let (anna, bert) = (page_of(&server, "anna").await, page_of(&server, "bert").await);
        let (key, id) = begin(&anna, PROPOSED).await;
        let companion = anna.begin("clip.mp4").await;
        let behind = super::record(&server, &companion.id)
            .await
            .multipart_id
            .expect("an id");

        for wanted in about(&key, &id) {
            bert.presign(wanted).await.refusal(404, "not-found");
        }
        // Nor does anybody for an upload that the server keeps itself, or for a key that nobody has.
        for wanted in about(&companion.key, &behind)
            .into_iter()
            .chain(about("other/key", &id))
        {
            anna.presign(wanted).await.refusal(404, "not-found");
        }
        let stranger = Client::new(&server, &server.base);
        for wanted in about(&key, &id) {
            stranger.presign(wanted).await.refusal(404, "not-found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_proposed_key_is_taken_where_the_operator_says_so_and_never_overwrites() {
    on_both_with(
        |config| {
            config.protocols.uppy.keys = KeyChoice::Proposed;
            config.protocols.uppy.signed_headers = false;
        },
        async |server| {
            let (anna, bert) = (page_of(&server, "anna").await, page_of(&server, "bert").await);
            let proposed = "in/Straße 日本.mp4";
            let (key, id) = begin(&anna, proposed).await;
            assert_eq!(key, proposed);
            let create = json!({ "method": "POST", "key": proposed });
            bert.presign(create.clone()).await.refusal(409, "key-taken");

            let one = send(&anna, &key, &id, 1, &bytes(10)).await;
            let end = anna
                .presign(json!({ "method": "POST", "key": key, "uploadId": id }))
                .await
                .good();
            let document = crate::s3_client::completion(&[(1, &one)]);
            anna.send_presigned("POST", &end, document.into_bytes()).await;

            // The server has not been told, and looks.
            anna.presign(create.clone()).await.refusal(409, "key-taken");
            assert_eq!(record_of_key(&server, &key).await.state, State::Complete);
            anna.presign(create).await.refusal(409, "key-taken");

            store_of(&server).put("in/somebody elses", b"x").await;
            let put = json!({ "method": "PUT", "key": "in/somebody elses" });
            anna.presign(put).await.refusal(409, "key-taken");
            for key in ["", "../x", "a//b", ".muleteer/x", "a\u{0}b"] {
                let refused = anna.presign(json!({ "method": "PUT", "key": key })).await;
                assert_eq!(refused.status, 400, "{key:?}: {refused:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_proposed_key_stays_out_of_what_other_doors_keep_for_others() {
    on_both_with(
        |config| {
            config.protocols.uppy.keys = KeyChoice::Proposed;
            config.protocols.fine_uploader.key_prefix = "fine/of/{owner}/".into();
        },
        async |server| {
            let anna = page_of(&server, "anna").await;
            for key in ["pages/bert/a", "pages/bert/x/a", "fine/of/bert/a", "pages/ann/a"] {
                for method in ["POST", "PUT"] {
                    let refused = anna.presign(json!({ "method": method, "key": key })).await;
                    let message = refused.refusal(400, "invalid-request");
                    assert!(message.starts_with("key: "), "{message}");
                }
            }
            for key in [
                "pages/anna/a",
                "fine/of/anna/a",
                "pages/a",
                "fine/of-all/bert/a",
                "in/pages/bert/a",
            ] {
                anna.presign(json!({ "method": "PUT", "key": key })).await.good();
            }
        },
    )
    .await;
}

#[tokio::test]
async fn somebody_without_any_credential_proposes_no_key() {
    on_both_with(
        |config| config.protocols.uppy.keys = KeyChoice::Proposed,
        async |server| {
            let put = json!({ "method": "PUT", "key": "in/a" });
            let nobody = Client::new(&server, &server.base);
            let message = nobody.presign(put.clone()).await.refusal(403, "forbidden");
            assert!(message.starts_with("key: "), "{message}");
            // What another such visitor has begun would be theirs as well.
            page_of(&server, "anna").await.presign(put).await.good();
        },
    )
    .await;
}

#[tokio::test]
async fn it_can_be_switched_off() {
    on_both_with(
        |config| config.protocols.uppy.presign = false,
        async |server| {
            let refused = page(&server)
                .presign(json!({ "method": "POST", "key": "a" }))
                .await;
            refused.refusal(403, "forbidden");
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_not_signed_is_in_the_time_line_of_the_upload_with_that_key() {
    on_both(async |server| {
        let (page, bert) = (page(&server), page_of(&server, "bert").await);
        let (key, _) = begin(&page, PROPOSED).await;
        let id = record_of_key(&server, &key).await.id;
        let made_up = json!({ "method": "POST", "key": key, "uploadId": "made-up" });

        bert.presign(made_up.clone()).await.refusal(404, "not-found");
        assert_tells_nothing(&page_of_upload(&server.base, id.as_str()).await);
        page.presign(made_up).await.refusal(404, "not-found");

        let told = page_of_upload(&server.base, id.as_str()).await;
        assert_tells(&told, "not-found", "POST /s3/presign");
    })
    .await;
}
