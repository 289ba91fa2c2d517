//! A scanner that is down, a stop before its verdict, and a second instance: none of them loses a file, or has one looked at
//! twice.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::Value;

use super::api::Api;
use super::quarantine::{says, scanned_by, waiting_for};
use super::webhook_receiver::{Answer, Receiver};
use super::{beside, on_both_with};

impl Api {
    /// Completes an upload, as often as it takes.
    async fn complete_at_last(&self, upload: &Value) -> Value {
        for _ in 0..400 {
            let reply = self.complete(upload).await;
            if reply.status != 503 {
                return reply.expect(200);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never complete: {}", self.show(upload).await);
    }
}

#[tokio::test]
async fn a_scanner_that_is_down_holds_uploads_up_and_loses_none() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        scanner.next_answers(&[
            Answer::Status(500),
            Answer::HangUp,
            Answer::Json(200, "{}".into()),
        ]);
        let (api, application) = (Api::of(&server), Receiver::start().await);
        let upload = api.sent("a.bin", &application).await;
        assert_eq!(api.complete(&upload).await.status, 503);

        scanner.always(says("accept"));
        for tries in 1..=3 {
            scanner.wait_for(tries).await;
            assert_eq!(api.complete(&upload).await.status, 503, "{tries}");
            // Longer than any of these pauses, and not so long that the store finds our requests too far from its own time.
            server.advance(TimeDelta::seconds(10));
        }

        api.complete_at_last(&upload).await;
        application.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_between_the_last_byte_and_the_verdict_loses_nothing() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        scanner.next_answers(&[Answer::Silence]);
        let application = Receiver::start().await;
        let api = Api::of(&server);
        let upload = api.sent("a.bin", &application).await;
        assert_eq!(api.complete(&upload).await.status, 503);
        scanner.wait_for(1).await;

        let server = server.restart();
        scanner.always(says("accept"));
        // Nobody renews the claim of whoever was asked for it before.
        server.advance(TimeDelta::seconds(31));

        api.complete_at_last(&upload).await;
        assert_eq!(scanner.seen().len(), 2);
        application.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_instances_one_has_each_file_looked_at() {
    let scanner = Receiver::start().await;
    scanner.always(says("accept"));
    on_both_with(waiting_for(&scanner), async |server| {
        scanner.forget();
        let other = beside(&server);
        let (one, two) = (Api::of(&server), Api::of(&other));
        let application = Receiver::start().await;
        let uploads = join_all((0..6).map(|n| {
            let (one, application) = (&one, &application);
            async move { one.sent(&format!("{n}.bin"), application).await }
        }))
        .await;

        let completed = uploads.iter().zip([&one, &two].into_iter().cycle());
        let completed = join_all(completed.map(|(upload, api)| api.complete(upload))).await;

        assert!(completed.iter().all(|reply| reply.status == 200), "{completed:?}");
        assert_eq!(scanner.seen().len(), 6);
        assert_eq!(application.wait_for(6).await.len(), 6);
    })
    .await;
}
