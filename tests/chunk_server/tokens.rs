//! Tokens: each is good for one part of one upload, while the upload lives, and for nothing else.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::client::{Client, Upload, claims_of, forged};
use super::place::{JWT_SECRET, Place};
use super::{MIB, on_both, on_both_with};

/// Sends part 0 with this whole `Authorization` header, or none.
async fn put_with(place: &Place, upload: &Upload, authorization: Option<&str>) -> super::client::Reply {
    let nobody = Client::nobody(place);
    let client = authorization.map_or(nobody.clone(), |value| nobody.with("authorization", value));
    client.raw("PUT", &upload.part_path(0), upload.part(0)).await
}

#[tokio::test]
async fn a_part_without_its_very_token_is_refused_and_stays_pending() {
    on_both(async |place| {
        let client = Client::of(&place);
        let (upload, other) = (client.init("a", MIB + 1).await, client.init("b", MIB + 1).await);
        let good = &upload.tokens[0];
        let pieces: Vec<&str> = good.split('.').collect();
        let (head, claims) = (json!({ "typ": "JWT", "alg": "HS256" }), claims_of(good));
        let with_alg = |alg: &str| json!({ "typ": "JWT", "alg": alg });
        let none = forged(&with_alg("none"), &claims, "");
        let unsigned = format!("{}.", none.rsplit_once('.').expect("pieces").0);
        let mut longer = claims.clone();
        longer["exp"] = json!(claims["exp"].as_i64().expect("a time") + 1);
        let mut another_part = claims.clone();
        another_part["part_number"] = json!(1);
        let reused = |claims: &Value| {
            let body = forged(&head, claims, "x");
            let middle = body.split('.').nth(1).expect("pieces").to_owned();
            format!("{}.{middle}.{}", pieces[0], pieces[2])
        };
        for token in [
            "x".to_owned(),
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{}.{}", pieces[0], pieces[1]),
            format!("{}.{}.", pieces[0], pieces[1]),
            format!("{good}x"),
            format!("{good}.x"),
            good.to_lowercase(),
            unsigned,
            none,
            forged(&with_alg("HS512"), &claims, JWT_SECRET),
            forged(&with_alg("RS256"), &claims, JWT_SECRET),
            // The right secret, the right claims, and yet we never made it.
            forged(&head, &claims, JWT_SECRET),
            forged(&head, &claims, ""),
            forged(&head, &claims, "another-secret-of-thirty-two-letters"),
            reused(&longer),
            reused(&another_part),
            upload.tokens[1].clone(),
            other.tokens[0].clone(),
        ] {
            let reply = put_with(&place, &upload, Some(&format!("Bearer {token}"))).await;

            reply.error(401, "unauthenticated");
            assert_eq!(reply.header("www-authenticate"), "Bearer", "{token}");
        }
        assert_eq!(client.part_states(&upload).await, "pp");
        client.send(&upload, 0).await;
    })
    .await;
}

#[tokio::test]
async fn the_scheme_is_bearer_as_it_is_written() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        let good = &upload.tokens[0];
        for header in [
            None,
            Some(format!("bearer {good}")),
            Some(format!("BEARER {good}")),
            Some(format!("Bearer{good}")),
            Some(format!("Bearer\t{good}")),
            Some(format!("Basic {good}")),
            Some(good.clone()),
            Some("Bearer".to_owned()),
            Some("Bearer ".to_owned()),
        ] {
            let reply = put_with(&place, &upload, header.as_deref()).await;
            reply.error(401, "unauthenticated");
        }
        // A key is no token, wherever it stands.
        let by_key = client.raw("PUT", &upload.part_path(0), upload.part(0)).await;
        by_key.error(401, "unauthenticated");
        let query = format!("{}?token={good}", upload.part_path(0));
        let by_query = Client::nobody(&place).raw("PUT", &query, upload.part(0)).await;
        by_query.error(401, "unauthenticated");
        assert_eq!(client.part_states(&upload).await, "p");
    })
    .await;
}

#[tokio::test]
async fn a_token_opens_nothing_but_its_part() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        let bearer = client.bearing(&upload.tokens[0]);
        bearer
            .init_with(&json!({ "filename": "b", "total_size": 1 }))
            .await
            .error(401, "unauthenticated");
        bearer.status(&upload).await.error(401, "unauthenticated");
        bearer.complete(&upload).await.error(401, "unauthenticated");
        bearer.cancel(&upload).await.error(401, "unauthenticated");
        let native = upload.id.replace('-', "");
        let native = format!("{}7{}", &native[..12], &native[13..]);
        let answer = bearer.get(&format!("/api/v1/uploads/{native}")).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        client.send(&upload, 0).await;
    })
    .await;
}

#[tokio::test]
async fn the_checks_come_in_the_published_order() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        let wrong_everywhere = upload.path("/part/77");
        // Signature before address.
        let forged = client.bearing("x").raw("PUT", &wrong_everywhere, "bytes").await;
        forged.error(401, "unauthenticated");
        // Address before the upload's state.
        let bearer = client.bearing(&upload.tokens[0]);
        bearer
            .raw("PUT", &wrong_everywhere, "bytes")
            .await
            .error(401, "unauthenticated");
        // A part that is stored before its size.
        client.send(&upload, 0).await;
        client
            .put(&upload, 0, vec![7; 1 << 20])
            .await
            .error(409, "part_conflict");
        // State before size.
        client.send(&upload, 1).await;
        client.finish(&upload).await;
        let late = client.put(&upload, 0, "short").await;
        late.error(409, "already_complete");
        // An upload that is gone before anything about its parts, but after the token.
        let gone = client.init("b", 5).await;
        client.cancel(&gone).await.expect(200);
        client
            .put(&gone, 0, "too long for it")
            .await
            .error(404, "not_found");
        client
            .bearing("x")
            .raw("PUT", &gone.part_path(0), "x")
            .await
            .error(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn tokens_die_with_the_upload_to_the_second() {
    on_both_with(
        |config| config.protocols.chunks.ttl_hours = 1,
        async |place| {
            let client = Client::of(&place);
            let (kept, late) = (client.init("a", 5).await, client.init("b", 5).await);
            place.advance(TimeDelta::minutes(59));
            client.put(&kept, 0, kept.part(0)).await.expect(200);

            place.advance(TimeDelta::minutes(1) + TimeDelta::seconds(1));

            client
                .put(&late, 0, late.part(0))
                .await
                .error(401, "unauthenticated");
            client
                .put(&kept, 0, kept.part(0))
                .await
                .error(401, "unauthenticated");
        },
    )
    .await;
}

#[tokio::test]
async fn status_gives_new_tokens_for_what_is_pending_and_to_nobody_else() {
    on_both_with(
        |config| config.protocols.chunks.ttl_hours = 1,
        async |place| {
            let anna = place.key("anna", "upload").await;
            let admin = place.key("root", "admin").await;
            let upload = anna.init("a", 2 * MIB + 5).await;
            anna.send(&upload, 1).await;
            place.advance(TimeDelta::minutes(50));
            anna.send(&upload, 0).await;
            // Longer than the first tokens live, but not the upload, which has been active since.
            place.advance(TimeDelta::minutes(20));
            anna.put(&upload, 2, upload.part(2))
                .await
                .error(401, "unauthenticated");

            for client in [&Client::of(&place), &admin] {
                let seen = client.status(&upload).await.expect(200);
                for part in seen["parts"].as_array().expect("a list") {
                    assert!(part.get("token").is_none(), "{part}");
                }
            }
            let seen = anna.status(&upload).await.expect(200);
            assert!(seen["parts"][0].get("token").is_none() && seen["parts"][1].get("token").is_none());
            let fresh = seen["parts"][2]["token"].as_str().expect("a token");
            let path = upload.part_path(2);
            let sent = Client::nobody(&place)
                .bearing(fresh)
                .raw("PUT", &path, upload.part(2))
                .await;

            assert_eq!(sent.expect(200)["uploaded_parts"], 3);
            anna.finish(&upload).await;
            let done = anna.status(&upload).await.expect(200);
            assert!(!done.to_string().contains("token"), "{done}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_token_of_another_installation_is_refused() {
    on_both(async |place| {
        let elsewhere = Place::start(super::Kind::Sqlite, super::Backend::Local, |config| {
            config.auth.secret = muleteer::config::Secret::new("the-other-secret-that-signs-tokens-there");
        });
        let elsewhere = elsewhere.expect("SQLite is never skipped");
        let foreign = Client::of(&elsewhere).init("a", 5).await;

        let reply = Client::of(&place).put(&foreign, 0, foreign.part(0)).await;

        reply.error(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_token_of_the_native_api_is_none_here() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        let json = client.with("content-type", "application/json");
        let native = json
            .raw(
                "POST",
                "/api/v1/uploads",
                json!({ "filename": "b", "size": 5 }).to_string(),
            )
            .await;
        let token = native.json()["token"].as_str().expect("a token").to_owned();

        let reply = client
            .bearing(&token)
            .raw("PUT", &upload.part_path(0), upload.part(0))
            .await;

        reply.error(401, "unauthenticated");
    })
    .await;
}
