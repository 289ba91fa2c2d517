//! The native API over real HTTP: the whole application with its embedded S3, on both databases.
//!
//! One binary with a file for each idea. The tests are the sceptical user's: they know the API's document and the
//! store's own answers, and nothing of the code behind.

#![cfg(feature = "embedded-s3")]

#[path = "../support/around.rs"]
mod around;
#[path = "../support/server.rs"]
mod server;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

#[path = "../support/page.rs"]
#[expect(dead_code, unused_imports, reason = "other tests use more of it")]
mod page;
#[path = "../galileo/socket.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod socket;

#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

mod api;
mod doors;
mod icap_server;
mod issuer;
mod process;
mod requests;
mod scripted_store;
mod webhook_receiver;

mod access;
mod application;
mod application_tokens;
mod cli;
mod completing;
mod creating;
mod ending;
mod everybody;
mod folder;
mod folder_start;
mod icap;
mod integrity;
mod limits;
mod listing;
mod lying;
mod lying_line;
mod lying_proxy;
mod mistakes;
mod operations;
mod operator_events;
mod pre_create;
mod pre_create_bounds;
mod problems;
mod quarantine;
mod quarantine_failures;
mod rates;
mod receipts;
mod recording;
mod reference;
mod replaced;
mod resuming;
mod signing;
mod sniffing;
mod strangers;
mod stumbling;
mod visitors;
mod webhook_failures;
mod webhook_guide;
mod webhooks;

use around::store_of;
use muleteer::config::{Config, Secret};
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
    around::on_both(|kind| start(kind, &adjust), test).await;
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
        config.limits.clone_from(&first.config.limits);
    });
    started.expect("SQLite is never skipped, and the address is the first server's")
}
