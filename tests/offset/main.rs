//! Offset chunks over real HTTP: the whole application, held to every row of the contract.
//!
//! One binary with a file for each idea. Requests are written by hand on plain sockets, since what matters most here is
//! what becomes of a request that ends too soon.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
mod server;

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;

#[path = "../support/place.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod place;

#[path = "../support/raw_http.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod raw_http;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

#[path = "../support/time_line.rs"]
mod time_line;

#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

mod client;

mod chunks;
mod cuts;
mod digests;
mod guide;
mod lives;
mod owners;
mod rivals;
mod starts;

use muleteer::config::Config;
use place::{Backend, Place};
use server::Kind;

/// What storage and database may change: every storage, and both databases.
const CELLS: &[(Kind, Backend)] = &[
    (Kind::Sqlite, Backend::Local),
    (Kind::Postgres, Backend::Local),
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

/// Bytes that no two places share.
fn bytes(length: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}
