//! What somebody gets who is not the upload's owner, or names something else than the record says.

use serde_json::json;

use super::client::{Client, Remembered};
use super::{Kind, bytes, on_both, page_of, start, store_of};

/// Every request about an upload.
async fn all_about(page: &Client, upload: &Remembered) -> Vec<super::client::Reply> {
    vec![
        page.list(upload).await,
        page.about(upload, "GET", "{}/1", None).await,
        page.about(upload, "GET", "{}/batch?partNumbers=1", None).await,
        page.complete(upload, &[]).await,
        page.abort(upload).await,
    ]
}

#[tokio::test]
async fn another_owner_reaches_nothing_even_knowing_id_and_key() {
    on_both(async |server| {
        let (anna, bert) = (page_of(&server, "anna").await, page_of(&server, "bert").await);
        let upload = anna.begin("clip.mp4").await;
        let one = anna.send(&upload, 1, &bytes(10)).await;

        let stranger = Client::new(&server, &server.base);
        for page in [bert, stranger] {
            for refused in all_about(&page, &upload).await {
                refused.refusal(404, "not-found");
            }
        }

        anna.complete(&upload, &[(1, &one)]).await.good();
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_not_the_recorded_one_gets_nothing_signed() {
    on_both(async |server| {
        let anna = page_of(&server, "anna").await;
        let (own, other) = (anna.begin("a.mp4").await, anna.begin("b.mp4").await);
        let mixed = Remembered {
            key: other.key.clone(),
            id: own.id.clone(),
        };

        for refused in all_about(&anna, &mixed).await {
            refused.refusal(404, "not-found");
        }
        let keyless = anna.ask("GET", &format!("/s3/multipart/{}", own.id), None).await;
        keyless.refusal(400, "invalid-request");
        for id in ["x", "../..", &"0".repeat(32)] {
            let id = crate::s3_client::encode(id, false);
            let refused = anna.ask("GET", &format!("/s3/multipart/{id}?key=a"), None).await;
            refused.refusal(404, "not-found");
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_of_another_door_is_none_of_this_one() {
    on_both(async |server| {
        let anna = page_of(&server, "anna").await;
        let file = json!({ "filename": "a", "size": 10, "content_type": "a/b" });
        let made = anna.ask("POST", "/api/v1/uploads", Some(&file)).await.json();
        let native = Remembered {
            key: made["key"].as_str().expect("a key").to_owned(),
            id: made["id"].as_str().expect("an id").to_owned(),
        };

        for refused in all_about(&anna, &native).await {
            refused.refusal(404, "not-found");
        }
        // And the other way round: what the client cuts, the native API does not sign.
        let own = anna.begin("a").await;
        let address = format!("/api/v1/uploads/{}/signatures", own.id);
        let refused = anna.ask("POST", &address, Some(&json!({ "parts": "1" }))).await;
        assert_eq!(refused.status, 403, "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn mule_uploaders_door_signs_nothing_for_what_this_ones_clients_cut() {
    on_both(async |server| {
        let anna = page_of(&server, "anna").await;
        let upload = anna.begin("clip.mp4").await;
        // The store's id stands in every address that is signed for a part.
        let multipart = super::record(&server, &upload.id).await.multipart_id;
        let multipart = crate::s3_client::encode(&multipart.expect("an id"), false);
        let key = crate::s3_client::encode(&upload.key, false);

        for action in [
            "get_chunk_signature",
            "get_list_signature",
            "get_end_signature",
            "get_delete_signature",
            "upload_finished",
        ] {
            let query = format!("key={key}&upload_id={multipart}&chunk=1&signature_version=4");
            let refused = anna
                .ask("GET", &format!("/upload-backend/{action}/?{query}"), None)
                .await;
            assert_eq!(refused.status, 404, "{action}: {refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn without_visitors_nobody_begins_anything_without_a_credential() {
    let server = start(Kind::Sqlite, |config| {
        config.auth.anonymous = muleteer::config::Anonymous::Off;
    });
    let server = server.expect("SQLite is never skipped");
    let stranger = Client::new(&server, &server.base);

    for (method, path, body) in [
        ("GET", "/s3/params?filename=a", None),
        ("POST", "/s3/multipart", Some(json!({ "filename": "a" }))),
        (
            "POST",
            "/s3/presign",
            Some(json!({ "method": "POST", "key": "a" })),
        ),
        ("POST", "/s3/token", Some(json!({}))),
    ] {
        stranger
            .ask(method, path, body.as_ref())
            .await
            .refusal(401, "unauthenticated");
    }
    assert!(
        store_of(&server)
            .ask("GET", "")
            .query("uploads", "")
            .send()
            .await
            .tags("UploadId")
            .is_empty()
    );
}
