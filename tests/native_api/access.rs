//! Who may: keys, upload tokens and owners, for every verb.

use chrono::TimeDelta;
use muleteer::clock::Clock;
use muleteer::db::Database;
use muleteer::domain::Owner;
use muleteer::identity::{Scopes, create_key};
use serde_json::{Value, json};

use super::api::{Api, Reply, file, id};
use super::visitors::visitor;
use super::{PART, TestServer, on_both, on_both_with};

/// Every verb that one upload has: method, end of its address, body.
fn verbs() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "", None),
        ("POST", "/signatures", Some(json!({ "parts": "1" }))),
        ("PUT", "/parts/1", Some(json!({ "size": PART }))),
        (
            "POST",
            "/parts",
            Some(json!({ "parts": [{ "number": 1, "size": PART }] })),
        ),
        ("POST", "/complete", None),
        ("DELETE", "", None),
    ]
}

async fn try_every_verb(api: &Api, upload: &str, check: impl Fn(&str, Reply)) {
    for (method, end, body) in verbs() {
        let reply = api
            .send(method, &format!("/uploads/{upload}{end}"), body.as_ref())
            .await;
        check(&format!("{method} {end}"), reply);
    }
}

/// A key as `muleteer keys create` makes it.
pub async fn key(server: &TestServer, owner: &str, scopes: &str) -> Api {
    let db = Database::open(&server.config.database_url(), 1)
        .await
        .expect("the database");
    let (owner, scopes) = (
        Owner::named(owner).expect("a name"),
        Scopes::parse(scopes).expect("scopes"),
    );
    let key = create_key(&db, &owner, scopes, Clock::system().now())
        .await
        .expect("a key");
    db.close().await.expect("closed");
    Api::nobody(server).with("x-api-key", &key)
}

#[tokio::test]
async fn the_wrong_owner_gets_404_for_every_verb_as_for_an_upload_that_is_not() {
    on_both(async |server| {
        let anna = key(&server, "anna", "upload").await;
        let upload = anna.create("film.mp4", 3 * PART).await;
        let other = anna
            .post("/uploads", &json!({ "filename": "b", "size": 5 }))
            .await
            .expect(201);
        anna.send_parts(&upload, json!([1])).await;
        let nothing = "0".repeat(32);
        for stranger in [
            key(&server, "ben", "upload").await,
            visitor(&server).await,
            anna.bearing(&other["token"]),
        ] {
            for wanted in [id(&upload), nothing.as_str(), "x", "..%2f..%2fetc", "%00", "%ff"] {
                try_every_verb(&stranger, wanted, |verb, reply| {
                    let problem = reply.problem(404, "not-found");
                    assert_eq!(problem["detail"], "there is no such upload", "{verb} {wanted}");
                })
                .await;
            }
        }
        let shown = anna.show(&upload).await;
        assert_eq!(
            (shown["state"].clone(), shown["parts"].as_array().map(Vec::len)),
            (json!("open"), Some(1))
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_good_credential_every_verb_says_401() {
    on_both(async |server| {
        let upload = Api::of(&server).create("film.mp4", 3 * PART).await;
        let nobody = Api::nobody(&server);
        for stranger in [
            nobody.clone(),
            nobody.with("x-api-key", "mule_wrong"),
            nobody.with("x-api-key", ""),
            nobody.with("authorization", "Bearer nonsense"),
            nobody.with("authorization", "Bearer "),
            nobody.with("authorization", "Basic YTpi"),
            nobody.with("authorization", "nonsense"),
        ] {
            try_every_verb(&stranger, id(&upload), |verb, reply| {
                reply.problem(401, "unauthenticated");
                assert!(reply.header("www-authenticate").starts_with("Bearer"), "{verb}");
            })
            .await;
        }
        let odd = nobody.with("x-api-key", "mule_é");
        odd.get("/uploads").await.problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_is_not_made_good_by_a_visitors_cookie() {
    on_both(async |server| {
        let anna = visitor(&server).await;
        anna.with("x-api-key", "mule_wrong")
            .get("/uploads")
            .await
            .problem(401, "unauthenticated");
        let session = anna
            .with("x-api-key", "mule_wrong")
            .get("/session")
            .await
            .expect(200);
        assert_eq!(
            (session["kind"].clone(), session["owner"].clone()),
            (json!("none"), json!(null))
        );
    })
    .await;
}

#[tokio::test]
async fn the_session_says_who_is_asking_and_what_they_may_send() {
    on_both_with(
        |config| config.limits.max_size = 12_345,
        async |server| {
            let view = Api::of(&server).get("/session").await.expect(200);

            for (field, value) in [
                ("owner", json!("default")),
                ("kind", json!("api-key")),
                ("scopes", json!(["upload", "admin"])),
                ("anonymous_allowed", json!(true)),
            ] {
                assert_eq!(view[field], value, "{field}");
            }
            for (limit, value) in [
                ("max_size", 12_345),
                ("default_part_size", PART),
                ("max_parts", 10_000),
            ] {
                assert_eq!(view["limits"][limit], value, "{limit}");
            }
            let told: chrono::DateTime<chrono::Utc> = view["server_time"].as_str().unwrap().parse().unwrap();
            assert!((server.clock.now() - told).num_seconds().abs() < 5);
            let anna = key(&server, "anna", "upload").await;
            let view = anna.get("/session").await.expect(200);
            assert_eq!(
                (view["owner"].clone(), view["scopes"].clone()),
                (json!("anna"), json!(["upload"]))
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_key_reaches_what_its_scopes_say() {
    on_both(async |server| {
        let (uploader, admin) = (
            key(&server, "anna", "upload").await,
            key(&server, "root", "admin").await,
        );
        let upload = uploader.create("film.mp4", 3 * PART).await;

        admin
            .post("/uploads", &file("a", 1))
            .await
            .problem(403, "forbidden");
        uploader
            .get("/uploads?owner=default")
            .await
            .problem(403, "forbidden");
        assert_eq!(admin.show(&upload).await["id"], upload["id"]);
        let listed = admin.get("/uploads?owner=anna").await.expect(200);
        assert_eq!(listed["uploads"][0]["id"], upload["id"]);
        admin
            .delete(&format!("/uploads/{}", id(&upload)))
            .await
            .expect(204);
        assert_eq!(uploader.show(&upload).await["state"], "aborted");
    })
    .await;
}

#[tokio::test]
async fn two_keys_of_one_owner_reach_the_same_uploads() {
    on_both(async |server| {
        let (first, second) = (
            key(&server, "anna", "upload").await,
            key(&server, "anna", "upload").await,
        );

        let upload = first.create("film.mp4", 20).await;

        assert_eq!(
            second.post("/uploads", &file("film.mp4", 20)).await.expect(200)["id"],
            upload["id"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_reaches_its_own_upload_and_nothing_else() {
    on_both(async |server| {
        let anna = visitor(&server).await;
        let (upload, other) = (anna.create("a", 3 * PART).await, anna.create("b", 3 * PART).await);
        let bearer = anna.bearing(&upload["token"]);

        try_every_verb(&bearer, id(&other), |_, reply| {
            drop(reply.problem(404, "not-found"));
        })
        .await;
        bearer.send_parts(&upload, json!("1-3")).await;
        bearer.complete(&upload).await.expect(200);
        assert_eq!(bearer.show(&upload).await["state"], "complete");
        let session = bearer.get("/session").await.expect(200);
        assert_eq!(session["scopes"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_changed_or_expired_token_is_refused() {
    on_both_with(
        |config| config.uploads.ttl_hours = 1,
        async |server| {
            let upload = Api::of(&server).create("a", 3 * PART).await;
            let token = upload["token"].as_str().expect("a token");
            let path = format!("/uploads/{}", id(&upload));
            let pieces: Vec<&str> = token.split('.').collect();
            let unsigned = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{}.", pieces[1]);
            for forged in [
                unsigned,
                format!("{}.{}.", pieces[0], pieces[1]),
                token.to_ascii_lowercase(),
            ] {
                let bearer = Api::nobody(&server).bearing(&json!(forged));
                bearer.get(&path).await.problem(401, "unauthenticated");
            }
            let bearer = Api::nobody(&server).bearing(&upload["token"]);
            let signing = json!({ "parts": "1" });
            bearer
                .post(&format!("{path}/signatures"), &signing)
                .await
                .expect(200);

            server.advance(TimeDelta::minutes(61));

            let late = bearer.post(&format!("{path}/signatures"), &signing).await;
            late.problem(401, "unauthenticated");
        },
    )
    .await;
}

#[tokio::test]
async fn a_token_of_another_installation_is_refused() {
    on_both(async |server| {
        let Some(elsewhere) = super::start(super::Kind::Sqlite, |_| {}) else {
            return;
        };
        let upload = Api::of(&server).create("a", PART).await;
        let foreign = Api::of(&elsewhere).create("a", PART).await;

        let bearer = Api::nobody(&server).bearing(&foreign["token"]);

        bearer
            .get(&format!("/uploads/{}", id(&upload)))
            .await
            .problem(401, "unauthenticated");
    })
    .await;
}
