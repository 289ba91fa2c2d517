//! Recording parts: the recorder with group commit against a transaction for each request, in one run.
//!
//! 64 clients each record one part after the other, as browsers do. A plain program instead of `divan`, because
//! what counts is the slowest hundredth of many clients at once, not the time of one call. The rival is as good as
//! it gets without a queue: one upsert that commits by itself, prepared once, on the same pragmas, from a pool of
//! one and of eight connections.
//!
//! `cargo bench --bench recorder`; with `MULETEER_TEST_POSTGRES_URL` (an administrator's URL of a server that keeps
//! its promises: `POSTGRES_DURABLE=1 scripts/postgres start DIR`) on Postgres too.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, R2D2Connection};
use diesel::upsert::excluded;
use diesel::{PgConnection, SqliteConnection};
use muleteer::db::{Database, RecordedPart};
use muleteer::domain::{
    Backend, Checksums, Cut, FileName, Fingerprint, MediaType, ObjectKey, Owner, PartNumber, State, Transfer,
    Upload, UploadId,
};

/// Clients that record at the same time.
const CLIENTS: usize = 64;

/// How long one way of recording is measured before the next has its turn.
const TURN: Duration = Duration::from_secs(3);

/// Turns of each way, so that what else the machine does hits all of them.
const ROUNDS: usize = 3;

use schema::parts;

/// The one table that the rival writes, private so that it needs no words of its own.
mod schema {
    diesel::table! {
    parts (upload_id, number) {
        upload_id -> Text,
        number -> Integer,
        size -> BigInt,
        etag -> Nullable<Text>,
        recorded_at -> Timestamp,
    }
    }
}

/// One row, owned, so that it can go to a thread that blocks.
#[derive(Insertable)]
#[diesel(table_name = parts, treat_none_as_default_value = false)]
struct Row {
    upload_id: String,
    number: i32,
    size: i64,
    etag: Option<String>,
    recorded_at: NaiveDateTime,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("bench.db").display().to_string();
        println!("SQLite, synchronous=FULL");
        let one = sqlite_pool(&path, 1);
        let eight = sqlite_pool(&path, 8);
        compare(&format!("sqlite://{path}"), one, eight, sqlite_upsert).await?;
        match std::env::var("MULETEER_TEST_POSTGRES_URL") {
            Err(_) => println!("\nPostgres: left out, MULETEER_TEST_POSTGRES_URL is not set"),
            Ok(admin) => {
                let (url, durable) = fresh_postgres(&admin)?;
                println!("\nPostgres, {durable}");
                let pool = |size| Pool::builder().max_size(size).build(ConnectionManager::new(&url));
                compare(&url, pool(1)?, pool(8)?, postgres_upsert).await?;
            }
        }
        Ok(())
    })
}

/// Measures the three ways in turns and prints what they did.
async fn compare<C: R2D2Connection + Send + 'static>(
    url: &str,
    one: Pool<ConnectionManager<C>>,
    eight: Pool<ConnectionManager<C>>,
    upsert: fn(&mut C, Row) -> QueryResult<usize>,
) -> Result<(), Failure> {
    let db = Database::open(url, 8).await?;
    let mut ids = Vec::new();
    for _ in 0..CLIENTS {
        let upload = sample_upload();
        ids.push(upload.id.clone());
        db.insert_upload(upload, muleteer::db::Room::default()).await?;
    }
    let ids = Arc::new(ids);

    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    for _ in 0..ROUNDS {
        for (pool, tally) in [&one, &eight].into_iter().zip(&mut tallies) {
            let each = |client: usize, number: i32| {
                let (pool, row) = (pool.clone(), row(&ids[client], number));
                async move {
                    tokio::task::spawn_blocking(move || Ok(upsert(&mut *pool.get()?, row)?))
                        .await?
                        .map(drop)
                }
            };
            tally.measure(each).await?;
        }
        let each = |client: usize, number: i32| {
            let (db, id) = (db.clone(), ids[client].clone());
            async move {
                let (part, now) = (recorded(number)?, Utc::now());
                Ok(db
                    .record_parts(&id, vec![part], now, now + TimeDelta::hours(1))
                    .await?)
            }
        };
        tallies[2].measure(each).await?;
    }
    db.close().await?;
    report(tallies);
    Ok(())
}

/// What one way of recording did in all its turns.
#[derive(Default)]
struct Tally {
    took: Vec<Duration>,
    elapsed: Duration,
}

impl Tally {
    /// One turn: every client records one part after the other.
    async fn measure<F>(&mut self, each: impl Fn(usize, i32) -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let begun = Instant::now();
        let clients = (0..CLIENTS).map(|client| {
            let each = &each;
            async move {
                let mut took = Vec::new();
                for number in (1..=10_000).cycle() {
                    if begun.elapsed() >= TURN {
                        break;
                    }
                    let asked = Instant::now();
                    // A task of its own, as every request of the server is.
                    tokio::spawn(each(client, number)).await??;
                    took.push(asked.elapsed());
                }
                Ok::<_, Failure>(took)
            }
        });
        for took in futures_util::future::try_join_all(clients).await? {
            self.took.extend(took);
        }
        self.elapsed += begun.elapsed();
        Ok(())
    }

    /// Records a second.
    fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.took.len()).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64()
    }

    /// The time within which this share (in hundredths) of the records was answered.
    fn percentile(&mut self, hundredths: usize) -> Duration {
        self.took.sort_unstable();
        let at = (self.took.len() * hundredths / 100).min(self.took.len().saturating_sub(1));
        self.took.get(at).copied().unwrap_or_default()
    }
}

fn report(tallies: [Tally; 3]) {
    println!("{:<44}{:>10}{:>12}{:>12}", "", "records/s", "p50", "p99");
    let names = [
        "a transaction a request, 1 connection",
        "a transaction a request, 8 connections",
        "recorder",
    ];
    let mut measured = Vec::new();
    for (name, mut tally) in names.into_iter().zip(tallies) {
        let (p50, p99) = (tally.percentile(50), tally.percentile(99));
        println!(
            "{name:<44}{:>10.0}{:>9.1} ms{:>9.1} ms",
            tally.rate(),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3
        );
        measured.push((tally.rate(), p99));
    }
    if let [one, eight, recorder] = measured[..] {
        let rival = one.0.max(eight.0);
        let p99 = one.1.min(eight.1);
        println!(
            "the recorder writes {:.1} times what the better rival does; p99 {:.1} ms against {:.1} ms",
            recorder.0 / rival,
            recorder.1.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3
        );
    }
}

macro_rules! upsert_on {
    ($name:ident, $connection:ty) => {
        fn $name(conn: &mut $connection, row: Row) -> QueryResult<usize> {
            diesel::insert_into(parts::table)
                .values(row)
                .on_conflict((parts::upload_id, parts::number))
                .do_update()
                .set((
                    parts::size.eq(excluded(parts::size)),
                    parts::etag.eq(excluded(parts::etag)),
                    parts::recorded_at.eq(excluded(parts::recorded_at)),
                ))
                .execute(conn)
        }
    };
}
upsert_on!(sqlite_upsert, SqliteConnection);
upsert_on!(postgres_upsert, PgConnection);

#[derive(Debug)]
struct Pragmas;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(
            "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON",
        )
        .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Connections as the product opens them, but with more patience for their neighbours. Opened when first used, since
/// the product makes the file.
fn sqlite_pool(path: &str, size: u32) -> Pool<ConnectionManager<SqliteConnection>> {
    Pool::builder()
        .max_size(size)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .connection_customizer(Box::new(Pragmas))
        .build_unchecked(ConnectionManager::new(path))
}

/// A new database on the administrator's server, and what that server does before it answers a commit.
fn fresh_postgres(admin: &str) -> Result<(String, String), Failure> {
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let mut conn = PgConnection::establish(admin)?;
    let setting: Setting = diesel::sql_query(
        "SELECT 'fsync=' || current_setting('fsync') || ', synchronous_commit='
             || current_setting('synchronous_commit') AS value",
    )
    .get_result(&mut conn)?;
    let name = format!("bench_{}", std::process::id());
    conn.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
    let (server, _) = admin
        .rsplit_once('/')
        .ok_or("the administrator's URL names a database")?;
    Ok((format!("{server}/{name}"), setting.value))
}

fn sample_upload() -> Upload {
    let (now, size) = (Utc::now(), 60_000 << 20);
    let id = UploadId::generate(now);
    let filename = FileName::new("film.mov").expect("a plain name");
    Upload {
        owner: Owner::named("bench").expect("a plain owner"),
        state: State::Open,
        transfer: Transfer::Direct,
        protocol: "native".into(),
        size,
        content_type: MediaType::default(),
        last_modified: None,
        fingerprint: Fingerprint::new(None, &filename, size, None),
        filename,
        metadata: std::collections::BTreeMap::new(),
        bucket: "bench".into(),
        key: ObjectKey::new(&format!("uploads/{id}/film.mov")).expect("a plain key"),
        multipart_id: Some(format!("multipart-{id}")),
        id,
        part_size: 6 << 20,
        etag: None,
        storage: Backend::S3,
        sha256: None,
        webhook_url: None,
        appending: None,
        cut: Cut::default(),
        client_ip: None,
        bounds: muleteer::domain::Bounds::default(),
        created_at: now,
        updated_at: now,
        expires_at: now + TimeDelta::hours(1),
    }
}

const ETAG: &str = "\"9bb58f26192e4ba00f01e2e7b136bbd8\"";

fn row(id: &UploadId, number: i32) -> Row {
    Row {
        upload_id: id.to_string(),
        number,
        size: 6 << 20,
        etag: Some(ETAG.into()),
        recorded_at: Utc::now().naive_utc(),
    }
}

fn recorded(number: i32) -> Result<RecordedPart, Failure> {
    Ok(RecordedPart {
        number: PartNumber::new(u64::try_from(number)?, "number")?,
        size: 6 << 20,
        etag: Some(ETAG.into()),
        sha256: None,
        checksums: Checksums::default(),
    })
}
