//! The other calls: success, session, delete, settings; who may make them, and from where.

use chrono::TimeDelta;
use muleteer::domain::{ObjectKey, Upload, UploadId};
use serde_json::json;

use crate::client::{Page, assert_refused};
use crate::page::{PART, http, on_both, on_both_with, reply, store_of};
use crate::server::TestServer;
use crate::time_line::{assert_tells, assert_tells_nothing, page_of_upload};

#[tokio::test]
async fn success_believes_nothing_but_the_object() {
    on_both(async |server| {
        let (anna, bert) = (Page::of(&server, "anna").await, Page::of(&server, "bert").await);
        let key = anna.key("a");
        assert_refused(&anna.success(&key).await, "never begun");
        let begun = anna.send(&anna.begin(&key), b"").await;
        assert_eq!(begun.status, 200);
        assert_refused(&anna.success(&key).await, "begun and not there");
        let other = anna.key("b");
        anna.send_whole(&other, &[&[b'a'; PART]]).await;
        assert_refused(&bert.success(&other).await, "somebody else's");
        let foreign = [("key", other.as_str()), ("bucket", "other")];
        assert_refused(&anna.tell("success", &foreign).await, "another bucket");
        assert_refused(&anna.tell("success", &[("bucket", "uploads")]).await, "no key");
        assert_refused(
            &anna
                .tell("success", &[("key", "a"), ("key", "b"), ("bucket", "uploads")])
                .await,
            "two keys",
        );

        assert_eq!(anna.success(&other).await.status, 200);

        assert_eq!(bert.session().await, json!([]));
        let own = anna.session().await;
        assert_eq!(own.as_array().map(Vec::len), Some(1));
        assert_eq!(
            (own[0]["s3Key"].as_str(), own[0]["size"].as_u64()),
            (Some(other.as_str()), Some(PART as u64))
        );
        assert_eq!(own[0]["s3Bucket"], "uploads");
    })
    .await;
}

#[tokio::test]
async fn success_takes_a_form_and_says_so() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let request = http()
            .post(anna.url("success"))
            .header("x-api-key", &anna.api_key);
        let request = request.header("content-type", "application/json");

        let refused = reply(request.body("{\"key\":\"a\",\"bucket\":\"uploads\"}")).await;

        assert_eq!(refused.status, 400);
        assert_refused(&refused, "JSON");
        assert!(
            refused
                .text
                .contains("Content-Type: must be application/x-www-form-urlencoded"),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_finished_key_is_not_overwritten() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let key = anna.key("a");
        anna.send_whole(&key, &[b"first"]).await;
        anna.success(&key).await;

        assert_refused(&anna.sign(&anna.begin(&key)).await, "the same key again");
        assert_refused(&anna.ask(&anna.policy(&key)).await, "the same key in a form");
        assert_eq!(anna.stored(&key).await, b"first");
    })
    .await;
}

#[tokio::test]
async fn files_are_removed_by_their_owner_and_only_where_that_is_switched_on() {
    for on in [false, true] {
        on_both_with(
            |config| config.protocols.fine_uploader.delete = on,
            async |server| {
                let (anna, bert) = (Page::of(&server, "anna").await, Page::of(&server, "bert").await);
                let (one, two) = (anna.key("1"), anna.key("2"));
                for key in [&one, &two] {
                    anna.send_whole(key, &[b"x"]).await;
                    anna.success(key).await;
                }
                let remove = async |page: &Page<'_>, key: &str| {
                    let url = page.url(&format!("files/u-1?key={key}&bucket=uploads"));
                    reply(http().delete(url).header("x-api-key", &page.api_key)).await
                };
                assert_refused(&remove(&bert, &one).await, "somebody else's file");
                let removed = remove(&anna, &one).await;
                let form = [
                    ("_method", "DELETE"),
                    ("qquuid", "u-2"),
                    ("key", &two),
                    ("bucket", "uploads"),
                ];
                let by_form = anna.tell("files", &form).await;
                let left = anna.session().await.as_array().map(Vec::len);
                if on {
                    assert_eq!((removed.status, by_form.status, left), (200, 200, Some(0)));
                    assert_eq!(
                        remove(&anna, &one).await.status,
                        200,
                        "again: it is gone all the same"
                    );
                } else {
                    assert_eq!((removed.status, by_form.status, left), (404, 404, Some(2)));
                }
            },
        )
        .await;
    }
}

/// Has records beside the one with this key, of another door but otherwise alike; their keys.
async fn of_another_door(server: &TestServer, key: &str, count: u32) -> Vec<String> {
    let db = muleteer::app::open_database(&server.config)
        .await
        .expect("the database opens");
    let like = db.find_by_key(None, key).await.expect("the database answers");
    let like = like.expect("an upload");
    let mut keys = Vec::new();
    for number in 0..count {
        let key = format!("{key}-{number}");
        let other = Upload {
            id: UploadId::generate(server.clock.now() + TimeDelta::seconds(i64::from(number))),
            key: ObjectKey::path(&key).expect("a key"),
            protocol: "evaporate".into(),
            multipart_id: None,
            ..like.clone()
        };
        db.insert_upload(other, muleteer::db::Room::default())
            .await
            .expect("the database answers");
        keys.push(key);
    }
    db.close().await.expect("the database closes");
    keys
}

#[tokio::test]
async fn files_of_another_door_are_neither_listed_nor_confirmed_nor_removed() {
    on_both_with(
        |config| config.protocols.fine_uploader.delete = true,
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let own = anna.key("own");
            anna.send_whole(&own, &[b"x"]).await;
            anna.success(&own).await;
            // More than one answer has, and all of them newer.
            let others = of_another_door(&server, &own, 201).await;
            let other = &others[0];
            store_of(&server).put(other, b"evaporated").await;

            let session = anna.session().await;
            assert_eq!(session.as_array().map(Vec::len), Some(1), "{session}");
            assert_eq!(session[0]["s3Key"], own);
            assert_refused(&anna.success(other).await, "another door's");
            let url = anna.url(&format!("files/u-1?key={other}&bucket=uploads"));
            let removed = reply(http().delete(url).header("x-api-key", &anna.api_key)).await;
            assert_refused(&removed, "another door's");
            assert_eq!(anna.stored(other).await, b"evaporated");
        },
    )
    .await;
}

#[tokio::test]
async fn only_json_is_signed_and_pages_of_other_sites_cannot_use_a_cookie() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let policy = anna.policy(&anna.key("a")).to_string();
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let mut request = http()
                .post(anna.url("signature"))
                .header("x-api-key", &anna.api_key);
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            assert_refused(&reply(request.body(policy.clone())).await, kind);
        }
        let visitor = reply(http().get(anna.url("session"))).await;
        assert_eq!(
            (visitor.status, visitor.text.as_str()),
            (200, "[]"),
            "a new visitor has nothing"
        );
        let cookie = visitor.header("set-cookie").split(';').next().unwrap().to_owned();
        let success = |origin: &'static str| {
            let form = http()
                .post(anna.url("success"))
                .header("cookie", &cookie)
                .header("origin", origin);
            reply(
                form.header("content-type", "application/x-www-form-urlencoded")
                    .body("key=a&bucket=uploads"),
            )
        };
        let own = success(Box::leak(server.base.clone().into_boxed_str())).await;
        assert_eq!(own.status, 404, "our own page: {own:?}");
        let foreign = success("https://evil.example").await;
        assert_eq!(foreign.status, 403, "{foreign:?}");
        let nobody = reply(http().post(anna.url("success")).body("key=a&bucket=uploads")).await;
        assert_eq!(nobody.status, 401);
    })
    .await;
}

#[tokio::test]
async fn listed_sites_call_with_and_without_credentials() {
    let site = "https://app.example.org";
    on_both_with(
        |config| config.cors.allowed_origins = vec![site.into()],
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let preflight = http()
                .request(reqwest::Method::OPTIONS, anna.url("signature"))
                .header("origin", site)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,x-api-key");
            let allowed = reply(preflight).await;
            assert_eq!(allowed.header("access-control-allow-origin"), site);
            assert_eq!(allowed.header("access-control-allow-credentials"), "true");
            let fields = allowed
                .header("access-control-allow-headers")
                .to_ascii_lowercase();
            assert!(fields.contains("content-type") && fields.contains("x-api-key"));

            let refused = http()
                .post(anna.url("signature"))
                .header("origin", site)
                .body("x");
            let refused = reply(refused).await;
            assert_eq!(
                refused.header("access-control-allow-origin"),
                site,
                "errors can be read too"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn the_settings_tell_what_the_page_needs() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let told = reply(
            http()
                .get(anna.url("settings"))
                .header("x-api-key", &anna.api_key),
        )
        .await;
        let told: serde_json::Value = serde_json::from_str(&told.text).expect("JSON");
        assert_eq!(told["endpoint"], format!("{}/uploads", server.store));
        assert_eq!(told["prefix"], "pages/anna/");
        assert_eq!(told["region"], "us-east-1");
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_in_the_time_line_of_the_upload_with_that_key() {
    on_both(async |server| {
        let (anna, bert) = (Page::of(&server, "anna").await, Page::of(&server, "bert").await);
        let key = anna.key("a");
        anna.send(&anna.begin(&key), b"").await;
        let id = anna.recorded().await[0]["id"].as_str().expect("an id").to_owned();

        assert_refused(&bert.success(&key).await, "somebody else's");
        assert_tells_nothing(&page_of_upload(&server.base, &id).await);
        assert_refused(&anna.success(&key).await, "begun and not there");

        let told = page_of_upload(&server.base, &id).await;
        assert_tells(&told, "not-found", "POST /fineuploader/success");
        // The same is told at most once a minute.
        server.advance(TimeDelta::minutes(2));
        let made_up = anna.part(&key, "made-up", 1, b"x");
        assert_refused(&anna.sign(&made_up).await, "an id that is none");
        let told = page_of_upload(&server.base, &id).await;
        assert_tells(&told, "not-found", "POST /fineuploader/signature");
    })
    .await;
}
