//! Evaporate's protocol over real HTTP, against the whole application with its embedded S3 on both databases. The released
//! client itself runs in `tests/browser`; here each point of the protocol and of its security is tried by hand.

#![cfg(feature = "embedded-s3")]

#[path = "../support/page.rs"]
mod page;
#[expect(dead_code, reason = "the embedded S3's own tests use the rest")]
#[path = "../support/s3_client.rs"]
mod s3_client;
#[expect(dead_code, reason = "other tests look into the server's folder")]
#[path = "../support/server.rs"]
mod server;

mod answers;
mod client;
mod owners;
mod refusals;
mod whole;

use muleteer::config::{Config, Secret};

use s3_client::{S3Client, Signer};
use server::{Kind, TestServer};

/// What the page knows of the store's key, and what it does not.
const KEY_ID: &str = "the-pages-key";
const STORE_SECRET: &str = "the-store-of-the-tests";

/// Least bytes of a part in these tests.
const PART: usize = 16;

/// Runs one test on SQLite and on Postgres.
async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        eprintln!("on {kind:?}");
        let server = TestServer::start(kind, |config| {
            KEY_ID.clone_into(&mut config.dev_s3.access_key_id);
            config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
            config.dev_s3.min_part_size = PART as u64;
            config.uploads.part_size = PART as u64;
            adjust(config);
        });
        match server {
            Some(server) => test(server).await,
            None => eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip"),
        }
    }
}

/// The server's embedded store, as somebody sees it who has its keys.
fn store_of(server: &TestServer) -> S3Client {
    let signer = Signer {
        access_key_id: KEY_ID.to_owned(),
        secret: STORE_SECRET.to_owned(),
        token: None,
        region: server.config.s3.region.clone(),
    };
    S3Client::new(&server.store, &server.config.dev_s3.bucket, signer)
}
