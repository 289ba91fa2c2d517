//! Stops: the program ends, in good order or not, and what had come is there when it runs again.

use std::time::Duration;

use muleteer::dev_s3::{self, DevS3, DevS3Config, MIN_PART_SIZE};

use super::MIB;
use super::client::{Client, content};
use super::process::Place;

/// Longest time in which a server ends that was asked to.
const IN_GOOD_ORDER: Duration = Duration::from_secs(20);

/// An S3 server that outlives the program, with a folder of its own.
async fn store(folder: &std::path::Path) -> DevS3 {
    let settings = DevS3Config {
        root: folder.into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 0,
        access_key_id: "testaccesskey".into(),
        secret_access_key: "testsecretkey123456".into(),
        session_token: None,
        parts_only: None,
        region: "us-east-1".into(),
        bucket: "matrix-bucket".into(),
        min_part_size: MIN_PART_SIZE,
        allow_remote: false,
        max_upload_age: Duration::from_hours(1),
    };
    dev_s3::start(settings).await.expect("it starts")
}

/// Runs a test with the program on a folder, and on a bucket.
async fn on_both(test: impl AsyncFn(&Place, &[(&str, &str)])) {
    let local = [
        ("STORAGE_BACKEND", "local"),
        ("LOCAL_STORAGE_PATH", "files"),
        ("MULETEER_PROTOCOLS__TUS__DOWNLOADS", "true"),
        ("MULETEER_LOG__FILTER", "warn"),
    ];
    test(&Place::new(), &local).await;
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let endpoint = store.endpoint();
    let bucket = [
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_BUCKET", "matrix-bucket"),
        ("AWS_ACCESS_KEY_ID", "testaccesskey"),
        ("AWS_SECRET_ACCESS_KEY", "testsecretkey123456"),
        ("MULETEER_PROTOCOLS__TUS__DOWNLOADS", "true"),
        ("MULETEER_LOG__FILTER", "warn"),
    ];
    test(&Place::new(), &bucket).await;
    store.stop().await;
}

/// Sends the rest of an upload, and holds what can be downloaded against the file.
async fn ends_well(client: &Client, upload: &str, file: &[u8]) {
    let offset = client.offset(upload).await;
    client.send(upload, offset, &file[offset..]).await;
    let got = client.raw("GET", upload, &[], b"").await.expect(200);
    assert!(got.body == file, "the object has exactly its bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_01_a_server_that_is_stopped_keeps_what_came() {
    on_both(async |place, variables| {
        let file = content(8 * MIB);
        let running = place.serve(variables);
        let client = Client::new(&running.base);
        let upload = client.create(file.len()).await;
        client.send(&upload, 0, &file[..MIB]).await;
        let mut sending = client
            .begin_patch(&upload, MIB, file.len() - MIB, &file[MIB..6 * MIB + 77])
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;

        running.signal("TERM");

        if let Some(answer) = sending.answer_or_end().await {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        let (status, ..) = running.ended(IN_GOOD_ORDER);
        assert!(status.success());
        let running = place.serve(variables);
        let client = Client::new(&running.base);
        assert_eq!(client.offset(&upload).await, 6 * MIB + 77);
        ends_well(&client, &upload, &file).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_02_a_kill_takes_at_most_the_last_second_and_a_mebibyte() {
    on_both(async |place, variables| {
        let file = content(9 * MIB);
        let running = place.serve(variables);
        let client = Client::new(&running.base);
        let upload = client.create(file.len()).await;
        client.send(&upload, 0, &file[..MIB + 5]).await;
        let mut sending = client
            .begin_patch(&upload, MIB + 5, file.len() - MIB - 5, &file[MIB + 5..8 * MIB])
            .await;
        // All of it has come, and more than a second has passed since.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        sending.send(&file[8 * MIB..8 * MIB + 10]).await;

        drop(running);

        let running = place.serve(variables);
        let client = Client::new(&running.base);
        let offset = client.offset(&upload).await;
        assert!((7 * MIB..=8 * MIB + 10).contains(&offset), "{offset}");
        ends_well(&client, &upload, &file).await;
        let upload = client.create(file.len()).await;
        client.send(&upload, 0, &file[..3 * MIB]).await;
        drop(running);
        let running = place.serve(variables);
        let client = Client::new(&running.base);
        assert_eq!(
            client.offset(&upload).await,
            3 * MIB,
            "what was acknowledged is there"
        );
        ends_well(&client, &upload, &file).await;
    })
    .await;
}
