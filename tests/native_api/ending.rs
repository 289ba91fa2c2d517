//! Giving up: by the client, and by time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection, SqliteConnection};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::api::{Api, all_parts, id};
use super::{PART, TestServer, on_both, on_both_with, store_of};

async fn gone_from_the_store(server: &TestServer, upload: &Value) -> bool {
    let (key, multipart) = (upload["key"].as_str(), upload["upload_id"].as_str());
    let parts = store_of(server)
        .parts(key.expect("a key"), multipart.expect("an id"))
        .await;
    parts.outcome() == "404 NoSuchUpload"
}

#[tokio::test]
async fn a_deleted_upload_is_gone_from_the_store_and_may_be_deleted_again() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 3 * PART).await;
        api.send_parts(&upload, json!([1])).await;
        let path = format!("/uploads/{}", id(&upload));

        for _ in 0..2 {
            api.delete(&path).await.expect(204);
            assert!(gone_from_the_store(&server, &upload).await);
        }

        let shown = api.show(&upload).await;
        assert_eq!(
            (shown["state"].clone(), shown["parts"].clone()),
            (json!("aborted"), json!([]))
        );
        let empty = api.create("empty", 0).await;
        api.delete(&format!("/uploads/{}", id(&empty))).await.expect(204);
    })
    .await;
}

#[tokio::test]
async fn a_complete_upload_cannot_be_deleted() {
    on_both(async |server| {
        let api = Api::of(&server);
        let done = api.upload("film.mp4", PART).await;

        let problem = api
            .delete(&format!("/uploads/{}", id(&done)))
            .await
            .problem(409, "wrong-state");

        assert_eq!(problem["state"], "complete");
        assert_eq!(
            store_of(&server).get(done["key"].as_str().unwrap()).await.status,
            200
        );
    })
    .await;
}

#[tokio::test]
async fn when_completing_and_deleting_meet_the_record_tells_what_the_store_has() {
    on_both(async |server| {
        let api = Api::of(&server);
        for round in 0..10 {
            let upload = api.create(&format!("{round}"), 2 * PART).await;
            api.send_parts(&upload, all_parts(&upload)).await;
            let path = format!("/uploads/{}", id(&upload));

            let (completed, deleted) = tokio::join!(api.complete(&upload), api.delete(&path));

            let state = api.show(&upload).await["state"].clone();
            let there = store_of(&server)
                .get(upload["key"].as_str().unwrap())
                .await
                .status
                == 200;
            assert_eq!(
                state == "complete",
                there,
                "{state}: {} and {}",
                completed.text(),
                deleted.text()
            );
            assert_eq!(completed.status == 200, there, "{}", completed.text());
            assert_eq!(deleted.status == 204, !there, "{}", deleted.text());
        }
    })
    .await;
}

#[tokio::test]
async fn what_nobody_came_back_for_is_swept_from_the_store_and_from_the_lists() {
    on_both_with(
        |config| config.uploads.sweep_interval_s = 1,
        async |server| {
            let api = Api::of(&server);
            let (old, young) = (
                api.create("old", 3 * PART).await,
                api.create("young", 3 * PART).await,
            );
            let empty = api.create("empty", 0).await;
            api.send_parts(&old, json!([1])).await;

            for upload in [&old, &empty] {
                let_expire(&server, upload);
            }

            for upload in [&old, &empty] {
                until(async || api.show(upload).await["state"] == "expired").await;
            }
            assert!(gone_from_the_store(&server, &old).await);
            assert!(!gone_from_the_store(&server, &young).await);
            let problem = api.complete(&old).await.problem(409, "wrong-state");
            assert_eq!(problem["state"], "expired");
            assert_ne!(api.create("old", 3 * PART).await["id"], old["id"]);
        },
    )
    .await;
}

#[tokio::test]
async fn an_upload_whose_time_is_over_is_not_gone_on_with_although_nobody_swept_yet() {
    on_both(async |server| {
        let api = Api::of(&server);
        let old = api.create("film.mp4", 3 * PART).await;

        let_expire(&server, &old);

        assert_ne!(api.create("film.mp4", 3 * PART).await["id"], old["id"]);
    })
    .await;
}

#[tokio::test]
async fn every_sign_of_life_gives_an_upload_more_time() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 3 * PART).await;
        let path = format!("/uploads/{}", id(&upload));
        let mut before = listed_expiry(&api).await;
        for sign_of_life in ["resume", "sign", "record", "show"] {
            server.advance(TimeDelta::minutes(2));
            match sign_of_life {
                "resume" => drop(
                    api.post("/uploads", &super::api::file("film.mp4", 3 * PART))
                        .await
                        .expect(200),
                ),
                "sign" => drop(api.sign(&upload, json!([1])).await),
                "record" => drop(
                    api.put(&format!("{path}/parts/1"), &json!({ "size": PART }))
                        .await
                        .expect(204),
                ),
                _ => drop(api.show(&upload).await),
            }
            let after = listed_expiry(&api).await;
            let more = (after - before).num_seconds();
            assert!((115..=180).contains(&more), "{sign_of_life}: {more} s more");
            before = after;
        }
        // What an upload itself says is what the record says.
        let told = time(&api.show(&upload).await["expires_at"]);
        assert_eq!(told, listed_expiry(&api).await);
    })
    .await;
}

async fn listed_expiry(api: &Api) -> DateTime<Utc> {
    time(&api.get("/uploads").await.expect(200)["uploads"][0]["expires_at"])
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a time").parse().expect("RFC 3339")
}

#[tokio::test]
async fn many_expired_uploads_are_swept_by_two_instances_at_once() {
    on_both_with(
        |config| config.uploads.sweep_interval_s = 1,
        async |server| {
            let mut other = super::beside(&server);
            other.config.uploads.sweep_interval_s = 1;
            let other = other.restart();
            let api = Api::of(&server);
            let uploads = join_all((0..30).map(|n| {
                let api = api.clone();
                async move { api.create(&format!("{n}"), PART).await }
            }))
            .await;
            for upload in &uploads {
                let_expire(&server, upload);
            }

            for upload in &uploads {
                until(async || Api::of(&other).show(upload).await["state"] == "expired").await;
            }
        },
    )
    .await;
}

/// Ends an upload's time in the database, as if its days had passed. The clock is not moved so far, because the
/// embedded store goes by the machine's own and refuses requests from another day.
fn let_expire(server: &TestServer, upload: &Value) {
    let statement = format!(
        "UPDATE uploads SET expires_at = '2026-01-01 00:00:00.000000' WHERE id = '{}'",
        id(upload)
    );
    let url = server.config.database_url();
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let mut conn = SqliteConnection::establish(path).expect("a connection");
            conn.batch_execute("PRAGMA busy_timeout = 5000")
                .expect("a pragma");
            conn.batch_execute(&statement)
        }
        None => PgConnection::establish(&url)
            .expect("a connection")
            .batch_execute(&statement),
    }
    .expect("one row");
}

/// Waits for something that happens within seconds.
async fn until(so: impl AsyncFn() -> bool) {
    for _ in 0..100 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not happen in ten seconds");
}
