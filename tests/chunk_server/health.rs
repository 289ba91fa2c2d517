//! Health: whether the storage can be used, and nothing of where it is.

use muleteer::config::{Config, Secret};
use serde_json::json;

use super::client::Client;
use super::{everywhere, on_both_with};

#[tokio::test]
async fn a_server_whose_storage_answers_is_ok() {
    everywhere(async |place| {
        let anybody = Client::nobody(&place);

        let healthy = anybody.get("/health").await.expect(200);

        assert_eq!(healthy["status"], "OK");
        let storage = json!({ "backend_type": place.backend_name(), "status": "healthy", "message": null });
        assert_eq!(healthy["storage"], storage);
        let head = anybody.raw("HEAD", "/health", Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    })
    .await;
}

/// An S3 server that is not there, with names that must not leave.
fn without_a_store(config: &mut Config) {
    config.storage.backend = muleteer::config::BackendName::S3;
    config.s3.bucket = "secretbucket".into();
    config.s3.endpoint = "http://127.0.0.1:1".into();
    config.s3.access_key_id = "secretuser".into();
    config.s3.secret_access_key = Secret::new("secretpassword");
    config.s3.min_part_size = 8;
}

#[tokio::test]
async fn a_server_whose_storage_is_away_says_so_and_not_where_it_was() {
    on_both_with(without_a_store, async |place| {
        let anybody = Client::nobody(&place);

        let degraded = anybody.get("/health").await;

        let body = degraded.expect(503);
        assert_eq!(body["status"], "DEGRADED");
        assert_eq!(
            body["storage"],
            json!({ "backend_type": "s3", "status": "unavailable", "message": null })
        );
        let head = anybody.raw("HEAD", "/health", Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (503, 0));
        let client = Client::of(&place);
        let wanted = json!({ "filename": "a", "total_size": 5 });
        let refused = client.init_with(&wanted).await;
        assert_eq!(refused.error(503, "unavailable")["status"], 503);
        assert_eq!(refused.header("retry-after"), "1");
        for told in [degraded.text(), refused.text()] {
            for secret in ["127.0.0.1", "secret", "onnect"] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_went_away_is_noticed() {
    use super::{Backend, Kind, place::Place};
    let place = Place::start(Kind::Sqlite, Backend::Local, |_| {}).expect("SQLite is never skipped");
    let upload = Client::of(&place).init("a", 5).await;
    std::fs::remove_dir_all(&place.config.storage.local.path).expect("removed");

    let degraded = Client::nobody(&place).get("/health").await.expect(503);
    let lost = Client::of(&place).put(&upload, 0, "hello").await;

    assert_eq!(degraded["status"], "DEGRADED");
    assert!(
        !degraded.to_string().contains(&place.config.data_dir),
        "{degraded}"
    );
    super::client::check_error(&lost.json(), lost.status);
    assert!(matches!(lost.status, 404 | 500..=599), "{}", lost.text());
    assert!(!lost.text().contains(&place.config.data_dir), "{}", lost.text());
}
