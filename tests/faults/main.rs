//! Two instances of the real program on one PostgreSQL, behind them a store that a faulty proxy stands before, and files
//! through every door, while processes are killed, stopped, paused and started again. Nothing that was acknowledged may be
//! lost or go back; each object has exactly its file's bytes; no lease of a killed process holds for more than two
//! seconds; and one sweep leaves nothing behind.
//!
//! `MULETEER_FAULTS_SEED` decides which file goes through which door, how large it is, what its client does, which request
//! to the store meets which fault, and what is done to which process after how many acknowledgements.
//! `MULETEER_FAULTS_UPLOADS` is the number of files, and `MULETEER_FAULTS_DOOR` takes one door alone (`Tus`). What the machine does in between no seed decides.

#![cfg(all(feature = "embedded-s3", unix))]

mod base;
mod crew;
mod doors;
mod job;
mod judge;
mod proxy;

#[path = "../support/around.rs"]
#[expect(dead_code, reason = "these tests look for themselves")]
mod around;
#[path = "../support/page.rs"]
#[expect(dead_code, unused_imports, reason = "these tests only write requests with it")]
mod page;
#[path = "../native_api/process.rs"]
#[expect(dead_code, reason = "these tests only start, stop, kill and pause it")]
mod process;
#[path = "../support/random.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod random;
#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "these tests only look")]
mod s3_client;
#[path = "../mule_v2/script.rs"]
#[expect(dead_code, reason = "these tests only sign with it")]
mod script;
#[path = "../support/server.rs"]
#[expect(dead_code, reason = "these tests only want its database")]
mod server;
#[path = "../galileo/socket.rs"]
#[expect(dead_code, reason = "these tests only make frames with it")]
mod socket;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use muleteer::dev_s3::{self, DevS3, DevS3Config};

use base::Base;
use crew::Crew;
use doors::Door;
use job::{Job, Ledger, Outcome};
use proxy::Proxy;
use random::Random;

const KEY: &str = "a-key-for-faults-0123456789";

/// Bytes of a part where a client or a setting says so.
const PART: usize = 64 << 10;

/// Least bytes of a part that the store takes.
const LEAST_PART: u64 = 32 << 10;

/// Clients at once.
const CLIENTS: usize = 24;

/// The longest that a request may take: a paused instance answers nobody.
const REQUEST: Duration = Duration::from_secs(6);

const BUCKET: &str = "faults";
const STORE_ID: &str = "the-stores-own";
const STORE_SECRET: &str = "the-secret-that-never-leaves";
const NARROW_ID: &str = "NARROWKEYID000000000";
const NARROW_SECRET: &str = "the-secret-of-the-narrow-key";

/// What all clients of a run share.
pub struct Around {
    ledger: Arc<Ledger>,
    crew: Arc<Crew>,
    store: String,
    http: reqwest::Client,
}

/// A file that was sent, and how that ended.
pub struct Sent {
    door: Door,
    job: Job,
    outcome: Outcome,
}

/// How many files go through the doors of each test; `share` of 100 of the whole.
fn uploads(share: usize) -> usize {
    let all = std::env::var("MULETEER_FAULTS_UPLOADS").ok();
    all.and_then(|text| text.parse().ok()).unwrap_or(500) * share / 100
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_lose_nothing_in_a_bucket() {
    run("bucket", &Door::ALL, uploads(70), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_lose_nothing_on_a_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    run("disk", &Door::THROUGH_US, uploads(30), Some(folder.path())).await;
}

/// One run: `doors` take turns, and what passes through the program goes to `folder`, or to the bucket.
async fn run(name: &str, doors: &[Door], uploads: usize, folder: Option<&Path>) {
    let Some(database) = server::postgres::fresh_database() else {
        eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip");
        return;
    };
    let only = std::env::var("MULETEER_FAULTS_DOOR").ok();
    let doors: Vec<Door> = doors
        .iter()
        .copied()
        .filter(|door| only.as_ref().is_none_or(|only| format!("{door:?}") == *only))
        .collect();
    let uploads = if doors.is_empty() { 0 } else { uploads };
    let random = Random::seeded(name, "MULETEER_FAULTS_SEED", 20_261_126);
    let objects = tempfile::tempdir().expect("a folder");
    let store = store(objects.path()).await;
    let behind = store.endpoint();
    let proxy = Proxy::start(behind.trim_start_matches("http://"), random.fork(1)).await;
    let address = format!("http://{}", proxy.address);
    let variables = settings(&database, &address, folder);
    let crew = tokio::task::spawn_blocking(move || Arc::new(Crew::start(variables)));
    let around = Around {
        ledger: Arc::default(),
        crew: crew.await.expect("they start"),
        store: address,
        http: reqwest::Client::builder()
            .no_proxy()
            .timeout(REQUEST)
            .build()
            .expect("a client"),
    };
    let base = Arc::new(Base::open(&database));

    proxy.is_faulty.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let (crew, ledger, watched) = (around.crew.clone(), around.ledger.clone(), base.clone());
    let mut chance = random.fork(2);
    let tormentor = tokio::task::spawn_blocking(move || crew.torment(&ledger, &watched, &mut chance));
    let sent = send_all(&around, &doors, uploads, &random).await;
    let took = began.elapsed();
    around.ledger.end();
    tormentor.await.expect("no panic");
    proxy.is_faulty.store(false, Ordering::Relaxed);

    let verdict = judge::judge(&around, &base, &behind, folder, &sent).await;
    judge::report(name, &around, &proxy, &sent, took, &verdict);
    store.stop().await;
    if !verdict.complaints.is_empty() {
        for level in ["ERROR", "WARN"] {
            let lines = around.crew.logged(level);
            for line in lines.iter().filter(|line| !line.contains("signing_key")).take(40) {
                eprintln!("{line}");
            }
        }
    }
    assert!(
        verdict.complaints.is_empty(),
        "{} complaints:\n{}\nthe same again: see the seed above",
        verdict.complaints.len(),
        verdict.complaints.join("\n")
    );
}

/// Sends all files, some at once.
async fn send_all(around: &Around, doors: &[Door], uploads: usize, random: &Random) -> Vec<Sent> {
    let jobs: Vec<(Door, Job)> = (0..uploads)
        .map(|number| {
            let door = doors[number % doors.len()];
            let mut chance = random.fork(1000 + number as u64);
            let (least, most) = door.sizes();
            // Small files are the rule, and empty ones are among them where there may be some.
            let most = if chance.percent(60) {
                least + (most - least) / 8
            } else {
                most
            };
            let mut bytes = if least == 0 && chance.percent(5) {
                Vec::new()
            } else {
                chance.bytes(least, most)
            };
            if bytes.len() % PART == 0 && matches!(door, Door::MuleV1 | Door::MuleV2) {
                // Which its script can never finish.
                bytes.push(0);
            }
            let job = Job::new(format!("f-{number:05}.bin"), bytes, chance, around);
            (door, job)
        })
        .collect();
    let sending = stream::iter(jobs).map(|(door, mut job)| async move {
        job.starts();
        let sent = tokio::spawn(async move {
            let outcome = door.upload(&mut job).await;
            Sent { door, job, outcome }
        });
        sent.await.expect("no panic")
    });
    sending.buffer_unordered(CLIENTS).collect().await
}

/// An S3 server that outlives all faults.
async fn store(folder: &Path) -> DevS3 {
    let settings = DevS3Config {
        root: folder.into(),
        address: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        access_key_id: STORE_ID.into(),
        secret_access_key: STORE_SECRET.into(),
        session_token: None,
        parts_only: Some((NARROW_ID.into(), NARROW_SECRET.into())),
        region: "us-east-1".into(),
        bucket: BUCKET.into(),
        min_part_size: LEAST_PART,
        allow_remote: false,
        max_upload_age: Duration::from_hours(1),
    };
    dev_s3::start(settings).await.expect("it starts")
}

/// What both instances are set to.
fn settings(database: &str, store: &str, folder: Option<&Path>) -> Vec<(String, String)> {
    let (part, least) = (PART.to_string(), LEAST_PART.to_string());
    let mut settings = vec![
        ("DATABASE_URL", database),
        ("API_KEY", KEY),
        ("S3_ENDPOINT", store),
        ("S3_BUCKET", BUCKET),
        ("AWS_ACCESS_KEY_ID", STORE_ID),
        ("AWS_SECRET_ACCESS_KEY", STORE_SECRET),
        ("MULETEER_S3__MIN_PART_SIZE", &least),
        ("MULETEER_AUTH__ANONYMOUS", "off"),
        ("MULETEER_LOG__FILTER", "warn"),
        ("MULETEER_SERVER__WORKERS", "2"),
        ("MULETEER_SERVER__SHUTDOWN_TIMEOUT_S", "2"),
        ("MULETEER_UPLOADS__PART_SIZE", &part),
        ("MULETEER_UPLOADS__SWEEP_INTERVAL_S", "5"),
        ("CHUNK_SIZE_MB", "1"),
        ("MULETEER_PROTOCOLS__MULE__SIGNATURE_V2", "true"),
        ("MULETEER_PROTOCOLS__MULE__CHUNK_SIZE", &part),
        ("MULETEER_PROTOCOLS__MULE__SIGNING_KEY__ACCESS_KEY_ID", NARROW_ID),
        (
            "MULETEER_PROTOCOLS__MULE__SIGNING_KEY__SECRET_ACCESS_KEY",
            NARROW_SECRET,
        ),
        ("MULETEER_PROTOCOLS__GALILEO__CHUNK_SIZE", &part),
        ("MULETEER_PROTOCOLS__GALILEO__LARGEST_CHUNK_SIZE", &part),
    ];
    let folder = folder.map(|path| path.to_str().expect("a path in UTF-8"));
    if let Some(folder) = folder {
        settings.extend([("STORAGE_BACKEND", "local"), ("LOCAL_STORAGE_PATH", folder)]);
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    settings.into_iter().map(owned).collect()
}
