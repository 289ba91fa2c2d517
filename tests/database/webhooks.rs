//! Events: written with the change that they tell of, or not at all, and had by one instance at a time.

use chrono::{DateTime, TimeDelta, Utc};
use muleteer::db::{Database, EventQuery, NewEvent, Settled};
use muleteer::domain::{EventId, EventKind, EventState, State, Upload, WebhookEvent};

use super::{kept, noon, on_both, open, upload_at};

const UNFINISHED: [State; 2] = [State::Open, State::Completing];

fn event_for(host: &str, at: DateTime<Utc>) -> NewEvent {
    NewEvent {
        id: EventId::generate(at),
        kind: EventKind::Complete,
        url: format!("https://{host}/"),
        host: host.to_owned(),
        payload: "{}".to_owned(),
    }
}

/// An upload that became complete at `at`, whose event is for `host`.
async fn completed(db: &Database, host: &str, at: DateTime<Utc>) -> EventId {
    let upload = kept(db, upload_at(at)).await;
    let event = event_for(host, at);
    let id = event.id.clone();
    assert!(
        db.complete_upload(&upload.id, &UNFINISHED, None, Some(event), at)
            .await
            .unwrap()
    );
    id
}

async fn all(db: &Database) -> Vec<WebhookEvent> {
    let query = EventQuery {
        limit: 100,
        ..EventQuery::default()
    };
    db.list_events(query).await.unwrap()
}

async fn due(db: &Database, now: DateTime<Utc>, busy: &[&str]) -> Vec<EventId> {
    let busy = busy.iter().map(|&host| host.to_owned()).collect();
    let found = db.due_events(now, busy, 10).await.unwrap();
    found.into_iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_complete_an_upload_at_once_one_does_and_its_event_is_the_only_one() {
    on_both(|url| async move {
        let instances = [open(&url).await, open(&url).await];
        let upload = kept(&instances[0], upload_at(noon())).await;

        let racing: Vec<_> = (0..16)
            .map(|n| {
                let (db, id) = (instances[n % 2].clone(), upload.id.clone());
                tokio::spawn(async move {
                    let event = event_for("a.example", noon());
                    let own = event.id.clone();
                    let done = db.complete_upload(&id, &UNFINISHED, None, Some(event), noon());
                    done.await.unwrap().then_some(own)
                })
            })
            .collect();

        let mut winners = Vec::new();
        for racer in racing {
            winners.extend(racer.await.unwrap());
        }
        assert_eq!(winners.len(), 1);
        let events = all(&instances[0]).await;
        assert_eq!(
            events.iter().map(|event| &event.id).collect::<Vec<_>>(),
            [&winners[0]]
        );
        assert_eq!(
            (&events[0].upload_id, events[0].state),
            (&upload.id, EventState::Pending)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_change_does_not_take_place_there_is_no_event() {
    on_both(|url| async move {
        let db = open(&url).await;
        let given_up = Upload {
            state: State::Aborted,
            ..upload_at(noon())
        };
        let id = kept(&db, given_up).await.id;

        let done = db.complete_upload(
            &id,
            &UNFINISHED,
            None,
            Some(event_for("a.example", noon())),
            noon(),
        );

        assert!(!done.await.unwrap());
        assert!(all(&db).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_event_cannot_be_written_the_change_does_not_take_place() {
    on_both(|url| async move {
        let db = open(&url).await;
        let first = kept(&db, upload_at(noon())).await.id;
        let second = kept(&db, upload_at(noon())).await.id;
        let event = event_for("a.example", noon());
        let done = db.complete_upload(&first, &UNFINISHED, None, Some(event.clone()), noon());
        assert!(done.await.unwrap());

        // The same id once more.
        let refused = db
            .complete_upload(&second, &UNFINISHED, None, Some(event), noon())
            .await;

        assert!(refused.is_err());
        let upload = db.find_upload(&second, None).await.unwrap().unwrap();
        assert_eq!(upload.state, State::Open);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_had_by_one_at_a_time_and_free_again_when_its_claim_runs_out() {
    on_both(|url| async move {
        let instances = [open(&url).await, open(&url).await];
        let db = &instances[0];
        completed(db, "a.example", noon()).await;
        let event = all(db).await.remove(0);
        let until = noon() + TimeDelta::minutes(1);

        let racing: Vec<_> = (0..16)
            .map(|n| {
                let (db, event) = (instances[n % 2].clone(), event.clone());
                tokio::spawn(async move { db.claim_event(&event, until).await.unwrap() })
            })
            .collect();
        let mut winners = 0;
        for racer in racing {
            winners += u32::from(racer.await.unwrap());
        }

        assert_eq!(winners, 1);
        assert!(due(db, until - TimeDelta::seconds(1), &[]).await.is_empty());
        assert_eq!(due(db, until, &[]).await, std::slice::from_ref(&event.id));
        let claimed = all(db).await.remove(0);
        assert_eq!(claimed.attempts, 1);
        let later = until + TimeDelta::minutes(1);
        assert!(db.claim_event(&claimed, later).await.unwrap());
        let delivered = || Settled::Delivered { status: 200 };
        assert!(
            !db.settle_event(&event.id, until, delivered(), noon())
                .await
                .unwrap()
        );
        assert!(
            db.settle_event(&event.id, later, delivered(), later)
                .await
                .unwrap()
        );
        let settled = db.find_event(&event.id).await.unwrap().unwrap();
        assert_eq!((settled.state, settled.attempts), (EventState::Delivered, 2));
        assert_eq!(
            (settled.delivered_at, settled.last_status),
            (Some(later), Some(200))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_overdue_come_first_and_those_for_busy_hosts_not_at_all() {
    on_both(|url| async move {
        let db = open(&url).await;
        let at = |seconds| noon() + TimeDelta::seconds(seconds);
        let second = completed(&db, "a.example", at(2)).await;
        let first = completed(&db, "b.example", at(1)).await;
        let late = completed(&db, "b.example", at(9)).await;

        assert_eq!(due(&db, at(5), &[]).await, [first.clone(), second.clone()]);
        assert_eq!(due(&db, at(9), &["b.example", "c.example"]).await, [second]);
        assert_eq!(due(&db, at(9), &["a.example"]).await, [first, late]);
        assert!(due(&db, at(0), &[]).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_is_not_due_until_it_is_replayed() {
    on_both(|url| async move {
        let db = open(&url).await;
        let id = completed(&db, "a.example", noon()).await;
        assert!(
            !db.replay_event(&id, noon()).await.unwrap(),
            "it is pending already"
        );
        let event = all(&db).await.remove(0);
        let until = noon() + TimeDelta::minutes(1);
        db.claim_event(&event, until).await.unwrap();
        let parked = Settled::Failed {
            status: None,
            reason: "no connection".into(),
            again_at: None,
        };
        assert!(db.settle_event(&id, until, parked, noon()).await.unwrap());
        assert!(due(&db, noon() + TimeDelta::days(9), &[]).await.is_empty());

        assert!(db.replay_event(&id, until).await.unwrap());

        assert_eq!(due(&db, until, &[]).await, std::slice::from_ref(&id));
        let event = db.find_event(&id).await.unwrap().unwrap();
        assert_eq!((event.state, event.attempts), (EventState::Pending, 0));
        assert_eq!(event.last_error.as_deref(), Some("no connection"));
        let unknown = EventId::generate(noon());
        assert!(!db.replay_event(&unknown, noon()).await.unwrap());
    })
    .await;
}
