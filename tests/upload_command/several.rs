//! Several files in one run.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use super::MIB;
use super::command::{Sender, bytes};
use super::places::Place;
use super::server::API_KEY;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_missing_does_not_stop_the_others() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    sender.file("a.txt", b"one");
    sender.file("b.bin", &bytes(13 * MIB));

    let ended = sender.run(&["a.txt", "missing.txt", "b.bin", "--json"]);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failed = ended.event("failed");
    assert_eq!(
        (&failed["file"], &failed["code"]),
        (&"missing.txt".into(), &"unreadable".into())
    );
    let summary = ended.event("summary");
    assert_eq!((&summary["done"], &summary["failed"]), (&2.into(), &1.into()));
    let mut sizes = Vec::new();
    for key in place.keys().await {
        sizes.push(place.object(&key).await.len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [3, 13 * MIB]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_which_there_is_no_room_yet_waits_as_long_as_the_server_says() {
    let place = Place::adjusted(|config| config.limits.named.open_uploads = 1).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let uploads = format!("{}/api/v1/uploads", place.server.base);
    let begun = http
        .post(&uploads)
        .header("x-api-key", API_KEY)
        .header("content-type", "application/json")
        .body(r#"{"filename":"other.txt","size":5}"#);
    let begun = begun.send().await.expect("an answer").text().await.expect("text");
    let other: Value = serde_json::from_str(&begun).expect("JSON");
    let sender = Sender::to(&place.server.base);
    sender.file("a.txt", b"one");

    let mut running = sender.start(&["a.txt", "--json"]);
    let lines = BufReader::new(running.stdout.take().expect("its output")).lines();
    let mut events =
        lines.map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("an event"));
    let told = events
        .find(|event| event["event"] == "retry")
        .expect("it is refused for now");
    let id = other["id"].as_str().expect("an id");
    let ended = http
        .delete(format!("{uploads}/{id}"))
        .header("x-api-key", API_KEY)
        .send();
    assert_eq!(ended.await.expect("an answer").status(), 204);
    let events: Vec<Value> = events.collect();

    assert_eq!(told["code"], "quota-reached");
    assert!(
        told["pause_ms"].as_u64().is_some_and(|pause| pause >= 5000),
        "{told}"
    );
    assert!(running.wait().expect("its end").success(), "{events:?}");
    assert!(events.iter().any(|event| event["event"] == "done"), "{events:?}");
}

/// The server would take both for one upload: they are told apart by nothing that a fingerprint knows.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_differ_only_in_their_middle_are_two() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    let one = bytes(13 * MIB);
    let mut other = one.clone();
    other[6 * MIB] ^= 1;
    let time = std::time::SystemTime::now();
    for (name, bytes) in [("a/film.mp4", &one), ("b/film.mp4", &other)] {
        let path = sender.file(name, bytes);
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("opened");
        file.set_modified(time).expect("dated");
    }

    let ended = sender.run(&["a/film.mp4", "b/film.mp4", "--json"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let done = ended
        .events()
        .into_iter()
        .filter(|event| event["event"] == "done");
    for event in done {
        let expected = if event["file"] == "a/film.mp4" {
            &one
        } else {
            &other
        };
        let key = event["key"].as_str().expect("a key");
        assert!(&place.object(key).await == expected, "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_walked_where_that_is_asked_for() {
    let place = Place::embedded().await;
    let sender = Sender::to(&place.server.base);
    for name in ["photos/a.txt", "photos/2024/b.txt", "photos/2024/c.txt"] {
        sender.file(name, name.as_bytes());
    }

    let refused = sender.run(&["photos", "--json"]);
    let walked = sender.run(&["photos", "photos/a.txt", "--recursive", "--json"]);

    assert_eq!(
        (refused.code, &refused.event("failed")["code"]),
        (Some(1), &"folder".into())
    );
    assert_eq!(walked.code, Some(0), "{walked:?}");
    assert_eq!(walked.event("summary")["done"], 3, "each once");
    let mut contents = Vec::new();
    for key in place.keys().await {
        contents.push(String::from_utf8(place.object(&key).await).expect("text"));
    }
    contents.sort();
    assert_eq!(
        contents,
        ["photos/2024/b.txt", "photos/2024/c.txt", "photos/a.txt"]
    );
}
