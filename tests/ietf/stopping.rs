//! The end of the process: RUFH-95.

use std::time::Duration;

use super::client::{Client, location};
use super::process::{Place, Process};
use super::{MIB, content};

const KEY: &str = "key-of-a-real-process-0001";

fn client_of(process: &Process) -> Client {
    Client::new(&process.base).with("X-API-Key", KEY).speaking(6)
}

async fn stops_and_goes_on(variables: &[(&str, &str)]) {
    let place = Place::new();
    let variables = [&[("MULETEER_AUTH__API_KEY", KEY)], variables].concat();
    let process = place.serve(&variables);
    let client = client_of(&process);
    let body = content(3 * MIB);
    let length = body.len().to_string();
    let fields = [("Upload-Complete", "?1"), ("Content-Length", length.as_str())];
    let mut creating = client.half("POST", "/files", &fields, b"").await;
    let created = location(&creating.answer().await.expect(104));
    creating.send(&body[..MIB + 1]).await;
    let appended = client.begin(&body[..10]).await;
    let rest = (body.len() - 10).to_string();
    let fields = [("Content-Length", rest.as_str())];
    let mut appending = client
        .half_append(&appended, 10, true, &fields, &body[10..MIB])
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    process.signal("TERM");

    // The connections end without an answer, as in a break of the network: an error of ours would be taken for the end.
    for connection in [&mut creating, &mut appending] {
        let said = connection.rest().await;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            said.lines()
                .all(|line| !line.starts_with("HTTP/1.1 ") || line.contains(" 104 ")),
            "{said}"
        );
    }
    let (status, _, log) = process.ended(Duration::from_secs(20));
    assert!(status.success(), "{log}");
    let process = place.serve(&variables);
    let client = client_of(&process);
    assert_eq!(client.offset(&created).await, MIB + 1);
    assert_eq!(client.offset(&appended).await, MIB);
    for (path, offset) in [(created, MIB + 1), (appended, MIB)] {
        let done = client
            .append(&path, offset, true, &body[offset..])
            .await
            .expect(200);
        assert_eq!(done.json()["size"], body.len());
    }
    process.stop();
}

#[tokio::test]
async fn rufh_95_a_restart_in_the_middle_keeps_what_came_in_a_folder() {
    let local = [
        ("MULETEER_STORAGE__BACKEND", "local"),
        ("MULETEER_STORAGE__LOCAL__PATH", "uploads"),
    ];
    stops_and_goes_on(&local).await;
}

#[tokio::test]
async fn rufh_95_a_restart_in_the_middle_keeps_what_came_in_the_store() {
    stops_and_goes_on(&[]).await;
}
