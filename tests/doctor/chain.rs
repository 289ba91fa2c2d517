//! Temporary credentials that a profile of AWS's shared files gives: near their end, and past it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use muleteer::dev_s3::TemporaryKey;
use serde_json::json;

use super::commands::examined;
use super::ground::Ground;
use super::process::Place;

const KEY: &str = "ASIAPROFILE";
const SECRET: &str = "secret/for+a+while";
const TOKEN: &str = "token/1==";

/// Has the store take the profile's key for so long; the end of it.
fn admit(ground: &Ground, life: TimeDelta) -> DateTime<Utc> {
    let expires_at = Utc::now() + life;
    ground.admit(TemporaryKey {
        access_key_id: KEY.to_owned(),
        secret_access_key: SECRET.to_owned().into(),
        session_token: TOKEN.to_owned(),
        expires_at,
    });
    expires_at
}

/// The bucket, and nothing of a key but where the shared files are, one of which is written.
fn with_file(ground: &Ground, place: &Place, name: &str, text: &str) -> Vec<(&'static str, String)> {
    let folder = place.path().join(".aws");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), text).expect("written");
    let s3 = &ground.config.s3;
    vec![
        ("S3_BUCKET", s3.bucket.clone()),
        ("S3_ENDPOINT", s3.endpoint.clone()),
        ("AWS_REGION", s3.region.clone()),
        ("HOME", place.path().to_str().expect("UTF-8").to_owned()),
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// The same with a process that gives the key and this end of it.
fn with_process(ground: &Ground, place: &Place, end: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let pair = json!({
        "Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "SessionToken": TOKEN,
        "Expiration": end.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    let file = place.path().join("pair.json");
    std::fs::write(&file, pair.to_string()).expect("written");
    let profile = format!("[default]\ncredential_process = cat {}\n", file.display());
    with_file(ground, place, "config", &profile)
}

// The program is waited for, so the store must not run on the thread that waits.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_end_before_a_url_would_are_named_with_a_life_that_fits() {
    let (ground, place) = (Ground::embedded().await, Place::new());
    let end = admit(&ground, TimeDelta::minutes(20));
    let mut settings = with_process(&ground, &place, end);

    let (status, findings) = examined(&place, &settings);

    let [(name, fix)] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!((status, name.as_str()), (Some(1), "url-outlives-credentials"));
    let life = fix
        .strip_prefix("set s3.url_lifetime_s = ")
        .and_then(|rest| rest.split(',').next());
    let life: u64 = life.and_then(|text| text.parse().ok()).expect("a number");
    assert!((540..=600).contains(&life), "{fix}");
    settings.push(("MULETEER_S3__URL_LIFETIME_S", life.to_string()));
    assert_eq!(examined(&place, &settings), (Some(0), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_had_ended_when_they_were_given_are_not_called_missing() {
    let (ground, place) = (Ground::embedded().await, Place::new());
    let end = admit(&ground, TimeDelta::seconds(-1));

    let (status, findings) = examined(&place, &with_process(&ground, &place, end));

    let [(name, fix)] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!((status, name.as_str()), (Some(1), "credentials-expired"));
    assert!(fix.contains("have that place give new ones"), "{fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_that_the_store_does_not_take_are_named_with_the_place_to_mend_them() {
    let (ground, place) = (Ground::embedded().await, Place::new());
    let (valid, over) = (TimeDelta::hours(1), TimeDelta::seconds(-1));

    for (life, (key, secret, token), finding, what) in [
        (
            over,
            (KEY, SECRET, TOKEN),
            "credentials-expired",
            "new temporary credentials",
        ),
        (
            valid,
            ("ASIANOBODY", SECRET, TOKEN),
            "credentials-unknown-key",
            "a key of this store",
        ),
        (
            valid,
            (KEY, "another/secret", TOKEN),
            "credentials-wrong-secret",
            "the secret of this key",
        ),
        (
            valid,
            (KEY, SECRET, "token/2=="),
            "credentials-bad-token",
            "the token that belongs to this key",
        ),
    ] {
        admit(&ground, life);
        let keys = format!(
            "[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
        );
        let (status, findings) = examined(&place, &with_file(&ground, &place, "credentials", &keys));

        let [(name, fix)] = findings.as_slice() else {
            panic!("{findings:?}")
        };
        assert_eq!((status, name.as_str()), (Some(1), finding));
        assert!(fix.contains("the profile") && fix.contains(what), "{fix}");
        assert!(!fix.contains("s3."), "nothing of it is in the settings: {fix}");
    }
}
