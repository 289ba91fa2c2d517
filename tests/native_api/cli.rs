//! The program's command line: keys, the first start and the next, bad settings.

use std::process::Output;

use serde_json::json;

use super::api::{Api, all_parts};
use super::process::Place;

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", complaint(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_key_is_printed_alone_works_at_once_and_stops_when_revoked() {
    let place = Place::new();
    let server = place.serve(&[("MULETEER_AUTH__ANONYMOUS", "off")]);

    let output = place.run(&["keys", "create", "--owner", "anna", "--scopes", "upload"]);

    let key = printed(&output);
    let key = key.strip_suffix('\n').expect("a line");
    assert!(
        key.len() > 40
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)),
        "{key:?}"
    );
    let anna = Api::at(&server.base).with("x-api-key", key);
    assert_eq!(anna.get("/session").await.expect(200)["owner"], "anna");

    let listed = printed(&place.run(&["keys", "list"]));
    assert!(!listed.contains(key), "a list tells no key");
    let row = listed
        .lines()
        .find(|line| line.contains("anna"))
        .expect("it is listed");
    assert!(
        row.contains(&key[..9]) && row.contains("upload") && row.contains("good"),
        "{row}"
    );
    let id = row.split_whitespace().next().expect("an id");

    printed(&place.run(&["keys", "revoke", id]));
    anna.get("/uploads").await.problem(401, "unauthenticated");
    assert_eq!(anna.get("/session").await.expect(200)["kind"], "none");
    assert!(printed(&place.run(&["keys", "list"])).contains("revoked"));
    let again = place.run(&["keys", "revoke", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(complaint(&again).contains(id));
}

#[test]
fn a_key_is_kept_as_a_hash_alone() {
    let place = Place::new();

    let key = printed(&place.run(&["keys", "create", "--owner", "anna"]));

    let kept = std::fs::read_dir(place.path().join("data")).expect("the data folder");
    for file in kept
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).expect("its bytes");
        let found = bytes
            .windows(key.trim().len())
            .any(|window| window == key.trim().as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn a_bad_owner_or_scope_is_named() {
    let place = Place::new();
    for (arguments, name) in [
        (vec!["keys", "create", "--owner", "a b"], "owner"),
        (vec!["keys", "create", "--owner", "visitor:1"], "owner"),
        (vec!["keys", "create", "--owner", ""], "owner"),
        (
            vec!["keys", "create", "--owner", "a", "--scopes", "root"],
            "scopes",
        ),
        (vec!["keys", "create", "--owner", "a", "--scopes", ""], "scopes"),
        (vec!["keys", "create"], "owner"),
    ] {
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(
            complaint(&output).contains(name),
            "{arguments:?}: {}",
            complaint(&output)
        );
    }
    assert!(!place.path().join("data").exists(), "nothing was begun");
    assert!(!printed(&place.run(&["keys", "list"])).contains(" a "));
}

#[test]
fn a_database_that_keys_has_to_make_is_told() {
    let place = Place::new();
    let create = ["keys", "create", "--owner", "anna"];

    let (first, second) = (place.run(&create), place.run(&create));

    let said = complaint(&first);
    assert!(said.contains("a new database was made at"), "{said}");
    assert!(said.contains("data/muleteer.sqlite"), "{said}");
    assert_eq!(printed(&first).lines().count(), 1, "the key is printed alone");
    assert!(
        !complaint(&second).contains("new database"),
        "{}",
        complaint(&second)
    );
}

#[test]
fn an_address_to_ask_for_health_that_is_none_is_a_mistake_of_usage() {
    let place = Place::new();
    for address in ["127.0.0.1:8080", "ftp://example.org/", "nonsense"] {
        let output = place.run(&["health", "--url", address]);
        assert_eq!(output.status.code(), Some(2), "{address}");
        assert!(complaint(&output).contains("--url"), "{}", complaint(&output));
    }
}

#[tokio::test]
async fn the_first_start_tells_an_admin_key_once_and_the_next_keeps_everything() {
    let place = Place::new();
    let server = place.serve(&[]);
    let newcomer = Api::at(&server.base);
    let (printed, log) = server.stop();
    let key = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("admin key"))
        .and_then(|rest| rest.split_whitespace().next())
        .expect("an admin key")
        .to_owned();
    assert!(!log.contains(&key), "the log holds no key");

    let server = place.serve(&[]);
    let admin = newcomer.moved_to(&server.base).with("x-api-key", &key);
    assert_eq!(
        admin.get("/session").await.expect(200)["scopes"],
        json!(["upload", "admin"])
    );
    let done = admin.upload("kept.bin", 7).await;
    let upload = admin.create("later.bin", 7).await;
    let (printed, _) = server.stop();
    assert!(!printed.contains(&key), "{printed}");
    let tells = |line: &str| line.trim().starts_with("admin key");
    assert!(!printed.lines().any(tells), "{printed}");

    let server = place.serve(&[]);
    let admin = admin.moved_to(&server.base);
    assert_eq!(admin.show(&done).await["etag"], done["etag"]);
    admin.send_parts(&upload, all_parts(&upload)).await;
    admin.complete(&upload).await.expect(200);
}

#[test]
fn a_setting_that_does_not_exist_stops_the_start_and_is_named() {
    let place = Place::new();
    for (variables, name) in [
        (vec![("MULETEER_SERVER__PROT", "1")], "prot"),
        (vec![("MULETEER_SERVRE__PORT", "1")], "servre"),
        (vec![("MULETEER_DATABASE__POOL_SIZE", "many")], "pool_size"),
        (vec![("MULETEER_SERVER__ADDRESS", "localhost")], "server.address"),
        (vec![("MULETEER_LOG__FILTER", "muleteer=loud")], "log.filter"),
        (vec![("MULETEER_CONFIG", "none.toml")], "none.toml"),
    ] {
        let output = place.run_with(&["serve", "--port", "0", "--s3-port", "0"], &variables);
        assert_eq!(output.status.code(), Some(2), "{variables:?}");
        assert!(
            complaint(&output).contains(name),
            "{variables:?}: {}",
            complaint(&output)
        );
    }
    std::fs::write(place.path().join("Rocket.toml"), "[default]\nunknown_thing = 1\n").expect("a file");
    let output = place.run(&["serve", "--port", "0", "--s3-port", "0"]);
    assert_eq!(output.status.code(), Some(2));
    let text = complaint(&output);
    assert!(
        text.contains("unknown_thing") && text.contains("Rocket.toml"),
        "{text}"
    );
    assert!(!place.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    for (variables, name) in [
        (vec![("MULETEER_SERVER__PORT", port.as_str())], port.as_str()),
        (
            vec![("MULETEER_DATABASE__URL", "sqlite:///proc/none/x.db")],
            "/proc/none/x.db",
        ),
        (
            vec![("MULETEER_DATABASE__URL", "postgres://u:geheim@127.0.0.1:1/x")],
            "127.0.0.1:1/x",
        ),
    ] {
        let output = place.run_with(&["serve", "--s3-port", "0"], &variables);
        assert_eq!(output.status.code(), Some(1), "{variables:?}");
        let text = complaint(&output);
        assert!(
            text.contains(name) && !text.contains("geheim"),
            "{variables:?}: {text}"
        );
    }
}

#[tokio::test]
async fn a_server_whose_words_nobody_reads_serves_all_the_same() {
    let place = Place::new();

    let server = place.serve_unheard(false);

    let anybody = Api::at(&server.base).outside();
    anybody.get("/health").await.expect(200);
    let (_, log) = server.stop();
    assert!(log.contains("muleteer keys create"), "{log}");
}

#[test]
fn the_document_of_the_api_is_printed_without_a_server() {
    let place = Place::new();

    let document: serde_json::Value = serde_json::from_str(&printed(&place.run(&["openapi"]))).expect("JSON");

    assert!(document["paths"]["/uploads"].is_object());
    assert!(!place.path().join("data").exists());
}

#[test]
fn a_sweep_that_cannot_look_through_the_store_has_failed() {
    let place = Place::new();
    // Nobody listens there.
    let output = place.run_with(
        &["sweep", "--json"],
        &[
            ("S3_BUCKET", "media"),
            ("S3_ENDPOINT", "http://127.0.0.1:9"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDOFTHETEST"),
            ("AWS_SECRET_ACCESS_KEY", "the-secret-of-the-test"),
        ],
    );

    assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
    let swept: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&swept["swept"], &swept["failed"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn it_serves_and_stops_when_nobody_reads_its_log_any_more() {
    let place = Place::new();
    let server = place.serve_unheard(true);

    let api = Api::at(&server.base).outside();
    api.get("/health/live").await.expect(200);
    api.get("/nowhere").await.problem(404, "not-found");

    server.stop();
}

const PRINTING: &[&[&str]] = &[
    &["openapi"],
    &["policy"],
    &["completions", "bash"],
    &["keys", "list"],
    &["doctor", "--list"],
];

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let place = Place::new();
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);

        let output = place.run_into(arguments, writer);

        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            complaint(&output)
        );
        assert!(!complaint(&output).contains("panicked"), "{}", complaint(&output));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure_and_no_panic() {
    let place = Place::new();
    for arguments in PRINTING {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("it is there");

        let output = place.run_into(arguments, full);

        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = complaint(&output);
        assert!(
            text.contains("standard output cannot be written"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn a_file_of_variables_that_cannot_be_read_stops_the_start_and_its_secrets_are_not_repeated() {
    let place = Place::new();
    for (text, place_told) in [
        (
            "STORAGE_BACKEND=local\nLOCAL_STORAGE_PATH=/srv/my files\n",
            "what follows STORAGE_BACKEND",
        ),
        (
            "API_KEY \"hunter2-hunter2-hunter2\"\n",
            "what follows its beginning",
        ),
    ] {
        std::fs::write(place.path().join(".env"), text).expect("a file can be written");

        let output = place.run(&["keys", "list"]);

        assert_eq!(output.status.code(), Some(2));
        let said = complaint(&output);
        assert!(said.contains(".env") && said.contains(place_told), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_new_database_file_is_for_our_eyes_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();

    printed(&place.run(&["migrate"]));

    let file = place.path().join("data/muleteer.sqlite");
    let mode = std::fs::metadata(file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
