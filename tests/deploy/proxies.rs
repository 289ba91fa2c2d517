//! The server below a path, on an odd port, behind the proxies of `deploy/` as they stand there.

use std::time::Duration;

use muleteer::config::LocationStyle;
use reqwest::header::LOCATION;
use serde_json::{Value, json};

use super::front::{Front, behind_each, behind_each_with};
use super::raw_http::{Connection, head};
use super::server::API_KEY;

const MIB: usize = 1 << 20;

/// Everything that a page names in `src`, `href` and `data-api`.
fn named(html: &str) -> Vec<&str> {
    let attributes = ["src=\"", "href=\"", "data-api=\"", "data-mount=\""];
    let named = attributes
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|address| !address.starts_with('#'));
    named.collect()
}

async fn text(url: &str) -> String {
    let answer = Front::client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.expect("text")
}

#[tokio::test]
async fn pages_name_nothing_outside_of_the_path_and_all_that_they_name_is_there() {
    behind_each(async |front| {
        for page in [
            "/",
            "/doctor",
            "/mule/demo",
            "/galileo/demo",
            "/problems/not-found",
        ] {
            let html = text(&format!("{}{page}", front.base)).await;
            let named = named(&html);
            assert!(named.len() > 4, "{page}: {named:?}");
            for address in named {
                let inside = address.strip_prefix("/uploads");
                let inside = inside.unwrap_or_else(|| panic!("{page} names {address}"));
                if inside != "/api/v1" && inside != "/galileo" && inside != "/docs" {
                    text(&format!(
                        "{}{}",
                        front.base,
                        inside.split('#').next().expect("a path")
                    ))
                    .await;
                }
            }
        }
        for (asked, path) in [("", "/uploads/"), ("/docs", "/uploads/docs/")] {
            let url = format!("{}{asked}", front.base);
            let answer = Front::client().get(&url).send().await.expect("an answer");
            assert!(answer.status().is_redirection(), "{url}: {answer:?}");
            assert_eq!(answer.headers()[LOCATION], path, "{url}");
        }
        let starts = text(&format!("{}/docs/swagger-initializer.js", front.base)).await;
        assert!(starts.contains("../api/openapi.json"), "{starts}");
        let openapi = text(&format!("{}/api/openapi.json", front.base)).await;
        let openapi: Value = serde_json::from_str(&openapi).expect("JSON");
        assert_eq!(openapi["servers"][0]["url"], "/uploads/api/v1");
    })
    .await;
}

#[tokio::test]
async fn the_type_of_a_problem_is_an_address_that_can_be_read() {
    behind_each(async |front| {
        let refused = Front::client().get(format!("{}/api/v1/uploads/nothing", front.base));
        let refused = refused
            .header("X-API-Key", API_KEY)
            .send()
            .await
            .expect("an answer");
        assert_eq!(refused.status(), 404);
        let problem: Value = serde_json::from_str(&refused.text().await.expect("text")).expect("JSON");
        assert_eq!(problem["type"], "/uploads/problems/not-found");
        text(&format!("{}/uploads/problems/not-found", front.origin)).await;
    })
    .await;
}

#[tokio::test]
async fn parts_of_many_mebibytes_pass_and_make_the_file() {
    behind_each(async |front| {
        let client = Front::client();
        let content = vec![0x5a; 9 * MIB];
        let wanted = json!({ "filename": "film.bin", "total_size": content.len() }).to_string();
        let begun = client.post(format!("{}/upload/init", front.base));
        let begun = begun
            .header("X-API-Key", API_KEY)
            .header("Content-Type", "application/json");
        let begun = begun.body(wanted).send().await.expect("an answer");
        let begun: Value = serde_json::from_str(&begun.text().await.expect("text")).expect("JSON");
        let id = begun["file_id"].as_str().expect("an id");
        let part = client.put(format!("{}/upload/{id}/part/0", front.base));
        let part = part.bearer_auth(begun["parts"][0]["token"].as_str().expect("a token"));
        let part = part.body(content.clone()).send().await.expect("an answer");
        assert_eq!(part.status(), 200, "{part:?}");

        let done = client.post(format!("{}/upload/{id}/complete", front.base));
        let done = done.header("X-API-Key", API_KEY).send().await.expect("an answer");

        let done: Value = serde_json::from_str(&done.text().await.expect("text")).expect("JSON");
        let path = done["final_path"].as_str().expect("a path");
        assert!(std::fs::read(path).expect("the file") == content);
    })
    .await;
}

/// Begins a tus upload; what its `Location` says.
async fn begin_tus(front: &Front, length: usize) -> String {
    let request = Front::client().post(format!("{}/files", front.base));
    let request = request
        .header("Tus-Resumable", "1.0.0")
        .header("X-API-Key", API_KEY);
    let answer = request
        .header("Upload-Length", length)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201, "{answer:?}");
    answer.headers()[LOCATION].to_str().expect("text").to_owned()
}

async fn tus_offset(url: &str) -> usize {
    let request = Front::client().head(url).header("Tus-Resumable", "1.0.0");
    let answer = request
        .header("X-API-Key", API_KEY)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200, "{answer:?}");
    let offset = answer.headers()["upload-offset"]
        .to_str()
        .expect("text")
        .to_owned();
    offset.parse().expect("a number")
}

#[tokio::test]
async fn tus_tells_addresses_that_lead_back_through_the_proxy() {
    for style in [LocationStyle::Relative, LocationStyle::Absolute] {
        let adjust = |config: &mut muleteer::config::Config| config.protocols.tus.location = style;
        behind_each_with(adjust, async |front| {
            let location = begin_tus(&front, 3 * MIB).await;
            let begins = match style {
                LocationStyle::Relative => "/uploads/files/".to_owned(),
                LocationStyle::Absolute => format!("{}/files/", front.base),
            };
            assert!(location.starts_with(&begins), "{location}");
            let url = location.replacen(&front.origin, "", 1);
            let url = format!("{}{url}", front.origin);

            let patch = Front::client().patch(&url).header("Tus-Resumable", "1.0.0");
            let patch = patch.header("X-API-Key", API_KEY).header("Upload-Offset", 0);
            let patch = patch.header("Content-Type", "application/offset+octet-stream");
            let patch = patch.body(vec![1; 2 * MIB]).send().await.expect("an answer");

            assert_eq!(patch.status(), 204, "{patch:?}");
            assert_eq!(tus_offset(&url).await, 2 * MIB);
        })
        .await;
    }
}

#[tokio::test]
async fn bytes_count_before_their_request_has_ended() {
    behind_each(async |front| {
        let path = begin_tus(&front, 64 * MIB).await;
        let url = format!("{}{path}", front.origin);
        // Asking takes over from whoever sends, so each look is one at a request of its own.
        let mut offset = 0;
        for pause in (0..12).map(|n| Duration::from_millis(20 << n)) {
            let fields = [
                ("Host", front.host()),
                ("Tus-Resumable", "1.0.0"),
                ("X-API-Key", API_KEY),
                ("Upload-Offset", "0"),
                ("Content-Type", "application/offset+octet-stream"),
                ("Content-Length", "67108864"),
            ];
            let mut slow = Connection::to(&front.origin).await;
            slow.send(head("PATCH", &path, &fields)).await;
            slow.send(vec![7; MIB]).await;
            tokio::time::sleep(pause).await;
            offset = tus_offset(&url).await;
            if offset > 0 {
                break;
            }
        }
        assert!(offset > 0 && offset <= MIB, "{offset}");
    })
    .await;
}

#[tokio::test]
async fn an_interim_answer_passes_or_is_not_sent_and_the_upload_is_stored() {
    behind_each(async |front| {
        let mut client = Connection::to(&front.origin).await;
        let fields = [
            ("Host", front.host()),
            ("X-API-Key", API_KEY),
            ("Upload-Draft-Interop-Version", "6"),
            ("Upload-Complete", "?1"),
            ("Content-Length", "5"),
        ];
        client.send(head("POST", "/uploads/files", &fields)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(b"hello").await;
        let mut statuses = Vec::new();
        let last = loop {
            let answer = client.answer().await;
            statuses.push(answer.status);
            if answer.status >= 200 {
                break answer;
            }
            assert!(
                answer.header("location").starts_with("/uploads/files/"),
                "{answer:?}"
            );
        };

        assert_eq!(last.expect(201).number("upload-offset"), 5);
        match front.proxy {
            "caddy" => assert_eq!(statuses, [104, 201]),
            _ => assert_eq!(statuses, [201]),
        }
    })
    .await;
}

#[tokio::test]
async fn a_websocket_opens_for_our_own_page_and_not_for_another_port() {
    behind_each(async |front| {
        for (origin, expected) in [(front.origin.as_str(), 101), ("http://127.0.0.1", 403)] {
            let fields = [
                ("Host", front.host()),
                ("Origin", origin),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            let mut client = Connection::to(&front.origin).await;
            client.send(head("GET", "/uploads/galileo", &fields)).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, expected, "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_client_says_of_its_way_is_not_believed() {
    behind_each(async |front| {
        let page = Front::client().get(format!("{}/", front.base));
        let page = page
            .header("X-Forwarded-Prefix", "/evil")
            .header("X-Forwarded-Host", "evil.example");
        let page = page.header("Forwarded", "proto=https;host=evil.example");
        let html = page.send().await.expect("an answer").text().await.expect("text");
        assert!(!html.contains("evil"), "{html}");

        let pass = Front::client().post(format!("{}/files", front.base));
        let pass = pass
            .header("X-Forwarded-Host", "evil.example")
            .header("Forwarded", "host=evil.example");
        let pass = pass.header("Tus-Resumable", "1.0.0").header("X-API-Key", API_KEY);
        let answer = pass.header("Upload-Length", 1).send().await.expect("an answer");
        assert!(
            answer.headers()[LOCATION]
                .to_str()
                .expect("text")
                .starts_with("/uploads/files/")
        );
    })
    .await;
}

#[tokio::test]
async fn no_credential_gets_into_the_proxys_log() {
    behind_each(async |front| {
        for address in [
            "/galileo?ticket=hush",
            "/upload?ticket=hush",
            "/t/hush/s3/multipart",
            "/upload-backend/get_init_signature/?api_key=hush",
            "/evaporate/sign?api_key=hush",
            "/health/live?last",
        ] {
            let request = Front::client().get(format!("{}{address}", front.base));
            let request = request
                .header("X-API-Key", "hush")
                .bearer_auth("hush")
                .header("Sec-WebSocket-Protocol", "galileo.v2, auth.hush");
            request.send().await.expect("an answer");
        }

        let log = front.log_with("/health/live?last").await;

        assert!(!log.contains("hush"), "{log}");
    })
    .await;
}
