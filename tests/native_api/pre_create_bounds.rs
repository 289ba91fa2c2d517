//! What the application narrows when it is asked about a new upload: its size and type, where its key lies, and how many there
//! may be.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use muleteer::config::{Config, Secret};
use serde_json::{Value, json};

use super::PART;
use super::api::{Api, file, id};
use super::doors::{begin_by, of_image};
use super::issuer::{self, sign};
use super::pre_create::{asking, reserved, says};
use super::server::TestServer;

#[tokio::test]
async fn what_the_application_narrows_holds_from_then_on() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            let narrow = |bounds: Value| application.next_answers(&[says(&json!({ "bounds": bounds }))]);

            narrow(json!({ "max_size": PART }));
            let large = api.post("/uploads", &of_image("a.png")).await;
            assert_eq!((large.status, &large.json()["limit"]), (413, &json!(PART)));
            narrow(json!({ "types": ["video/*"] }));
            assert_eq!(api.post("/uploads", &of_image("b.png")).await.status, 415);
            narrow(json!({ "max_size": 2 * PART, "types": ["image/*"] }));
            api.post("/uploads", &of_image("c.png")).await.expect(201);

            // A client that cuts the file itself is held to it when all is there.
            narrow(json!({ "max_size": PART }));
            let page = api.outside();
            let wanted = json!({ "filename": "d.bin", "type": "application/octet-stream", "metadata": {} });
            let begun = page.post("/s3/multipart", &wanted).await.expect(200);
            let (key, upload) = (
                begun["key"].as_str().expect("a key"),
                begun["uploadId"].as_str().expect("an id"),
            );
            let door = page
                .get(&format!("/s3/multipart/{upload}/1?key={key}"))
                .await
                .expect(200);
            assert_eq!(page.put_part(&door, vec![1; 24]).await, 200);
            let listed = page
                .get(&format!("/s3/multipart/{upload}?key={key}"))
                .await
                .expect(200);
            let etag = &listed[0]["ETag"];
            let parts = json!({ "parts": [{ "PartNumber": 1, "ETag": etag }] });
            let ended = page
                .post(&format!("/s3/multipart/{upload}/complete?key={key}"), &parts)
                .await;
            assert_eq!(ended.status, 413, "{}", ended.text());
        },
    )
    .await;
}

#[tokio::test]
async fn no_signing_key_is_given_for_what_is_narrowed() {
    const KEY: &str = "/upload-backend/signing_key/?filename=clip.mp4&filesize=40&content_type=video%2Fmp4\
                       &last_modified=1777975200000";
    let with_keys = |config: &mut Config| {
        "NARROWKEYID000000000".clone_into(&mut config.protocols.mule.signing_key.access_key_id);
        config.protocols.mule.signing_key.secret_access_key = Secret::new("the-secret-of-the-narrow-key");
        config.auth.jwt.secret = Secret::new(issuer::SECRET);
    };
    asking(with_keys, async |server, application| {
        let api = Api::of(&server).outside();
        application.next_answers(&[says(&json!({ "bounds": { "max_size": 100 } }))]);

        let by_the_application = api.get(KEY).await;
        let by_their_token = of_tenant(&server).outside().get(KEY).await;

        for refused in [by_the_application, by_their_token] {
            assert_eq!(refused.status, 403, "{}", refused.text());
            assert!(refused.text().contains("limits of its own"), "{}", refused.text());
        }
        let other = KEY.replace("clip.mp4", "other.mp4");
        assert_eq!(api.get(&other).await.status, 200);
    })
    .await;
}

/// Somebody whose token says that all of theirs lies in `tenants/7/`.
fn of_tenant(server: &TestServer) -> Api {
    let claims = json!({
        "sub": "anna",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
        "muleteer": { "key_prefix": "tenants/7/" },
    });
    let token = sign(Algorithm::HS256, issuer::SECRET, None, &claims);
    Api::nobody(server).with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn a_key_lies_where_its_callers_token_and_the_answer_want_it() {
    let with_tokens = |config: &mut Config| config.auth.jwt.secret = Secret::new(issuer::SECRET);
    asking(with_tokens, async |server, application| {
        let anna = of_tenant(&server);
        let begin = async |name: &str, answer: Value| {
            application.next_answers(&[says(&answer)]);
            anna.post("/uploads", &of_image(name)).await
        };
        let albums = json!({ "key_prefix": "albums/" });

        for (n, answer) in [
            json!({ "key": "albums/a.png" }),
            json!({ "key": "tenants/70/a.png" }),
            json!({ "key": "tenants/7/a.png", "bounds": albums }),
            json!({ "key": "albums/a.png", "bounds": albums }),
        ]
        .into_iter()
        .enumerate()
        {
            let refused = begin(&format!("{n}.png"), answer.clone()).await;
            assert_eq!(refused.status, 503, "{answer}: {}", refused.text());
        }
        assert_eq!(reserved(&server).await, 0);

        let exact = json!({ "key": "tenants/7/albums/a.png", "bounds": albums });
        let named = begin("a.png", exact.clone()).await.expect(201);
        assert_eq!(named["key"], exact["key"]);
        let asked = application.seen().last().expect("a question").json();
        assert_eq!(asked["key_prefix"], "tenants/7/");
        let again = anna.post("/uploads", &of_image("a.png")).await.expect(200);
        assert_eq!(again["id"], named["id"], "and it is found where it lies");
        let placed = begin("b.png", json!({ "bounds": albums })).await.expect(201);
        let key = placed["key"].as_str().expect("a key");
        assert!(key.starts_with("tenants/7/albums/uploads/"), "{key}");

        // A key that a client has chosen is for the client to hear of.
        application.next_answers(&[says(&json!({ "bounds": albums }))]);
        let refused = begin_by("evaporate", &server).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.text().contains("albums/"), "{}", refused.text());
    })
    .await;
}

#[tokio::test]
async fn what_the_application_lets_an_owner_have_open_holds_before_anything_is_reserved() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            api.create("a.bin", PART).await;
            let reserved_before = reserved(&server).await;
            let narrow = |bounds: Value| application.next_answers(&[says(&json!({ "bounds": bounds }))]);

            for (what, limit) in [("open_uploads", 1), ("open_bytes", 2 * PART - 1)] {
                narrow(json!({ what: limit }));
                let refused = api.post("/uploads", &file("b.bin", PART)).await;
                let problem = refused.problem(429, "quota-reached");
                assert_eq!(
                    (&problem["what"], &problem["limit"]),
                    (&json!(what), &json!(limit))
                );
            }
            assert_eq!(reserved(&server).await, reserved_before);

            // It was this upload's alone.
            api.create("b.bin", PART).await;
        },
    )
    .await;
}

#[tokio::test]
async fn how_often_is_narrowed_by_the_application_too() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            let rates = json!({ "creations_per_minute": 2, "signatures_per_minute": 3 });
            application.always(says(&json!({ "bounds": rates })));
            let upload = api.create("a.bin", 4 * PART).await;
            api.create("b.bin", PART).await;
            let reserved_before = reserved(&server).await;

            let refused = api.post("/uploads", &file("c.bin", PART)).await;

            refused.problem(429, "too-fast");
            assert_eq!(refused.header("retry-after"), "30");
            assert_eq!(reserved(&server).await, reserved_before);
            let signatures = format!("/uploads/{}/signatures", id(&upload));
            let sign = async |parts: &str| api.post(&signatures, &json!({ "parts": parts })).await;
            sign("1-3").await.expect(200);
            let refused = sign("4").await;
            refused.problem(429, "too-fast");
            assert_eq!(refused.header("retry-after"), "20");
            // What the application says of others holds for those alone.
            application.always(says(&json!({})));
            api.create("c.bin", PART).await;
        },
    )
    .await;
}
