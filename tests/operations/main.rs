//! What operators see of a server: its metrics, its traces, the ids of its requests, its health, and the files in `deploy/`.
//!
//! One binary with a file for each idea. Everything is read as Prometheus, a collector or a load balancer reads it: over
//! HTTP, from the whole application with its embedded S3.

#![cfg(feature = "embedded-s3")]

#[path = "../native_api/api.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod api;
#[path = "../support/around.rs"]
mod around;
#[path = "../galileo/socket.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod galileo;
#[path = "../support/place.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod place;
#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod process;
#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod raw_http;
#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;
#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;
#[path = "../support/server.rs"]
mod server;
#[path = "../native_api/webhook_receiver.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod webhook_receiver;

mod exposition;

mod access;
#[cfg(feature = "opentelemetry")]
mod collector;
mod counting;
mod credentials;
mod deploy;
mod documents;
mod health;
mod ids;
mod metadata;
mod places;
mod series;
mod telling;
#[cfg(feature = "opentelemetry")]
mod traces;

use muleteer::config::{Config, Secret};

use api::Api;
use exposition::Exposition;
use server::{Kind, TestServer};

/// Bytes of a part in these tests.
const PART: u64 = 16;

/// What readers of metrics show in these tests.
const TOKEN: &str = "a-token-for-scrapes-0123456789";

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    around::on_both(|kind| start(kind, |_| {}), test).await;
}

/// Starts a server with small parts; `None` only where Postgres is skipped on purpose.
fn start(kind: Kind, adjust: impl Fn(&mut Config)) -> Option<TestServer> {
    TestServer::start(kind, |config| {
        config.dev_s3.min_part_size = 8;
        config.uploads.part_size = PART;
        config.metrics.token = Secret::new(TOKEN);
        config.hooks.allowed_hosts = vec!["127.0.0.1".into()];
        adjust(config);
    })
}

/// A server on SQLite.
fn plain(adjust: impl Fn(&mut Config)) -> TestServer {
    start(Kind::Sqlite, adjust).expect("SQLite is never skipped")
}

/// What Prometheus reads just now.
async fn scrape(server: &TestServer) -> Exposition {
    let reader = Api::nobody(server).outside();
    let answer = reader
        .with("authorization", &format!("Bearer {TOKEN}"))
        .get("/metrics")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Exposition::read(&answer.text())
}

/// An upload by tus of 50 bytes, in two pieces of 20 and 30.
async fn send_in_two(server: &TestServer) {
    let tus = Api::of(server).outside().with("tus-resumable", "1.0.0");
    let made = tus
        .with("upload-length", "50")
        .raw("POST", "/files", Vec::new())
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let place = made.header("location").to_owned();
    let sender = tus.with("content-type", "application/offset+octet-stream");
    for (offset, bytes) in [("0", 20), ("20", 30)] {
        let sent = sender
            .with("upload-offset", offset)
            .raw("PATCH", &place, vec![7; bytes])
            .await;
        assert_eq!(sent.status, 204, "{}", sent.text());
    }
}
