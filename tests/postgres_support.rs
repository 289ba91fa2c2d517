//! Checks the tests' own PostgreSQL: a separate binary, because every other one only borrows it.

#[path = "support/postgres.rs"]
mod postgres;

use diesel::{Connection, PgConnection, RunQueryDsl};

#[test]
fn every_call_gives_an_empty_database_of_its_own() {
    let (Some(first), Some(second)) = (postgres::fresh_database(), postgres::fresh_database()) else {
        return; // skipped on purpose, and scripts/test has said so
    };
    assert_ne!(first, second);
    let create = "CREATE TABLE only_here (id INTEGER)";
    for url in [&first, &second] {
        let mut connection = PgConnection::establish(url).expect("a fresh database takes connections");

        let created = diesel::sql_query(create).execute(&mut connection);

        assert!(created.is_ok(), "the table was there already: {created:?}");
    }
}

#[test]
fn databases_can_be_made_from_many_threads_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(postgres::fresh_database))
        .collect();

    let urls: std::collections::HashSet<_> = threads
        .into_iter()
        .map(|thread| thread.join().expect("no thread fails"))
        .collect();

    assert!(urls.len() == 8 || urls.contains(&None), "{urls:?}");
}
