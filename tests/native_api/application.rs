//! The application's own users, by its answer to the question who somebody is.

use chrono::TimeDelta;
use muleteer::config::{Anonymous, Config};
use serde_json::{Value, json};

use super::api::{Api, file};
use super::issuer::Application;
use super::{Kind, TestServer, start};

pub fn on_sqlite(adjust: impl Fn(&mut Config)) -> TestServer {
    start(Kind::Sqlite, adjust).expect("SQLite is never skipped")
}

pub async fn owner(api: &Api) -> Value {
    api.get("/session").await.expect(200)["owner"].clone()
}

/// A server that asks this application, with no visitors.
fn asking(application: &Application, config: &mut Config) {
    config.auth.forward.url.clone_from(&application.url);
    config.auth.anonymous = Anonymous::Off;
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn the_application_says_who_somebody_is_and_nobody_is_let_in_while_it_does_not() {
    let application = Application::start().await;
    let server = on_sqlite(|config| {
        asking(&application, config);
        (config.auth.forward.cache_s, config.auth.forward.refused_cache_s) = (0, 0);
    });
    let anna = Api::nobody(&server).with("cookie", "sid=1; muleteer_visitor=x.y");

    for (status, fields, body, expected) in [
        (200, "X-Muleteer-Owner: 42\r\n", "<html>", 200),
        (200, JSON, r#"{"owner":"42","bounds":{"max_size":9}}"#, 200),
        (200, JSON, r#"{"owner":"42","scopes":["admin"]}"#, 403),
        (200, JSON, r#"{"owner":"42","bounds":{"max_sise":9}}"#, 503),
        (200, JSON, r#"{"owner":"42","bound":{"max_size":9}}"#, 503),
        (200, JSON, r#"{"owner":"42","bounds":[]}"#, 503),
        (200, JSON, r#"{"owner":"42","bounds":{"max_parts":0}}"#, 503),
        (200, JSON, r#"["42",["upload"],{"max_size":9}]"#, 503),
        (200, JSON, r#"{"owner":""}"#, 503),
        (200, JSON, "{", 503),
        (200, "", "", 503),
        (302, "Location: /login\r\n", "", 503),
        (401, "", "", 401),
        (403, "", "", 403),
        (404, "", "", 503),
        (500, "X-Muleteer-Owner: 42\r\n", "", 503),
    ] {
        application.answers(status, fields, body);
        let reply = anna.get("/uploads").await;
        assert_eq!(reply.status, expected, "{status} {body}: {}", reply.text());
    }
    application.answers(
        200,
        JSON,
        r#"{"owner":"42","scopes":["upload","admin"],"bounds":{"max_size":9}}"#,
    );
    let session = anna.get("/session").await.expect(200);
    assert_eq!(
        (&session["owner"], &session["scopes"]),
        (&json!("app:42"), &json!(["upload"]))
    );
    anna.post("/uploads", &file("a", 10))
        .await
        .problem(413, "too-large");
    let asked = application.seen().pop().expect("a question");
    for line in [
        "\r\ncookie: sid=1\r\n",
        "\r\nx-forwarded-method: post\r\n",
        "\r\nx-forwarded-uri: /api/v1/uploads\r\n",
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
    ] {
        assert!(asked.contains(line), "{line:?} in {asked}");
    }

    // A key of ours is none of its business; what is no key may be.
    let before = application.seen().len();
    assert_eq!(owner(&Api::of(&server)).await, "default");
    Api::nobody(&server)
        .get("/uploads")
        .await
        .problem(401, "unauthenticated");
    assert_eq!(application.seen().len(), before);
    let own_token = Api::nobody(&server).with("authorization", "Bearer of-the-application");
    assert_eq!(owner(&own_token).await, "app:42");
}

#[tokio::test]
async fn limits_in_an_answer_hold_whatever_type_it_is_sent_as() {
    let application = Application::start().await;
    let server = on_sqlite(|config| {
        asking(&application, config);
        (config.auth.forward.cache_s, config.auth.forward.refused_cache_s) = (0, 0);
    });
    let anna = Api::nobody(&server).with("cookie", "sid=1");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: text/html\r\n"] {
        let fields = format!("X-Muleteer-Owner: 42\r\n{kind}");
        for (n, (body, expected)) in [
            ("", 201),
            ("ok", 201),
            (" {\"bounds\":{\"max_size\":9}}", 413),
            ("{\"bounds\":{\"max_sise\":9}}", 503),
            ("{\"Bounds\":{\"max_size\":9}}", 503),
            ("{", 503),
            ("[]", 503),
            ("\u{feff}{}", 201),
            ("\u{feff}{\"bounds\":{\"max_size\":9}}", 413),
        ]
        .into_iter()
        .enumerate()
        {
            application.answers(200, &fields, body);
            let name = format!("{n}-{}.bin", kind.len());
            let reply = anna.post("/uploads", &file(&name, 10)).await;
            assert_eq!(reply.status, expected, "{kind}{body}: {}", reply.text());
        }
    }
    application.answers(200, "X-Muleteer-Owner: 42\r\n", &" ".repeat(20_000));
    let too_long = anna.get("/uploads").await;
    assert_eq!(too_long.status, 503, "{}", too_long.text());
}

#[tokio::test]
async fn the_application_is_told_the_address_that_our_proxy_saw_and_none_that_was_made_up() {
    let application = Application::start().await;
    let server = on_sqlite(|config| {
        asking(&application, config);
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
    });
    application.answers(200, "X-Muleteer-Owner: 42\r\n", "");
    let anna = Api::nobody(&server)
        .with("cookie", "sid=1")
        .with("x-forwarded-for", "6.6.6.6, 1.2.3.4");

    anna.get("/uploads").await.expect(200);

    let asked = application.seen().pop().expect("a question");
    assert!(asked.contains("\r\nx-forwarded-for: 1.2.3.4\r\n"), "{asked}");
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_one_question() {
    let application = Application::start().await;
    let server = on_sqlite(|config| {
        asking(&application, config);
        config.auth.forward.cache_s = 3600;
    });
    application.answers(200, "X-Muleteer-Owner: 42\r\n", "");
    let anna = Api::nobody(&server).with("cookie", "sid=1");

    let all = futures_util::future::join_all((0..200).map(|_| anna.get("/uploads"))).await;

    assert!(all.iter().all(|reply| reply.status == 200));
    assert_eq!(application.seen().len(), 1);
    application.answers(401, "", "");
    let ben = Api::nobody(&server).with("cookie", "sid=2");
    ben.get("/uploads").await.problem(401, "unauthenticated");
    anna.get("/uploads").await.expect(200);
    server.advance(TimeDelta::hours(2));
    anna.get("/uploads").await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_applications_cookie() {
    const LISTED: &str = "https://app.example.org";
    let application = Application::start().await;
    let server = on_sqlite(|config| {
        asking(&application, config);
        config.cors.allowed_origins = vec![LISTED.into(), "*".into()];
    });
    application.answers(200, "X-Muleteer-Owner: 42\r\n", "");
    let anna = Api::nobody(&server).with("cookie", "sid=1");
    let doors = [
        "/api/v1/uploads",
        "/s3/multipart",
        "/galileo/ticket",
        "/upload/init",
    ];

    for foreign in [
        anna.with("origin", "https://evil.example")
            .with("sec-fetch-site", "cross-site"),
        // Over plain HTTP a browser says no more than this.
        anna.with("origin", "https://evil.example"),
        anna.with("origin", "null"),
    ] {
        for door in doors {
            let reply = foreign.outside().post(door, &file("a", 1)).await;
            assert_eq!(reply.status, 403, "{door}: {}", reply.text());
        }
        let looked = foreign.get("/uploads").await;
        assert_eq!(looked.status, 403, "{looked:?} {}", looked.text());
    }
    assert_eq!(application.seen().len(), 0, "and nothing is asked");
    let own = server.base.clone();
    for page in [
        anna.with("origin", &own),
        anna.with("origin", LISTED).with("sec-fetch-site", "cross-site"),
        anna.with("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(page.post("/uploads", &file("a", 1)).await.status / 100, 2);
    }
}
