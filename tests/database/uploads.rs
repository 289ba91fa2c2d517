//! Uploads: what is kept, whose they are, and who wins a change of state.

use std::collections::HashSet;

use chrono::TimeDelta;
use muleteer::db::Room;
use muleteer::domain::{
    Appending, Bounds, FileName, Fingerprint, MediaType, NewAppending, Owner, State, Transfer, Upload,
    UploadId,
};
use muleteer::error::Error;
use uuid::Uuid;

use super::{asking, kept, noon, on_both, open, owner, upload_at};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_comes_back_exactly_as_it_was_kept() {
    on_both(|url| async move {
        let db = open(&url).await;
        let mut odd = upload_at(noon());
        odd.owner = Owner::visitor(&Uuid::from_u128(7));
        odd.transfer = Transfer::Relay;
        odd.filename = FileName::new("na\u{ef}ve '日本' %\\ \".bin").unwrap();
        odd.size = i64::MAX.unsigned_abs();
        odd.part_size = 5 << 30;
        odd.content_type = MediaType::new("video/mp4; codecs=avc1").unwrap();
        odd.last_modified = Some("1969-12-31T23:59:59.9999999Z".parse().unwrap());
        odd.metadata = [
            ("a\0b".into(), "\u{1f600}".into()),
            (String::new(), String::new()),
        ]
        .into();
        odd.multipart_id = None;
        odd.etag = Some("\"etag-1\"".into());
        odd.bounds = Bounds {
            max_size: Some(i64::MAX.unsigned_abs()),
            types: Some(vec!["video/*".into()]),
            key_prefix: Some("anna/".into()),
            ..Bounds::default()
        };

        for upload in [kept(&db, upload_at(noon())).await, kept(&db, odd).await] {
            let mut found = db.find_upload(&upload.id, None).await.unwrap().unwrap();

            // The databases keep microseconds.
            let kept = upload.last_modified.map(|time| time.timestamp_micros());
            assert_eq!(found.last_modified.map(|time| time.timestamp_micros()), kept);
            found.last_modified = upload.last_modified;
            assert_eq!(format!("{found:?}"), format!("{upload:?}"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_column_holds_is_refused_and_nothing_is_kept() {
    on_both(|url| async move {
        let db = open(&url).await;
        let mut too_large = upload_at(noon());
        too_large.size = u64::MAX;
        let mut too_late = upload_at(noon());
        too_late.last_modified = Some("+10000-01-01T00:00:00Z".parse().unwrap());

        let refused = db.insert_upload(too_large, Room::default()).await;
        assert!(matches!(refused, Err(Error::TooLarge { size: u64::MAX, .. })));
        let refused = db.insert_upload(too_late, Room::default()).await.unwrap_err();
        assert!(refused.to_string().starts_with("last_modified: "));

        assert!(db.list_uploads(asking(|_| {})).await.unwrap().uploads.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_owner_finds_nothing() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let (anna, eve) = (owner("anna"), owner("eve"));
        let (key, multipart) = (upload.key.as_str(), upload.multipart_id.as_deref().unwrap());

        assert!(db.find_upload(&upload.id, Some(&anna)).await.unwrap().is_some());
        assert!(db.find_upload(&upload.id, Some(&eve)).await.unwrap().is_none());
        let found = async |who| db.find_by_multipart(who, key, multipart).await.unwrap().is_some();
        assert!(found(Some(&anna)).await && found(None).await);
        assert!(!found(Some(&eve)).await);
        let elsewhere = db
            .find_by_multipart(None, "another/key", multipart)
            .await
            .unwrap();
        assert!(elsewhere.is_none());
        let same_file = async |who| db.find_resumable(who, &upload.fingerprint, noon()).await.unwrap();
        assert!(same_file(&anna).await.is_some());
        assert!(same_file(&eve).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_change_a_state_at_once_exactly_one_does_it() {
    on_both(|url| async move {
        let instances = [open(&url).await, open(&url).await];
        let upload = kept(&instances[0], upload_at(noon())).await;

        let racing: Vec<_> = (0..32)
            .map(|n| {
                let (db, id) = (instances[n % 2].clone(), upload.id.clone());
                tokio::spawn(async move {
                    db.change_state(&id, &[State::Open], State::Completing, None, noon())
                        .await
                        .unwrap()
                })
            })
            .collect();

        let mut winners = 0;
        for racer in racing {
            winners += u32::from(racer.await.unwrap());
        }
        assert_eq!(winners, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_changes_only_from_where_the_caller_believes_it_to_be() {
    on_both(|url| async move {
        let db = open(&url).await;
        let id = kept(&db, upload_at(noon())).await.id;
        let later = noon() + TimeDelta::minutes(5);
        let unfinished = [State::Open, State::Completing];

        let done = db.complete_upload(&id, &unfinished, Some("\"e\"".into()), None, later);
        assert!(done.await.unwrap());
        for from in [&unfinished[..], &[]] {
            let late = db.change_state(&id, from, State::Aborted, None, noon());
            assert!(!late.await.unwrap());
        }
        let unknown = UploadId::generate(noon());
        let missing = db.change_state(&unknown, &unfinished, State::Aborted, None, noon());
        assert!(!missing.await.unwrap());

        let upload = db.find_upload(&id, None).await.unwrap().unwrap();
        assert_eq!((upload.state, upload.updated_at), (State::Complete, later));
        assert_eq!(upload.etag.as_deref(), Some("\"e\""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_on_with_its_newest_upload_that_can() {
    on_both(|url| async move {
        let db = open(&url).await;
        let at = |minutes| noon() + TimeDelta::minutes(minutes);
        let oldest = kept(&db, upload_at(at(0))).await;
        let newest = kept(
            &db,
            Upload {
                state: State::Completing,
                ..upload_at(at(1))
            },
        )
        .await;
        for ended in [State::Complete, State::Aborted, State::Expired, State::Failed] {
            kept(
                &db,
                Upload {
                    state: ended,
                    ..upload_at(at(2))
                },
            )
            .await;
        }
        kept(
            &db,
            Upload {
                expires_at: at(3),
                ..upload_at(at(3))
            },
        )
        .await;
        let other_file = Fingerprint::new(Some("other"), &oldest.filename, 100, None);
        kept(
            &db,
            Upload {
                fingerprint: other_file,
                ..upload_at(at(2))
            },
        )
        .await;
        let found = async |now| {
            let found = db
                .find_resumable(&owner("anna"), &oldest.fingerprint, now)
                .await
                .unwrap();
            found.map(|upload| upload.id)
        };

        assert_eq!(found(at(3)).await, Some(newest.id));
        assert_eq!(found(at(61)).await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_moves_the_expiry_of_unfinished_uploads_alone() {
    on_both(|url| async move {
        let db = open(&url).await;
        let alive = kept(&db, upload_at(noon())).await.id;
        let done = kept(
            &db,
            Upload {
                state: State::Complete,
                ..upload_at(noon())
            },
        )
        .await
        .id;
        let (now, until) = (noon() + TimeDelta::hours(2), noon() + TimeDelta::hours(9));

        assert!(db.touch(&alive, now, until).await.unwrap());
        assert!(!db.touch(&done, now, until).await.unwrap());

        let alive = db.find_upload(&alive, None).await.unwrap().unwrap();
        assert_eq!((alive.updated_at, alive.expires_at), (now, until));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_gets_the_longest_overdue_first_and_no_finished_ones() {
    on_both(|url| async move {
        let db = open(&url).await;
        let until = |hours| noon() + TimeDelta::hours(hours);
        let second = kept(
            &db,
            Upload {
                expires_at: until(2),
                ..upload_at(noon())
            },
        )
        .await
        .id;
        let first = kept(
            &db,
            Upload {
                expires_at: until(1),
                ..upload_at(noon())
            },
        )
        .await
        .id;
        kept(
            &db,
            Upload {
                expires_at: until(5),
                ..upload_at(noon())
            },
        )
        .await;
        kept(
            &db,
            Upload {
                state: State::Aborted,
                ..upload_at(noon())
            },
        )
        .await;
        let overdue = async |limit| {
            let found = db.expired_uploads(until(2), limit, 0).await.unwrap();
            found.into_iter().map(|upload| upload.id).collect::<Vec<_>>()
        };

        assert_eq!(overdue(10).await, [first.clone(), second]);
        assert_eq!(overdue(1).await, [first]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_begin_to_append_at_once_each_gets_a_fence_of_its_own() {
    on_both(|url| async move {
        let db = open(&url).await;
        let mut upload = upload_at(noon());
        upload.appending = Some(Appending::new(NewAppending::default()));
        let upload = kept(&db, upload).await;

        for round in 0..20 {
            let turns = (0..4).map(|_| db.begin_append(&upload.id));
            let turns = futures_util::future::join_all(turns).await;

            let fences: HashSet<u64> = turns
                .into_iter()
                .map(|turn| turn.unwrap().expect("it is unfinished").fence)
                .collect();
            assert_eq!(fences.len(), 4, "round {round}: {fences:?}");
        }
    })
    .await;
}
