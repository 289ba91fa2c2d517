//! The database, through its public face, on both databases for real.
//!
//! One binary with a file for each concern, because every one of them needs the same two databases: a SQLite file
//! in a temporary folder, and a fresh database on a throw-away Postgres.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "../support/postgres.rs"]
mod postgres;

mod access;
mod backlog;
mod cut;
mod opening;
mod plans;
mod quotas;
mod recent;
mod recorder;
mod searches;
mod uploads;
mod webhooks;

use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use muleteer::db::{Database, RecordedPart, Room, UploadQuery};
use muleteer::domain::{
    Backend, Bounds, Checksums, Cut, FileName, Fingerprint, MediaType, ObjectKey, Owner, PartNumber, State,
    Transfer, Upload, UploadId,
};

/// Runs one test on a new SQLite file, then on a new Postgres database; it gets the URL of each.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(String) -> F) {
    let folder = tempfile::tempdir().unwrap();
    test(sqlite_in(folder.path())).await;
    match postgres_url().await {
        Some(url) => test(url).await,
        None => eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip"),
    }
}

fn sqlite_in(folder: &std::path::Path) -> String {
    format!("sqlite://{}", folder.join("new/folder/test.db").display())
}

async fn postgres_url() -> Option<String> {
    tokio::task::spawn_blocking(postgres::fresh_database)
        .await
        .unwrap()
}

async fn open(url: &str) -> Database {
    Database::open(url, 4).await.unwrap()
}

/// A plain connection of our own to the same database, beside the product's.
fn plain_connection(url: &str) -> Box<dyn diesel::connection::SimpleConnection> {
    use diesel::{Connection, PgConnection, SqliteConnection};
    match url.strip_prefix("sqlite://") {
        Some(path) => Box::new(SqliteConnection::establish(path).unwrap()),
        None => Box::new(PgConnection::establish(url).unwrap()),
    }
}

/// Noon of a day, which is "now" in all these tests.
fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00.000001Z".parse().unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::named(name).unwrap()
}

/// An open upload of anna's that began at `at` and lives for an hour.
fn upload_at(at: DateTime<Utc>) -> Upload {
    let id = UploadId::generate(at);
    let filename = FileName::new("clip.mp4").unwrap();
    Upload {
        owner: owner("anna"),
        state: State::Open,
        transfer: Transfer::Direct,
        protocol: "native".into(),
        size: 100,
        content_type: MediaType::default(),
        last_modified: None,
        fingerprint: Fingerprint::new(None, &filename, 100, None),
        filename,
        metadata: std::collections::BTreeMap::new(),
        bucket: "bucket".into(),
        key: ObjectKey::new(&format!("uploads/{id}/clip.mp4")).unwrap(),
        multipart_id: Some(format!("multipart-of-{id}")),
        id,
        part_size: 10,
        etag: None,
        storage: Backend::S3,
        sha256: None,
        webhook_url: None,
        appending: None,
        cut: Cut::default(),
        client_ip: None,
        bounds: Bounds::default(),
        created_at: at,
        updated_at: at,
        expires_at: at + TimeDelta::hours(1),
    }
}

/// An upload that is in the database.
async fn kept(db: &Database, upload: Upload) -> Upload {
    db.insert_upload(upload.clone(), Room::default()).await.unwrap();
    upload
}

/// What is recorded of an upload's parts, without the times.
async fn recorded(db: &Database, upload: &Upload) -> Vec<RecordedPart> {
    let records = db.recorded_parts(&upload.id).await.unwrap();
    records.into_iter().map(|record| record.part).collect()
}

fn part(number: u64, size: u64, etag: Option<&str>) -> RecordedPart {
    RecordedPart {
        number: PartNumber::new(number, "number").unwrap(),
        size,
        etag: etag.map(str::to_owned),
        sha256: None,
        checksums: Checksums::default(),
    }
}

/// Records parts of `upload` at noon.
async fn record(
    db: &Database,
    upload: &Upload,
    parts: Vec<RecordedPart>,
) -> Result<(), muleteer::error::Error> {
    db.record_parts(&upload.id, parts, noon(), noon() + TimeDelta::hours(1))
        .await
}

/// A search of at most ten uploads, with the conditions that `set` sets.
fn asking(set: impl FnOnce(&mut UploadQuery)) -> UploadQuery {
    let mut query = UploadQuery {
        limit: 10,
        ..UploadQuery::default()
    };
    set(&mut query);
    query
}
