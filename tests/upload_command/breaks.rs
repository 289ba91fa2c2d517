//! Kills, cuts, a server that is away, and a file that changes: straight to the store.

use std::io::{BufRead as _, BufReader, Write as _};

use super::MIB;
use super::command::{Sender, bytes, ended, kill};
use super::gate::Gate;
use super::places::Place;

/// What requests need beside the bytes of their parts.
const HEADERS: u64 = 64 << 10;

async fn a_kill_loses_no_part(place: &Place) {
    let sender = Sender::to(&place.server.base);
    let file = bytes(64 * MIB);
    sender.file("film.mp4", &file);
    place.to_store.hold_after(40 << 20);
    let first = sender.start(&["film.mp4"]);
    place.to_store.wait_until_held();
    kill(first);
    place.to_store.cut();
    place.to_store.open();
    let before = place.to_store.passed();

    // From another folder, by another path.
    let elsewhere = sender.home().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let again = sender
        .command(&["../film.mp4", "--json"])
        .current_dir(elsewhere)
        .spawn()
        .expect("it starts");
    let ended = ended(again);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        place.object(&ended.key()).await == file,
        "the object has exactly its bytes"
    );
    let stored = ended.event("begin")["stored_bytes"].as_u64().expect("bytes");
    // Of 40 MiB at most four parts of 6 MiB were under way.
    assert!(stored >= 12 << 20, "{stored} were stored");
    assert_eq!(ended.event("done")["sent_bytes"], file.len() as u64 - stored);
    let passed = place.to_store.passed() - before;
    let missing = file.len() as u64 - stored;
    assert!(
        (missing..missing + HEADERS).contains(&passed),
        "{passed} of {missing} went to the store"
    );
    assert_eq!(
        place
            .keys()
            .await
            .iter()
            .filter(|key| **key == ended.key())
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_no_stored_part_is_sent_again() {
    a_kill_loses_no_part(&Place::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_no_stored_part_is_sent_again_to_a_store_that_is_not_ours() {
    let Some(place) = Place::outside().await else {
        return;
    };
    a_kill_loses_no_part(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_are_made_again() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    let file = bytes(20 * MIB);
    sender.file("film.mp4", &file);
    place.to_store.hold_after(8 << 20);
    let child = sender.start(&["film.mp4", "--json"]);
    place.to_store.wait_until_held();
    place.to_store.cut();
    place.to_store.open();

    let ended = ended(child);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.events().iter().any(|event| event["event"] == "retry"),
        "{ended:?}"
    );
    assert!(
        place.object(&ended.key()).await == file,
        "the object has exactly its bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    let file = bytes(20 * MIB);
    sender.file("film.mp4", &file);
    // Away at the beginning, and again before the parts are joined.
    place.to_server.refuse();
    place.to_store.hold_after(8 << 20);
    let child = sender.start(&["film.mp4", "--json"]);
    place.to_server.wait_until_refused(2);
    place.to_server.open();
    place.to_store.wait_until_held();
    place.to_server.refuse();
    place.to_server.cut();
    place.to_store.open();
    place.to_server.wait_until_refused(4);
    place.to_server.open();

    let ended = ended(child);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        place.object(&ended.key()).await == file,
        "the object has exactly its bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_is_given_up() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    sender.file("note.txt", b"hello");
    place.to_server.refuse();

    let ended = sender.run(&["note.txt", "--patience", "0"]);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("note.txt: no answer from the server"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_named_and_never_completed() {
    let place = Place::embedded().await;
    for way in ["direct", "relay", "tus"] {
        let gate: &Gate = if way == "direct" {
            &place.to_store
        } else {
            &place.to_server
        };
        let sender = Sender::to(&place.to_server.address);
        let path = sender.file("log.txt", &bytes(20 * MIB));
        gate.hold_after(8 << 20);
        let child = sender.start(&["log.txt", "--json", "--via", way]);
        gate.wait_until_held();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("opened");
        file.write_all(b"one more line").expect("written");
        gate.open();

        let ended = ended(child);

        assert_eq!(ended.code, Some(1), "{way}: {ended:?}");
        assert_eq!(ended.event("failed")["code"], "changed", "{way}");
        assert_eq!(place.keys().await, Vec::<String>::new(), "{way}");
        assert_eq!(place.unfinished().await, 0, "{way}: its parts are given back");
        assert_eq!(sender.kept(), 0, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_died_is_signed_again() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    let file = bytes(20 * MIB);
    sender.file("film.mp4", &file);
    // The upload is begun at the right time, and its parts are signed a day ago: one request passes, then the next one.
    place.to_server.hold_after(1);
    let mut child = sender.start(&["film.mp4", "--json", "--concurrency", "1"]);
    let mut told = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut wait_for = |word: &str| {
        let line = told.find(|line| line.as_ref().is_ok_and(|line| line.contains(word)));
        line.unwrap_or_else(|| panic!("it ends without {word}"))
            .expect("a line")
    };
    wait_for("begin");
    place.server.advance(chrono::TimeDelta::days(-1));
    place.to_server.hold_after(1);
    wait_for("store-refused");
    place.server.advance(chrono::TimeDelta::days(1));
    place.to_server.open();

    let done: serde_json::Value = serde_json::from_str(&wait_for("done")).expect("JSON");

    assert!(child.wait().expect("its end").success());
    let key = done["key"].as_str().expect("a key");
    assert!(
        place.object(key).await == file,
        "the object has exactly its bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_says_how_to_go_on() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("film.mp4", &bytes(20 * MIB));
    place.to_store.hold_after(8 << 20);
    let child = sender.start(&["film.mp4"]);
    place.to_store.wait_until_held();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill can be started").success());

    let ended = ended(child);

    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("run the same command again"), "{ended:?}");
}
