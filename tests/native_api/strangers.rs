//! Strangers where the table of `requests` does not reach: pages that write requests to the store themselves, addresses with
//! a token in them, and connections.

use muleteer::config::Anonymous;
use serde_json::{Value, json};

use super::TestServer;
use super::access::key;
use super::api::{Api, Reply};
use super::everybody::{revoked, server, token, token_text};
use super::page::{EMPTY, Written, hash_of};
use super::requests::{ABOUT_AN_UPLOAD, Ids, begin_everywhere, of_nothing, told};
use super::socket::Handshake;

/// A request to the store: method, key, query.
type Wanted<'a> = (&'static str, &'a str, &'a str);

/// Asks Evaporate's door for a signature.
async fn by_evaporate(who: &Api, server: &TestServer, (method, key, query): Wanted<'_>) -> Reply {
    let host = server.store.trim_start_matches("http://").rsplit_once(':');
    let (host, _) = host.expect("a port");
    let path = format!("/{}/{key}", server.config.dev_s3.bucket);
    let written = Written::new(method, host, &path, query, EMPTY, server.clock.now());
    let canonical = written.canonical();
    let asked = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("to_sign", &written.to_sign(&hash_of(&canonical)))
        .append_pair("datetime", &written.date)
        .append_pair("canonical_request", &canonical)
        .finish();
    who.outside().get(&format!("/evaporate/sign?{asked}")).await
}

/// Asks Fine Uploader's.
async fn by_fine_uploader(who: &Api, server: &TestServer, (method, key, query): Wanted<'_>) -> Reply {
    let host = server.store.trim_start_matches("http://");
    let host = format!("{host}/{}", server.config.dev_s3.bucket);
    let path = format!("/{key}");
    let mut written = Written::new(method, &host, &path, query, EMPTY, server.clock.now())
        .with("x-amz-content-sha256", EMPTY);
    if method == "POST" {
        written = written.with("x-amz-acl", "private");
    }
    let asked = json!({ "headers": written.to_sign(&written.canonical()) });
    who.outside()
        .post("/fineuploader/signature?v4=true", &asked)
        .await
}

#[tokio::test]
async fn nothing_is_signed_for_anothers_key_and_nobody_learns_whether_there_is_one() {
    let server = server(Anonymous::Off);
    let anna = key(&server, "anna", "upload").await;
    let hers = ["pages/anna/first.bin", "pages/anna/other.bin"];
    let begun = by_evaporate(&anna, &server, ("POST", hers[0], "uploads=")).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let begun = by_fine_uploader(&anna, &server, ("POST", hers[1], "uploads=")).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let nobody = Api::nobody(&server);
    let gone = revoked(&server).await;
    let strangers = [
        ("ben", key(&server, "ben", "upload").await, 403),
        // Whose name hers begins with.
        ("ann", key(&server, "ann", "upload").await, 403),
        ("an admin", key(&server, "root", "admin").await, 403),
        (
            "the application's anna",
            token(&server, json!({ "sub": "anna" })),
            403,
        ),
        ("nobody", nobody.clone(), 401),
        ("a revoked key", nobody.with("x-api-key", &gone), 401),
    ];

    for (who, stranger, status) in &strangers {
        for (method, query) in [
            ("POST", "uploads="),
            ("GET", "uploadId=made-up"),
            ("DELETE", "uploadId=made-up"),
        ] {
            let none = "pages/anna/never.bin";
            for (door, real, none) in [
                (
                    "evaporate",
                    by_evaporate(stranger, &server, (method, hers[0], query)).await,
                    by_evaporate(stranger, &server, (method, none, query)).await,
                ),
                (
                    "fine uploader",
                    by_fine_uploader(stranger, &server, (method, hers[1], query)).await,
                    by_fine_uploader(stranger, &server, (method, none, query)).await,
                ),
            ] {
                assert_eq!(real.status, *status, "{door}, {method} by {who}: {}", real.text());
                let (real, none) = (told(&real, &Ids::new()), told(&none, &Ids::new()));
                assert_eq!(real, none, "{door}, {method} by {who}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_in_the_address_is_its_owners_and_nobody_elses() {
    let server = server(Anonymous::Off);
    let anna = key(&server, "anna", "upload").await;
    let ids = begin_everywhere(&anna).await;
    let nothing = of_nothing(&ids);
    let nobody = Api::nobody(&server);
    let page_of = async |who: &Api| {
        let made = who.outside().post("/s3/token", &json!({})).await.expect(201);
        nobody.moved_to(made["base"].as_str().expect("an address"))
    };
    let (bens, annas) = (
        page_of(&key(&server, "ben", "upload").await).await,
        page_of(&anna).await,
    );
    let of_application = page_of(&token(&server, json!({ "sub": "anna" }))).await;
    let ended = page_of(&anna).await;
    assert_eq!(ended.outside().delete("/s3/token").await.status, 204);
    let made_up = nobody.moved_to(&format!("{}/t/abc", server.base));
    let an_api_token = nobody.moved_to(&format!("{}/t/{}", server.base, token_text(&server, json!({}))));

    let rows = || ABOUT_AN_UPLOAD.iter().filter(|row| row.is_of_uppy());
    assert!(rows().count() > 3);
    for row in rows() {
        for (who, stranger, status) in [
            ("ben", &bens, 404),
            ("the application's anna", &of_application, 404),
            ("a revoked token", &ended, 401),
            ("a token that never was", &made_up, 401),
            ("a token of another kind", &an_api_token, 401),
        ] {
            let (real, none) = (row.ask(stranger, &ids).await, row.ask(stranger, &nothing).await);
            let name = row.name();
            assert_eq!(real.status, status, "{name} by {who}: {}", real.text());
            assert_eq!(told(&real, &ids), told(&none, &nothing), "{name} by {who}");
        }
        let own = row.ask(&annas, &ids).await;
        let is_hers = ![401, 403, 404].contains(&own.status);
        assert!(is_hers, "{}: {} {}", row.name(), own.status, own.text());
    }
}

#[tokio::test]
async fn no_connection_opens_for_a_credential_that_is_none() {
    let server = server(Anonymous::Off);
    let gone = revoked(&server).await;
    let expired = token_text(&server, json!({ "exp": 1 }));
    let good = token_text(&server, json!({}));
    let new = || Handshake::new("/galileo");
    for (who, handshake, status) in [
        ("nobody", new(), 401),
        ("a key that never was", new().with("X-API-Key", "mule_wrong"), 401),
        ("a revoked key", new().with("X-API-Key", &gone), 401),
        (
            "a revoked key as a bearer",
            new().with("Authorization", &format!("Bearer {gone}")),
            401,
        ),
        (
            "an expired token",
            new().with("Authorization", &format!("Bearer {expired}")),
            401,
        ),
        (
            "a revoked key as a subprotocol",
            new().with("Sec-WebSocket-Protocol", &format!("galileo.v2, auth.{gone}")),
            401,
        ),
        (
            "an expired token as a subprotocol",
            new().with("Sec-WebSocket-Protocol", &format!("galileo.v2, auth.{expired}")),
            401,
        ),
        (
            "a token in a ticket's place",
            Handshake::new(&format!("/galileo?ticket={good}")),
            401,
        ),
        (
            "a cookie of nobody",
            new().with("Cookie", "muleteer_visitor=x.y; sid=1"),
            401,
        ),
        (
            "a page of another site with a good token",
            new()
                .with("Authorization", &format!("Bearer {good}"))
                .with("Origin", "https://evil.example"),
            403,
        ),
        (
            "a good token",
            new().with("Authorization", &format!("Bearer {good}")),
            101,
        ),
    ] {
        assert_eq!(handshake.status(&server).await, status, "{who}");
    }
}

/// The first answer to somebody who would go on with this upload.
async fn resumed(who: &Handshake, server: &TestServer, upload: &str) -> Value {
    let mut socket = who.open(server).await;
    let wanted = json!({ "name": "a.bin", "size": 32, "protocol": 2, "resume": upload });
    socket.json(&wanted).await;
    socket.signal().await
}

#[tokio::test]
async fn anothers_upload_over_a_connection_is_none() {
    let server = server(Anonymous::Off);
    let bearing = |token: &str| {
        let offered = format!("galileo.v2, auth.{token}");
        Handshake::new("/galileo").with("Sec-WebSocket-Protocol", &offered)
    };
    let anna = bearing(&token_text(&server, json!({ "sub": "anna" })));
    let mut socket = anna.open(&server).await;
    socket
        .json(&json!({ "name": "a.bin", "size": 32, "protocol": 2 }))
        .await;
    let ready = socket.signal().await;
    let upload = ready["upload"].as_str().expect("an id").to_owned();
    socket.close().await;
    let ben = bearing(&token_text(&server, json!({})));

    let (real, none) = (
        resumed(&ben, &server, &upload).await,
        resumed(&ben, &server, &"0".repeat(32)).await,
    );

    assert_eq!(real["code"], "resume_unknown", "{real}");
    assert_eq!(real, none);
    let own = resumed(&anna, &server, &upload).await;
    assert_eq!((&own["ready"], &own["upload"]), (&json!(true), &json!(upload)));
}
