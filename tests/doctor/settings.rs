//! Settings that are possible and bite all the same.

use muleteer::config::{Anonymous, Config, Secret};
use muleteer::doctor::{self, Report};

use super::ground::{Ground, assert_only};

fn examine(change: impl FnOnce(&mut Config)) -> Report {
    let mut config = Config {
        data_dir: std::env::temp_dir().to_str().expect("UTF-8").to_owned(),
        ..Config::default()
    };
    change(&mut config);
    let mut report = Report::default();
    doctor::examine_settings(&config, &mut report);
    report
}

#[test]
fn the_defaults_have_no_findings() {
    let report = examine(|_| {});

    assert!(report.findings.is_empty(), "{report:#?}");
}

#[test]
fn a_public_address_that_is_nobody_elses_is_named() {
    let report = examine(|config| {
        config.server.address = "0.0.0.0".into();
        config.server.public_url = "http://localhost:8080".into();
    });

    assert_only(&report, "public-url-loopback", "server.public_url");
}

#[test]
fn a_proxy_that_is_not_believed_is_named() {
    let report = examine(|config| config.server.public_url = "https://upload.example.org".into());

    assert_only(&report, "trusted-proxies-missing", "[\"127.0.0.1\"]");
}

#[test]
fn a_server_that_takes_files_of_everybody_is_named() {
    let report = examine(|config| {
        config.server.address = "0.0.0.0".into();
        config.auth.anonymous = Anonymous::On;
    });

    assert_only(&report, "anonymous-open", "auth.anonymous = \"off\"");
}

#[tokio::test]
async fn a_database_below_what_is_no_folder_is_named() {
    let mut ground = Ground::embedded().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let below = format!("sqlite://{}/uploads.sqlite", file.path().display());
    ground.config.database.url = Secret::new(below);

    assert_only(&ground.examine().await, "database-unusable", "database.url");
}

#[test]
fn urls_that_outlive_their_uploads_are_named() {
    let report = examine(|config| {
        config.uploads.ttl_hours = 1;
        config.s3.url_lifetime_s = 7200;
    });

    assert_only(&report, "url-outlives-upload", "s3.url_lifetime_s = 3600");
}
