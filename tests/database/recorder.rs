//! Part records: durable when answered, together when many, apart when one is bad, back when the database is.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use muleteer::domain::{State, Upload};
use muleteer::error::Error;

use super::{
    kept, noon, on_both, open, part, plain_connection, postgres_url, record, recorded, sqlite_in, upload_at,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_a_restart() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let parts = vec![
            part(2, 5 << 30, None),
            part(10_000, 0, Some("\"b\"")),
            part(1, 10, Some("\"a\"")),
        ];
        record(&db, &upload, parts).await.unwrap();
        drop(db);

        let found = recorded(&open(&url).await, &upload).await;

        let ascending = [
            part(1, 10, Some("\"a\"")),
            part(2, 5 << 30, None),
            part(10_000, 0, Some("\"b\"")),
        ];
        assert_eq!(found, ascending);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_files_before_anything_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_in(folder.path());
    let db = open(&url).await;
    let upload = kept(&db, upload_at(noon())).await;
    record(&db, &upload, vec![part(1, 10, None)]).await.unwrap();

    // What a killed process leaves behind: the file and its log, as they are at this moment.
    let copy = tempfile::tempdir().unwrap();
    for name in ["test.db", "test.db-wal"] {
        std::fs::copy(
            folder.path().join("new/folder").join(name),
            copy.path().join(name),
        )
        .unwrap();
    }

    let crashed = open(&format!("sqlite://{}/test.db", copy.path().display())).await;
    assert_eq!(recorded(&crashed, &upload).await, [part(1, 10, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_recorded_again_replaces_what_was_known_of_it() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;

        record(&db, &upload, vec![part(1, 1, Some("a")), part(1, 2, Some("b"))])
            .await
            .unwrap();
        assert_eq!(recorded(&db, &upload).await, [part(1, 2, Some("b"))]);

        record(&db, &upload, vec![part(1, 3, None)]).await.unwrap();
        assert_eq!(recorded(&db, &upload).await, [part(1, 3, None)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_an_unknown_upload_fails_alone() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let stranger = upload_at(noon());

        let recording: Vec<_> = (1..=200)
            .map(|n| {
                let (db, upload) = (
                    db.clone(),
                    if n % 50 == 0 {
                        stranger.clone()
                    } else {
                        upload.clone()
                    },
                );
                tokio::spawn(async move { record(&db, &upload, vec![part(n, 10, None)]).await })
            })
            .collect();

        let mut refused = 0;
        for recorded in recording {
            match recorded.await.unwrap() {
                Ok(()) => {}
                Err(Error::NotFound("upload")) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(refused, 4);
        assert_eq!(recorded(&db, &upload).await.len(), 196);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_no_store_can_have_taken_is_refused() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;

        for size in [(5 << 30) + 1, u64::MAX] {
            let refused = record(&db, &upload, vec![part(1, size, None)]).await;
            assert!(matches!(refused, Err(Error::Invalid(_))));
        }
        for etag in ["a\0b", "a\nb", &"x".repeat(257)] {
            let refused = record(&db, &upload, vec![part(1, 1, Some(etag))]).await;
            assert!(matches!(refused, Err(Error::Invalid(_))));
        }
        assert!(record(&db, &upload, vec![]).await.is_ok());

        assert!(recorded(&db, &upload).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_waiting_records_are_turned_away_and_the_waiting_ones_are_kept() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let all: Vec<_> = (1..=10_000).map(|n| part(n, 10, None)).collect();
        let mut other = plain_connection(&url);
        other
            .batch_execute(if url.starts_with("sqlite") {
                "BEGIN IMMEDIATE"
            } else {
                "BEGIN; LOCK TABLE parts IN ACCESS EXCLUSIVE MODE"
            })
            .unwrap();

        let waiting: Vec<_> = (0..6)
            .map(|_| {
                let (db, upload, all) = (db.clone(), upload.clone(), all.clone());
                tokio::spawn(async move { record(&db, &upload, all).await })
            })
            .collect();
        let refused = loop {
            let outcome = record(&db, &upload, all.clone());
            match tokio::time::timeout(Duration::from_millis(50), outcome).await {
                // Handed in before the six were; it waits as they do, although nobody listens any more.
                Err(_) | Ok(Ok(())) => {}
                Ok(Err(refused)) => break refused,
            }
        };
        other.batch_execute("ROLLBACK").unwrap();

        assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
        let mut kept = 0;
        for waited in waiting {
            kept += u32::from(waited.await.unwrap().is_ok());
        }
        assert!(kept >= 5, "{kept}");
        assert_eq!(recorded(&db, &upload).await.len(), 10_000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_that_record_the_same_parts_do_not_hinder_each_other() {
    on_both(|url| async move {
        let instances = [open(&url).await, open(&url).await];
        let mut uploads = Vec::new();
        for _ in 0..8 {
            uploads.push(kept(&instances[0], upload_at(noon())).await);
        }

        let recording: Vec<_> = (0..400)
            .map(|n| {
                let (db, upload) = (instances[n % 2].clone(), uploads[n / 2 % 8].clone());
                let number = u64::try_from(n / 16 + 1).unwrap();
                tokio::spawn(async move { record(&db, &upload, vec![part(number, 10, None)]).await })
            })
            .collect();

        for recorded in recording {
            recorded.await.unwrap().unwrap();
        }
        for upload in uploads {
            assert_eq!(recorded(&instances[1], &upload).await.len(), 25);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_keep_their_upload_alive_with_one_write_a_minute() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let done = kept(
            &db,
            Upload {
                state: State::Complete,
                ..upload_at(noon())
            },
        )
        .await;
        let mut seen = Vec::new();

        for seconds in [30, 110, 140, 180] {
            let now = noon() + TimeDelta::seconds(seconds);
            for id in [&upload.id, &done.id] {
                db.record_parts(id, vec![part(1, 10, None)], now, now + TimeDelta::hours(1))
                    .await
                    .unwrap();
            }
            let found = db.find_upload(&upload.id, None).await.unwrap().unwrap();
            assert_eq!(found.expires_at - found.updated_at, TimeDelta::hours(1));
            seen.push((found.updated_at - noon()).num_seconds());
        }

        assert_eq!(seen, [0, 110, 110, 180]);
        let done = db.find_upload(&done.id, None).await.unwrap().unwrap();
        assert_eq!(done.updated_at, noon());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_commits_what_was_handed_in_and_refuses_what_comes_later() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let recording: Vec<_> = (1..=300)
            .map(|n| {
                let (db, upload) = (db.clone(), upload.clone());
                tokio::spawn(async move { record(&db, &upload, vec![part(n, 10, None)]).await })
            })
            .collect();

        db.clone().close().await.unwrap();
        let late = record(&db, &upload, vec![part(9_999, 10, None)]).await;

        assert!(matches!(late, Err(Error::Unavailable { .. })));
        let mut answered = 0;
        for recorded in recording {
            answered += usize::from(recorded.await.unwrap().is_ok());
        }
        assert_eq!(recorded(&db, &upload).await.len(), answered);
        db.close().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_postgres_ends_are_replaced_without_anybody_noticing() {
    let Some(url) = postgres_url().await else {
        return eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip");
    };
    let db = open(&url).await;
    let upload = kept(&db, upload_at(noon())).await;

    for number in 1..=3 {
        end_sessions(&mut *plain_connection(&url));
        record(&db, &upload, vec![part(number, 10, None)]).await.unwrap();
        db.ping().await.unwrap();
    }

    assert_eq!(recorded(&db, &upload).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_records_are_unavailable_and_afterwards_they_go_on() {
    let (Some(url), Some(other)) = (postgres_url().await, postgres_url().await) else {
        return eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip");
    };
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let db = open(&url).await;
    let upload = kept(&db, upload_at(noon())).await;
    let mut admin = plain_connection(&url);
    let mut outside = plain_connection(&other);

    outside
        .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        .unwrap();
    end_sessions(&mut *admin);
    let away = record(&db, &upload, vec![part(1, 10, None)]).await;
    assert!(matches!(away, Err(Error::Unavailable { .. })), "{away:?}");
    assert!(matches!(db.ping().await, Err(Error::Unavailable { .. })));

    outside
        .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        .unwrap();
    record(&db, &upload, vec![part(2, 10, None)]).await.unwrap();
    assert_eq!(recorded(&db, &upload).await, [part(2, 10, None)]);
}

/// Ends every session of this database but the one that asks.
fn end_sessions(conn: &mut dyn SimpleConnection) {
    conn.batch_execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .unwrap();
}
