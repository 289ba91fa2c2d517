//! The main flow against an S3 server that is not ours, where `S3_ENDPOINT`, `S3_KEY` and `S3_SECRET` name one.
//!
//! `scripts/test` names one in a full run; without it these tests say that they were left out.

use muleteer::config::Secret;

use crate::browser::{Browser, Meddling};
use crate::s3_client::{S3Client, Signer};
use crate::script::{ChosenFile, Ending, Settings, upload};
use crate::server::{Kind, TestServer};
use crate::{closes_after, file_of};

/// The least that S3 takes of every part but the last.
const CHUNK: u64 = 5 << 20;

struct Outside {
    server: TestServer,
    store: S3Client,
    page: Settings,
}

/// A server on a new bucket of the outside store; `None` where there is none, or no Postgres on purpose.
async fn outside(kind: Kind) -> Option<Outside> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(endpoint) = variable("S3_ENDPOINT") else {
        eprintln!("without an outside store: S3_ENDPOINT is not set");
        return None;
    };
    let (id, secret) = (
        variable("S3_KEY").expect("S3_KEY"),
        variable("S3_SECRET").expect("S3_SECRET"),
    );
    let bucket = format!("mule-{}", uuid::Uuid::new_v4().simple());
    let region = "us-east-1".to_owned();
    let signer = Signer {
        access_key_id: id.clone(),
        secret: secret.clone(),
        token: None,
        region,
    };
    let store = S3Client::new(endpoint.trim_end_matches('/'), &bucket, signer);
    let made = store.ask("PUT", "").send().await;
    assert_eq!(made.status, 200, "{made:?}");
    let server = TestServer::start(kind, |config| {
        config.s3.bucket.clone_from(&bucket);
        config.s3.endpoint.clone_from(&store.endpoint);
        config.s3.access_key_id.clone_from(&id);
        config.s3.secret_access_key = Secret::new(&secret);
        config.protocols.mule.signature_v2 = true;
        config.protocols.mule.chunk_size = CHUNK;
    })?;
    let page = Settings {
        ajax_base: format!("{}/upload-backend", server.base),
        key: "proposed".to_owned(),
        host: format!("{}/{bucket}", store.endpoint),
        access_key: id,
        content_type: "video/mp4".to_owned(),
        acl: "public-read".to_owned(),
        chunk_size: CHUNK,
        num_workers: 4,
        extra_params: Vec::new(),
        force: false,
    };
    Some(Outside { server, store, page })
}

async fn assert_arrived(outside: &Outside, ending: Ending, file: &ChosenFile) {
    let Ending::Complete(key) = ending else {
        panic!("{ending:?}")
    };
    let object = outside.store.get(&key).await;
    assert_eq!(object.status, 200, "{}", object.text());
    assert!(object.body == file.bytes, "the bytes at {key}");
    assert!(
        outside.server.store.is_empty(),
        "the embedded store was not started"
    );
}

#[tokio::test]
async fn a_file_arrives_byte_for_byte_in_an_outside_store() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(outside) = outside(kind).await else {
            continue;
        };
        let (browser, file) = (Browser::same_origin(), file_of(CHUNK * 5 / 2));

        let ending = upload(&browser, &outside.page, &file).await;

        assert_arrived(&outside, ending, &file).await;
        assert_eq!(browser.parts_taken().len(), 3);
    }
}

#[tokio::test]
async fn a_refresh_sends_only_what_an_outside_store_lacks() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(outside) = outside(kind).await else {
            continue;
        };
        let (browser, file) = (Browser::same_origin(), file_of(CHUNK * 7 / 2));
        let one_at_a_time = Settings {
            num_workers: 1,
            ..outside.page.clone()
        };
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &one_at_a_time, &file).await, Ending::Closed);
        let before = browser.parts_taken();
        browser.refresh();
        let mut completed = 0;
        browser.meddle(move |out| {
            completed += u32::from(out.what == "complete");
            if out.what == "complete" && completed == 1 {
                Meddling::Answer(403)
            } else {
                Meddling::None
            }
        });

        let ending = upload(&browser, &outside.page, &file).await;

        assert_arrived(&outside, ending, &file).await;
        let mut after = browser.parts_taken();
        assert!(
            after.iter().all(|number| !before.contains(number)),
            "{before:?} then {after:?}"
        );
        after.sort_unstable();
        assert_eq!(
            after,
            [3, 4, 4],
            "the two that were missing, and one more after the refusal"
        );
    }
}
