//! Webhooks whose receivers fail, are away or never answer, and servers that die between the two.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use muleteer::config::Config;
use serde_json::{Value, json};

use super::api::Api;
use super::on_both_with;
use super::process::Place;
use super::server::API_KEY;
use super::webhook_receiver::{Answer, Receiver, nobody};
use super::webhooks::telling;

fn impatient(config: &mut Config) {
    telling(config);
    config.hooks.timeout_s = 1;
}

fn time(event: &Value, member: &str) -> DateTime<Utc> {
    let text = event[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} in {event}"));
    text.parse().expect("a time")
}

/// The one event after so many failed attempts, and how long it now pauses.
async fn failed(api: &Api, attempts: u32, reason: &str) -> (Value, TimeDelta) {
    let pause = |event: &Value| time(event, "next_attempt_at") - time(event, "updated_at");
    // An attempt is counted when it begins; only once it has ended is the next one a pause away.
    let after = PAUSES_S[attempts as usize - 1];
    let longest = TimeDelta::milliseconds(after * 1200);
    let has_ended = |event: &Value| (TimeDelta::seconds(after)..=longest).contains(&pause(event));
    let event = api
        .event_once(|event| {
            event["attempts"] == attempts && event["last_error"] == reason && has_ended(event)
        })
        .await;
    assert_eq!(event["state"], "pending", "{event}");
    let pause = pause(&event);
    (event, pause)
}

/// The pauses that docs/webhooks.md tells of, in seconds, before what chance adds.
const PAUSES_S: [i64; 8] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400];

#[tokio::test]
async fn a_delivery_that_fails_in_any_way_is_tried_again_under_the_same_id_with_growing_pauses() {
    on_both_with(impatient, async |server| {
        let (api, elsewhere) = (Api::of(&server), Receiver::start().await);
        let receiver = Receiver::answering(&[
            Answer::Status(500),
            Answer::Silence,
            Answer::HangUp,
            Answer::Redirect(elsewhere.url()),
            Answer::Status(404),
        ])
        .await;

        api.upload_telling("film.mp4", 0, &receiver.url()).await;

        let expected = [
            ("answered 500", 5),
            ("no answer within 1 s", 30),
            ("the connection broke before the answer", 120),
            ("answered 307; redirects are not followed", 600),
            ("answered 404", 1800),
        ];
        for (attempts, (reason, seconds)) in (1..).zip(expected) {
            let (_, pause) = failed(&api, attempts, reason).await;
            let (least, most) = (
                TimeDelta::seconds(seconds),
                TimeDelta::seconds(seconds * 12 / 10 + 1),
            );
            assert!(least <= pause && pause <= most, "{reason}: {pause}");
            server.advance(pause);
        }
        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(
            (&event["attempts"], &event["last_error"]),
            (&json!(6), &Value::Null)
        );
        let seen = receiver.seen();
        assert_eq!(seen.len(), 6);
        for delivery in &seen {
            assert_eq!((delivery.id(), &delivery.body), (seen[0].id(), &seen[0].body));
        }
        let stamps: Vec<&str> = seen
            .iter()
            .map(|delivery| delivery.header("webhook-timestamp"))
            .collect();
        assert!(stamps.is_sorted() && stamps[0] != stamps[5], "{stamps:?}");
        assert!(elsewhere.seen().is_empty(), "the redirect was followed");
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_when_it_is_back() {
    on_both_with(telling, async |server| {
        let (api, address) = (Api::of(&server), nobody().await);
        api.upload_telling("film.mp4", 0, &format!("http://{address}/"))
            .await;
        let (event, pause) = failed(&api, 1, "no connection could be made").await;
        assert_eq!(event["last_status"], Value::Null);

        let receiver = Receiver::at(&address.to_string()).await;
        server.advance(pause);

        assert_eq!(receiver.wait_for(1).await[0].id(), event["id"]);
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_an_end_is_dropped_and_its_status_counts() {
    on_both_with(telling, async |server| {
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        receiver.next_answers(&[Answer::Endless(202)]);

        api.upload_telling("film.mp4", 0, &receiver.url()).await;

        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(event["last_status"], 202);
    })
    .await;
}

#[tokio::test]
async fn what_was_on_its_way_when_a_server_ended_is_sent_by_the_next() {
    on_both_with(telling, async |server| {
        let receiver = Receiver::answering(&[Answer::Silence]).await;
        let api = Api::of(&server);
        api.upload_telling("film.mp4", 0, &receiver.url()).await;
        receiver.wait_for(1).await;

        // It waits a little for the receiver, but not as long as the receiver is silent.
        let server = server.restart();
        let api = Api::of(&server);

        let claimed = api.event_once(|event| event["attempts"] == 1).await;
        assert_eq!(
            (&claimed["state"], &claimed["last_error"]),
            (&json!("pending"), &Value::Null)
        );
        let claim = time(&claimed, "next_attempt_at") - server.clock.now();
        assert!(claim > TimeDelta::seconds(30), "{claim}");
        server.advance(claim);
        let seen = receiver.wait_for(2).await;
        assert_eq!((seen[0].id(), &seen[0].body), (seen[1].id(), &seen[1].body));
        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(event["attempts"], 2);
    })
    .await;
}

#[tokio::test]
async fn an_event_outlives_a_server_that_is_killed() {
    let place = Place::new();
    let variables = [
        ("API_KEY", API_KEY),
        ("MULETEER_HOOKS__ALLOWED_HOSTS", "127.0.0.1"),
    ];
    let address = nobody().await;
    let first = place.serve(&variables);
    let api = Api::at(&first.base).with("x-api-key", API_KEY);
    let upload = api
        .upload_telling("film.mp4", 0, &format!("http://{address}/"))
        .await;
    failed(&api, 1, "no connection could be made").await;
    first.signal("KILL");
    let _ = first.ended(Duration::from_secs(10));

    let receiver = Receiver::at(&address.to_string()).await;
    let _second = place.serve(&variables);

    // This clock cannot be set; the first pause is 5 to 6 seconds.
    assert_eq!(receiver.wait_for(1).await[0].json()["upload_id"], upload["id"]);
}

#[tokio::test]
async fn a_delivery_that_runs_when_the_server_is_told_to_stop_may_end() {
    let place = Place::new();
    let variables = [
        ("API_KEY", API_KEY),
        ("MULETEER_HOOKS__ALLOWED_HOSTS", "127.0.0.1"),
    ];
    let receiver = Receiver::answering(&[Answer::Late(200, Duration::from_secs(1))]).await;
    let first = place.serve(&variables);
    let api = Api::at(&first.base).with("x-api-key", API_KEY);
    api.upload_telling("film.mp4", 0, &receiver.url()).await;
    receiver.wait_for(1).await;

    tokio::task::spawn_blocking(move || first.stop())
        .await
        .expect("it stops");

    let second = place.serve(&variables);
    let api = Api::at(&second.base).with("x-api-key", API_KEY);
    assert_eq!(api.events().await[0]["state"], "delivered");
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn after_the_last_try_an_event_is_parked_until_an_admin_replays_it() {
    let an_hour = |config: &mut Config| {
        telling(config);
        config.hooks.retry_hours = 1;
    };
    on_both_with(an_hour, async |server| {
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        receiver.always(Answer::Status(503));
        api.upload_telling("film.mp4", 0, &receiver.url()).await;
        // Pauses of 5 s to 30 min come to less than an hour.
        for attempts in 1..=5 {
            failed(&api, attempts, "answered 503").await;
            server.advance(TimeDelta::hours(1));
        }

        let parked = api.event_once(|event| event["state"] == "parked").await;

        assert_eq!(
            (&parked["attempts"], &parked["last_status"]),
            (&json!(6), &json!(503))
        );
        assert_eq!(parked["next_attempt_at"], Value::Null);
        server.advance(TimeDelta::days(30));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(receiver.seen().len(), 6);

        receiver.always(Answer::Status(204));
        let replay = format!("/webhooks/{}/replay", parked["id"].as_str().expect("an id"));
        for count in [7, 8] {
            let event = api.post(&replay, &json!({})).await.expect(200);
            assert_eq!(event["id"], parked["id"]);
            // The answer tells the event as it is, and the sending may have been quicker.
            assert_ne!(event["state"], "parked");
            let seen = receiver.wait_for(count).await;
            assert_eq!(seen[count - 1].id(), parked["id"]);
            let event = api.event_once(|event| event["state"] == "delivered").await;
            assert_eq!(
                (&event["attempts"], &event["last_status"]),
                (&json!(1), &json!(204))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_for_good_is_not_asked_again() {
    on_both_with(telling, async |server| {
        let (api, receiver) = (
            Api::of(&server),
            Receiver::answering(&[Answer::Status(410)]).await,
        );

        api.upload_telling("film.mp4", 0, &receiver.url()).await;

        let event = api.event_once(|event| event["state"] == "parked").await;
        assert_eq!(
            (&event["attempts"], &event["last_status"]),
            (&json!(1), &json!(410))
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_no_longer_listed_is_not_called() {
    let named = |config: &mut Config| config.hooks.allowed_hosts = vec!["localhost".into()];
    on_both_with(named, async |mut server| {
        let port = nobody().await.port();
        let api = Api::of(&server);
        api.upload_telling("film.mp4", 0, &format!("http://localhost:{port}/"))
            .await;
        failed(&api, 1, "no connection could be made").await;
        let receiver = Receiver::at(&format!("127.0.0.1:{port}")).await;

        server.config.hooks.allowed_hosts.clear();
        let mut server = server.restart();
        let api = Api::of(&server);
        server.advance(TimeDelta::minutes(1));
        let (_, pause) = failed(&api, 2, "the address may not be called").await;
        assert!(receiver.seen().is_empty());

        server.config.hooks.allowed_hosts = vec!["127.0.0.1".into()];
        let mut server = server.restart();
        let api = Api::of(&server);
        server.advance(pause);
        // The name is refused as such; only a listed one may lead to this machine.
        let (_, pause) = failed(&api, 3, "the address may not be called").await;

        server.config.hooks.allowed_hosts = vec!["localhost".into()];
        let server = server.restart();
        server.advance(pause);
        receiver.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_else() {
    on_both_with(telling, async |server| {
        let api = Api::of(&server);
        let silent = Receiver::at("127.0.0.2:0").await;
        silent.always(Answer::Silence);
        let other = Receiver::start().await;
        for n in 0..40 {
            api.upload_telling(&format!("{n}.bin"), 0, &silent.url()).await;
        }
        silent.wait_for(2).await;
        let began = Instant::now();

        for n in 0..5 {
            api.upload_telling(&format!("other {n}.bin"), 0, &other.url())
                .await;
        }

        other.wait_for(5).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(silent.seen().len(), 2, "at most two deliveries to one host");
    })
    .await;
}
