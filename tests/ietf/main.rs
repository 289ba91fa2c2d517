//! "Resumable Uploads for HTTP" over real sockets: the whole application, held to the contract line by line. A test's name
//! begins with the line's id.
//!
//! One binary with a file for each section. Requests are written by hand, since 104s, cuts, resets and stalls are what this
//! protocol is about. What depends on neither storage nor database runs on a folder and SQLite.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
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

#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod process;

#[path = "../support/time_line.rs"]
mod time_line;

mod client;

mod append;
mod append_refused;
mod beside_tus;
mod cancel;
mod creation;
mod creation_refused;
mod cuts;
mod digests;
mod discovery;
mod early;
mod offset;
mod representation;
mod stopping;
mod urlsession;

use muleteer::config::Config;
use place::{Backend, Place};
use server::Kind;

const MIB: usize = 1 << 20;

/// Every interop version that has a number.
const VERSIONS: std::ops::RangeInclusive<u64> = 3..=10;

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

/// Bytes that no place of a file repeats soon.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next)
        .take(size / 8 + 1)
        .flatten()
        .collect();
    bytes.truncate(size);
    bytes
}
