//! Owners: each key reaches its own uploads, an admin looks and ends, and a visitor is nobody here.

use serde_json::json;

use super::client::{Client, Reply, Upload};
use super::{MIB, everywhere, on_both};

/// Everything that a key can ask of an upload.
async fn ask_everything(client: &Client, upload: &Upload) -> [Reply; 3] {
    [
        client.status(upload).await,
        client.complete(upload).await,
        client.cancel(upload).await,
    ]
}

#[tokio::test]
async fn somebody_elses_upload_is_none() {
    everywhere(async |place| {
        let (anna, ben) = (
            place.key("anna", "upload").await,
            place.key("ben", "upload").await,
        );
        let upload = anna.init("a", MIB + 5).await;
        anna.send_all(&upload).await;
        for reply in ask_everything(&ben, &upload).await {
            reply.error(404, "not_found");
        }

        let path = anna.finish(&upload).await;

        for reply in ask_everything(&ben, &upload).await {
            reply.error(404, "not_found");
        }
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn two_keys_of_one_owner_reach_the_same_uploads() {
    on_both(async |place| {
        let (first, second) = (
            place.key("anna", "upload").await,
            place.key("anna", "upload").await,
        );
        let upload = first.init("a", 5).await;
        second.send(&upload, 0).await;
        assert_eq!(second.part_states(&upload).await, "u");
        second.finish(&upload).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_may_not_upload_begins_nothing_and_sends_nothing() {
    on_both(async |place| {
        let (anna, admin) = (
            place.key("anna", "upload").await,
            place.key("root", "admin").await,
        );
        let wanted = json!({ "filename": "a", "total_size": 1 });
        admin.init_with(&wanted).await.error(403, "forbidden");
        let upload = anna.init("a", MIB + 5).await;

        let seen = admin.status(&upload).await.expect(200);

        assert!(!seen.to_string().contains("token"), "{seen}");
        admin.cancel(&upload).await.expect(200);
        anna.status(&upload).await.error(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn the_configured_key_looks_at_everybodys_uploads_and_ends_them_but_sends_only_its_own() {
    everywhere(async |place| {
        let anna = place.key("anna", "upload").await;
        let configured = Client::of(&place);
        let (theirs, own) = (anna.init("a", 5).await, configured.init("b", 5).await);

        let seen = configured.status(&theirs).await.expect(200);

        assert_eq!(seen["file_id"], theirs.id);
        assert!(seen["parts"][0].get("token").is_none(), "{seen}");
        let own_seen = configured.status(&own).await.expect(200);
        assert!(own_seen["parts"][0]["token"].is_string());
        anna.status(&own).await.error(404, "not_found");
        configured.cancel(&theirs).await.expect(200);
        for reply in ask_everything(&anna, &theirs).await {
            reply.error(404, "not_found");
        }
        anna.put(&theirs, 0, "hello").await.error(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_nobody_here() {
    on_both(async |place| {
        let upload = Client::of(&place).init("a", 5).await;
        let nobody = Client::nobody(&place);
        let began = nobody
            .with("content-type", "application/json")
            .raw(
                "POST",
                "/api/v1/uploads",
                json!({ "filename": "b", "size": 5 }).to_string(),
            )
            .await;
        let cookie = began
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(cookie.starts_with("muleteer_visitor="), "{}", began.text());
        let visitor = nobody.with("cookie", &cookie);

        let wanted = json!({ "filename": "a", "total_size": 1 });
        let refused = visitor.init_with(&wanted).await;
        refused.error(401, "unauthenticated");
        assert_eq!(refused.header("set-cookie"), "");
        for reply in ask_everything(&visitor, &upload).await {
            reply.error(401, "unauthenticated");
        }
    })
    .await;
}

#[tokio::test]
async fn the_keys_alphabet_and_case_matter() {
    on_both(async |place| {
        let upload = Client::of(&place).init("a", 5).await;
        let nobody = Client::nobody(&place);
        let key = crate::server::API_KEY;
        for wrong in [
            key.to_uppercase(),
            format!("{key}x"),
            key[1..].to_owned(),
            format!("Bearer {key}"),
        ] {
            nobody
                .with("x-api-key", &wrong)
                .status(&upload)
                .await
                .error(401, "unauthenticated");
        }
        let as_bearer = nobody.with("authorization", &format!("Bearer {key}"));
        assert_eq!(as_bearer.status(&upload).await.status, 200, "in either header");
        let in_query = nobody.get(&upload.path(&format!("/status?api_key={key}"))).await;
        in_query.error(401, "unauthenticated");
    })
    .await;
}
