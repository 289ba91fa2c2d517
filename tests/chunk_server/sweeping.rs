//! The sweeper: one instance at a time, and of leftovers only those that are ours and idle.

use std::time::Duration;

use chrono::TimeDelta;
use muleteer::config::{Config, Secret};

use super::client::Client;
use super::place::{Backend, Place, STORE_SECRET};
use super::server::Kind;
use super::{MIB, everywhere};

/// A server with a database of its own on the store of `first`, which signs with this secret.
fn stranger(first: &Place, secret: &str) -> Place {
    let with_its_store = |config: &mut Config| {
        config.s3.bucket.clone_from(&first.config.dev_s3.bucket);
        config.s3.endpoint.clone_from(&first.store);
        config
            .s3
            .access_key_id
            .clone_from(&first.config.dev_s3.access_key_id);
        config.s3.secret_access_key = Secret::new(STORE_SECRET);
        config.s3.min_part_size = 8;
        config.auth.secret = Secret::new(secret);
    };
    Place::start(Kind::Sqlite, Backend::S3, with_its_store).expect("SQLite is never skipped")
}

#[tokio::test]
async fn of_several_instances_one_sweeps() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let late = client.init("a", MIB + 5).await;
        client.send(&late, 0).await;
        // The first sweep of the server's own is over.
        place.sweep().await;
        place.run_out(&late);
        let (db, now) = (place.database().await, place.clock.now());
        let until = now + TimeDelta::minutes(1);
        assert!(
            db.take_lease("sweeper", "somebody else", now, until)
                .await
                .expect("a lease")
        );

        assert_eq!(place.sweep_beside().await, None);
        assert!(!place.unfinished().await.is_empty());
        // Whoever had it has died, and the lease runs out.
        place.advance(TimeDelta::minutes(1) + TimeDelta::seconds(1));
        let swept = place.sweep_beside().await.expect("a turn");

        assert_eq!(swept.expired, 1);
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        db.close().await.expect("closed");
    })
    .await;
}

#[tokio::test]
async fn two_sweeps_at_once_drop_each_upload_once() {
    everywhere(async |place| {
        let client = Client::of(&place);
        place.sweep().await;
        for _ in 0..5 {
            let late = client.init("a", 5).await;
            client.send(&late, 0).await;
            place.run_out(&late);
        }

        let (one, other) = tokio::join!(place.sweep_beside(), place.sweep_beside());

        let expired = [one, other]
            .into_iter()
            .flatten()
            .map(|swept| swept.expired)
            .sum::<usize>();
        assert_eq!(expired, 5);
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn leftovers_that_are_ours_and_idle_are_dropped_and_no_others() {
    for database in [Kind::Sqlite, Kind::Postgres] {
        super::on(
            database,
            Backend::S3,
            |config| config.uploads.orphan_grace_hours = 1,
            async |place| {
                let ours = stranger(&place, super::place::JWT_SECRET);
                let foreign = stranger(&place, "the-secret-of-an-installation-that-is-not-ours");
                let lost = Client::of(&ours).init("lost.bin", 2 * MIB).await;
                let lost_key = format!("files/{}_lost.bin", lost.id);
                let theirs = Client::of(&foreign).init("theirs.bin", 2 * MIB).await;
                Client::of(&foreign).send(&theirs, 0).await;
                let known = Client::of(&place).init("known.bin", 2 * MIB).await;
                Client::of(&place).send(&known, 0).await;
                drop((ours, foreign));

                // Too young to be a leftover.
                assert_eq!(place.sweep().await.strays, 0);
                assert_eq!(place.unfinished().await.len(), 3);
                // The store's own times do not move with our clock, and it bears a quarter of an hour: so the grace is
                // counted from the database's point of view, by a sweeper for which an hour is nothing.
                let swept = sweep_without_grace(&place).await;

                assert_eq!(swept, 1);
                let left = place.unfinished().await;
                assert!(left.len() == 2 && !left.contains(&lost_key), "{left:?}");
                let client = Client::of(&place);
                client.send(&known, 1).await;
                client.finish(&known).await;
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_leftover_with_recent_activity_is_let_be() {
    let place = Place::start(Kind::Sqlite, Backend::S3, |_| {}).expect("SQLite is never skipped");
    let ours = stranger(&place, super::place::JWT_SECRET);
    let client = Client::of(&ours);
    let (idle, active) = (
        client.init("idle.bin", 2 * MIB).await,
        client.init("active.bin", 2 * MIB).await,
    );
    // Activity is dated by the store, so time has to pass for it.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.send(&active, 0).await;
    drop(ours);
    // With no grace at all everything is old; a clock that is a second behind makes the last second recent.
    place.advance(-TimeDelta::milliseconds(1500));

    let swept = sweep_without_grace(&place).await;

    let left = place.unfinished().await;
    assert_eq!((swept, left.len()), (1, 1), "{left:?}");
    assert!(
        left[0].contains(&active.id) && !left[0].contains(&idle.id),
        "{left:?}"
    );
}

/// Sweeps as a process whose grace is nothing.
async fn sweep_without_grace(place: &Place) -> usize {
    let mut config = super::place::beside(place);
    config.uploads.orphan_grace_hours = 0;
    for _ in 0..1000 {
        let swept = muleteer::app::sweep(&config, place.clock.clone())
            .await
            .expect("a sweep");
        if let Some(swept) = swept {
            return swept.strays;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("somebody else sweeps for ever");
}
