//! The program itself: exit codes, JSON, what is mended, what is written.

use std::process::Output;

use muleteer::config::Config;
use serde_json::Value;

use super::ground::{Ground, on_each};
use super::process::Place;

/// The settings of the bucket as variables.
pub fn variables(config: &Config) -> Vec<(&'static str, String)> {
    let s3 = &config.s3;
    vec![
        ("S3_BUCKET", s3.bucket.clone()),
        ("S3_ENDPOINT", s3.endpoint.clone()),
        ("AWS_REGION", s3.region.clone()),
        ("AWS_ACCESS_KEY_ID", s3.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", s3.secret_access_key.expose().to_owned()),
    ]
}

fn run(place: &Place, arguments: &[&str], config: &Config) -> Output {
    let variables = variables(config);
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    place.run_with(arguments, &variables)
}

/// How `doctor` ends with these variables, and the names and fixes of what it finds.
pub fn examined(place: &Place, variables: &[(&'static str, String)]) -> (Option<i32>, Vec<(String, String)>) {
    let borrowed: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let output = place.run_with(&["doctor", "--json"], &borrowed);
    (output.status.code(), findings(&json(&output)))
}

/// The names and fixes in a report.
pub fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
    let found = report["findings"].as_array().expect("a list");
    found
        .iter()
        .map(|finding| (text(finding, "id"), text(finding, "fix")))
        .collect()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    let name = |entry: &Value| {
        entry["id"]
            .as_str()
            .or(entry.as_str())
            .expect("a name")
            .to_owned()
    };
    list.iter().map(name).collect()
}

// The program is waited for, so the store must not run on the thread that waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_mended_is_mended_when_told_and_the_rules_of_others_stay() {
    on_each(async |ground: Ground| {
        let place = Place::new();
        ground.remove("lifecycle").await;
        ground
            .put_cors("<ID>theirs</ID><AllowedOrigin>https://other.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>")
            .await;

        let before = run(&place, &["doctor", "--json"], &ground.config);
        assert_eq!(before.status.code(), Some(1), "{before:?}");
        assert_eq!(names(&json(&before)["findings"]), ["cors-origin", "lifecycle-missing"]);

        let mended = run(&place, &["doctor", "--fix", "--json"], &ground.config);
        assert_eq!(mended.status.code(), Some(0), "{mended:?}");
        assert_eq!(names(&json(&mended)["fixed"]), ["cors-origin", "lifecycle-missing"]);

        let after = run(&place, &["doctor"], &ground.config);
        assert_eq!(after.status.code(), Some(0), "{after:?}");
        let cors = ground.client.ask("GET", "").query("cors", "").send().await;
        assert!(cors.text().contains("https://other.example"), "{cors:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_show_says_whether_the_bucket_has_the_rule_and_apply_puts_it_there() {
    on_each(async |ground: Ground| {
        let place = Place::new();
        ground.remove("cors").await;

        let before = run(&place, &["cors", "show", "--json"], &ground.config);
        let applied = run(&place, &["cors", "apply"], &ground.config);
        let after = run(&place, &["cors", "show", "--json"], &ground.config);

        assert_eq!(
            (before.status.code(), json(&before)["applied"].clone()),
            (Some(1), Value::Bool(false))
        );
        assert_eq!(applied.status.code(), Some(0), "{applied:?}");
        assert_eq!(
            (after.status.code(), json(&after)["applied"].clone()),
            (Some(0), Value::Bool(true))
        );
    })
    .await;
}

#[test]
fn a_finding_that_is_meant_can_be_excepted_by_its_name_alone() {
    let place = Place::new();
    let open = [
        ("MULETEER_AUTH__ANONYMOUS", "on"),
        ("MULETEER_SERVER__ADDRESS", "0.0.0.0"),
    ];
    let open = [open[0], open[1], ("MULETEER_DEV_S3__PORT", "0")];

    let found = place.run_with(&["doctor"], &open);
    // The embedded S3 is this machine's alone, which is another finding.
    let one = place.run_with(&["doctor", "--except", "anonymous-open", "--json"], &open);
    let both = [
        "doctor",
        "--except",
        "anonymous-open",
        "--except",
        "public-endpoint-loopback",
    ];
    let excepted = place.run_with(&both, &open);
    let unknown = place.run_with(&["doctor", "--except", "anonymous"], &open);

    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert_eq!(
        names(&json(&one)["findings"]),
        ["public-endpoint-loopback"],
        "{one:?}"
    );
    assert_eq!(excepted.status.code(), Some(0), "{excepted:?}");
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}

#[test]
fn the_flags_that_the_server_is_started_with_count_for_the_doctor() {
    let place = Place::new();

    let output = place.run(&["doctor", "--port", "8123", "--s3-port", "0"]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("http://localhost:8123/doctor"), "{said}");
}

#[test]
fn without_credentials_the_places_to_put_them_are_named() {
    let place = Place::new();
    let nowhere = [("S3_BUCKET", "media"), ("AWS_EC2_METADATA_DISABLED", "true")];

    let output = place.run_with(&["doctor", "--json"], &nowhere);

    assert_eq!(
        names(&json(&output)["findings"]),
        ["credentials-missing"],
        "{output:?}"
    );
}

#[test]
fn init_writes_secrets_for_its_owners_eyes_and_replaces_nothing_unasked() {
    let place = Place::new();
    let file = place.path().join("Rocket.toml");

    let first = place.run(&["init"]);
    let written = std::fs::read_to_string(&file).expect("a file");
    let second = place.run(&["init"]);

    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), written);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(place.run(&["init", "--force"]).status.code(), Some(0));
    assert_ne!(std::fs::read_to_string(&file).expect("a file"), written);
    let key = place.run(&["keys", "list", "--json"]);
    assert_eq!(json(&key)["keys"], serde_json::json!([]), "it loads: {key:?}");
}

#[test]
fn every_shell_gets_its_completions_and_settings_that_are_wrong_do_not_matter() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = place.run_with(&["completions", shell], &[("MULETEER_NO_SUCH", "setting")]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("doctor"),
            "{shell}"
        );
    }
}

#[test]
fn the_policy_names_the_bucket_its_prefixes_and_the_days_of_the_ttl() {
    let place = Place::new();
    let settings = [
        ("S3_BUCKET", "media"),
        ("UPLOAD_TTL_HOURS", "30"),
        ("MULETEER_PROTOCOLS__MULE__ENABLED", "false"),
    ];

    let policy = json(&place.run_with(&["policy"], &settings));

    let objects = &policy["iam"]["Statement"][2]["Resource"];
    assert!(
        objects.to_string().contains("arn:aws:s3:::media/uploads/*"),
        "{policy:#}"
    );
    let rule = &policy["lifecycle"]["Rules"][0]["AbortIncompleteMultipartUpload"];
    assert_eq!(rule["DaysAfterInitiation"], 3, "{policy:#}");
    assert_eq!(policy["cors"]["CORSRules"][0]["ExposeHeaders"][0], "ETag");
}

#[test]
fn the_policy_of_the_role_behind_temporary_credentials_is_printed_where_they_are_handed_out() {
    let place = Place::new();
    let role = "arn:aws:iam::123456789012:role/uploader";
    let settings = [
        ("S3_BUCKET", "media"),
        ("MULETEER_PROTOCOLS__UPPY__STS__ROLE_ARN", role),
    ];

    let policy = json(&place.run_with(&["policy"], &settings));
    let without = json(&place.run_with(&["policy"], &settings[..1]));

    let of_role = &policy["sts_role"]["Statement"][0];
    assert_eq!(of_role["Resource"][0], "arn:aws:s3:::media/sts/*", "{policy:#}");
    assert!(!of_role.to_string().contains("GetObject"), "{policy:#}");
    let may_assume = |policy: &Value| {
        let statements = policy["iam"]["Statement"].as_array().expect("a list");
        statements
            .iter()
            .any(|one| one["Action"][0] == "sts:AssumeRole" && one["Resource"][0] == role)
    };
    assert!(may_assume(&policy) && !may_assume(&without));
    assert!(without.get("sts_role").is_none(), "{without:#}");
}

#[test]
fn the_page_of_the_command_line_has_every_command() {
    let page = include_str!("../../docs/command-line.md");
    let help = Place::new().run(&["--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands = help.split_once("Commands:").expect("a list").1;
    let lines = commands.lines().skip(1).take_while(|line| !line.is_empty());
    // What a long line goes on with stands further in.
    let names = lines
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").collect();

    assert!(names.contains(&"doctor") && names.contains(&"sweep"), "{help}");
    for name in names {
        assert!(
            page.contains(&format!("`muleteer {name}")),
            "{name} is not in the page"
        );
    }
    // The terminal's width decides where its lines end.
    let words: Vec<&str> = help.split_whitespace().collect();
    let codes = "3 the server refused; 130 Ctrl-C";
    assert!(words.join(" ").contains(codes), "{help}");
}
