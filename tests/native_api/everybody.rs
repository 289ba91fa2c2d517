//! Everybody at every door: one table of requests, tried by whoever should not get anything.
//!
//! A stranger learns nothing: another's upload answers as one that never was, header by header and byte by byte but for the
//! ids that were asked for.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use muleteer::clock::Clock;
use muleteer::config::{Anonymous, Secret};
use muleteer::db::Database;
use muleteer::domain::Owner;
use muleteer::identity::{Scopes, create_key};
use serde_json::{Value, json};

use super::access::key;
use super::api::Api;
use super::issuer::{OTHER_ED, SECRET, sign};
use super::requests::{
    ABOUT_AN_UPLOAD, ABOUT_THE_CALLER, BY_ITS_TOKEN, OPEN, begin_everywhere, of_nothing, told,
};
use super::{Kind, TestServer, start};

pub fn server(anonymous: Anonymous) -> TestServer {
    let started = start(Kind::Sqlite, |config| {
        config.auth.anonymous = anonymous;
        config.auth.jwt.secret = Secret::new(SECRET);
        config.auth.jwt.issuer = "https://id.example".into();
        // Whoever tries every verb in every way is too fast.
        config.limits.rates.failures_per_address = 0;
    });
    started.expect("SQLite is never skipped")
}

/// Ben's token of the application's own, with other claims.
pub fn token(server: &TestServer, others: Value) -> Api {
    let token = token_text(server, others);
    Api::nobody(server).with("authorization", &format!("Bearer {token}"))
}

pub fn token_text(server: &TestServer, others: Value) -> String {
    let mut claims = json!({
        "sub": "ben",
        "iss": "https://id.example",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
    });
    let Value::Object(others) = others else {
        panic!("claims are an object");
    };
    claims.as_object_mut().expect("an object").extend(others);
    sign(Algorithm::HS256, SECRET, None, &claims)
}

/// A key that was one.
pub async fn revoked(server: &TestServer) -> String {
    let db = Database::open(&server.config.database_url(), 1)
        .await
        .expect("the database");
    let owner = Owner::named("anna").expect("a name");
    let before = db.list_keys().await.expect("the keys");
    let scopes = Scopes::parse("upload").expect("scopes");
    let made = create_key(&db, &owner, scopes, Clock::system().now()).await;
    let keys = db.list_keys().await.expect("the keys");
    let is_new = |id: &str| before.iter().all(|known| known.id != id);
    let record = keys.iter().find(|known| is_new(&known.id)).expect("the new key");
    let is_revoked = db.revoke_key(&record.id, server.clock.now()).await;
    assert!(is_revoked.expect("the database answers"));
    db.close().await.expect("closed");
    made.expect("a key")
}

#[tokio::test]
async fn anothers_upload_is_none_at_every_door() {
    for anonymous in [Anonymous::Off, Anonymous::On] {
        let server = server(anonymous);
        let anna = key(&server, "anna", "upload").await;
        let ids = begin_everywhere(&anna).await;
        let nothing = of_nothing(&ids);
        let mut strangers = vec![
            key(&server, "ben", "upload").await,
            token(&server, json!({})),
            token(&server, json!({ "sub": "anna" })),
        ];
        if anonymous == Anonymous::On {
            strangers.push(super::visitors::visitor(&server).await);
        }
        for row in ABOUT_AN_UPLOAD {
            for (number, stranger) in strangers.iter().enumerate() {
                // The chunk server's door has no visitors.
                if number == 3 && row.1.starts_with("/upload/") {
                    continue;
                }
                let (real, none) = (row.ask(stranger, &ids).await, row.ask(stranger, &nothing).await);
                let name = row.name();
                assert_eq!(real.status, 404, "{name} by {number}: {}", real.text());
                assert_eq!(told(&real, &ids), told(&none, &nothing), "{name} by {number}");
            }
            let own = row.ask(&anna, &ids).await;
            let is_hers = ![401, 403, 404].contains(&own.status);
            assert!(is_hers, "{}: {} {}", row.name(), own.status, own.text());
        }
    }
}

#[tokio::test]
async fn nobody_is_let_in_whom_we_do_not_know() {
    let server = server(Anonymous::Off);
    let anna = key(&server, "anna", "upload").await;
    let ids = begin_everywhere(&anna).await;
    let nothing = of_nothing(&ids);
    let claims = json!({ "sub": "anna", "exp": 4_000_000_000_u32, "iss": "https://id.example" });
    let forged = sign(Algorithm::EdDSA, OTHER_ED, None, &claims);
    let nobody = Api::nobody(&server);
    let revoked = revoked(&server).await;
    let strangers = [
        ("nobody", nobody.clone()),
        ("a revoked key", nobody.with("x-api-key", &revoked)),
        (
            "a revoked key as a bearer",
            nobody.with("authorization", &format!("Bearer {revoked}")),
        ),
        ("a key that never was", nobody.with("x-api-key", "mule_wrong")),
        ("an expired token", token(&server, json!({ "exp": 1 }))),
        (
            "a token of another issuer",
            token(&server, json!({ "iss": "https://evil.example" })),
        ),
        ("a token for others", token(&server, json!({ "aud": "billing" }))),
        (
            "a forged token",
            nobody.with("authorization", &format!("Bearer {forged}")),
        ),
        (
            "a cookie of nobody",
            nobody.with("cookie", "muleteer_visitor=x.y; sid=1"),
        ),
    ];
    let by_its_token = BY_ITS_TOKEN.iter();
    for row in by_its_token
        .clone()
        .chain(ABOUT_AN_UPLOAD)
        .chain(ABOUT_THE_CALLER)
    {
        for (who, stranger) in &strangers {
            let (real, none) = (row.ask(stranger, &ids).await, row.ask(stranger, &nothing).await);
            let name = row.name();
            assert_eq!(real.status, 401, "{name} by {who}: {}", real.text());
            assert_eq!(told(&real, &ids), told(&none, &nothing), "{name} by {who}");
        }
    }
    for row in by_its_token {
        assert_eq!(row.ask(&anna, &ids).await.status, 401, "{}", row.name());
    }
    let admin = key(&server, "root", "admin").await;
    for row in ABOUT_THE_CALLER
        .iter()
        .filter(|row| row.0 == "POST" && !row.1.contains("replay"))
    {
        let refused = row.ask(&admin, &ids).await;
        assert_eq!(refused.status, 403, "{}: {}", row.name(), refused.text());
    }
}

#[tokio::test]
async fn the_table_has_every_route_of_the_api() {
    let server = server(Anonymous::Off);
    let document = Api::nobody(&server)
        .outside()
        .get("/api/openapi.json")
        .await
        .expect(200);
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let path = path.replace("{number}", "1");
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert!(routes.len() > 8, "{routes:?}");
    let rows = ABOUT_AN_UPLOAD.iter().chain(ABOUT_THE_CALLER).chain(BY_ITS_TOKEN);
    let listed: BTreeSet<String> = rows.map(|row| row.name().replace("/api/v1", "")).collect();
    let missing: Vec<&String> = routes
        .iter()
        .filter(|route| !listed.contains(*route) && !OPEN.contains(&route.as_str()))
        .collect();
    assert!(missing.is_empty(), "not tried: {missing:?}");
}
