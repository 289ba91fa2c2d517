//! A store that stumbles: asked again where that helps, and told as it is where it does not.

use super::api::{Api, file};
use super::scripted_store::{ScriptedStore, error};
use super::{PART, on_both_with};

#[tokio::test]
async fn a_store_that_stumbles_once_is_asked_again() {
    let store = ScriptedStore::start().await;
    on_both_with(
        |config| store.configure(config),
        async |server| {
            let api = Api::of(&server);
            for (status, body) in [
                (503, error("SlowDown")),
                (500, error("InternalError")),
                (500, String::new()),
                (429, String::new()),
                (200, error("InternalError")),
            ] {
                store.to_begin(1, status, &body);
                let upload = api.create(&format!("{status}{}", body.len()), PART).await;
                store.to_complete(2, status, &body);

                let done = api.complete(&upload).await.expect(200);

                assert_eq!(
                    (&done["state"], &done["etag"]),
                    (&"complete".into(), &"\"tag-1\"".into())
                );
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_store_that_never_answers_is_asked_twice_and_told_as_unavailable() {
    let store = ScriptedStore::start().await;
    on_both_with(
        |config| {
            store.configure(config);
            config.s3.answer_timeout_s = 1;
        },
        async |server| {
            let api = Api::of(&server);
            let before = store.seen("POST ");
            store.mute(true);

            let refused = api.post("/uploads", &file("film.mp4", PART)).await;

            store.mute(false);
            refused.problem(503, "unavailable");
            assert_eq!(store.seen("POST "), before + 2);
            api.create("film.mp4", PART).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_store_that_stumbles_on_is_told_as_unavailable_and_the_upload_can_still_be_completed() {
    let store = ScriptedStore::start().await;
    on_both_with(
        |config| store.configure(config),
        async |server| {
            let api = Api::of(&server);
            for (status, body) in [(200, error("InternalError")), (503, error("SlowDown"))] {
                let upload = api.create(&format!("{status}"), PART).await;
                store.to_complete(20, status, &body);

                let refused = api.complete(&upload).await;

                let problem = refused.problem(503, "unavailable");
                assert_eq!(refused.header("retry-after"), "1");
                assert!(!problem.to_string().contains("SlowDown"), "{problem}");
                let state = api.show(&upload).await["state"].clone();
                assert!(state == "open" || state == "completing", "{state}");
                assert!(
                    api.sign(&upload, serde_json::json!("1")).await.len() == 1,
                    "a part may be sent again"
                );
                store.to_complete(0, 200, "");
                let done = api.complete(&upload).await.expect(200);
                assert_eq!(
                    (&done["state"], &done["etag"]),
                    (&"complete".into(), &"\"tag-1\"".into())
                );
            }
            store.to_begin(20, 503, &error("SlowDown"));
            let before = store.seen("POST");
            let refused = api.post("/uploads", &file("b", PART)).await;
            refused.problem(503, "unavailable");
            assert!(store.seen("POST") - before <= 5, "it is not pestered");
            assert_eq!(
                api.get("/uploads?filename=b").await.expect(200)["uploads"],
                serde_json::json!([])
            );
            store.to_begin(0, 200, "");
        },
    )
    .await;
}

#[tokio::test]
async fn what_a_store_refuses_for_good_is_told_with_its_code() {
    let store = ScriptedStore::start().await;
    on_both_with(
        |config| store.configure(config),
        async |server| {
            let api = Api::of(&server);
            let upload = api.create("a", PART).await;
            for (status, code) in [
                (400, "InvalidPart"),
                (200, "InvalidPart"),
                (403, "AccessDenied"),
                (400, "EntityTooSmall"),
            ] {
                store.to_complete(1, status, &error(code));
                let before = store.seen("POST");

                let problem = api.complete(&upload).await.problem(502, "store-refused");

                assert_eq!(problem["code"], code);
                assert_eq!(store.seen("POST") - before, 1, "it is not asked again");
                let state = api.show(&upload).await["state"].clone();
                assert_eq!(state, "open", "{status} {code}: the parts can be mended");
            }
            api.complete(&upload).await.expect(200);
            store.to_begin(1, 404, &error("NoSuchBucket"));
            let problem = api
                .post("/uploads", &file("b", PART))
                .await
                .problem(502, "store-refused");
            assert_eq!(problem["code"], "NoSuchBucket");
        },
    )
    .await;
}
