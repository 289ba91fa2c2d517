//! mule-uploader's first generation over real HTTP: the unmodified script's requests against the whole application
//! with its embedded S3, on both databases, and against an outside S3 server where the environment names one.
//!
//! `script.rs` plays the script, `browser.rs` what is round it; each of the other files is one promise.

#![cfg(feature = "embedded-s3")]

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;
#[expect(dead_code, reason = "the embedded S3's own tests use the rest")]
#[path = "../support/s3_client.rs"]
mod s3_client;
#[expect(dead_code, reason = "other tests look into the server's folder")]
#[path = "../support/server.rs"]
mod server;
#[path = "../support/time_line.rs"]
mod time_line;

mod browser;
mod escape;
mod script;

mod access;
mod doors;
mod fresh_upload;
mod odd_names;
mod outside_store;
mod refusals;
mod resuming;
mod stumbling;
mod version_4;
mod worked_example;

use muleteer::config::{Config, Secret};
use reqwest::header::HeaderMap;
use serde_json::Value;

use around::{key_for, store_of};
use browser::Browser;
use script::{ChosenFile, Settings};
use server::{Kind, TestServer};

/// Bytes of a chunk in these tests, so that a thousand chunks are a few kilobytes.
const CHUNK: u64 = 16;

/// What the page knows of the store's key, and what it does not.
const KEY_ID: &str = "the-pages-key";
const STORE_SECRET: &str = "the-store-of-the-tests";

/// The `content_type` of the page, which is what it tells as the type of every file.
const TYPE: &str = "video/mp4";

/// The key that the page proposes, which is never taken.
const PROPOSED: &str = "proposed/by/the/page";

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    around::on_both(|kind| start(kind, &adjust), test).await;
}

/// Starts a server that signs for the script; `None` only where Postgres is skipped on purpose.
fn start(kind: Kind, adjust: impl Fn(&mut Config)) -> Option<TestServer> {
    TestServer::start(kind, |config| {
        config.protocols.mule.signature_v2 = true;
        config.protocols.mule.chunk_size = CHUNK;
        KEY_ID.clone_into(&mut config.dev_s3.access_key_id);
        config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
        config.dev_s3.min_part_size = 8;
        adjust(config);
    })
}

/// The page as its author set it up for this server.
fn page_for(server: &TestServer) -> Settings {
    Settings {
        ajax_base: format!("{}/upload-backend", server.base),
        key: PROPOSED.to_owned(),
        host: format!("{}/{}", server.store, server.config.dev_s3.bucket),
        access_key: KEY_ID.to_owned(),
        content_type: TYPE.to_owned(),
        acl: "public-read".to_owned(),
        chunk_size: server.config.protocols.mule.chunk_size,
        num_workers: 4,
        extra_params: Vec::new(),
        force: false,
    }
}

/// A file of so many bytes, no two chunks alike.
fn file_of(size: u64) -> ChosenFile {
    let byte = |at: u64| u8::try_from((at * 31 + at / 251) % 256).expect("a byte");
    ChosenFile {
        name: "clip.mp4".to_owned(),
        last_modified: 1_777_975_200_000,
        bytes: (0..size).map(byte).collect(),
    }
}

/// A file of two and a half chunks.
fn clip() -> ChosenFile {
    file_of(CHUNK * 5 / 2)
}

/// Asserts that the object at `key` is the file.
async fn assert_stored(server: &TestServer, key: &str, file: &ChosenFile) {
    let object = store_of(server).get(key).await;
    assert_eq!(object.status, 200, "{key}: {}", object.text());
    assert_eq!(object.body, file.bytes, "the bytes at {key}");
}

/// An answer of the backend as it came.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Asserts that the script stops cleanly at this: an error that is no JSON and that nothing may keep.
    fn assert_stops_the_script(&self, what: &str) {
        assert!((400..600).contains(&self.status), "{what}: {self:?}");
        assert!(
            serde_json::from_str::<Value>(&self.text).is_err(),
            "{what} is read as JSON: {self:?}"
        );
        assert!(!self.text.contains("signature\""), "{what}: {self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{what}: {self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{what}: {self:?}");
    }
}

/// One request to the backend by hand, with further headers.
async fn ask(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client");
    let mut request = http.request(
        method.parse().expect("a method"),
        format!("{}{path}", server.base),
    );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("a whole answer"),
    }
}

/// A GET by the holder of the key that the settings name.
async fn get(server: &TestServer, action: &str, query: &str) -> Reply {
    get_with(server, action, query, server::API_KEY).await
}

/// A GET by the holder of an API key.
async fn get_with(server: &TestServer, action: &str, query: &str, key: &str) -> Reply {
    ask(
        server,
        "GET",
        &format!("/upload-backend/{action}/?{query}"),
        &[("x-api-key", key)],
    )
    .await
}

/// The query that begins an upload of `clip()`.
fn init_query(key: &str) -> String {
    format!("key={key}&mime_type={TYPE}&filename=clip.mp4&filesize=40&last_modified=1777975200000")
}

/// Begins an upload of `clip()` by hand; its key and upload id.
async fn begin(server: &TestServer, api_key: &str) -> (String, String) {
    let reply = get_with(server, "get_init_signature", &init_query(PROPOSED), api_key).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let member = |name: &str| reply.json()[name].as_str().expect("a text").to_owned();
    (member("key"), member("upload_id"))
}

/// The queries of all actions that are about one part or one upload, for an upload of `clip()`.
fn queries_about(key: &str, upload_id: &str) -> [(&'static str, String); 7] {
    let identity = "filename=clip.mp4&filesize=40&last_modified=1777975200000";
    [
        (
            "get_all_signatures",
            format!("key={key}&mime_type={TYPE}&num_chunks=3&upload_id={upload_id}&{identity}"),
        ),
        (
            "get_chunk_signature",
            format!("chunk=1&upload_id={upload_id}&key={key}"),
        ),
        ("get_list_signature", format!("upload_id={upload_id}&key={key}")),
        ("get_end_signature", format!("upload_id={upload_id}&key={key}")),
        ("get_delete_signature", format!("upload_id={upload_id}&key={key}")),
        (
            "chunk_loaded",
            format!("key={key}&chunk=1&upload_id={upload_id}&{identity}"),
        ),
        (
            "upload_finished",
            format!("key={key}&upload_id={upload_id}&{identity}"),
        ),
    ]
}

/// A browser whose page is closed after so many parts have been told of.
fn closes_after(browser: &Browser, parts: usize) {
    let mut told = 0;
    browser.meddle(move |out| {
        if told >= parts {
            return browser::Meddling::Close;
        }
        told += usize::from(out.what == "chunk_loaded");
        browser::Meddling::None
    });
}
