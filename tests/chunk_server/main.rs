//! The chunk server's protocol over real HTTP: the whole application on both databases and every storage.
//!
//! One binary with a file for each idea. The tests are the sceptical user's: they know the protocol's document and what
//! lies in the storage, and nothing of the code behind. Where another client's behaviour matters, the bytes go over a
//! plain socket ([`wire`]).

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod around;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod s3_client;

#[cfg(feature = "smb")]
#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod samba;

mod client;
mod gate;
mod place;
mod wire;

mod again;
mod cancelling;
mod completing;
mod digests;
mod errors;
mod expiring;
mod fallback;
mod grids;
mod health;
mod init;
mod interrupted;
mod names;
mod owners;
mod refused_early;
mod sending;
mod small_parts;
mod status;
mod sweeping;
mod tokens;

use muleteer::config::Config;
use place::{Backend, Place};
use server::Kind;

const MIB: u64 = 1 << 20;

/// What a test runs on: every storage on either database.
const CELLS: &[(Kind, Backend)] = &[
    (Kind::Sqlite, Backend::S3),
    (Kind::Postgres, Backend::S3),
    (Kind::Sqlite, Backend::Local),
    (Kind::Postgres, Backend::Local),
    #[cfg(feature = "smb")]
    (Kind::Sqlite, Backend::Smb),
    #[cfg(feature = "smb")]
    (Kind::Postgres, Backend::Smb),
];

/// Runs one test on every storage, with parts of 1 MiB.
async fn everywhere(test: impl AsyncFn(Place)) {
    everywhere_with(|_| {}, test).await;
}

/// The same with other settings.
async fn everywhere_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(Place)) {
    for (database, backend) in CELLS {
        on(*database, *backend, &adjust, &test).await;
    }
}

/// Runs one test on both databases, where the storage makes no difference: a folder, to which any time is the right one.
async fn on_both(test: impl AsyncFn(Place)) {
    on_both_with(|_| {}, test).await;
}

/// The same with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(Place)) {
    for database in [Kind::Sqlite, Kind::Postgres] {
        on(database, Backend::Local, &adjust, &test).await;
    }
}

/// A folder of the share of one Samba that all these tests use, and where it lies on this machine: a test looks at the
/// files themselves, so the server is our own. `None` where SMB is skipped on purpose.
#[cfg(feature = "smb")]
fn samba_share() -> Option<(muleteer::storage::SmbSettings, std::path::PathBuf)> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static SAMBA: OnceLock<Option<samba::Samba>> = OnceLock::new();
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let samba = SAMBA.get_or_init(|| samba::Samba::start("")).as_ref()?;
    let path = format!("chunks {}", COUNTER.fetch_add(1, Ordering::Relaxed));
    Some((samba.settings(&path), samba.share().join(&path)))
}

/// For uploads that are only announced and larger than a test may expect to find free: a folder refuses these at once.
async fn in_buckets(adjust: impl Fn(&mut Config), test: impl AsyncFn(Place)) {
    for database in [Kind::Sqlite, Kind::Postgres] {
        on(database, Backend::S3, &adjust, &test).await;
    }
}

async fn on(database: Kind, backend: Backend, adjust: impl Fn(&mut Config), test: impl AsyncFn(Place)) {
    eprintln!("on {database:?} and {backend:?}");
    match Place::start(database, backend, adjust) {
        Some(place) => Box::pin(test(place)).await,
        None => eprintln!("without {database:?} or {backend:?}, which the environment skips"),
    }
}
