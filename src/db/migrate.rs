//! Brings the database to the shape that this binary knows.
//!
//! Separate, because it runs once, before anything else may look at a table. The migrations are in the binary;
//! both folders hold the same names.

use diesel::{Connection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::AnyConnection;
use crate::error::{Cause, Error};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The advisory lock that instances queue for; any number does, as long as it is always this one.
const POSTGRES_LOCK: i64 = 0x006d_756c_6574_6565;

/// A migration failed, or the lock round it could not be had.
#[derive(Debug, thiserror::Error)]
#[error("migrating the database: {0}")]
struct Failed(Cause);

impl From<diesel::result::Error> for Failed {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

/// Runs what is pending, all or nothing; instances that start at once take turns, and the later ones find
/// nothing left to do.
///
/// # Errors
/// [`Error::Internal`] with the failed migration's words as its cause.
pub(super) fn migrate(conn: &mut AnyConnection) -> Result<(), Error> {
    let outcome = match conn {
        AnyConnection::Sqlite(c) => c.immediate_transaction(|c| run(c, SQLITE)),
        AnyConnection::Postgres(c) => c.transaction(|c| {
            // Given back at the end of the transaction, also when the connection dies:
            // https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
            diesel::sql_query(format!("SELECT pg_advisory_xact_lock({POSTGRES_LOCK})")).execute(c)?;
            run(c, POSTGRES)
        }),
    };
    outcome.map_err(Error::internal)
}

fn run<B, C>(conn: &mut C, migrations: EmbeddedMigrations) -> Result<(), Failed>
where
    B: diesel::backend::Backend,
    C: MigrationHarness<B>,
{
    let ran = conn.run_pending_migrations(migrations).map_err(Failed)?;
    if !ran.is_empty() {
        tracing::info!(count = ran.len(), "the database was migrated");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::migration::{Migration, MigrationSource};

    use super::*;

    fn names<B: diesel::backend::Backend>(source: &EmbeddedMigrations) -> Vec<String> {
        let migrations: Vec<Box<dyn Migration<B>>> = source.migrations().unwrap();
        let mut names: Vec<String> = migrations.iter().map(|m| m.name().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        let sqlite = names::<diesel::sqlite::Sqlite>(&SQLITE);

        assert!(!sqlite.is_empty());
        assert_eq!(sqlite, names::<diesel::pg::Pg>(&POSTGRES));
    }
}
