//! Who we are to the store, where it is, and what we may do there.

use chrono::{TimeDelta, Utc};
use muleteer::app;
use muleteer::clock::Clock;
use muleteer::config::{Config, PathStyle, Secret};
use muleteer::dev_s3::TemporaryKey;
use muleteer::doctor::Id;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ground::{Ground, NARROW, REGION, assert_only, on_each, only};
use super::proxy;

#[tokio::test]
async fn a_bucket_that_is_right_has_no_findings_and_nothing_is_left_in_it() {
    on_each(async |ground| {
        let report = ground.examine().await;

        assert!(report.findings.is_empty(), "{report:#?}");
        assert_eq!(ground.left_over().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_store_does_not_know_is_named() {
    on_each(async |mut ground| {
        ground.config.s3.access_key_id = "nobody-knows-me".into();

        assert_only(
            &ground.examine().await,
            "credentials-unknown-key",
            "s3.access_key_id",
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_secret_is_named_and_not_told() {
    on_each(async |mut ground| {
        ground.config.s3.secret_access_key = Secret::new("hunter2-and-more");

        let report = ground.examine().await;

        assert_only(&report, "credentials-wrong-secret", "s3.secret_access_key");
        assert!(!format!("{report:?}").contains("hunter2"));
    })
    .await;
}

#[tokio::test]
async fn a_token_that_belongs_to_no_key_is_named() {
    let mut ground = Ground::embedded().await;
    ground.config.s3.session_token = Secret::new("a-token-of-somebody-else");

    assert_only(
        &ground.examine().await,
        "credentials-bad-token",
        "s3.session_token",
    );
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named_with_its_error_and_the_rest_is_examined_all_the_same() {
    on_each(async |ground| {
        ground.remove("lifecycle").await;
        let clock = Clock::system();
        clock.advance(TimeDelta::minutes(20));

        let report = app::examine(&ground.config, clock).await.expect("an examination");

        let names: Vec<_> = report.findings.iter().map(|finding| finding.id).collect();
        assert_eq!(names, [Id::ClockSkew, Id::LifecycleMissing], "{report:#?}");
        let seen = &report.findings[0].seen;
        assert!(seen.contains("min") && seen.contains("ahead of"), "{seen}");
    })
    .await;
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    on_each(async |mut ground| {
        ground.config.s3.bucket = "a-bucket-of-nobody".into();

        assert_only(
            &ground.examine().await,
            "bucket-missing",
            "create-bucket --bucket a-bucket-of-nobody",
        );
    })
    .await;
}

#[tokio::test]
async fn the_region_of_the_bucket_is_found_out() {
    let mut ground = Ground::embedded().await;
    ground.config.s3.region = "eu-west-9".into();

    assert_only(
        &ground.examine().await,
        "bucket-other-region",
        &format!("s3.region = \"{REGION}\""),
    );
}

#[tokio::test]
async fn an_endpoint_where_nothing_listens_is_named() {
    on_each(async |mut ground| {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = closed.local_addr().expect("its address");
        drop(closed);
        ground.config.s3.endpoint = format!("http://{address}");

        assert_only(&ground.examine().await, "endpoint-unreachable", "s3.endpoint");
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_without_an_address_is_named() {
    on_each(async |mut ground| {
        // Below localhost no proxy of the surroundings is asked, and no name server knows it.
        ground.config.s3.endpoint = "http://no such host.localhost".replace(' ', "-");
        let report = ground.examine().await;

        // Some machines resolve everything below localhost, and then nothing listens there.
        let name = report.findings[0].id.name();
        assert!(
            ["endpoint-dns", "endpoint-unreachable"].contains(&name),
            "{report:#?}"
        );
        assert!(report.findings[0].fix.contains("s3.endpoint"), "{report:#?}");
    })
    .await;
}

#[tokio::test]
async fn https_to_a_store_that_speaks_http_is_named_with_the_address_that_works() {
    on_each(async |mut ground| {
        let plain = ground.config.s3.endpoint.clone();
        ground.config.s3.endpoint = plain.replace("http://", "https://");

        assert_only(
            &ground.examine().await,
            "endpoint-tls",
            &format!("s3.endpoint = \"{plain}\""),
        );
    })
    .await;
}

#[tokio::test]
async fn a_web_server_in_the_place_of_a_store_is_named() {
    let mut ground = Ground::embedded().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    ground.config.s3.endpoint = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let page = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });

    assert_only(&ground.examine().await, "endpoint-not-s3", "s3.endpoint");
}

#[tokio::test]
async fn settings_that_make_no_address_are_named_each() {
    type Break = fn(&mut Config);
    let broken: [(Break, &str); 4] = [
        (|config| config.s3.bucket = "two words".into(), "s3.bucket"),
        (
            |config| config.s3.endpoint = "store.example".into(),
            "s3.endpoint",
        ),
        (
            |config| config.s3.public_endpoint = "store.example".into(),
            "s3.public_endpoint",
        ),
        (|config| config.s3.region = "no/region".into(), "s3.region"),
    ];
    for (change, setting) in broken {
        let mut ground = Ground::embedded().await;
        change(&mut ground.config);

        assert_only(
            &ground.examine().await,
            "store-address",
            &format!("set {setting} "),
        );
    }
}

#[tokio::test]
async fn a_store_that_fails_and_one_that_refuses_for_reasons_of_its_own_are_told_apart() {
    for (answer, name, fix) in [
        (
            proxy::break_down as proxy::Change,
            "store-fails",
            "the store's own log",
        ),
        (proxy::close_account, "credentials-refused", "the store's words"),
    ] {
        let mut ground = Ground::embedded().await;
        let store = proxy::start(&ground.config.s3.endpoint, proxy::nothing, answer).await;
        ground.config.s3.endpoint = store;

        assert_only(&ground.examine().await, name, fix);
    }
}

#[tokio::test]
async fn the_other_style_of_address_is_tried_and_named() {
    on_each(async |mut ground| {
        let port = ground
            .config
            .s3
            .endpoint
            .rsplit(':')
            .next()
            .expect("a port")
            .to_owned();
        // Whatever resolves `BUCKET.localhost`, neither store finds the bucket there.
        ground.config.s3.endpoint = format!("http://localhost:{port}");
        ground.config.s3.path_style = PathStyle::Never;

        assert_only(
            &ground.examine().await,
            "path-style",
            "s3.path_style = \"always\"",
        );
    })
    .await;
}

#[tokio::test]
async fn each_right_that_a_narrow_key_lacks_is_named_with_the_action_to_allow() {
    let mut ground = Ground::embedded().await;
    ground.config.s3.access_key_id = NARROW.0.into();
    ground.config.s3.secret_access_key = Secret::new(NARROW.1);

    let report = ground.examine().await;

    for (id, action) in [
        (Id::ListUploads, "s3:ListBucketMultipartUploads"),
        (Id::ListObjects, "s3:ListBucket"),
        (Id::Put, "s3:PutObject"),
    ] {
        let found = report.findings.iter().find(|finding| finding.id == id);
        let found = found.unwrap_or_else(|| panic!("{} is not in {report:#?}", id.name()));
        assert!(found.fix.contains(action), "{found:#?}");
    }
}

#[tokio::test]
async fn each_right_that_a_bucket_policy_takes_away_is_named() {
    let Some(ground) = Ground::outside().await else {
        return eprintln!("without an outside store: S3_ENDPOINT is not set");
    };
    for (action, name) in [
        ("s3:GetObject", "permission-get"),
        ("s3:DeleteObject", "permission-delete"),
        ("s3:AbortMultipartUpload", "permission-abort"),
        ("s3:ListMultipartUploadParts", "permission-list-parts"),
        ("s3:ListBucketMultipartUploads", "permission-list-uploads"),
        ("s3:ListBucket", "permission-list-objects"),
    ] {
        let bucket = format!("arn:aws:s3:::{}", ground.config.s3.bucket);
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": action, "Resource": [bucket, format!("{bucket}/*")],
        }] });
        ground.put("policy", &policy.to_string()).await;

        let report = ground.examine().await;

        ground.remove("policy").await;
        let finding = only(&report, name);
        assert!(finding.fix.contains(action), "{finding:#?}");
    }
}

#[tokio::test]
async fn a_key_that_may_not_join_parts_is_named_with_the_action_to_allow() {
    let mut ground = Ground::embedded().await;
    let before = proxy::start(&ground.config.s3.endpoint, proxy::unsign_joining, proxy::nothing);
    ground.config.s3.endpoint = before.await;

    let report = ground.examine().await;

    let found = report.findings.iter().find(|finding| finding.id == Id::Complete);
    let found = found.unwrap_or_else(|| panic!("permission-complete is not in {report:#?}"));
    // The right itself is there, so the finding says where else to look.
    for word in ["s3:PutObject", "a proxy that changes POST"] {
        assert!(found.fix.contains(word), "{word}: {found:#?}");
    }
}

fn temporary(life: TimeDelta) -> TemporaryKey {
    TemporaryKey {
        access_key_id: "ASIADOCTOR".to_owned(),
        secret_access_key: "a secret for a while".to_owned().into(),
        session_token: "a/token+for=a while".to_owned(),
        expires_at: Utc::now() + life,
    }
}

fn use_temporary(ground: &mut Ground, life: TimeDelta) {
    let key = temporary(life);
    ground.admit(key);
    ground.config.s3.access_key_id = "ASIADOCTOR".into();
    ground.config.s3.secret_access_key = Secret::new("a secret for a while");
    ground.config.s3.session_token = Secret::new("a/token+for=a while");
}

#[tokio::test]
async fn temporary_credentials_that_have_run_out_are_named() {
    let mut ground = Ground::embedded().await;
    use_temporary(&mut ground, TimeDelta::hours(1));
    assert!(ground.examine().await.findings.is_empty());

    use_temporary(&mut ground, TimeDelta::seconds(-1));

    assert_only(
        &ground.examine().await,
        "credentials-expired",
        "temporary credentials",
    );
}
