//! What there is to do is counted right, however much of it somebody declares.

use chrono::TimeDelta;
use muleteer::domain::{State, Upload};
use muleteer::metrics::Backlog;

use super::{kept, noon, on_both, open, upload_at};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_not_ended_is_open() {
    on_both(|url| async move {
        let db = open(&url).await;
        assert_eq!(db.backlog(noon()).await.unwrap(), Backlog::default());

        for _ in 0..3 {
            kept(&db, upload_at(noon())).await;
        }
        let ended = kept(&db, upload_at(noon() - TimeDelta::hours(3))).await;
        db.change_state(&ended.id, &[State::Open], State::Aborted, None, noon())
            .await
            .unwrap();

        let backlog = db.backlog(noon()).await.unwrap();
        let expected = Backlog {
            open_uploads: 3,
            open_bytes: 300.0,
            ..Backlog::default()
        };
        assert_eq!(backlog, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_are_too_many_together_are_still_counted() {
    on_both(|url| async move {
        let db = open(&url).await;
        let largest = i64::MAX.unsigned_abs();
        for _ in 0..3 {
            let upload = Upload {
                size: largest,
                ..upload_at(noon())
            };
            kept(&db, upload).await;
        }

        let backlog = db.backlog(noon()).await.unwrap();

        assert_eq!(backlog.open_uploads, 3);
        assert!(backlog.open_bytes > 2.7e19, "{backlog:?}");
    })
    .await;
}
