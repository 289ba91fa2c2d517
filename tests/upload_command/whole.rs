//! Uploads that nothing interrupts.

use super::MIB;
use super::command::{Sender, bytes};
use super::places::Place;

async fn a_large_file_arrives(place: &Place) {
    let sender = Sender::to(&place.server.base);
    let file = bytes(64 * MIB + 7);
    sender.file("film.mp4", &file);

    let ended = sender.run(&["film.mp4", "--json"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        place.object(&ended.key()).await == file,
        "the object has exactly its bytes"
    );
    assert_eq!(ended.event("begin")["stored_bytes"], 0);
    let events = ended.events();
    let parts = events.iter().filter(|event| event["event"] == "part");
    let sum: u64 = parts.map(|part| part["size"].as_u64().expect("bytes")).sum();
    assert_eq!(sum, file.len() as u64, "each part is told once");
    let summary = events.last().expect("a summary");
    assert_eq!(summary["event"], "summary");
    assert_eq!((&summary["done"], &summary["failed"]), (&1.into(), &0.into()));
    assert_eq!(summary["sent_bytes"], file.len());
    assert_eq!(place.unfinished().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_straight_to_the_store() {
    let place = Place::embedded().await;
    a_large_file_arrives(&place).await;
    assert!(place.to_store.passed() > 64 << 20, "past the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_straight_to_a_store_that_is_not_ours() {
    let Some(place) = Place::outside().await else {
        return;
    };
    a_large_file_arrives(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_uploaded_by_every_way() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("nothing.txt", b"");
    for way in ["direct", "relay", "tus"] {
        let ended = sender.run(&["nothing.txt", "--via", way, "--json"]);
        assert_eq!(ended.code, Some(0), "{way}: {ended:?}");
    }
    let keys = place.keys().await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        assert!(place.object(&key).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_any_script_is_told_as_it_is() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    let name = "Ferien – 夏の写真 (1) 100%.txt";
    sender.file(name, b"snow");

    let ended = sender.run(&[name, "--json"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let id = ended.event("done")["id"].as_str().expect("an id").to_owned();
    let url = format!("{}/api/v1/uploads/{id}", place.server.base);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http
        .get(url)
        .header("X-API-Key", super::server::API_KEY)
        .send()
        .await
        .expect("an answer");
    let upload: serde_json::Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(upload["filename"], name);
    assert_eq!(upload["content_type"], "text/plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_where_the_file_is_now() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("note.txt", b"hello");

    let ended = sender.run(&["note.txt"]);
    let quiet = sender.run(&["note.txt", "--quiet"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("note.txt -> "), "{ended:?}");
    assert_eq!(
        (quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()),
        (Some(0), "", "")
    );
}
