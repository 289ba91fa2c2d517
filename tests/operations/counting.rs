//! What happens is counted, exactly, and nothing else is.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::time::Duration;

use serde_json::json;

use super::api::{Api, file, id};
use super::exposition::{Exposition, promtool};
use super::webhook_receiver::{Answer, Receiver};
use super::{PART, on_both, scrape, send_in_two};
use crate::server::TestServer;

const DONE: &[&str] = &[
    "muleteer_uploads_begun_total",
    "muleteer_uploads_ended_total",
    "muleteer_completed_bytes_total",
    "muleteer_signatures_total",
    "muleteer_parts_total",
    "muleteer_received_bytes_total",
    "muleteer_errors_total",
    "muleteer_webhook_deliveries_total",
];

/// What is looked up rather than counted is up to date after a few seconds.
async fn scrape_fresh(server: &TestServer) -> Exposition {
    tokio::time::sleep(Duration::from_millis(5200)).await;
    scrape(server).await
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one upload, step by step")]
async fn an_upload_from_the_browser_is_counted_step_by_step() {
    on_both(async |server| {
        let (api, size) = (Api::of(&server), 3 * PART - 5);
        let before = scrape(&server).await;

        let upload = api.create("film.mp4", size).await;
        let created = scrape(&server).await;
        created.assert_grown(
            &before,
            DONE,
            &[(
                "muleteer_uploads_begun_total{transfer=\"direct\",how=\"new\"}",
                1.0,
            )],
        );

        api.send_parts(&upload, json!("1-3")).await;
        let signed = scrape(&server).await;
        signed.assert_grown(
            &created,
            DONE,
            &[("muleteer_signatures_total{kind=\"part\"}", 3.0)],
        );

        for (number, bytes) in [(1, PART), (2, PART), (3, PART - 5)] {
            let path = format!("/uploads/{}/parts/{number}", id(&upload));
            api.put(&path, &json!({ "size": bytes })).await.expect(204);
        }
        let again = json!({ "filename": "film.mp4", "size": size });
        api.post("/uploads", &again).await.expect(200);
        let recorded = scrape(&server).await;
        recorded.assert_grown(
            &signed,
            DONE,
            &[
                ("muleteer_parts_total{transfer=\"direct\"}", 3.0),
                (
                    "muleteer_uploads_begun_total{transfer=\"direct\",how=\"resumed\"}",
                    1.0,
                ),
            ],
        );

        for _ in 0..2 {
            api.complete(&upload).await.expect(200);
        }
        let complete = scrape(&server).await;
        complete.assert_grown(
            &recorded,
            DONE,
            &[
                ("muleteer_uploads_ended_total{state=\"complete\"}", 1.0),
                ("muleteer_completed_bytes_total{transfer=\"direct\"}", 43.0),
            ],
        );
        complete.assert_grown(
            &before,
            &["muleteer_http_requests_total"],
            &[
                // Twice begun, three parts told, twice completed, signed once: three of them with PUT.
                (
                    "muleteer_http_requests_total{door=\"native\",method=\"POST\",status_class=\"2xx\"}",
                    5.0,
                ),
                (
                    "muleteer_http_requests_total{door=\"native\",method=\"PUT\",status_class=\"2xx\"}",
                    3.0,
                ),
                // The scrape before is counted, this one is not yet.
                (
                    "muleteer_http_requests_total{door=\"metrics\",method=\"GET\",status_class=\"2xx\"}",
                    4.0,
                ),
            ],
        );
        let joined = "muleteer_store_requests_total{operation=\"CompleteMultipartUpload\",outcome=\"ok\"}";
        assert_eq!(complete.value(joined) - before.value(joined), 1.0);
        let timed = "muleteer_store_request_duration_seconds_count{operation=\"CreateMultipartUpload\"}";
        assert_eq!(complete.value(timed) - before.value(timed), 1.0);
    })
    .await;
}

#[tokio::test]
async fn bytes_that_pass_through_us_are_counted() {
    on_both(async |server| {
        let before = scrape(&server).await;

        send_in_two(&server).await;

        let after = scrape(&server).await;
        after.assert_grown(
            &before,
            DONE,
            &[
                (
                    "muleteer_uploads_begun_total{transfer=\"relay\",how=\"new\"}",
                    1.0,
                ),
                ("muleteer_received_bytes_total{backend=\"s3\"}", 50.0),
                ("muleteer_uploads_ended_total{state=\"complete\"}", 1.0),
                ("muleteer_completed_bytes_total{transfer=\"relay\"}", 50.0),
            ],
        );
        let door = "muleteer_http_requests_total{door=\"tus\",method=\"PATCH\",status_class=\"2xx\"}";
        assert_eq!(after.value(door), 2.0, "{}", after.text);
    })
    .await;
}

#[tokio::test]
async fn errors_are_counted_by_their_kind_whatever_shape_they_are_told_in() {
    on_both(async |server| {
        let (api, nobody) = (Api::of(&server), Api::nobody(&server));
        let before = scrape(&server).await;

        api.get("/uploads/nothing").await.problem(404, "not-found");
        nobody.outside().get("/nowhere").await.problem(404, "not-found");
        api.with("x-api-key", "wrong")
            .get("/uploads")
            .await
            .problem(401, "unauthenticated");
        api.post("/uploads", &json!({}))
            .await
            .problem(400, "invalid-request");
        api.send("PATCH", "/uploads", None)
            .await
            .problem(405, "method-not-allowed");
        // The chunk server's own shape, and Uppy's.
        let chunks = Api::of(&server).outside();
        assert_eq!(
            chunks
                .get("/upload/00000000-0000-4000-8000-000000000000/status")
                .await
                .status,
            404
        );
        assert_eq!(chunks.get("/s3/multipart/x?key=y").await.status, 404);

        scrape(&server).await.assert_grown(
            &before,
            DONE,
            &[
                ("muleteer_errors_total{kind=\"not-found\"}", 4.0),
                ("muleteer_errors_total{kind=\"unauthenticated\"}", 1.0),
                ("muleteer_errors_total{kind=\"invalid-request\"}", 1.0),
                ("muleteer_errors_total{kind=\"method-not-allowed\"}", 1.0),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_open_and_what_waits_is_looked_up() {
    on_both(async |server| {
        let api = Api::of(&server);
        let receiver = Receiver::start().await;
        receiver.always(Answer::Status(500));
        api.create("one", 100).await;
        let two = api.create("two", 23).await;
        let hook = format!("http://{}/hook", receiver.address);
        let hooked = json!({ "filename": "three", "size": 0, "webhook_url": hook });
        let three = api.post("/uploads", &hooked).await.expect(201);
        api.complete(&three).await.expect(200);

        let open = scrape_fresh(&server).await;
        assert_eq!(open.value("muleteer_open_uploads"), 2.0, "{}", open.text);
        assert_eq!(open.value("muleteer_open_upload_bytes"), 123.0);
        assert!(open.value("muleteer_webhook_deliveries_total{outcome=\"failed\"}") >= 1.0);
        assert_eq!(open.value("muleteer_webhooks_pending"), 1.0);
        assert!(open.value("muleteer_webhooks_oldest_pending_age_seconds") > 1.0);
        assert_eq!(open.value("muleteer_webhooks_parked"), 0.0);
        assert_eq!(open.value("muleteer_database_up"), 1.0);
        assert_eq!(open.value("muleteer_database_connections_max"), 4.0);
        let idle = "muleteer_database_connections{state=\"idle\"}";
        assert!((1.0..=4.0).contains(&open.value(idle)), "{}", open.text);

        api.delete(&format!("/uploads/{}", id(&two))).await;
        receiver.always(Answer::Status(410));
        server.advance(chrono::TimeDelta::hours(2));
        let parked = "muleteer_webhook_deliveries_total{outcome=\"parked\"}";
        for _ in 0..100 {
            if scrape(&server).await.value(parked) > 0.0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let closed = scrape_fresh(&server).await;
        assert_eq!(closed.value(parked), 1.0, "{}", closed.text);
        assert_eq!(closed.value("muleteer_open_uploads"), 1.0);
        assert_eq!(closed.value("muleteer_open_upload_bytes"), 100.0);
        assert_eq!(
            closed.value("muleteer_uploads_ended_total{state=\"aborted\"}"),
            1.0
        );
        assert_eq!(closed.value("muleteer_webhooks_pending"), 0.0);
        assert_eq!(closed.value("muleteer_webhooks_oldest_pending_age_seconds"), 0.0);
        assert_eq!(closed.value("muleteer_webhooks_parked"), 1.0);
    })
    .await;
}

#[tokio::test]
async fn promtool_has_nothing_to_say_against_a_scrape() {
    on_both(async |server| {
        let api = Api::of(&server);
        api.upload("film.mp4", 2 * PART).await;
        api.post("/uploads", &file("", 0)).await;
        let scraped = scrape(&server).await;
        promtool(&["check", "metrics"], &scraped.text);
    })
    .await;
}
