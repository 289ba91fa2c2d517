//! Uppy's S3 plugin over real HTTP: its requests against the whole application with its embedded S3, on both databases.
//!
//! `client.rs` plays the plugin as its generations speak; each of the other files is one promise of
//! `docs/front-ends/uppy.md`. The real packages run in `tests/browser/14_uppy_in_every_generation.test.mjs`.

#![cfg(feature = "embedded-s3")]

#[path = "../support/around.rs"]
mod around;
#[expect(dead_code, reason = "the embedded S3's own tests use the rest")]
#[path = "../support/s3_client.rs"]
mod s3_client;
#[expect(dead_code, reason = "other tests restart the server")]
#[path = "../support/server.rs"]
mod server;
#[path = "../support/time_line.rs"]
mod time_line;

mod client;
mod tripping_store;

mod access;
mod companion;
mod ending;
mod presign;
mod resuming;
mod rivals;
mod single;
mod strangers;
mod stumbling;
mod temporary;

use chrono::TimeDelta;
use muleteer::config::{Config, Secret};
use muleteer::db::Database;
use muleteer::domain::{Upload, UploadId};
use muleteer::uploads::Swept;

use around::{beside, key_for, store_of};
use client::Client;
use server::{API_KEY, Kind, TestServer};

/// The store's own secret, so that a test can look into it.
const STORE_SECRET: &str = "the-store-of-the-tests";

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    around::on_both(|kind| start(kind, &adjust), test).await;
}

/// Runs one test on SQLite, where the database plays no part.
async fn on_one_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    let server = start(Kind::Sqlite, &adjust).expect("SQLite is never skipped");
    Box::pin(test(server)).await;
}

fn start(kind: Kind, adjust: impl Fn(&mut Config)) -> Option<TestServer> {
    TestServer::start(kind, |config| {
        config.dev_s3.min_part_size = 8;
        config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
        adjust(config);
    })
}

async fn database(server: &TestServer) -> Database {
    muleteer::app::open_database(&server.config)
        .await
        .expect("the database opens")
}

/// What is on record of an upload.
async fn record(server: &TestServer, id: &str) -> Upload {
    let db = database(server).await;
    let id = UploadId::parse(id).expect("an id");
    let found = db.find_upload(&id, None).await.expect("the database answers");
    db.close().await.expect("the database closes");
    found.expect("an upload")
}

/// What is on record of the upload with this key.
async fn record_of_key(server: &TestServer, key: &str) -> Upload {
    let db = database(server).await;
    let found = db.find_by_key(None, key).await.expect("the database answers");
    db.close().await.expect("the database closes");
    found.expect("an upload")
}

/// The page of somebody with an API key.
async fn page_of(server: &TestServer, owner: &str) -> Client {
    Client::new(server, &server.base).with_key(&key_for(server, owner).await)
}

/// The page of the holder of the key in the settings.
fn page(server: &TestServer) -> Client {
    Client::new(server, &server.base).with_key(API_KEY)
}

/// One sweep by another process beside the server, on the same database and store.
async fn sweep(server: &TestServer) -> Swept {
    let config = beside(server);
    for _ in 0..500 {
        let swept = muleteer::app::sweep(&config, server.clock.clone()).await;
        if let Some(swept) = swept.expect("a sweep") {
            return swept;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("somebody else sweeps for ever");
}

/// Has an upload be as it is after so much time without any activity, where the store goes by the machine's clock and
/// would not bear another.
fn leave_alone(server: &TestServer, id: &UploadId, time: TimeDelta) {
    let last = server.clock.now() - time;
    around::leave_since(&server.config, id, last, last + TimeDelta::days(7));
}

/// Bytes no two parts of which are alike.
fn bytes(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte"))
        .collect()
}
