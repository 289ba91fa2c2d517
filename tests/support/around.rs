//! What tests of every door do around a server: run it on both databases, look into its store, make keys, and run beside it.
//!
//! Separate from the server, which knows no S3 client.

use chrono::{DateTime, Utc};
use muleteer::config::{Config, Secret};
use muleteer::domain::{Owner, UploadId};
use muleteer::identity::{Scopes, create_key};

use super::s3_client::{S3Client, Signer};
use super::server::{Kind, TestServer};

/// Runs one test on SQLite and on Postgres, with the server that `start` gives; `None` only where one is skipped on purpose.
pub async fn on_both(start: impl Fn(Kind) -> Option<TestServer>, test: impl AsyncFn(TestServer)) {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        eprintln!("on {kind:?}");
        match start(kind) {
            // A test is a large future.
            Some(server) => Box::pin(test(server)).await,
            None => eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip"),
        }
    }
}

/// The server's embedded store, as somebody sees it who has its keys.
pub fn store_of(server: &TestServer) -> S3Client {
    let store = &server.config.dev_s3;
    let signer = Signer {
        access_key_id: store.access_key_id.clone(),
        secret: store.secret_access_key.expose().to_owned(),
        token: None,
        region: server.config.s3.region.clone(),
    };
    S3Client::new(&server.store, &store.bucket, signer)
}

/// A key of somebody who may upload and nothing else.
pub async fn key_for(server: &TestServer, owner: &str) -> String {
    let db = muleteer::app::open_database(&server.config)
        .await
        .expect("the database opens");
    let owner = Owner::named(owner).expect("an owner");
    let scopes = Scopes {
        upload: true,
        admin: false,
    };
    let key = create_key(&db, &owner, scopes, server.clock.now())
        .await
        .expect("a key");
    db.close().await.expect("the database closes");
    key
}

/// Changes the database behind the program's back.
pub fn by_hand(config: &Config, sql: &str) {
    use diesel::connection::SimpleConnection as _;
    let url = config.database_url();
    if let Some(path) = url.strip_prefix("sqlite://") {
        let mut conn = <diesel::SqliteConnection as diesel::Connection>::establish(path).expect("SQLite");
        conn.batch_execute("PRAGMA busy_timeout = 5000")
            .expect("a pragma");
        conn.batch_execute(sql).expect("SQL");
    } else {
        let mut conn = <diesel::PgConnection as diesel::Connection>::establish(&url).expect("Postgres");
        conn.batch_execute(sql).expect("SQL");
    }
}

/// Has an upload be as if nobody had worked on it since `last`, and its time had been over at `ended`. No statement of the
/// program takes from an upload's time.
pub fn leave_since(config: &Config, id: &UploadId, last: DateTime<Utc>, ended: DateTime<Utc>) {
    let text = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S%.6f");
    let (last, ended) = (text(last), text(ended));
    by_hand(
        config,
        &format!("UPDATE uploads SET updated_at = '{last}', expires_at = '{ended}' WHERE id = '{id}'"),
    );
}

/// Settings of a process beside `first`, on the same database and storage.
pub fn beside(first: &TestServer) -> Config {
    let (mut config, store) = (first.config.clone(), &first.config.dev_s3);
    config.database.url = Secret::new(first.config.database_url());
    if first.store.is_empty() {
        return config;
    }
    config.s3.bucket.clone_from(&store.bucket);
    config.s3.endpoint.clone_from(&first.store);
    config.s3.access_key_id.clone_from(&store.access_key_id);
    config.s3.secret_access_key = store.secret_access_key.clone();
    config.s3.min_part_size = store.min_part_size;
    config
}
