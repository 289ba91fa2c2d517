//! What an owner may have open at once: it holds for all who begin at once, in whatever process, and every end makes room.

use chrono::TimeDelta;
use futures_util::future::join_all;
use muleteer::db::{Database, Room, Wanted};
use muleteer::domain::{Appending, Cut, NewAppending, Quota, Role, State, Transfer, Upload, UploadId, Usage};
use muleteer::error::{Error, Held};

use super::{noon, on_both, open, owner, upload_at};

/// Room under a quota of so many uploads and bytes.
fn room(uploads: u64, bytes: u64) -> Room {
    let quota = Quota {
        uploads: Some(uploads),
        bytes: Some(bytes),
    };
    Room { quota, told: 0 }
}

/// An upload whose record tells no size, and 700 bytes that its client has told besides, of 1000 that may be open.
fn told_besides() -> (Upload, Room) {
    let unmeasured = Upload {
        size: 0,
        cut: Cut::Client,
        ..upload_at(noon())
    };
    let told = Room {
        told: 700,
        ..room(9, 1000)
    };
    (unmeasured, told)
}

/// Tries to begin so many uploads of 100 bytes at once, one half in each process; gives those that were.
async fn begin_at_once(both: &[Database; 2], count: usize, room: Room) -> Vec<Upload> {
    let tries = (0..count).map(|n| {
        let (db, upload) = (both[n % 2].clone(), upload_at(noon()));
        tokio::spawn(async move {
            match db.insert_upload(upload.clone(), room).await {
                Ok(()) => Some(upload),
                Err(Error::QuotaReached { .. }) => None,
                Err(error) => panic!("{error:?}"),
            }
        })
    });
    join_all(tries)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_at_once_in_two_processes_as_many_begin_as_may_be_open() {
    on_both(async |url| {
        let both = [open(&url).await, open(&url).await];

        let begun = begin_at_once(&both, 200, room(23, 1_000_000)).await;
        assert_eq!(begun.len(), 23);
        let held = both[0].usage(&owner("anna"), None, noon()).await.unwrap();
        assert_eq!(
            held,
            Usage {
                uploads: 23,
                bytes: 2300
            }
        );

        // Each end makes room for exactly one.
        let open = [State::Open];
        for (upload, end) in begun.iter().zip([State::Aborted, State::Expired, State::Failed]) {
            assert!(
                both[0]
                    .change_state(&upload.id, &open, end, None, noon())
                    .await
                    .unwrap()
            );
        }
        let done = &begun[3].id;
        assert!(
            both[1]
                .complete_upload(done, &open, None, None, noon())
                .await
                .unwrap()
        );
        assert_eq!(begin_at_once(&both, 40, room(23, 1_000_000)).await.len(), 4);

        // By bytes the same: 2,300 are open, and three more files of 100 fit.
        assert_eq!(begin_at_once(&both, 40, room(500, 2650)).await.len(), 3);
        let held = both[1].usage(&owner("anna"), None, noon()).await.unwrap();
        assert_eq!(
            held,
            Usage {
                uploads: 26,
                bytes: 2600
            }
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_tells_besides_the_record_is_reserved_and_grows() {
    on_both(async |url| {
        let db = open(&url).await;
        let (unmeasured, told) = told_besides();
        db.insert_upload(unmeasured.clone(), told).await.unwrap();

        let refused = db
            .insert_upload(upload_at(noon()), Room { told: 301, ..told })
            .await;
        assert!(
            matches!(
                refused,
                Err(Error::QuotaReached {
                    what: Held::Bytes,
                    limit: 1000,
                    held: 700
                })
            ),
            "{refused:?}"
        );

        let (id, anna) = (&unmeasured.id, owner("anna"));
        let reserve = |wanted| db.reserve(id, &anna, told.quota, wanted, noon());
        reserve(Wanted::Exactly(950)).await.unwrap();
        assert!(db.insert_upload(upload_at(noon()), room(9, 1000)).await.is_err());
        // A lower part that is signed after a higher one proves nothing less.
        reserve(Wanted::AtLeast(100)).await.unwrap();
        assert_eq!(db.usage(&anna, None, noon()).await.unwrap(), Usage::one(950));
        reserve(Wanted::AtLeast(960)).await.unwrap();
        assert_eq!(db.usage(&anna, None, noon()).await.unwrap(), Usage::one(960));
        let too_large = reserve(Wanted::Exactly(1001)).await;
        assert!(
            matches!(
                too_large,
                Err(Error::TooLarge {
                    limit: 1000,
                    size: 1001
                })
            ),
            "{too_large:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_counted_and_needs_room_once_more_to_begin_again() {
    on_both(async |url| {
        let (db, anna) = (open(&url).await, owner("anna"));
        let (unmeasured, told) = told_besides();
        db.insert_upload(unmeasured.clone(), told).await.unwrap();
        db.change_state(&unmeasured.id, &[State::Open], State::Expired, None, noon())
            .await
            .unwrap();
        assert_eq!(db.usage(&anna, None, noon()).await.unwrap(), Usage::default());
        assert_eq!(db.purge_reservations().await.unwrap(), 1);

        let other = upload_at(noon());
        db.insert_upload(other.clone(), room(9, 1000)).await.unwrap();
        let again = |told| db.begin_again(&unmeasured, "new", noon(), noon(), told);
        assert!(matches!(
            again(Room { told: 950, ..told }).await,
            Err(Error::QuotaReached {
                what: Held::Bytes,
                ..
            })
        ));
        assert!(again(told).await.unwrap());
        assert_eq!(
            db.usage(&anna, Some(&other.id), noon()).await.unwrap(),
            Usage::one(700)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_count_as_they_come_and_a_joined_upload_brings_none_of_its_own() {
    on_both(async |url| {
        let db = open(&url).await;
        let appended = Upload {
            size: 0,
            appending: Some(Appending::new(NewAppending::default())),
            ..upload_at(noon())
        };
        db.insert_upload(appended.clone(), room(1, 100)).await.unwrap();
        let turn = db.begin_append(&appended.id).await.unwrap().unwrap();
        db.settle_append(&appended.id, turn.fence, 60, noon(), noon())
            .await
            .unwrap();
        assert_eq!(
            db.usage(&owner("anna"), None, noon()).await.unwrap(),
            Usage::one(60)
        );

        let sources: Vec<UploadId> = vec![appended.id];
        let joined = NewAppending {
            role: Role::Joined(sources),
            ..NewAppending::default()
        };
        let joined = Upload {
            size: 60,
            appending: Some(Appending::new(joined)),
            ..upload_at(noon())
        };
        db.insert_upload(joined, room(1, 100)).await.unwrap();
        assert_eq!(
            db.usage(&owner("anna"), None, noon()).await.unwrap(),
            Usage::one(60)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_through_us_makes_room_as_soon_as_it_has_run_out() {
    on_both(async |url| {
        let (db, anna) = (open(&url).await, owner("anna"));
        let began = noon() - TimeDelta::hours(1);
        let relayed = |ends_at| Upload {
            transfer: Transfer::Relay,
            expires_at: ends_at,
            ..upload_at(began)
        };
        let over = relayed(noon());
        for upload in [&over, &relayed(noon() + TimeDelta::seconds(1))] {
            db.insert_upload(upload.clone(), room(2, 1000)).await.unwrap();
        }
        assert_eq!(db.usage(&anna, None, began).await.unwrap().uploads, 2);
        assert_eq!(db.usage(&anna, None, noon()).await.unwrap(), Usage::one(100));
        db.insert_upload(upload_at(noon()), room(2, 1000)).await.unwrap();

        // What waits for its last word does not run out, and a direct upload can go on until it is swept.
        db.change_state(&over.id, &[State::Open], State::Completing, None, noon())
            .await
            .unwrap();
        let direct = Upload {
            expires_at: noon(),
            ..upload_at(began)
        };
        db.insert_upload(direct, Room::default()).await.unwrap();
        assert_eq!(db.usage(&anna, None, noon()).await.unwrap().uploads, 4);
    })
    .await;
}
