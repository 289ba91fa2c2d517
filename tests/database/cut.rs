//! Uploads that clients cut themselves: keys that are claimed, ids that are learnt late, sizes that are known last.

use chrono::TimeDelta;
use muleteer::db::Room;
use muleteer::domain::{Cut, LogKind, ObjectKey, State, Upload};

use super::{kept, noon, on_both, open, owner, upload_at};

/// An upload of anna's that its client begins itself, under this key.
fn born(key: &str) -> Upload {
    Upload {
        key: ObjectKey::path(key).unwrap(),
        multipart_id: None,
        size: 0,
        part_size: 0,
        cut: Cut::Browser,
        ..upload_at(noon())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_that_claim_a_key_at_once_one_has_it_and_it_is_free_again_once_nothing_came_of_it() {
    on_both(async |url| {
        let db = open(&url).await;
        let claims = (0..8).map(|_| db.claim_key(born("in/clip é.mp4"), Room::default(), Vec::new()));
        let won: Vec<bool> = futures_util::future::join_all(claims)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1);

        let holder = db.find_by_key(Some(&owner("anna")), "in/clip é.mp4").await;
        let holder = holder.unwrap().unwrap();
        let from = [State::Open];
        assert!(
            db.change_state(&holder.id, &from, State::Aborted, None, noon())
                .await
                .unwrap()
        );

        assert!(
            db.claim_key(born("in/clip é.mp4"), Room::default(), Vec::new())
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_anybody_else_ever_had_is_known_as_such() {
    on_both(async |url| {
        let db = open(&url).await;
        let upload = kept(&db, born("in/a")).await;
        db.change_state(&upload.id, &[State::Open], State::Aborted, None, noon())
            .await
            .unwrap();

        assert!(db.is_key_of_others(&owner("bert"), "in/a").await.unwrap());
        assert!(!db.is_key_of_others(&owner("anna"), "in/a").await.unwrap());
        assert!(!db.is_key_of_others(&owner("bert"), "in/b").await.unwrap());
        assert!(
            db.find_by_key(Some(&owner("bert")), "in/a")
                .await
                .unwrap()
                .is_none()
        );
        assert!(db.find_by_key(None, "in/\0").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_bound_in_place_of_the_one_that_was_known_and_of_no_other() {
    on_both(async |url| {
        let db = open(&url).await;
        let id = kept(&db, born("in/a")).await.id;

        assert!(db.bind_multipart(&id, None, "first").await.unwrap());
        assert!(!db.bind_multipart(&id, None, "late").await.unwrap());
        assert!(db.bind_multipart(&id, Some("first"), "second").await.unwrap());
        let now = db.find_upload(&id, None).await.unwrap().unwrap();
        assert_eq!(now.multipart_id.as_deref(), Some("second"));

        let ours = kept(&db, upload_at(noon())).await;
        let known = ours.multipart_id.as_deref();
        assert!(!db.bind_multipart(&ours.id, known, "x").await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_out_begins_again_behind_its_id_and_what_was_given_up_does_not() {
    on_both(async |url| {
        let db = open(&url).await;
        let later = noon() + TimeDelta::days(8);
        for (state, begins) in [
            (State::Expired, true),
            (State::Open, true),
            (State::Aborted, true),
        ] {
            let own = Upload {
                cut: Cut::Client,
                state,
                ..upload_at(noon())
            };
            let upload = kept(&db, own).await;

            let room = Room::default();
            let begun = db.begin_again(&upload, "new", later, later + TimeDelta::days(7), room);

            assert_eq!(begun.await.unwrap(), begins, "{state}");
            let now = db.find_upload(&upload.id, None).await.unwrap().unwrap();
            assert_eq!(now.multipart_id.as_deref() == Some("new"), begins);
            assert_eq!(now.state, if begins { State::Open } else { state });
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_is_learnt_of_what_clients_cut_and_never_changed_of_what_we_cut() {
    on_both(async |url| {
        let db = open(&url).await;
        let born = kept(&db, born("in/a")).await;
        let ours = kept(&db, upload_at(noon())).await;
        assert_eq!(born.known_size(), None);

        for upload in [&born, &ours] {
            db.measure_upload(&upload.id, 25, 10).await.unwrap();
        }

        let now = db.find_upload(&born.id, None).await.unwrap().unwrap();
        assert_eq!((now.size, now.part_size, now.plan().part_count()), (25, 10, 3));
        assert_eq!(db.find_upload(&ours.id, None).await.unwrap().unwrap().size, 100);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_looked_at_again_waits_for_its_time_and_for_the_latest_one_that_was_noted() {
    on_both(async |url| {
        let db = open(&url).await;
        let [one, other] = ["in/a", "in/b"].map(born);
        let (one, other) = (kept(&db, one).await.id, kept(&db, other).await.id);
        let at = |minutes| noon() + TimeDelta::minutes(minutes);
        let due = async |now| {
            let due = db.due_rechecks(now, 10, 0).await.unwrap();
            due.into_iter().map(|upload| upload.id).collect::<Vec<_>>()
        };
        db.note_recheck(&one, at(5)).await.unwrap();
        db.note_recheck(&other, at(6)).await.unwrap();
        assert_eq!(due(at(4)).await, []);
        assert_eq!(due(at(5)).await, std::slice::from_ref(&one));
        assert_eq!(due(at(6)).await.len(), 2);
        assert_eq!(db.due_rechecks(at(6), 1, 1).await.unwrap()[0].id, other);

        db.note_recheck(&one, at(9)).await.unwrap();
        for id in [&one, &other] {
            db.settle_recheck(id, at(6)).await.unwrap();
        }

        assert_eq!(due(at(99)).await, [one]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_an_upload_is_complete_is_taken_back_once_with_all_that_was_known_of_its_bytes() {
    on_both(async |url| {
        let db = open(&url).await;
        let id = kept(&db, born("in/a")).await.id;
        let at = |minutes| noon() + TimeDelta::minutes(minutes);
        let why = || "other bytes".to_owned();
        assert!(!db.take_back(&id, why(), at(1), at(9)).await.unwrap());
        let tag = Some("\"a\"".to_owned());
        db.complete_upload(&id, &[State::Open], tag.clone(), None, at(2))
            .await
            .unwrap();
        let complete = db.find_upload(&id, None).await.unwrap().unwrap();
        let receipt = async |of: &Upload| db.keep_receipt(of, "a receipt".into()).await.unwrap();
        let other = Upload {
            etag: Some("\"b\"".to_owned()),
            ..complete.clone()
        };
        assert_eq!(receipt(&other).await, None, "it is of another object");
        assert!(receipt(&complete).await.is_some());
        assert!(!db.awaits_recheck(&id).await.unwrap());
        db.note_recheck(&id, at(5)).await.unwrap();
        assert!(db.awaits_recheck(&id).await.unwrap());
        let until = db.find_upload(&id, None).await.unwrap().unwrap().expires_at + TimeDelta::days(1);

        assert!(db.take_back(&id, why(), at(3), until).await.unwrap());

        let upload = db.find_upload(&id, None).await.unwrap().unwrap();
        assert_eq!((upload.state, &upload.etag), (State::Completing, &tag));
        assert!(upload.was_announced());
        assert_eq!((upload.updated_at, upload.expires_at), (at(3), until));
        assert_eq!(receipt(&complete).await, None);
        assert_eq!(db.integrity(&id).await.unwrap().receipt, None);
        let log = db.log_of(&id).await.unwrap();
        let last = log.last().unwrap();
        assert_eq!(
            (last.kind, last.detail.reason.clone()),
            (LogKind::Replaced, Some(why()))
        );
        assert!(!db.take_back(&id, why(), at(4), until).await.unwrap());
    })
    .await;
}
