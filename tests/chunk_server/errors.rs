//! Errors: one shape for all of them, also where the published server answers in plain text.

use serde_json::{Value, json};

use super::client::{Client, check_error};
use super::wire::{Wire, head};
use super::{MIB, on_both};

const NOBODYS: &str = "/upload/01234567-89ab-4def-8123-456789abcdef";

#[tokio::test]
async fn json_that_cannot_be_read_is_refused_in_the_protocols_shape() {
    on_both(async |place| {
        let client = Client::of(&place);
        for (text, field) in [
            ("", "body"),
            ("{", "body"),
            ("nonsense", "body"),
            ("[\"a\", 1]", "body"),
            ("{\"filename\":\"a\",\"total_size\":1} more", "body"),
            ("{}", "filename"),
            ("{\"filename\":\"a\"}", "total_size"),
            ("{\"total_size\":1}", "filename"),
            ("{\"filename\":7,\"total_size\":1}", "filename"),
            ("{\"filename\":null,\"total_size\":1}", "filename"),
            ("{\"filename\":\"\\ud800\",\"total_size\":1}", "filename"),
        ] {
            let refused = client.init_text(text).await.error(400, "invalid_request");

            assert_eq!(refused["details"][0]["field"], field, "{text}: {refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_missing_or_other_content_type_is_refused_in_the_protocols_shape() {
    on_both(async |place| {
        let client = Client::of(&place);
        let body = json!({ "filename": "a", "total_size": 1 }).to_string();
        let bare = client.raw("POST", "/upload/init", body.clone()).await;
        assert_eq!(
            bare.error(400, "invalid_request")["details"][0]["field"],
            "Content-Type"
        );
        for other in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            let other = client.with("content-type", other);
            other
                .raw("POST", "/upload/init", body.clone())
                .await
                .error(400, "invalid_request");
        }
        let spelt = client.with("content-type", "Application/JSON; charset=utf-8");
        spelt.raw("POST", "/upload/init", body).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_in_the_protocols_shape() {
    on_both(async |place| {
        let client = Client::of(&place);
        let long = format!("{{\"filename\":\"{}\",\"total_size\":1}}", "a".repeat(5 << 20));

        let refused = client.init_text(&long).await.error(413, "body_too_large");

        assert!(refused["details"]["limit"].is_u64(), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn addresses_that_are_none_are_not_found() {
    on_both(async |place| {
        let client = Client::of(&place);
        for path in [
            "/upload".to_owned(),
            "/upload/".to_owned(),
            "/upload/init/more".to_owned(),
            format!("{NOBODYS}/nothing"),
            format!("{NOBODYS}/part"),
            format!("{NOBODYS}/part/1/2"),
            format!("{NOBODYS}/status/"),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                client
                    .raw(method, &path, Vec::new())
                    .await
                    .error(404, "not_found");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_one() {
    on_both(async |place| {
        let client = Client::of(&place);
        for (path, allowed) in [
            ("/upload/init".to_owned(), "POST"),
            (format!("{NOBODYS}/part/0"), "PUT"),
            (format!("{NOBODYS}/status"), "GET"),
            (format!("{NOBODYS}/complete"), "POST"),
            (NOBODYS.to_owned(), "DELETE"),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                if method == allowed {
                    continue;
                }
                let reply = client.raw(method, &path, Vec::new()).await;
                reply.error(405, "method_not_allowed");
                assert_eq!(reply.header("allow"), allowed, "{method} {path}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn uploads_that_are_none_are_not_found_whatever_their_id() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 1).await;
        let upper = upload.id.to_uppercase();
        let simple = upload.id.replace('-', "");
        for id in [
            &NOBODYS["/upload/".len()..],
            &upper,
            &simple,
            "x",
            "..",
            "%2e%2e%2fetc",
            "%00",
            "%ff",
            "1",
        ] {
            for (method, end) in [("GET", "/status"), ("POST", "/complete"), ("DELETE", "")] {
                let reply = client
                    .raw(method, &format!("/upload/{id}{end}"), Vec::new())
                    .await;
                if id == ".." {
                    // The client library has taken it out of the address.
                    assert!(matches!(reply.status, 404 | 405), "{}", reply.status);
                    continue;
                }
                reply.error(404, "not_found");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_key_is_looked_at_before_anything_else() {
    on_both(async |place| {
        let upload = Client::of(&place).init("a", 1).await;
        let nobody = Client::nobody(&place);
        for client in [
            nobody.clone(),
            nobody.with("x-api-key", "wrong"),
            nobody.with("x-api-key", ""),
        ] {
            let json = client.with("content-type", "application/json");
            json.raw("POST", "/upload/init", "{ broken")
                .await
                .error(401, "unauthenticated");
            let bare = client.raw("POST", "/upload/init", "{ broken").await;
            bare.error(401, "unauthenticated");
            assert_eq!(bare.header("www-authenticate"), "Bearer");
            for id in [upload.id.as_str(), "x"] {
                for (method, end) in [("GET", "/status"), ("POST", "/complete"), ("DELETE", "")] {
                    let reply = client
                        .raw(method, &format!("/upload/{id}{end}"), Vec::new())
                        .await;
                    reply.error(401, "unauthenticated");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn parts_that_are_no_numbers_are_refused_in_the_protocols_shape() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB).await;
        for number in ["x", "-1", "1.5", "", "0x1", "99999999999999999999", "2", "%30x"] {
            let path = upload.path(&format!("/part/{number}"));
            let reply = client.bearing(&upload.tokens[1]).raw("PUT", &path, "bytes").await;

            check_error(&reply.json(), reply.status);
            assert!(
                matches!(reply.status, 400 | 401 | 404),
                "{number}: {}",
                reply.text()
            );
        }
        assert_eq!(client.part_states(&upload).await, "pp");
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_no_http_does_no_harm() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        let both = ["Content-Length: 5", "Transfer-Encoding: chunked"];
        let torn = [
            super::wire::part_head(&upload, 0, &["Content-Length: -5"]),
            super::wire::part_head(&upload, 0, &["Content-Length: 5", "Content-Length: 6"]),
            super::wire::part_head(&upload, 0, &["Content-Length: five"]),
            super::wire::part_head(&upload, 0, &both),
            head(
                "PUT",
                &upload.part_path(0),
                &["Authorization: Bearer \u{e9}", "Content-Length: 5"],
            ),
        ];
        for text in torn {
            let mut wire = Wire::begin(&place, &text, b"hello").await;

            let answer = wire.answer().await;

            assert!((400..500).contains(&answer.status), "{text}{answer:?}");
        }
        assert_eq!(client.part_states(&upload).await, "p");
    })
    .await;
}

#[tokio::test]
async fn no_error_tells_where_the_bytes_lie() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB).await;
        let mut told = vec![
            client.complete(&upload).await.text(),
            client.put(&upload, 0, "short").await.text(),
            client.with("x-api-key", "wrong").status(&upload).await.text(),
            client.init_text("{}").await.text(),
        ];
        client.cancel(&upload).await.expect(200);
        told.push(client.status(&upload).await.text());
        let store = place.store.trim_start_matches("http://");
        for text in told {
            serde_json::from_str::<Value>(&text).expect("JSON");
            let secrets = [store, "uploads\"", "s3://", "muleteer", "Sqlite", "postgres"];
            // Where a folder is all there is, there is no store to be named.
            for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    })
    .await;
}
