//! The native API over real HTTP: the whole application with its embedded S3, on both databases.
//!
//! One binary with a file for each idea. The tests are the sceptical user's: they know the API's document and the
//! store's own answers, and nothing of the code behind.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

mod api;
mod process;
mod scripted_store;
mod webhook_receiver;

mod access;
mod cli;
mod completing;
mod creating;
mod ending;
mod listing;
mod mistakes;
mod operations;
mod problems;
mod recording;
mod reference;
mod resuming;
mod signing;
mod stumbling;
mod visitors;
mod webhook_failures;
mod webhooks;

use muleteer::config::{Config, Secret};
use s3_client::{S3Client, Signer};
use server::{Kind, TestServer};

/// Bytes of a part in these tests, so that a thousand parts are a few kilobytes.
const PART: u64 = 16;

/// The store's own secret, so that a test can look into it.
const STORE_SECRET: &str = "the-store-of-the-tests";

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        eprintln!("on {kind:?}");
        match start(kind, &adjust) {
            Some(server) => test(server).await,
            None => eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip"),
        }
    }
}

/// Starts a server with small parts; `None` only where Postgres is skipped on purpose.
fn start(kind: Kind, adjust: impl Fn(&mut Config)) -> Option<TestServer> {
    TestServer::start(kind, |config| {
        config.dev_s3.min_part_size = 8;
        config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
        config.uploads.part_size = PART;
        adjust(config);
    })
}

/// A second server beside `first`, on the same database and the same store.
fn beside(first: &TestServer) -> TestServer {
    let started = TestServer::start(Kind::Sqlite, |config| {
        config.database.url = Secret::new(first.config.database_url());
        config.s3.bucket.clone_from(&first.config.dev_s3.bucket);
        config.s3.endpoint.clone_from(&first.store);
        config
            .s3
            .access_key_id
            .clone_from(&first.config.dev_s3.access_key_id);
        config.s3.secret_access_key = Secret::new(STORE_SECRET);
        config.s3.min_part_size = 8;
        config.uploads.part_size = PART;
        config.hooks.clone_from(&first.config.hooks);
    });
    started.expect("SQLite is never skipped, and the address is the first server's")
}

/// The server's embedded store, as somebody sees it who has its keys.
fn store_of(server: &TestServer) -> S3Client {
    let signer = Signer {
        access_key_id: server.config.dev_s3.access_key_id.clone(),
        secret: STORE_SECRET.to_owned(),
        token: None,
        region: server.config.s3.region.clone(),
    };
    S3Client::new(&server.store, &server.config.dev_s3.bucket, signer)
}
