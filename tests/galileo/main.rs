//! GalileoSend over real sockets: the whole application, with a WebSocket client made by hand ([`socket`]) and stand-ins
//! for the clients that there are ([`clients`]).
//!
//! The tests are the sceptical user's: they know the protocol and what lies in the storage, and nothing of the code
//! behind. Most need a folder and SQLite; where the storage or the database decides, they run on all.

#![cfg(feature = "embedded-s3")]

#[path = "../support/server.rs"]
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

#[path = "../chunk_server/client.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod client;

#[path = "../chunk_server/place.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod place;

mod clients;
mod socket;

mod credentials;
mod cuts;
mod handshake;
mod limits;
mod old_client;
mod resuming;
mod signals;
mod stopping;
mod tickets;

use muleteer::config::Config;
use place::{Backend, Place};
use server::Kind;

/// What a test runs on where storage or database decide: every storage, and either database.
const CELLS: &[(Kind, Backend)] = &[
    (Kind::Sqlite, Backend::Local),
    (Kind::Postgres, Backend::Local),
    (Kind::Sqlite, Backend::S3),
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

/// Runs one test on both databases.
async fn on_both(test: impl AsyncFn(Place)) {
    for database in [Kind::Sqlite, Kind::Postgres] {
        on(database, Backend::Local, |_| {}, &test).await;
    }
}

/// A server with a folder and SQLite.
fn here(adjust: impl FnOnce(&mut Config)) -> Place {
    Place::start(Kind::Sqlite, Backend::Local, adjust).expect("these are never skipped")
}

async fn on(database: Kind, backend: Backend, adjust: impl Fn(&mut Config), test: impl AsyncFn(Place)) {
    eprintln!("on {database:?} and {backend:?}");
    let adjust = |config: &mut Config| {
        // Appended bytes become parts of this size on S3.
        config.uploads.part_size = 256 << 10;
        adjust(config);
    };
    match Place::start(database, backend, adjust) {
        Some(place) => Box::pin(test(place)).await,
        None => eprintln!("without {database:?} or {backend:?}, which the environment skips"),
    }
}

/// A folder of the share of one Samba that all these tests use, and where it lies on this machine.
#[cfg(feature = "smb")]
fn samba_share() -> Option<(muleteer::storage::SmbSettings, std::path::PathBuf)> {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static SAMBA: OnceLock<Option<samba::Samba>> = OnceLock::new();
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let samba = SAMBA.get_or_init(|| samba::Samba::start("")).as_ref()?;
    let path = format!("galileo {}", COUNTER.fetch_add(1, Ordering::Relaxed));
    Some((samba.settings(&path), samba.share().join(&path)))
}
