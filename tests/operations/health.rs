//! `/health`: what operators and load balancers are told.

use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::process::Place;
use super::{on_both, plain};

#[tokio::test]
async fn it_says_what_is_served_and_how_fast_what_we_depend_on_answers() {
    on_both(async |server| {
        let anybody = Api::nobody(&server).outside();

        let alive = anybody.get("/health").await.expect(200);
        assert_eq!(alive["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(alive["embedded_store"], true);
        let protocols = alive["protocols"].as_array().expect("a list");
        for name in ["native", "tus", "uppy"] {
            assert!(protocols.contains(&json!(name)), "{alive}");
        }

        let ready = anybody.get("/health/ready").await.expect(200);
        assert_eq!(ready["status"], "ready");
        assert_eq!(
            (&ready["database"], &ready["store"]),
            (&json!("ok"), &json!("ok"))
        );
        assert!(
            ready["ms"]["database"].is_u64() && ready["ms"]["store"].is_u64(),
            "{ready}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_closed_door_is_not_among_the_protocols() {
    let server = plain(|config| config.protocols.tus.enabled = false);
    let alive = Api::nobody(&server).outside().get("/health").await.expect(200);
    let protocols = alive["protocols"].as_array().expect("a list");
    assert!(!protocols.contains(&json!("tus")), "{alive}");
}

#[tokio::test]
async fn who_is_not_ready_says_what_answers_and_what_does_not() {
    let server = plain(|config| {
        config.s3.bucket = "secretbucket".into();
        config.s3.endpoint = "http://127.0.0.1:1".into();
        config.s3.min_part_size = 8;
        config.s3.access_key_id = "secretuser".into();
        config.s3.secret_access_key = muleteer::config::Secret::new("secretpassword");
    });
    let refused = Api::nobody(&server).outside().get("/health/ready").await;
    let problem = refused.problem(503, "unavailable");
    assert_eq!(
        (&problem["database"], &problem["store"]),
        (&json!("ok"), &json!("unavailable"))
    );
    for secret in ["secret", "127.0.0.1"] {
        assert!(!refused.text().contains(secret), "{}", refused.text());
    }
}

#[tokio::test]
async fn after_sigterm_it_is_not_ready_while_it_still_serves() {
    let place = Place::new();
    let key = "a-very-secret-key-0123456789";
    let server = place.serve(&[("API_KEY", key), ("MULETEER_SERVER__DRAIN_S", "600")]);
    let api = Api::at(&server.base).with("x-api-key", key);
    api.outside().get("/health/ready").await.expect(200);

    server.signal("TERM");
    let mut ready = api.outside().get("/health/ready").await;
    for _ in 0..100 {
        if ready.status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        ready = api.outside().get("/health/ready").await;
    }

    ready.problem(503, "stopping");
    api.outside().get("/health/live").await.expect(200);
    api.outside().get("/health").await.expect(200);
    api.create("film.mp4", 5).await;
    // A second signal waits no longer.
    server.signal("TERM");
    let (status, _, log) = server.ended(Duration::from_secs(30));
    assert!(status.success(), "{status}: {log}");
}
