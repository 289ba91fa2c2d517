//! The API's own description: what it documents answers, what answers is documented, and the page loads by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::{Api, id};
use super::{PART, on_both, on_both_with};

/// The handlers, whose attributes say what they answer to.
const HANDLERS: [&str; 5] = [
    include_str!("../../src/protocol/native/listing.rs"),
    include_str!("../../src/protocol/native/mod.rs"),
    include_str!("../../src/protocol/native/signatures.rs"),
    include_str!("../../src/protocol/native/verdict.rs"),
    include_str!("../../src/protocol/native/webhooks.rs"),
];

/// An address that may be called and where nobody is.
const NOWHERE: &str = "http://nowhere.invalid/";

async fn document(api: &Api) -> Value {
    api.outside().get("/api/openapi.json").await.expect(200)
}

/// `(METHOD, path)` of everything that the document has.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, _) in item.as_object().expect("methods") {
            found.insert((method.to_uppercase(), path.clone()));
        }
    }
    found
}

#[tokio::test]
async fn every_route_is_documented_and_nothing_else() {
    on_both(async |server| {
        let mut routes = BTreeSet::new();
        for line in HANDLERS
            .into_iter()
            .flat_map(str::lines)
            .filter_map(|line| line.strip_prefix("#["))
        {
            let Some((method, rest)) = line.split_once("(\"") else {
                continue;
            };
            if ["get", "post", "put", "patch", "delete"].contains(&method) {
                let path = rest.split('"').next().expect("a path");
                routes.insert((method.to_uppercase(), path.to_owned()));
            }
        }
        assert!(routes.len() >= 9, "{routes:?}");

        assert_eq!(documented(&document(&Api::of(&server)).await), routes);
    })
    .await;
}

#[tokio::test]
async fn every_documented_request_is_answered_as_documented() {
    on_both(async |server| {
        let api = Api::of(&server);
        let document = document(&api).await;
        assert_eq!(document["servers"][0]["url"], "/api/v1");
        for (method, path) in documented(&document) {
            let upload = api
                .upload_telling(&format!("{method} {path}"), PART, NOWHERE)
                .await;
            let event = api.events().await.remove(0);
            let subject = if path.starts_with("/webhooks") {
                &event
            } else {
                &upload
            };
            let address = path.replace("{id}", id(subject)).replace("{number}", "1");
            let described = &document["paths"][&path][method.to_lowercase()];
            let wants_body = described.get("requestBody").is_some();

            let statuses: BTreeSet<&str> = described["responses"]
                .as_object()
                .expect("answers")
                .keys()
                .map(String::as_str)
                .collect();
            for body in [None, wants_body.then(|| json!({})), Some(good_body(&path))] {
                let reply = api.send(&method, &address, body.as_ref()).await;
                let status = reply.status.to_string();
                assert!(
                    statuses.contains(status.as_str()),
                    "{method} {path}: {status} {}",
                    reply.text()
                );
                assert!(
                    !matches!(reply.status, 404 | 405 | 500..),
                    "{method} {path}: {}",
                    reply.text()
                );
            }
            assert!(
                described["summary"].as_str().is_some_and(|text| text.len() > 10),
                "{method} {path}"
            );
        }
    })
    .await;
}

fn good_body(path: &str) -> Value {
    match path {
        "/uploads" => json!({ "filename": "new", "size": 5 }),
        "/uploads/{id}/parts/{number}" => json!({ "size": PART }),
        "/uploads/{id}/parts" => json!({ "parts": [{ "number": 1, "size": PART }] }),
        _ => json!({ "parts": "1" }),
    }
}

#[tokio::test]
async fn answers_have_the_members_that_the_document_promises() {
    on_both(async |server| {
        let api = Api::of(&server);
        let document = document(&api).await;
        let upload = api.upload_telling("a", PART, NOWHERE).await;
        let page = api.get("/uploads").await.expect(200);
        let webhooks = api.get("/webhooks").await.expect(200);
        let session = api.get("/session").await.expect(200);
        for (schema, answer) in [
            ("UploadView", &upload),
            ("UploadPage", &page),
            ("UploadLine", &page["uploads"][0]),
            ("SessionView", &session),
            ("WebhookPage", &webhooks),
            ("WebhookView", &webhooks["webhooks"][0]),
        ] {
            let described = &document["components"]["schemas"][schema]["properties"];
            let promised: BTreeSet<&String> = described
                .as_object()
                .unwrap_or_else(|| panic!("{schema}"))
                .keys()
                .collect();
            let given: BTreeSet<&String> = answer.as_object().expect("an object").keys().collect();
            assert_eq!(given, promised, "{schema}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_reference_page_loads_with_all_its_files_from_the_binary() {
    on_both(async |server| {
        let browser = Api::nobody(&server).outside();
        let redirect = browser.get("/docs").await;
        assert!(matches!(redirect.status, 301..=308), "{}", redirect.status);
        assert_eq!(redirect.header("location"), "/docs/");

        let page = browser.get("/docs/").await;
        let html = page.text();
        assert_eq!(page.status, 200, "{html}");
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
        let files: Vec<&str> = ["src=\"", "href=\""]
            .into_iter()
            .flat_map(|attribute| html.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(files.len() >= 4, "{html}");
        for file in files {
            let path = format!("/docs/{}", file.trim_start_matches("./"));
            let reply = browser.get(&path).await;
            assert_eq!(reply.status, 200, "{path}");
            assert!(!reply.body.is_empty(), "{path}");
        }
        let start = browser.get("/docs/swagger-initializer.js").await.text();
        assert!(start.contains("/api/openapi.json"), "{start}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(
            !html.contains("<script>"),
            "the policy allows no script inside of the page"
        );
    })
    .await;
}

#[tokio::test]
async fn the_upload_page_loads_with_all_its_files_from_the_binary() {
    on_both(async |server| {
        let browser = Api::nobody(&server).outside();
        let page = browser.get("/").await;
        let html = page.expect_page();
        let mut files: Vec<String> = ["src=\"", "href=\""]
            .into_iter()
            .flat_map(|attribute| html.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next().map(str::to_owned))
            .filter(|path| path.starts_with("/static/"))
            .collect();
        assert!(!files.is_empty(), "{html}");
        let mut seen = BTreeSet::new();
        while let Some(path) = files.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let reply = browser.get(&path).await;
            assert_eq!(reply.status, 200, "{path}");
            if std::path::Path::new(&path)
                .extension()
                .is_some_and(|ending| ending == "js")
            {
                assert_eq!(
                    reply.header("content-type"),
                    "text/javascript; charset=utf-8",
                    "{path}"
                );
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                files.extend(
                    imports(&reply.text())
                        .into_iter()
                        .map(|name| resolve(folder, &name)),
                );
            }
            let cached = browser
                .with("if-none-match", reply.header("etag"))
                .get(&path)
                .await;
            assert_eq!((cached.status, cached.body.len()), (304, 0), "{path}");
        }
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains(&format!("connect-src 'self' {}", server.store)),
            "{policy}"
        );
    })
    .await;
}

/// Relative addresses that a module imports.
fn imports(script: &str) -> Vec<String> {
    let lines = script
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/']));
    lines
        .filter_map(|line| line.split(" from ").nth(1))
        .filter_map(|rest| rest.split(['"', '\'']).nth(1).map(str::to_owned))
        .filter(|name| name.starts_with(['.', '/']))
        .collect()
}

fn resolve(folder: &str, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    let mut pieces: Vec<&str> = folder.split('/').collect();
    for piece in name.split('/') {
        match piece {
            "." => {}
            ".." => drop(pieces.pop()),
            piece => pieces.push(piece),
        }
    }
    pieces.join("/")
}

#[tokio::test]
async fn a_closed_door_is_closed() {
    on_both_with(
        |config| config.protocols.native.enabled = false,
        async |server| {
            let api = Api::of(&server);
            api.get("/session").await.problem(404, "not-found");
            for path in ["/", "/docs/", "/api/openapi.json"] {
                api.outside().get(path).await.problem(404, "not-found");
            }
            api.outside().get("/health").await.expect(200);
        },
    )
    .await;
    on_both_with(
        |config| config.protocols.native.path = "/own/api".into(),
        async |server| {
            let api = Api::of(&server).outside();
            api.get("/own/api/v1/session").await.expect(200);
            let document = api.get("/own/api/openapi.json").await.expect(200);
            assert_eq!(document["servers"][0]["url"], "/own/api/v1");
            assert!(api.get("/").await.expect_page().contains("/own/api/v1"));
        },
    )
    .await;
}
