//! The key that is handed out: which it is, and which it never is.

use chrono::{DateTime, Utc};
use muleteer::clock::Clock;
use muleteer::config::{Config, MuleKeyConfig, Secret};
use muleteer::signing::{BucketLocation, Credentials, derive_signing_key};
use muleteer::storage::{CredentialSource, S3Store, StoreSettings};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::script::{Ending, signed_part, try_out};
use crate::{
    MAIN_ID, MAIN_SECRET, NARROW_ID, NARROW_SECRET, get, on_both, on_both_with, page_with, unfinished,
};

const QUERY: &str = "filename=clip.mp4&filesize=40&content_type=video%2Fmp4&last_modified=1777975200000";

fn example() -> Value {
    serde_json::from_str(include_str!("../fixtures/mule.json")).expect("the fixture is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The example's bucket at AWS, with its own credential and the one whose key is handed out.
fn store_with(main: Credentials, own: Credentials) -> S3Store {
    let example = example();
    let region = text(&example["v2"]["region"]);
    let location = || BucketLocation::aws(&text(&example["v1"]["bucket"]), &region).expect("a bucket of AWS");
    let settings = StoreSettings {
        location: location(),
        public_location: location(),
        url_lifetime: std::time::Duration::from_hours(1),
        signature_v2: None,
        handed_out: Some(own),
        checksum: muleteer::domain::WantedChecksum::Auto,
        sts: None,
    };
    S3Store::new(settings, CredentialSource::fixed(main)).expect("a store")
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

#[tokio::test]
async fn a_file_that_is_asked_for_many_times_at_once_is_begun_once() {
    on_both(async |server| {
        let asking = (0..12).map(|_| get(&server, "signing_key", QUERY));

        for answer in futures_util::future::join_all(asking).await {
            assert_eq!(answer.status(), 200);
        }
        assert_eq!(unfinished(&server).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_key_of_the_worked_example_comes_out_byte_for_byte() {
    let example = example();
    let own = Credentials::long_term(
        text(&example["access_key_id"]),
        text(&example["secret_access_key"]),
    );
    let store = store_with(Credentials::long_term(MAIN_ID, MAIN_SECRET), own);

    // The store itself, because the embedded one takes nothing that is signed for another year.
    let key = store
        .handed_key(text(&example["time"]).parse().unwrap())
        .await
        .unwrap()
        .unwrap();

    assert_eq!(Value::from(key.hex.expose_secret()), example["v2"]["signing_key"]);
    // And what the script makes of it is what the example says.
    let reply = json!({
        "date": "2026-05-05T10:00:00Z", "signature": key.hex.expose_secret(), "access_key": key.access_key_id,
        "region": key.region, "bucket": key.bucket, "key": example["key"],
    });
    let part = &example["v2"]["part"];
    let query = signed_part(
        &reply,
        &text(&example["upload_id"]),
        text(&part["time"]).parse().unwrap(),
    );
    let signature = query.rsplit('=').next().unwrap();
    assert!(
        text(&part["url"]).ends_with(&format!("X-Amz-Signature={signature}")),
        "{query}"
    );
}

#[tokio::test]
async fn the_reply_is_that_of_the_contract_for_today_and_nothing_may_keep_it() {
    on_both(async |server| {
        let answer = get(&server, "signing_key", QUERY).await;

        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let reply: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let date = text(&reply["date"]);
        assert!(date.ends_with('Z'), "{date}");
        let date: DateTime<Utc> = date.parse().unwrap();
        assert!((server.clock.now() - date).num_seconds().abs() < 60, "{date}");
        let own = SecretString::from(NARROW_SECRET);
        let key = derive_signing_key(&own, date, &server.config.s3.region);
        assert_eq!(reply["signature"], hex::encode(key.expose_secret()));
        assert_eq!(reply["access_key"], NARROW_ID);
        assert_eq!(reply["region"], server.config.s3.region.as_str());
        assert_eq!(reply["bucket"], server.config.dev_s3.bucket.as_str());
        assert_eq!(reply["content_type"], "video/mp4");
        for name in ["key", "upload_id"] {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
            assert!(text(&reply[name]).chars().all(is_safe), "{reply}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_key_of_the_stores_own_credential_is_never_sent() {
    on_both(async |server| {
        let (_, record) = page_with(&server, 2).upload().await;

        let main = SecretString::from(MAIN_SECRET);
        let key = derive_signing_key(&main, server.clock.now(), &server.config.s3.region);
        assert_ne!(record.reply["signature"], hex::encode(key.expose_secret()));
        assert_eq!(record.reply["access_key"], NARROW_ID);
        let whole = record.reply.to_string();
        assert!(
            !whole.contains(MAIN_ID) && !whole.contains(MAIN_SECRET),
            "{whole}"
        );
    })
    .await;
}

#[tokio::test]
async fn credentials_that_turn_into_the_handed_out_ones_after_the_start_are_never_handed_out() {
    let now = Clock::system().now();
    for (id, secret) in [(MAIN_ID, "another secret"), ("ANOTHERID", MAIN_SECRET)] {
        let main = Credentials::long_term(MAIN_ID, MAIN_SECRET);
        let store = store_with(main, Credentials::long_term(id, secret));

        assert!(store.handed_key(now).await.is_err(), "{id}");
    }
}

#[tokio::test]
async fn a_server_whose_narrow_key_is_the_stores_own_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    for (id, secret) in [(MAIN_ID, "another secret"), ("ANOTHERID", MAIN_SECRET)] {
        let mut config = Config {
            data_dir: folder.path().to_str().unwrap().to_owned(),
            ..Config::default()
        };
        config.dev_s3.port = 0;
        config.dev_s3.access_key_id = MAIN_ID.to_owned();
        config.dev_s3.secret_access_key = Secret::new(MAIN_SECRET);
        config.protocols.mule.signing_key = MuleKeyConfig {
            access_key_id: id.to_owned(),
            secret_access_key: Secret::new(secret),
        };
        assert_eq!(config.validate().len(), 1, "{id}");

        // The same where the settings alone do not show it: here nobody has asked them.
        let Err(error) = muleteer::app::start(config, Clock::system()).await else {
            panic!("{id}: it starts")
        };

        assert!(
            format!("{error:#}").contains("protocols.mule.signing_key"),
            "{error:#}"
        );
    }
}

#[tokio::test]
async fn without_a_credential_of_its_own_the_action_is_refused_and_nothing_is_issued_or_begun() {
    on_both_with(
        |config| config.protocols.mule.signing_key = MuleKeyConfig::default(),
        async |server| {
            let (ending, _) = page_with(&server, 2).upload().await;

            let Ending::Stopped(why) = ending else {
                panic!("{ending:?}")
            };
            assert!(why.starts_with("signing_key: 403 refused"), "{why}");
            let answer = get(&server, "signing_key", QUERY).await;
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert!(answer.headers().get("set-cookie").is_none());
            assert!(!is_json(&answer.text().await.unwrap()));
            assert_eq!(unfinished(&server).await, Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn strangers_get_no_key() {
    on_both_with(
        |config| config.auth.anonymous = muleteer::config::Anonymous::Off,
        async |server| {
            let mut page = page_with(&server, 2);
            page.api_key = "mule_wrong".to_owned();

            let (ending, _) = page.upload().await;

            assert!(
                matches!(&ending, Ending::Stopped(why) if why.starts_with("signing_key: 401")),
                "{ending:?}"
            );
            assert_eq!(unfinished(&server).await, Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn the_embedded_store_lets_the_narrow_key_do_nothing_but_parts() {
    on_both(async |server| {
        let mut page = page_with(&server, 2);
        let (ending, record) = page.upload().await;
        assert!(matches!(ending, Ending::Complete(_)), "{ending:?}");

        for (method, query) in [
            ("GET", "response-content-type=x"),
            ("DELETE", "x-id=DeleteObject"),
        ] {
            assert_eq!(
                try_out(&page, &record.reply, method, query).await,
                403,
                "{method} {query}"
            );
        }
        let mut bucket = record.reply.clone();
        bucket["key"] = Value::from("");
        assert_eq!(try_out(&page, &bucket, "GET", "list-type=2").await, 403);
    })
    .await;
}
