//! What cannot be done, and how it is said.

use super::command::{Sender, ended};
use super::places::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_by_every_way() {
    let place = Place::embedded().await;
    let mut sender = Sender::to(&place.server.base);
    sender.key = "mule_of_somebody_else".to_owned();
    sender.file("note.txt", b"hello");
    for way in ["direct", "relay", "tus"] {
        let ended = sender.run(&["note.txt", "--via", way, "--json"]);
        assert_eq!(ended.code, Some(3), "{way}: {ended:?}");
        assert_eq!(ended.event("failed")["refused"], true, "{way}");
        assert!(!ended.stdout.contains(&sender.key), "{way}: no key is printed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_with_the_limit() {
    let place = Place::adjusted(|config| config.limits.max_size = 4).await;
    let sender = Sender::to(&place.server.base);
    sender.file("note.txt", b"hello");

    let ended = sender.run(&["note.txt"]);

    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("note.txt"), "{ended:?}");
    assert!(ended.stderr.contains('4'), "{ended:?}");
}

#[test]
fn what_cannot_be_begun_is_a_mistake_of_usage() {
    let mut sender = Sender::to("http://127.0.0.1:9");
    sender.file("note.txt", b"hello");
    for (arguments, word) in [
        (&["note.txt", "--server", "ftp://example.org"] as &[_], "--server"),
        (&["note.txt", "--server", "example.org"], "--server"),
        (&["note.txt", "--key-file", "none"], "--key-file"),
        (&["note.txt", "--concurrency", "0"], "--concurrency"),
        (&["note.txt", "--via", "mail"], "--via"),
        (&[], "FILE"),
    ] {
        let ended = sender.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(word), "{arguments:?} {ended:?}");
    }
    sender.key = String::new();
    let ended = sender.run(&["note.txt"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("MULETEER_API_KEY"), "{ended:?}");
}

#[test]
fn standard_input_is_refused_with_the_reason() {
    let sender = Sender::to("http://127.0.0.1:9");
    let ended = sender.run(&["-"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("standard input cannot be sent"),
        "{ended:?}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn results_that_cannot_be_written_are_a_failure_although_the_file_is_uploaded() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("note.txt", b"hello");
    for arguments in [&["note.txt", "--json"] as &[_], &["note.txt"]] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = sender.command(arguments);
        command.stdout(full.expect("it is there"));

        let ended = ended(command.spawn().expect("the program starts"));

        assert_eq!(ended.code, Some(1), "{arguments:?} {ended:?}");
        assert!(
            ended.stderr.contains("standard output cannot be written"),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_this_machine_do_not_matter() {
    let place = Place::embedded().await;
    let mut sender = Sender::to(&place.server.base);
    sender.file("Rocket.toml", b"this is [no toml");
    sender.file("note.txt", b"hello");
    sender.file("key.txt", format!("{}\n", sender.key).as_bytes());
    sender.key = String::new();

    let ended = sender.run(&["note.txt", "--key-file", "key.txt"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_ours_is_called_that() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("note.txt", b"hello");
    let ended = sender.run(&["note.txt", "--api-path", "/nowhere"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("404") || ended.stderr.contains("not"),
        "{ended:?}"
    );
}
