//! Uploads looked up again and again: what this process changes shows at once, and what another one changes soon.

use std::time::Duration;

use chrono::TimeDelta;
use muleteer::domain::State;

use super::{kept, noon, on_both, open, owner, upload_at};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_told_to_its_owner_alone() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let (anna, eve) = (owner("anna"), owner("eve"));

        for _ in 0..2 {
            let asked = db.find_recent_upload(&upload.id, Some(&eve)).await.unwrap();
            assert!(asked.is_none());
            let asked = db.find_recent_upload(&upload.id, Some(&anna)).await.unwrap();
            assert_eq!(asked.unwrap().key, upload.key);
            let asked = db.find_recent_upload(&upload.id, None).await.unwrap();
            assert_eq!(asked.unwrap().owner, anna);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_process_changes_shows_at_once() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let now = noon() + TimeDelta::minutes(2);
        let seen = async || db.find_recent_upload(&upload.id, None).await.unwrap().unwrap();

        assert_eq!(seen().await.updated_at, noon());
        assert!(
            db.touch(&upload.id, now, now + TimeDelta::hours(1))
                .await
                .unwrap()
        );
        assert_eq!(seen().await.updated_at, now);
        let from = [State::Open];
        assert!(
            db.change_state(&upload.id, &from, State::Completing, None, now)
                .await
                .unwrap()
        );
        assert_eq!(seen().await.state, State::Completing);
        let from = [State::Completing];
        assert!(
            db.complete_upload(&upload.id, &from, None, None, now)
                .await
                .unwrap()
        );
        assert_eq!(seen().await.state, State::Complete);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_changes_shows_soon() {
    on_both(|url| async move {
        let (ours, theirs) = (open(&url).await, open(&url).await);
        let upload = kept(&ours, upload_at(noon())).await;
        let seen = async || ours.find_recent_upload(&upload.id, None).await.unwrap().unwrap();
        seen().await;

        let from = [State::Open];
        assert!(
            theirs
                .change_state(&upload.id, &from, State::Aborted, None, noon())
                .await
                .unwrap()
        );

        let told = async {
            while seen().await.state != State::Aborted {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    })
    .await;
}
