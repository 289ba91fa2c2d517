//! Through the server: part by part, and by tus.

use muleteer::config::BackendName;

use super::MIB;
use super::command::{Sender, bytes, ended, kill};
use super::gate::Gate;
use super::places::Place;
use super::server::{Kind, TestServer};

/// What requests need beside the bytes, and what was read twice at the break.
const SLACK: u64 = 1 << 20;

/// A file through the server, with a kill on the way; how many bytes the second run found stored.
async fn through_the_server(way: &str) -> u64 {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    let file = bytes(64 * MIB);
    sender.file("film.mp4", &file);
    place.to_server.hold_after(40 << 20);
    let first = sender.start(&["film.mp4", "--via", way]);
    place.to_server.wait_until_held();
    kill(first);
    place.to_server.cut();
    place.to_server.open();
    let before = place.to_server.passed();

    let again = ended(sender.start(&["film.mp4", "--via", way, "--json"]));

    assert_eq!(again.code, Some(0), "{again:?}");
    let keys = place.keys().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(
        place.object(&keys[0]).await == file,
        "the object has exactly its bytes"
    );
    assert_eq!(place.to_store.passed(), 0, "nothing goes past the server");
    let stored = again.event("begin")["stored_bytes"].as_u64().expect("bytes");
    let missing = file.len() as u64 - stored;
    assert_eq!(again.event("done")["sent_bytes"], missing);
    let passed = place.to_server.passed() - before;
    assert!(
        (missing..missing + SLACK).contains(&passed),
        "{passed} of {missing} went to the server"
    );
    assert_eq!(sender.kept(), 0, "no address is kept of what is done");
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_go_through_the_server_and_on_after_a_kill() {
    assert!(through_the_server("relay").await >= 12 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_goes_on_after_a_kill() {
    assert!(through_the_server("tus").await >= 12 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tus_upload_that_is_gone_begins_anew() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    let file = bytes(20 * MIB);
    sender.file("film.mp4", &file);
    place.to_server.hold_after(8 << 20);
    let first = sender.start(&["film.mp4", "--via", "tus"]);
    place.to_server.wait_until_held();
    kill(first);
    place.to_server.cut();
    place.to_server.open();
    assert_eq!(sender.kept(), 1);
    let kept = std::fs::read_dir(sender.kept_in())
        .expect("a folder")
        .next()
        .expect("a file");
    let address = std::fs::read_to_string(kept.expect("a file").path()).expect("read");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let given_up = http
        .delete(address.trim())
        .header("Tus-Resumable", "1.0.0")
        .header("X-API-Key", &sender.key)
        .send()
        .await;
    assert_eq!(given_up.expect("an answer").status(), 204);

    let again = sender.run(&["film.mp4", "--via", "tus", "--json"]);

    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.event("begin")["stored_bytes"], 0);
    assert_eq!(sender.kept(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_within_one_run_sends_only_the_rest() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.to_server.address);
    let file = bytes(64 * MIB);
    sender.file("film.mp4", &file);
    place.to_server.hold_after(40 << 20);
    let child = sender.start(&["film.mp4", "--via", "tus", "--json"]);
    place.to_server.wait_until_held();
    place.to_server.cut();
    place.to_server.open();

    let ended = ended(child);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let keys = place.keys().await;
    assert!(
        place.object(&keys[0]).await == file,
        "the object has exactly its bytes"
    );
    assert_eq!(ended.event("done")["sent_bytes"], file.len());
    assert!(place.to_server.passed() < 100 << 20, "not all of it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_folder_alone_gets_all_of_it_and_goes_on_after_a_kill() {
    let server = TestServer::start(Kind::Sqlite, |config| {
        config.storage.backend = BackendName::Local;
        config.storage.local.path = format!("{}/files", config.data_dir);
    })
    .expect("SQLite is never skipped");
    let to_server = Gate::to(&server.base);
    let sender = Sender::to(&to_server.address);
    let file = bytes(64 * MIB);
    sender.file("film.mp4", &file);
    to_server.hold_after(40 << 20);
    // As anybody types it: nobody has to know where the server keeps files.
    let first = sender.start(&["film.mp4"]);
    to_server.wait_until_held();
    kill(first);
    to_server.cut();
    to_server.open();

    let again = ended(sender.start(&["film.mp4", "--json"]));

    assert_eq!(again.code, Some(0), "{again:?}");
    let stored = again.event("begin")["stored_bytes"].as_u64().expect("bytes");
    assert!(stored >= 12 << 20, "{stored}");
    assert_eq!(again.event("done")["sent_bytes"], file.len() as u64 - stored);
    let location = again.event("done")["location"]
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(
        location.starts_with(&server.config.storage.local.path),
        "{location}"
    );
    assert!(std::fs::read(location).expect("a file") == file);
    assert!(server.store.is_empty(), "there is no store at all");
}
