//! One connection to either database.
//!
//! Separate from the queries, because all that differs between SQLite and Postgres before the first query is
//! here: how to connect, the pragmas, how a writing transaction begins, and how to tell that a connection died.

use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{self, ManageConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, SqliteConnection};

use super::url::DatabaseUrl;
use crate::error::Error;

/// How long SQLite waits for another writer before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to either database; a query on it is written once.
///
/// What the derive cannot express (`on_conflict`, inserting several rows) goes through [`on_backend!`].
#[derive(diesel::MultiConnection)]
pub(super) enum AnyConnection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Repeats one expression for each database, with the database's own connection under the given name.
macro_rules! on_backend {
    ($conn:expr, |$inner:ident| $body:expr) => {
        match $conn {
            $crate::db::connection::AnyConnection::Sqlite($inner) => $body,
            $crate::db::connection::AnyConnection::Postgres($inner) => $body,
        }
    };
}
pub(super) use on_backend;

/// Opens connections for the pool and for the recorder.
///
/// The derived `establish` of [`AnyConnection`] is never used: it tries each database in turn, hides why
/// Postgres refused, and turns a mistyped URL into a new SQLite file.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
}

impl Connector {
    /// Connects to `url`; nothing is opened yet, but the folder of a SQLite file is there afterwards.
    ///
    /// # Errors
    /// [`Error::Internal`] where the folder cannot be made.
    pub(super) fn new(url: DatabaseUrl) -> Result<Self, Error> {
        if let DatabaseUrl::Sqlite(path) = &url
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder)
                .map_err(|cause| Error::internal(format!("cannot create {}: {cause}", folder.display())))?;
            make_private(path);
        }
        Ok(Self { url })
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the database's own words as its cause.
    pub(super) fn open(&self) -> Result<AnyConnection, Error> {
        self.connect()
            .map_err(|cause| Error::unavailable("the database", cause))
    }
}

/// Makes a new database file for our eyes only, since secrets are kept in it; what SQLite puts beside it takes after it.
/// Where this fails, opening it says why.
fn make_private(path: &std::path::Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

impl ManageConnection for Connector {
    type Connection = AnyConnection;
    type Error = r2d2::Error;

    fn connect(&self) -> Result<AnyConnection, r2d2::Error> {
        let connected = match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let path = path
                    .to_str()
                    .ok_or_else(|| ConnectionError::BadConnection("the path is no UTF-8".into()))
                    .map_err(r2d2::Error::ConnectionError)?;
                SqliteConnection::establish(path).map(AnyConnection::Sqlite)
            }
            DatabaseUrl::Postgres(url) => PgConnection::establish(url).map(AnyConnection::Postgres),
        };
        let mut conn = connected.map_err(r2d2::Error::ConnectionError)?;
        if let AnyConnection::Sqlite(sqlite) = &mut conn {
            set_pragmas(sqlite).map_err(r2d2::Error::QueryError)?;
        }
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut AnyConnection) -> Result<(), r2d2::Error> {
        match conn {
            // A file does not go away; asking would be one more query for each request.
            AnyConnection::Sqlite(_) => Ok(()),
            AnyConnection::Postgres(postgres) => postgres.ping().map_err(r2d2::Error::QueryError),
        }
    }

    fn has_broken(&self, conn: &mut AnyConnection) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}

/// The busy time-out comes first, so that the pragmas after it wait too.
///
/// `synchronous=FULL` makes a commit durable before it returns, which in WAL mode `NORMAL` does not:
/// <https://www.sqlite.org/pragma.html#pragma_synchronous>.
fn set_pragmas(conn: &mut SqliteConnection) -> QueryResult<()> {
    conn.batch_execute(&format!("PRAGMA busy_timeout = {}", BUSY_TIMEOUT.as_millis()))?;
    // Two processes that open a new file at once both turn WAL on, and SQLite answers the slower one "locked"
    // at once, whatever the busy time-out.
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL") {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => break outcome?,
        }
    }
    conn.batch_execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
}

/// Runs several statements that write, all or nothing.
///
/// On SQLite it takes the write lock at once: a transaction that reads first and writes later fails as
/// "locked" whatever the busy time-out is: <https://www.sqlite.org/lang_transaction.html>.
pub(super) fn write_transaction<T>(
    conn: &mut AnyConnection,
    work: impl FnOnce(&mut AnyConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    match conn {
        AnyConnection::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?,
        AnyConnection::Postgres(c) => AnsiTransactionManager::begin_transaction(c)?,
    }
    match work(conn) {
        Ok(value) => {
            on_backend!(conn, |c| AnsiTransactionManager::commit_transaction(c))?;
            Ok(value)
        }
        Err(error) => {
            // The first failure says more than a failed rollback, which the pool notices by itself.
            let _ = on_backend!(conn, |c| AnsiTransactionManager::rollback_transaction(c));
            Err(error)
        }
    }
}

/// Whether SQLite gave up waiting for another writer.
pub(super) fn is_locked(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(_, info) => info.message().contains("database is locked"),
        _ => false,
    }
}

/// Whether this connection still answers.
pub(super) fn is_alive(conn: &mut AnyConnection) -> bool {
    !conn.is_broken() && conn.ping().is_ok()
}

/// What a failed query on `conn` means to the one who asked.
pub(super) fn explain(error: QueryError, conn: &mut AnyConnection) -> Error {
    let gone = matches!(
        &error,
        QueryError::BrokenTransactionManager
            | QueryError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _
            )
    );
    if gone || is_locked(&error) || !is_alive(conn) {
        Error::unavailable("the database", error)
    } else {
        Error::internal(error)
    }
}
