//! tus 1.0 over real HTTP: the whole application, held to the contract line by line. A test's name begins with the
//! line's id.
//!
//! One binary with a file for each section. Requests are written by hand on plain sockets: what a library would tidy
//! up, a client of this protocol may send. What depends on neither storage nor database runs on a folder and SQLite.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;

#[path = "../support/raw_http.rs"]
mod raw_http;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod process;

#[path = "../support/place.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod place;

mod client;

mod access;
mod checksum;
mod concat;
mod cors;
mod creation;
mod creation_with_upload;
mod cuts;
mod deferred;
mod download;
mod expiration;
mod head;
mod instances;
mod locks;
mod metadata;
mod patch;
mod seed;
mod stops;
mod termination;
mod version;

use muleteer::config::Config;
use place::{Backend, Place};
use server::Kind;

const MIB: usize = 1 << 20;

/// What storage and database may change: every storage, and both databases.
const CELLS: &[(Kind, Backend)] = &[
    (Kind::Sqlite, Backend::Local),
    (Kind::Postgres, Backend::S3),
    #[cfg(feature = "smb")]
    (Kind::Sqlite, Backend::Smb),
];

/// Runs one test on every storage.
async fn everywhere(test: impl AsyncFn(Place)) {
    for (database, backend) in CELLS {
        on(*database, *backend, |_| {}, &test).await;
    }
}

/// Runs one test where storage and database make no difference.
async fn here(test: impl AsyncFn(Place)) {
    here_with(|_| {}, test).await;
}

/// The same with other settings.
async fn here_with(adjust: impl FnOnce(&mut Config), test: impl AsyncFn(Place)) {
    on(Kind::Sqlite, Backend::Local, adjust, test).await;
}

async fn on(database: Kind, backend: Backend, adjust: impl FnOnce(&mut Config), test: impl AsyncFn(Place)) {
    eprintln!("on {database:?} and {backend:?}");
    match Place::start(database, backend, adjust) {
        Some(place) => Box::pin(test(place)).await,
        None => eprintln!("without {database:?} or {backend:?}, which the environment skips"),
    }
}
