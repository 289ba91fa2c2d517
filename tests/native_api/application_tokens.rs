//! The application's own users, by tokens that it signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::Algorithm;
use muleteer::config::{Config, Secret};
use serde_json::{Value, json};
use sha2::Sha256;

use super::api::{Api, file, id};
use super::application::{on_sqlite, owner};
use super::issuer::{Application, EC, EC_PUBLIC, ED, ED_PUBLIC, OTHER_ED, RSA, RSA_PUBLIC, SECRET, sign};
use super::visitors::visitor;
use super::{PART, TestServer, on_both_with};

/// Claims that are good for an hour, and others.
fn claims(server: &TestServer, others: &Value) -> Value {
    let mut claims = json!({ "sub": "anna", "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp() });
    let others = others.as_object().expect("an object").clone();
    claims.as_object_mut().expect("an object").extend(others);
    claims
}

fn bearer(server: &TestServer, token: &str) -> Api {
    Api::nobody(server).with("authorization", &format!("Bearer {token}"))
}

/// Somebody with a token under [`SECRET`].
fn with_claims(server: &TestServer, others: &Value) -> Api {
    bearer(
        server,
        &sign(Algorithm::HS256, SECRET, None, &claims(server, others)),
    )
}

#[tokio::test]
async fn a_token_counts_if_it_is_signed_with_the_key_and_in_no_other_way() {
    for (algorithm, private, public) in [
        (Algorithm::HS256, SECRET, ""),
        (Algorithm::RS256, RSA, RSA_PUBLIC),
        (Algorithm::ES256, EC, EC_PUBLIC),
        (Algorithm::EdDSA, ED, ED_PUBLIC),
    ] {
        let server = on_sqlite(|config| {
            if public.is_empty() {
                config.auth.jwt.secret = Secret::new(SECRET);
            } else {
                config.auth.jwt.public_key = public.into();
            }
        });
        let claims = claims(&server, &json!({}));
        let good = sign(algorithm, private, None, &claims);
        assert_eq!(owner(&bearer(&server, &good)).await, "jwt:anna", "{algorithm:?}");
        let as_key = Api::nobody(&server).with("x-api-key", &good);
        assert_eq!(owner(&as_key).await, "jwt:anna", "{algorithm:?}");

        let mut expired = claims.clone();
        expired["exp"] = (server.clock.now() - TimeDelta::minutes(5)).timestamp().into();
        let (head, rest) = good.split_once('.').expect("three pieces");
        let (body, signature) = rest.split_once('.').expect("three pieces");
        let bad = [
            sign(Algorithm::EdDSA, OTHER_ED, None, &claims),
            sign(
                Algorithm::HS256,
                "another secret of thirty-two characters",
                None,
                &claims,
            ),
            // Whoever takes the algorithm from the token, verifies this with a key that everybody has.
            sign(Algorithm::HS256, public.trim(), None, &claims),
            sign(Algorithm::HS256, public, None, &claims),
            sign(algorithm, private, None, &expired),
            format!("eyJhbGciOiJub25lIn0.{body}."),
            format!("eyJhbGciOiJub25lIn0.{body}.{signature}"),
            format!("{head}.{body}."),
            format!("{head}.eyJzdWIiOiJiZW4ifQ.{signature}"),
        ];
        for token in bad {
            let reply = bearer(&server, &token).get("/uploads").await;
            reply.problem(401, "unauthenticated");
        }
    }
}

#[tokio::test]
async fn keys_change_without_a_restart_and_stay_good_while_nobody_answers() {
    let issuer = Application::start().await;
    let server = on_sqlite(|config| config.auth.jwt.jwks.clone_from(&issuer.url));
    let with = |algorithm, key: &str, kid: &str| {
        bearer(
            &server,
            &sign(algorithm, key, Some(kid), &claims(&server, &json!({}))),
        )
    };
    let (old, new) = (with(Algorithm::ES256, EC, "ec"), with(Algorithm::EdDSA, ED, "ed"));
    // While no key could be read, nobody can say whether a token is good; everybody else is served.
    old.get("/uploads").await.problem(503, "unavailable");
    assert_eq!(owner(&Api::of(&server)).await, "default");

    drop(server);
    issuer.publishes(&["ec"]);
    let server = on_sqlite(|config| config.auth.jwt.jwks.clone_from(&issuer.url));
    let (old, new) = (old.moved_to(&server.base), new.moved_to(&server.base));
    assert_eq!(owner(&old).await, "jwt:anna");

    issuer.publishes(&["ec", "ed"]);
    assert_eq!(
        owner(&new).await,
        "jwt:anna",
        "a key that nobody knew is looked for"
    );
    assert_eq!(owner(&old).await, "jwt:anna", "and the other is good beside it");
    let seen = issuer.seen();
    assert!(
        seen.last()
            .is_some_and(|head| head.contains("if-none-match: \"ec\"")),
        "{seen:?}"
    );

    issuer.answers(500, "", "");
    let before = issuer.seen().len();
    for number in 0..50 {
        let made_up = sign(
            Algorithm::EdDSA,
            OTHER_ED,
            Some(&format!("k{number}")),
            &claims(&server, &json!({})),
        );
        let reply = bearer(&server, &made_up).get("/uploads").await;
        reply.problem(401, "unauthenticated");
    }
    assert!(
        issuer.seen().len() - before < 10,
        "made-up names hammer the issuer"
    );
    assert_eq!(owner(&new).await, "jwt:anna");
}

#[tokio::test]
async fn claims_narrow_what_may_be_begun_at_every_door_that_makes_keys() {
    let adjust = |config: &mut Config| config.auth.jwt.secret = Secret::new(SECRET);
    on_both_with(adjust, async |server| {
        let in_folder = |folder: &str| {
            let bounds = json!({ "max_size": 100, "types": ["image/*"], "key_prefix": folder });
            with_claims(&server, &json!({ "muleteer": bounds }))
        };
        let anna = in_folder("tenants/7/");
        let image = |size: u64| json!({ "filename": "a.png", "size": size, "content_type": "image/png" });

        anna.post("/uploads", &image(101)).await.problem(413, "too-large");
        let text = json!({ "filename": "a.txt", "size": 5, "content_type": "text/plain" });
        anna.post("/uploads", &text).await.problem(415, "type-refused");
        let begun = anna.post("/uploads", &image(50)).await.expect(201);
        let key = begun["key"].as_str().expect("a key");
        assert!(key.starts_with("tenants/7/uploads/"), "{key}");
        assert_eq!(
            anna.post("/uploads", &image(50)).await.expect(200)["id"],
            begun["id"]
        );

        // The same file of the same person for somewhere else is another upload.
        let elsewhere = in_folder("tenants/8/")
            .post("/uploads", &image(50))
            .await
            .expect(201);
        assert_ne!(elsewhere["id"], begun["id"]);

        // What is made with a token is held within it.
        let made = anna.outside().post("/s3/token", &json!({})).await.expect(201);
        let base = made["base"].as_str().expect("an address");
        let path = base.strip_prefix(&server.base).unwrap_or(base);
        let door = Api::nobody(&server).outside();
        let wanted = json!({ "filename": "b.png", "type": "image/png", "metadata": {} });
        let begun = door
            .post(&format!("{path}/s3/multipart"), &wanted)
            .await
            .expect(200);
        let key = begun["key"].as_str().expect("a key");
        assert!(key.starts_with("tenants/7/"), "{key}");
        let wanted = json!({ "filename": "b.txt", "type": "text/plain", "metadata": {} });
        let refused = door.post(&format!("{path}/s3/multipart"), &wanted).await;
        assert_eq!(refused.status, 415, "{}", refused.text());

        for door in ["/evaporate/settings", "/fineuploader/settings"] {
            let told = anna.outside().get(door).await.expect(200).to_string();
            assert!(told.contains("tenants/7/pages/jwt_3aanna/"), "{door}: {told}");
        }
    })
    .await;
}

/// A token under [`SECRET`] of claims as they are written here.
fn signed(claims: &str) -> String {
    let pieces = [r#"{"alg":"HS256","typ":"JWT"}"#, claims].map(|piece| URL_SAFE_NO_PAD.encode(piece));
    let message = pieces.join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{message}.{signature}")
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said() {
    let server = on_sqlite(|config| config.auth.jwt.secret = Secret::new(SECRET));
    let ends = (server.clock.now() + TimeDelta::hours(1)).timestamp();
    let refused = async |token: &str| {
        let reply = bearer(&server, token).get("/uploads").await;
        let problem = reply.problem(401, "unauthenticated");
        problem["detail"].as_str().expect("a text").to_owned()
    };

    let good = signed(&format!(r#"{{"sub":"anna","exp":{ends}}}"#));
    assert_eq!(owner(&bearer(&server, &good)).await, "jwt:anna");
    for (claims, expected) in [
        (r#""sub":["anna"]"#, "sub is a text"),
        (r#""sub":{"id":"anna"}"#, "sub is a text"),
        (r#""sub":"anna","sub":"ben""#, "tells a claim twice"),
        (r#""sub":"anna","exp":1"#, "tells a claim twice"),
        (r#""sub":1.5"#, "neither a text nor a whole number"),
        (r#""iss":"anna""#, "does not say who"),
        (r#""sub":"""#, "1 to 255 bytes"),
    ] {
        let detail = refused(&signed(&format!(r#"{{{claims},"exp":{ends}}}"#))).await;
        assert!(detail.contains(expected), "{claims}: {detail}");
    }
    let long = "x".repeat(256);
    let detail = refused(&signed(&format!(r#"{{"sub":"{long}","exp":{ends}}}"#))).await;
    assert!(detail.contains("1 to 255 bytes"), "{detail}");

    // One of our own is no token of the application's.
    let upload = Api::of(&server).create("a.bin", PART).await;
    let own = upload["token"].as_str().expect("a token");
    server.advance(TimeDelta::days(400));
    let detail = refused(own).await;
    assert!(detail.contains("this upload's token has expired"), "{detail}");
}

#[tokio::test]
async fn limits_in_a_token_that_cannot_be_understood_refuse_it() {
    let server = on_sqlite(|config| config.auth.jwt.secret = Secret::new(SECRET));
    for bounds in [
        json!([]),
        json!([9]),
        json!("none"),
        json!({ "max_sise": 9 }),
        json!({ "max_parts": 0 }),
    ] {
        let anna = with_claims(&server, &json!({ "muleteer": bounds }));
        let problem = anna
            .post("/uploads", &file("a", 10))
            .await
            .problem(401, "unauthenticated");
        let detail = problem["detail"].as_str().expect("a text");
        assert!(
            detail.contains("limits that this token sets"),
            "{bounds}: {detail}"
        );
    }
    // A member that is null narrows nothing.
    let anna = with_claims(
        &server,
        &json!({ "muleteer": { "max_size": null, "max_parts": 1 } }),
    );
    anna.post("/uploads", &file("a", 10)).await.expect(201);
}

#[tokio::test]
async fn no_claim_makes_anybody_somebody_else() {
    let adjust = |config: &mut Config| config.auth.jwt.secret = Secret::new(SECRET);
    on_both_with(adjust, async |server| {
        let upload = Api::of(&server).create("film.mp4", 3 * PART).await;
        let guest = visitor(&server).await;
        let theirs = guest.create("film.mp4", 3 * PART).await;
        let guest_owner = owner(&guest).await;

        for sub in [&json!("default"), &guest_owner] {
            let claims = json!({ "sub": sub, "own": sub, "owner": sub, "scope": "upload admin" });
            let forger = with_claims(&server, &claims);
            for wanted in [&upload, &theirs] {
                let reply = forger.get(&format!("/uploads/{}", id(wanted))).await;
                reply.problem(404, "not-found");
            }
            let session = forger.get("/session").await.expect(200);
            assert_eq!(
                (&session["kind"], &session["scopes"]),
                (&json!("application"), &json!(["upload"]))
            );
        }
    })
    .await;
}
