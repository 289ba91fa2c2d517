//! A real, throw-away PostgreSQL for the tests, one server for a whole test binary and one database for each test.
//!
//! It is a file of its own so that the tests beside the code and those in `tests/` take the same one
//! (`#[path = "…/support/postgres.rs"] mod postgres;`); hence it uses nothing but `diesel` and the standard library.
//!
//! Where the server comes from, in this order:
//! 1. `MULETEER_TEST_POSTGRES_URL`: an administrator's URL. `scripts/test` starts one server for all test binaries.
//! 2. `scripts/postgres`, started by the first test that asks. It watches this process and ends with it.
//!
//! `MULETEER_TEST_POSTGRES=skip` says that there is none and that this is known (`scripts/test fast` on a machine
//! without it, which also says so aloud). In every other case a missing server fails the test: a test that leaves
//! out half of itself without a word proves nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::{Connection, PgConnection, RunQueryDsl};

/// The URL of a new, empty database that nobody else knows; `None` only where PostgreSQL is skipped on purpose.
///
/// Blocks for the start of the server (about a second, once) and for `CREATE DATABASE` (about 50 ms).
///
/// # Panics
/// When PostgreSQL is neither reachable nor skipped; the message says what to install.
#[must_use]
pub fn fresh_database() -> Option<String> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let admin_url = admin_url()?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}{}_{number}", of_this_machine(), std::process::id());
    let mut admin = PgConnection::establish(admin_url).expect("the test PostgreSQL takes connections");
    // A server given from outside may still have the database of an earlier process with our number. `template0`,
    // because a session in `template1` (somebody's psql) would block the copy.
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} TEMPLATE template0"),
    ] {
        diesel::sql_query(statement)
            .execute(&mut admin)
            .expect("the administrator may create databases");
    }
    Some(with_database(admin_url, &name))
}

/// The administrator's URL, found or started once a process; `None` where PostgreSQL is skipped on purpose.
fn admin_url() -> Option<&'static str> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    URL.get_or_init(|| {
        if std::env::var("MULETEER_TEST_POSTGRES").is_ok_and(|value| value == "skip") {
            return None;
        }
        let Ok(url) = std::env::var("MULETEER_TEST_POSTGRES_URL") else {
            return Some(start_server());
        };
        // Beside the tests: a thousand databases of some megabytes are more disk than many a machine has to spare.
        let server = url.clone();
        std::thread::spawn(move || drop_left_over(&server));
        Some(url)
    })
    .as_deref()
}

/// What the names of all our databases begin with: others may test with the same server.
fn of_this_machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("test_{}_", boot.get(..8).unwrap_or("any"))
}

/// Drops the databases of this machine's earlier test binaries. A process that goes on, or a session that somebody still
/// has, keeps its database.
fn drop_left_over(server: &str) {
    #[derive(diesel::QueryableByName)]
    struct Database {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    // Without it nobody can say which processes go on.
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    let ours = of_this_machine();
    let listing =
        format!("SELECT datname::text AS name FROM pg_database WHERE starts_with(datname::text, '{ours}')");
    let Ok(mut admin) = PgConnection::establish(server) else {
        return;
    };
    let databases: Vec<Database> = diesel::sql_query(listing).load(&mut admin).unwrap_or_default();
    for Database { name } in databases {
        let process = name[ours.len()..].split('_').next().unwrap_or_default();
        if !processes.join(process).exists() {
            let _ = diesel::sql_query(format!("DROP DATABASE IF EXISTS {name}")).execute(&mut admin);
        }
    }
}

/// Starts a server that ends with this process, and returns its administrator's URL.
fn start_server() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let directory = std::env::temp_dir().join(format!("muleteer-postgres-{}", std::process::id()));
    let output = Command::new(&script)
        .arg("start")
        .arg(&directory)
        .args(["0", "--while", &std::process::id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/postgres can be started");
    assert!(
        output.status.success(),
        "scripts/postgres could not start a server. Install PostgreSQL (Debian: apt-get install postgresql), or set \
         MULETEER_TEST_POSTGRES=skip to run the database tests on SQLite alone."
    );
    String::from_utf8(output.stdout)
        .expect("a URL is text")
        .trim()
        .to_owned()
}

/// `url` with its database (the path) replaced by `name`; the query, if any, stays.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, None), |(address, query)| (address, Some(query)));
    let authority_start = address.find("://").map_or(0, |at| at + 3);
    let authority_end = address[authority_start..]
        .find('/')
        .map_or(address.len(), |at| authority_start + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..authority_end])
}
