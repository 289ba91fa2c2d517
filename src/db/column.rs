//! Values between the domain and the columns that hold them.
//!
//! Separate, so that every number and every time is converted with the same checks, and none with `as`.

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Utc};

use crate::error::Error;

/// A count of bytes for a column; both databases end at 2^63 - 1.
///
/// # Errors
/// [`Error::TooLarge`] above that.
pub(super) fn from_bytes(bytes: u64) -> Result<i64, Error> {
    i64::try_from(bytes).map_err(|_| Error::TooLarge {
        limit: i64::MAX.unsigned_abs(),
        size: bytes,
    })
}

/// A count of bytes from a column.
///
/// # Errors
/// [`Error::Internal`] for a negative number, which the tables' checks rule out.
pub(super) fn to_bytes(column: i64) -> Result<u64, Error> {
    u64::try_from(column).map_err(Error::internal)
}

/// A time for a column, cut to the whole microseconds that Postgres keeps.
pub(super) fn from_time(time: DateTime<Utc>) -> NaiveDateTime {
    time.naive_utc().trunc_subsecs(6)
}

/// A time from a column.
pub(super) fn to_time(column: NaiveDateTime) -> DateTime<Utc> {
    column.and_utc()
}

/// A time that a client claimed.
///
/// # Errors
/// [`Error::Invalid`] naming `field` outside the years 1 to 9999, where the text of a time no longer sorts.
pub(super) fn from_claimed_time(time: DateTime<Utc>, field: &str) -> Result<NaiveDateTime, Error> {
    if (1..=9999).contains(&time.year()) {
        Ok(from_time(time))
    } else {
        Err(Error::invalid(field, "a time lies in the years 1 to 9999"))
    }
}

/// Whether any column can hold this text: Postgres keeps no NUL in one, and calls even the search for it an error.
pub(super) fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_column_are_refused_and_never_wrap() {
        assert_eq!(to_bytes(from_bytes(1 << 62).unwrap()).unwrap(), 1 << 62);
        assert!(matches!(from_bytes(u64::MAX), Err(Error::TooLarge { .. })));
        assert!(matches!(to_bytes(-1), Err(Error::Internal(_))));
    }

    #[test]
    fn times_lose_what_is_below_a_microsecond_and_nothing_else() {
        let time: DateTime<Utc> = "2026-01-02T03:04:05.123456789Z".parse().unwrap();

        let kept = to_time(from_time(time));

        assert_eq!(kept.to_rfc3339(), "2026-01-02T03:04:05.123456+00:00");
    }

    #[test]
    fn a_claimed_year_that_would_not_sort_is_refused_by_name() {
        let far: DateTime<Utc> = "+10000-01-01T00:00:00Z".parse().unwrap();

        let refused = from_claimed_time(far, "last_modified").unwrap_err().to_string();

        assert!(refused.starts_with("last_modified: "), "{refused}");
    }
}
