//! mule-uploader's second generation over real HTTP: the requests of the unmodified script against the whole application
//! with its embedded S3, on both databases. `script.rs` plays the script; each of the other files is some promises.

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

mod script;

mod keys;
mod uploading;

use muleteer::config::{Config, Secret};
use muleteer::domain::Upload;
use serde_json::Value;

use around::{key_for, store_of};
use script::Page;
use server::{API_KEY, TestServer};

/// Bytes of a chunk in these tests.
const CHUNK: usize = 16;

const MAIN_ID: &str = "the-stores-own";
const MAIN_SECRET: &str = "the-secret-that-never-leaves";
const NARROW_ID: &str = "NARROWKEYID000000000";
const NARROW_SECRET: &str = "the-secret-of-the-narrow-key";

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    let start = |kind| {
        TestServer::start(kind, |config| {
            config.protocols.mule.chunk_size = CHUNK as u64;
            NARROW_ID.clone_into(&mut config.protocols.mule.signing_key.access_key_id);
            config.protocols.mule.signing_key.secret_access_key = Secret::new(NARROW_SECRET);
            MAIN_ID.clone_into(&mut config.dev_s3.access_key_id);
            config.dev_s3.secret_access_key = Secret::new(MAIN_SECRET);
            config.dev_s3.min_part_size = 8;
            adjust(config);
        })
    };
    around::on_both(start, test).await;
}

/// A page with a file of so many chunks and a half.
fn page_with(server: &TestServer, chunks: usize) -> Page {
    let size = chunks * CHUNK + CHUNK / 2;
    Page {
        ajax_base: format!("{}/upload-backend", server.base),
        store: server.store.clone(),
        chunk_size: CHUNK,
        extra_params: None,
        api_key: API_KEY.to_owned(),
        stop_after: usize::MAX,
        file_name: "clip.mp4".to_owned(),
        bytes: (0..size)
            .map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte"))
            .collect(),
    }
}

/// Asserts that the object at `key` is the page's file.
async fn assert_stored(server: &TestServer, key: &str, page: &Page) {
    let object = store_of(server).get(key).await;
    assert_eq!(object.status, 200, "{key}: {}", object.text());
    assert_eq!(object.body, page.bytes, "the bytes at {key}");
}

/// The ids of all unfinished uploads in the store.
async fn unfinished(server: &TestServer) -> Vec<String> {
    let answer = store_of(server).ask("GET", "").query("uploads", "").send().await;
    answer.tags("UploadId")
}

/// What is on record of the upload that a reply is about, and the numbers of its recorded parts.
async fn on_record(server: &TestServer, reply: &Value) -> (Upload, Vec<u16>) {
    let db = muleteer::app::open_database(&server.config)
        .await
        .expect("the database opens");
    let text = |name: &str| reply[name].as_str().expect("a text");
    let found = db.find_by_multipart(None, text("key"), text("upload_id")).await;
    let upload = found.expect("the database").expect("an upload");
    let parts = db.recorded_parts(&upload.id).await.expect("the database");
    db.close().await.expect("the database closes");
    (
        upload,
        parts.iter().map(|record| record.part.number.get()).collect(),
    )
}

/// An answer of the backend to a query written by hand.
async fn get(server: &TestServer, action: &str, query: &str) -> reqwest::Response {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client");
    let request = http.get(format!("{}/upload-backend/{action}/?{query}", server.base));
    request
        .header("x-api-key", API_KEY)
        .send()
        .await
        .expect("an answer")
}
