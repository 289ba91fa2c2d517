//! Which database a URL means.
//!
//! Separate, because a mistyped URL must stop the start with a clear word instead of quietly becoming a new
//! SQLite file, and because a URL may hold a password that must reach neither a log nor an error.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::FieldError;

/// Seconds that one attempt to reach Postgres may take; libpq's own default is to wait for ever.
const CONNECT_TIMEOUT_S: u32 = 5;

/// Milliseconds after which data that Postgres has not acknowledged means that it is gone.
const UNACKNOWLEDGED_MS: u32 = 15_000;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file; it and its folder are created when missing.
    Sqlite(PathBuf),
    /// A connection URL for libpq:
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads `sqlite://PATH` (a third slash makes the path absolute), `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// [`FieldError`] on `database.url` for anything else, without repeating the URL.
    pub fn parse(url: &str) -> Result<Self, FieldError> {
        let refused = |detail: String| Err(FieldError::new("database.url", detail));
        if url.contains('\0') {
            return refused("a database URL holds no NUL character".into());
        }
        match url.split_once("://") {
            Some(("sqlite", "")) => refused("name a file, as sqlite://data/muleteer.db".into()),
            Some(("sqlite", path)) if path.starts_with(":memory:") => {
                refused("a database in memory would be another one for each connection; name a file".into())
            }
            // The leading dot keeps a relative name from being read as a URI by SQLite ("file:...").
            Some(("sqlite", path)) => Ok(Self::Sqlite(Path::new(".").join(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(with_time_limits(url))),
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => refused(format!(
                "begins with sqlite:// or postgres://, not with {scheme}://"
            )),
            _ => refused("begins with sqlite:// or postgres://".into()),
        }
    }
}

/// Adds our limits on waiting, unless the operator set others.
fn with_time_limits(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [
        ("connect_timeout", CONNECT_TIMEOUT_S),
        ("tcp_user_timeout", UNACKNOWLEDGED_MS),
    ] {
        if !url.contains(&format!("{name}=")) {
            let joint = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{joint}{name}={value}");
        }
    }
    url
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "Sqlite({})", path.display()),
            Self::Postgres(_) => f.write_str("Postgres(***)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_alone_decides_which_database_it_is() {
        assert_eq!(
            DatabaseUrl::parse("sqlite://data/m.db").unwrap(),
            DatabaseUrl::Sqlite("./data/m.db".into())
        );
        assert_eq!(
            DatabaseUrl::parse("sqlite:///var/m.db").unwrap(),
            DatabaseUrl::Sqlite("/var/m.db".into())
        );
        for url in ["postgres://u@h/d", "postgresql://h/d?sslmode=require"] {
            assert!(matches!(DatabaseUrl::parse(url), Ok(DatabaseUrl::Postgres(_))));
        }
    }

    #[test]
    fn a_mistyped_url_is_refused_and_its_password_is_not_repeated() {
        for url in [
            "",
            "data.db",
            "mysql://u:secret@h/d",
            "host=h password=secret",
            "postgres:/h secret",
            "sqlite://",
            "sqlite://:memory:",
            "u:secret@h://x",
        ] {
            let refused = DatabaseUrl::parse(url).unwrap_err();
            assert_eq!(refused.field, "database.url");
            assert!(!refused.detail.contains("secret"), "{refused:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_password() {
        let url = DatabaseUrl::parse("postgres://u:secret@h/d").unwrap();

        assert_eq!(format!("{url:?}"), "Postgres(***)");
    }

    #[test]
    fn waiting_for_postgres_is_bounded_unless_the_operator_set_a_limit() {
        let limited = |url| match DatabaseUrl::parse(url) {
            Ok(DatabaseUrl::Postgres(url)) => url,
            other => panic!("{other:?}"),
        };

        assert_eq!(
            limited("postgres://h/d"),
            "postgres://h/d?connect_timeout=5&tcp_user_timeout=15000"
        );
        assert_eq!(
            limited("postgres://h/d?connect_timeout=2"),
            "postgres://h/d?connect_timeout=2&tcp_user_timeout=15000"
        );
    }
}
