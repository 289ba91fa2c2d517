//! How a page says who it is, and from where it may ask.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::Client;
use super::{
    Kind, TestServer, around, bytes, database, key_for, on_both, on_both_with, page, page_of, start, store_of,
};

const SITE: &str = "https://app.example.org";

#[tokio::test]
async fn doubled_slashes_are_one() {
    on_both(async |server| {
        let page = page(&server).at(&format!("{}/", server.base));
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.complete(&upload, &[(1, &one)]).await.good();
        page.ask("GET", "/s3/params?filename=a", None).await.good();
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_address_acts_for_its_owner_until_it_ends_or_is_revoked() {
    on_both(async |server| {
        let anna = page_of(&server, "anna").await;
        let make = async || {
            let made = anna.ask("POST", "/s3/token", Some(&json!({}))).await;
            assert_eq!(made.status, 201, "{made:?}");
            made.json()["base"].as_str().expect("an address").to_owned()
        };
        let base = make().await;
        assert!(base.starts_with(&format!("{}/t/", server.base)), "{base}");
        let by_token = Client::new(&server, &base);
        let slashed = Client::new(&server, &format!("{base}/"));

        let upload = by_token.begin("clip.mp4").await;
        let one = slashed.send(&upload, 1, &bytes(10)).await;
        assert_eq!(anna.list(&upload).await.good()[0]["PartNumber"], 1);
        by_token.complete(&upload, &[(1, &one)]).await.good();
        // It does not prolong itself.
        by_token
            .ask("POST", "/s3/token", Some(&json!({})))
            .await
            .refusal(403, "forbidden");

        assert_eq!(by_token.ask("DELETE", "/s3/token", None).await.status, 204);
        by_token.list(&upload).await.refusal(401, "unauthenticated");
        let other = Client::new(&server, &make().await);
        other.list(&upload).await.good();
        server.advance(TimeDelta::seconds(14_401));
        other.list(&upload).await.refusal(401, "unauthenticated");
        let forged = Client::new(&server, &format!("{}/t/abc", server.base));
        forged.list(&upload).await.refusal(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_with_the_key_that_made_it() {
    on_both(async |server| {
        let (anna, also_anna) = (page_of(&server, "anna").await, page_of(&server, "anna").await);
        let token_of = async |page: &Client| {
            let made = page.ask("POST", "/s3/token", Some(&json!({}))).await.json();
            Client::new(&server, made["base"].as_str().expect("an address"))
        };
        let (one, other) = (token_of(&anna).await, token_of(&also_anna).await);
        let of_settings = token_of(&page(&server)).await;
        let upload = one.begin("clip.mp4").await;

        let db = database(&server).await;
        let keys = db.list_keys().await.expect("the database answers");
        let first = keys.iter().min_by_key(|key| key.created_at).expect("a key");
        assert!(
            db.revoke_key(&first.id, server.clock.now())
                .await
                .expect("revoked")
        );
        db.close().await.expect("the database closes");

        one.list(&upload).await.refusal(401, "unauthenticated");
        other.list(&upload).await.good();
        of_settings.begin("clip.mp4").await;
    })
    .await;
}

#[tokio::test]
async fn a_token_of_the_settings_key_ends_when_the_settings_name_another() {
    let first = start(Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
    let made = page(&first)
        .ask("POST", "/s3/token", Some(&json!({})))
        .await
        .json();
    let token = made["token"].as_str().expect("a token");
    let beside = |key: &str| {
        TestServer::start(Kind::Sqlite, |config| {
            let of_first = around::beside(&first);
            config.database = of_first.database;
            config.s3 = of_first.s3;
            config.auth.api_key = muleteer::config::Secret::new(key);
        })
        .expect("SQLite is never skipped")
    };

    for (key, status) in [(super::API_KEY, 200), ("another-key-0123456789", 401)] {
        let server = beside(key);
        let page = Client::new(&server, &format!("{}/t/{token}", server.base));
        let answer = page.ask("GET", "/s3/params?filename=a", None).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_another_sites_form_could_send_is_refused() {
    on_both(async |server| {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ] {
            let page = page(&server).with_header("content-type", kind);
            let file = json!({ "filename": "a", "method": "POST", "key": "a" });
            for path in ["/s3/multipart", "/s3/presign", "/s3/token"] {
                let refused = page.ask("POST", path, Some(&file)).await;
                assert!(
                    refused
                        .refusal(400, "invalid-request")
                        .starts_with("Content-Type")
                );
            }
        }
    })
    .await;
}

/// A visitor's cookie, as the browser would send it.
async fn visitor(server: &super::TestServer) -> String {
    let file = json!({ "filename": "a", "size": 1, "content_type": "a/b" });
    let page = Client::new(server, &server.base);
    let made = page.ask("POST", "/api/v1/uploads", Some(&file)).await;
    let cookie = made.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("its value").to_owned()
}

#[tokio::test]
async fn a_visitors_cookie_counts_on_our_own_pages_and_on_those_of_sites_that_are_listed_by_name() {
    on_both_with(
        |config| config.cors.allowed_origins = vec![SITE.into()],
        async |server| {
            let cookie = visitor(&server).await;
            let with_cookie = Client::new(&server, &server.base).with_header("cookie", &cookie);
            let from = |site: &str, relation: &str| {
                with_cookie
                    .clone()
                    .with_header("origin", site)
                    .with_header("sec-fetch-site", relation)
            };
            let upload = from(&server.base, "same-origin").begin("clip.mp4").await;
            let listed = from(SITE, "cross-site").list(&upload).await;
            listed.good();
            assert_eq!(listed.header("access-control-allow-origin"), Some(SITE));
            assert_eq!(listed.header("access-control-allow-credentials"), Some("true"));

            for page in [
                from("https://evil.example", "cross-site"),
                // A browser that says nothing but where its page is from.
                with_cookie.clone().with_header("origin", "https://evil.example"),
            ] {
                page.abort(&upload).await.refusal(403, "forbidden");
            }
            // Without its cookie it is nobody's business.
            Client::new(&server, &server.base)
                .list(&upload)
                .await
                .refusal(404, "not-found");
        },
    )
    .await;
}

#[tokio::test]
async fn a_page_of_a_site_that_is_not_listed_begins_nothing_in_nobodys_name() {
    on_both(async |server| {
        let page = Client::new(&server, &server.base)
            .with_header("origin", "https://evil.example")
            .with_header("sec-fetch-site", "cross-site");
        let file = json!({ "filename": "a", "method": "POST", "key": "a" });

        for (method, path, body) in [
            ("GET", "/s3/params?filename=a", None),
            ("POST", "/s3/multipart", Some(&file)),
            ("POST", "/s3/presign", Some(&file)),
        ] {
            page.ask(method, path, body).await.refusal(403, "forbidden");
        }
    })
    .await;
}

#[tokio::test]
async fn several_files_at_once_of_somebody_without_a_cookie_are_all_theirs() {
    on_both(async |server| {
        let page = Client::new(&server, &server.base);
        let begun = futures_util::future::join_all((0..4).map(|_| page.begin("clip.mp4"))).await;
        for upload in begun {
            let one = page.send(&upload, 1, &bytes(10)).await;
            page.complete(&upload, &[(1, &one)]).await.good();
        }
    })
    .await;
}

#[tokio::test]
async fn version_2_learns_with_a_request_of_its_own_which_fields_it_may_send() {
    on_both_with(
        |config| config.cors.allowed_origins = vec![SITE.into()],
        async |server| {
            let page = Client::new(&server, &server.base).with_header("origin", SITE);

            let told = page.ask("OPTIONS", "/s3/multipart", None).await;

            assert_eq!(told.status, 204, "{told:?}");
            let allowed = told
                .header("access-control-allow-headers")
                .expect("fields")
                .to_lowercase();
            for field in [
                "authorization",
                "content-type",
                "uppy-auth-token",
                "uppy-versions",
                "accept",
            ] {
                assert!(
                    allowed.split(", ").any(|own| own == field),
                    "{field} in {allowed}"
                );
            }
            let exposed = told.header("access-control-expose-headers").expect("fields");
            assert!(exposed.contains("Access-Control-Allow-Headers"), "{exposed}");
            assert!(told.header("i-am").is_none());
        },
    )
    .await;
}

#[tokio::test]
async fn an_error_has_a_message_a_code_and_a_phrase_that_says_what_is_wrong() {
    on_both_with(
        |config| config.limits.types = vec!["image/*".into()],
        async |server| {
            let page = page(&server);
            let file = json!({ "filename": "a", "type": "video/mp4" });
            let refused = page.ask("POST", "/s3/multipart", Some(&file)).await;
            assert!(refused.refusal(415, "type-refused").contains("video/mp4"));

            // The phrase of the status line is all that version 6 shows, and no client library tells it.
            let mut plain = tokio::net::TcpStream::connect(server.base.trim_start_matches("http://"))
                .await
                .expect("a connection");
            let (body, key) = (file.to_string(), key_for(&server, "anna").await);
            let request = format!(
                "POST /s3/multipart HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            plain.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            let read = plain.read_to_string(&mut answer);
            tokio::time::timeout(Duration::from_secs(10), read).await.expect("in time").expect("text");
            assert!(
                answer.starts_with("HTTP/1.1 415 Files of this type are not accepted\r\n"),
                "{answer}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn the_door_can_be_moved_and_closed() {
    on_both_with(
        |config| config.protocols.uppy.path = "/uploads-of-ours/s3".into(),
        async |server| {
            let page = page(&server);
            assert_eq!(page.ask("GET", "/s3/params?filename=a", None).await.status, 404);
            let moved = page.at(&format!("{}/uploads-of-ours", server.base));
            moved.begin("a").await;
            let made = moved.ask("POST", "/s3/token", Some(&json!({}))).await.json();
            let by_token = Client::new(&server, made["base"].as_str().expect("an address"));
            by_token.begin("a").await;
        },
    )
    .await;
    on_both_with(
        |config| config.protocols.uppy.enabled = false,
        async |server| {
            assert_eq!(
                page(&server)
                    .ask("GET", "/s3/params?filename=a", None)
                    .await
                    .status,
                404
            );
            assert_eq!(store_of(&server).get("x").await.status, 404);
        },
    )
    .await;
}
