//! What is asked of a folder or a share is counted and timed; what is asked of S3 is counted as its requests, and not twice.

#![expect(clippy::float_cmp, reason = "what is counted is whole")]

use std::time::Duration;

use muleteer::config::{BackendName, Config, Secret};

use super::api::{Api, file, id, part_of};
use super::exposition::Exposition;
use super::place::{Backend, Place};
use super::server::Kind;
use super::{PART, TOKEN, plain, scrape, send_in_two};

/// A server without a bucket, whose files all lie in a folder.
pub fn in_a_folder(config: &mut Config) {
    config.storage.backend = BackendName::Local;
    config.storage.local.path = format!("{}/files", config.data_dir);
}

fn done(backend: &str, operation: &str) -> String {
    format!(
        "muleteer_storage_operations_total{{backend=\"{backend}\",operation=\"{operation}\",outcome=\"ok\"}}"
    )
}

fn timed(backend: &str, operation: &str) -> String {
    format!(
        "muleteer_storage_operation_duration_seconds_count{{backend=\"{backend}\",operation=\"{operation}\"}}"
    )
}

/// Holds how often something was done against how often that was timed, too.
#[track_caller]
fn assert_done(scraped: &Exposition, backend: &str, expected: &[(&str, f64)]) {
    for (operation, times) in expected {
        let (done, timed) = (done(backend, operation), timed(backend, operation));
        assert_eq!(scraped.value(&done), *times, "{done}: {}", scraped.text);
        assert_eq!(scraped.value(&timed), *times, "{timed}: {}", scraped.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_appended_are_counted_on_a_folder_and_on_a_share() {
    let backends = [
        Backend::Local,
        #[cfg(feature = "smb")]
        Backend::Smb,
    ];
    for backend in backends {
        let place = Place::start(Kind::Sqlite, backend, |config| {
            config.metrics.token = Secret::new(TOKEN);
        });
        let Some(place) = place else {
            eprintln!("without {backend:?}, which the environment skips");
            continue;
        };

        send_in_two(&place).await;

        let scraped = scrape(&place).await;
        let expected = [("begin", 1.0), ("append", 2.0), ("finish", 1.0), ("put", 0.0)];
        assert_done(&scraped, place.backend_name(), &expected);
        let foreign = series_of(&scraped, "muleteer_store_request");
        assert!(foreign.is_empty(), "nothing is asked of S3: {foreign:#?}");
    }
}

/// The series whose names begin like this.
fn series_of(scraped: &Exposition, beginning: &str) -> Vec<String> {
    let mut series: Vec<String> = scraped.series().into_iter().collect();
    series.retain(|series| series.starts_with(beginning));
    series
}

#[tokio::test]
async fn parts_are_counted_and_what_has_gone_is_told_apart_from_what_fails() {
    let server = plain(in_a_folder);
    let api = Api::of(&server);
    let send = async |upload: &serde_json::Value, number: u64| {
        let path = format!("/uploads/{}/parts/{number}/content", id(upload));
        api.raw("PUT", &path, part_of(upload, number)).await
    };
    let upload = api.create("film.mp4", 2 * PART + 5).await;
    for number in [3, 1, 2] {
        send(&upload, number).await.expect(200);
    }
    api.complete(&upload).await.expect(200);
    let lost = api.create("lost.mp4", PART).await;
    let whole = scrape(&server).await;
    assert_done(&whole, "local", &[("begin", 2.0), ("put", 3.0), ("finish", 1.0)]);

    let unfinished = server.folder().join("files/.muleteer");
    std::fs::remove_dir_all(unfinished.join(id(&lost))).expect("what is there of it");
    let refused = send(&lost, 1).await;
    std::fs::remove_dir_all(&unfinished).expect("what is unfinished");
    let failed = api.post("/uploads", &file("late.mp4", PART)).await;

    assert!(refused.status >= 400, "{}", refused.text());
    assert!(failed.status >= 500, "{}", failed.text());
    let after = scrape(&server).await;
    for (operation, outcome) in [("put", "refused"), ("begin", "failed")] {
        let series = done("local", operation).replace("\"ok\"", &format!("\"{outcome}\""));
        assert_eq!(after.value(&series), 1.0, "{series}: {}", after.text);
    }
    assert_eq!(after.value(&timed("local", "put")), 4.0, "{}", after.text);
    assert_eq!(after.value(&timed("local", "begin")), 3.0, "{}", after.text);
}

#[tokio::test]
async fn a_sweep_that_finds_the_storage_gone_is_counted() {
    let server = plain(|config| {
        in_a_folder(config);
        config.uploads.sweep_interval_s = 1;
        config.uploads.orphan_interval_s = 1;
    });
    let failures = "muleteer_background_failures_total{work=\"sweep\"}";
    assert_eq!(scrape(&server).await.value(failures), 0.0);

    std::fs::remove_dir_all(server.folder().join("files/.muleteer")).expect("its own folder");

    for _ in 0..300 {
        if scrape(&server).await.value(failures) > 0.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", scrape(&server).await.text);
}

#[tokio::test]
async fn what_is_asked_of_s3_is_counted_as_its_requests_alone() {
    let server = plain(|_| {});

    send_in_two(&server).await;

    let scraped = scrape(&server).await;
    let asked = series_of(&scraped, "muleteer_store_requests_total");
    assert!(!asked.is_empty(), "{}", scraped.text);
    let twice = series_of(&scraped, "muleteer_storage_");
    assert!(twice.is_empty(), "{twice:#?}");
}
