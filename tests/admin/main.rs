//! The admin's pages over real HTTP, on both databases: as a browser without a script sees them.

#![cfg(feature = "embedded-s3")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

mod acting;
mod browser;
mod logging_in;
mod looking;
mod searching;

use muleteer::config::{Config, Secret};
use server::{Kind, TestServer};

/// Bytes of a part in these tests.
const PART: u64 = 16;

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    around::on_both(|kind| start(kind, &adjust), test).await;
}

fn start(kind: Kind, adjust: impl Fn(&mut Config)) -> Option<TestServer> {
    TestServer::start(kind, |config| {
        config.dev_s3.min_part_size = 8;
        config.dev_s3.secret_access_key = Secret::new("the-store-of-the-tests");
        config.uploads.part_size = PART;
        // Only the test sweeps.
        config.uploads.sweep_interval_s = 3600;
        adjust(config);
    })
}
