//! Errors that are told otherwise than in a problem document, or to a connection that has no request, are counted too: each
//! once, by the kind that it has everywhere.

use std::time::Duration;

use serde_json::json;

use super::access::free_port;
use super::api::Api;
use super::exposition::Exposition;
use super::galileo::{Handshake, Socket, frame, head as frame_head};
use super::places::in_a_folder;
use super::raw_http::{Connection, head};
use super::server::TestServer;
use super::{TOKEN, on_both, plain, scrape};

const ERRORS: &[&str] = &["muleteer_errors_total"];

/// A connection that waits for the bytes of a file of this size.
async fn begun(server: &TestServer, size: u64) -> Socket {
    let mut socket = Handshake::new("/galileo").open(server).await;
    socket.json(&json!({ "name": "x", "size": size })).await;
    assert_eq!(socket.signal().await["ready"], true);
    socket
}

/// What is no file, what is not as it was said to be, and an upload that nobody knows.
async fn go_wrong_in_every_way(server: &TestServer) {
    let mut nonsense = Handshake::new("/galileo").open(server).await;
    nonsense.text("[]").await;
    assert_eq!(nonsense.fatal().await, "bad_metadata");
    // What happens to a connection that was told is not counted again.
    nonsense.close().await;

    let mut long = Handshake::new("/galileo").open(server).await;
    long.json(&json!({ "name": "x".repeat(300), "size": 5 })).await;
    assert_eq!(long.fatal().await, "invalid_request");

    let mut chatty = begun(server, 5).await;
    chatty.text(r#"{"what": 1}"#).await;
    assert_eq!(chatty.fatal().await, "bad_message");

    let mut more = begun(server, 5).await;
    more.binary(b"123456").await;
    assert_eq!(more.fatal().await, "too_many_bytes");

    let mut early = begun(server, 5).await;
    early.text(r#"{"finished": true}"#).await;
    assert_eq!(early.fatal().await, "incomplete");

    let mut other = begun(server, 3).await;
    other.binary(b"abc").await;
    assert_eq!(other.signal().await["ready"], true);
    let hash = json!({ "type": "sha1", "value": "00".repeat(20) });
    other.json(&json!({ "finished": true, "hash": hash })).await;
    assert_eq!(other.fatal().await, "checksum_mismatch");

    let mut gone = Handshake::new("/galileo").open(server).await;
    gone.json(&json!({ "name": "x", "size": 5, "protocol": 2, "resume": "nonsense" }))
        .await;
    let told = gone.signal().await;
    assert_eq!(
        (&told["code"], &told["fatal"]),
        (&json!("resume_unknown"), &json!(false))
    );
    assert_eq!(gone.signal().await["ready"], true);
    // To be asked to give up is no error.
    gone.text(r#"{"abort": true}"#).await;
    assert_eq!(gone.fatal().await, "aborted");
}

#[tokio::test]
async fn what_a_websocket_tells_is_counted_once_by_the_kinds_of_all_doors() {
    on_both(async |server| {
        let before = scrape(&server).await;

        go_wrong_in_every_way(&server).await;

        let told = scrape(&server).await;
        told.assert_grown(
            &before,
            ERRORS,
            &[
                ("muleteer_errors_total{kind=\"invalid-request\"}", 3.0),
                ("muleteer_errors_total{kind=\"wrong-size\"}", 1.0),
                ("muleteer_errors_total{kind=\"incomplete\"}", 1.0),
                ("muleteer_errors_total{kind=\"checksum-mismatch\"}", 1.0),
                ("muleteer_errors_total{kind=\"not-found\"}", 1.0),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn breaches_of_websocket_itself_are_counted_by_how_they_are_told() {
    let server = plain(|_| {});
    let before = scrape(&server).await;

    let mut unknown = begun(&server, 5).await;
    unknown.raw(&frame(0x83, b"x")).await;
    assert_eq!(unknown.closed().await, Some(1002));
    let mut endless = begun(&server, 5).await;
    endless.raw(&frame_head(0x82, 1 << 40)).await;
    assert_eq!(endless.closed().await, Some(1009));
    let old = Handshake::new("/galileo").with("Sec-WebSocket-Version", "12");
    assert_eq!(old.status(&server).await, 426);
    let keyless = Handshake::new("/galileo").without("Sec-WebSocket-Key");
    assert_eq!(keyless.status(&server).await, 400);

    scrape(&server).await.assert_grown(
        &before,
        ERRORS,
        &[
            ("muleteer_errors_total{kind=\"invalid-request\"}", 2.0),
            ("muleteer_errors_total{kind=\"body-too-large\"}", 1.0),
            ("muleteer_errors_total{kind=\"unsupported-version\"}", 1.0),
        ],
    );
}

#[tokio::test]
async fn who_says_nothing_on_a_websocket_is_counted_as_one_whose_body_stalls() {
    let server = plain(|config| config.protocols.galileo.metadata_s = 1);
    let before = scrape(&server).await;

    let mut silent = Handshake::new("/galileo").open(&server).await;
    assert_eq!(silent.fatal().await, "idle");

    scrape(&server).await.assert_grown(
        &before,
        ERRORS,
        &[("muleteer_errors_total{kind=\"body-stalled\"}", 1.0)],
    );
}

#[tokio::test]
async fn a_method_that_no_door_takes_is_counted_in_every_protocols_own_shape() {
    let server = plain(|_| {});
    let api = Api::of(&server).outside();
    let before = scrape(&server).await;
    let asked = [
        ("POST", "/upload-backend/chunk_loaded/"),
        ("POST", "/evaporate/time"),
        ("GET", "/fineuploader/signature"),
        ("PATCH", "/chunk"),
        ("GET", "/upload/init"),
    ];

    for (method, path) in asked {
        assert_eq!(api.send(method, path, None).await.status, 405, "{method} {path}");
    }

    scrape(&server).await.assert_grown(
        &before,
        ERRORS,
        &[("muleteer_errors_total{kind=\"method-not-allowed\"}", 5.0)],
    );
}

#[tokio::test]
async fn a_request_that_is_hung_up_on_is_counted_although_it_is_told_nothing() {
    let server = plain(in_a_folder);
    let version = ("Upload-Draft-Interop-Version", "6");
    let incomplete = ("Upload-Complete", "?0");
    let before = scrape(&server).await;
    let mut first = Connection::to(&server.base).await;
    let fields = [version, incomplete, ("Content-Length", "3")];
    first.send(head("POST", "/files", &fields)).await;
    first.send(b"abc").await;
    let made = loop {
        let answer = first.answer().await;
        if answer.status >= 200 {
            break answer.expect(201);
        }
    };
    let place = made.header("location");
    let path = &place[place.find("/files/").expect("a path")..];
    let mut stalled = Connection::to(&server.base).await;
    let fields = [
        version,
        incomplete,
        ("Content-Type", "application/partial-upload"),
        ("Upload-Offset", "3"),
        ("Content-Length", "9000000"),
    ];
    stalled.send(head("PATCH", path, &fields)).await;
    stalled.send(b"def").await;
    tokio::time::sleep(Duration::from_millis(150)).await;

    // Who asks where the upload stands ends what is under way.
    let mut asking = Connection::to(&server.base).await;
    asking.send(head("HEAD", path, &[version])).await;
    asking.answer_to_head().await.expect(204);
    assert_eq!(stalled.rest().await, b"");

    scrape(&server).await.assert_grown(
        &before,
        ERRORS,
        &[("muleteer_errors_total{kind=\"superseded\"}", 1.0)],
    );
}

#[tokio::test]
async fn who_is_turned_away_before_there_is_a_request_is_counted() {
    let server = plain(|config| {
        let connections = &mut config.server.connections;
        connections.head_timeout_s = 1;
        connections.max_target_bytes = 1024;
        connections.max_head_fields = 16;
    });
    let before = scrape(&server).await;
    let many: Vec<(String, String)> = (0..20).map(|n| (format!("f{n}"), "v".into())).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();

    for (status, request) in [
        (414, head("GET", &format!("/{}", "x".repeat(1100)), &[])),
        (431, head("GET", "/", &many)),
        (408, "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned()),
    ] {
        let mut connection = Connection::to(&server.base).await;
        connection.send(request).await;
        connection.answer().await.expect(status);
    }

    scrape(&server).await.assert_grown(
        &before,
        ERRORS,
        &[
            ("muleteer_errors_total{kind=\"address-too-long\"}", 1.0),
            ("muleteer_errors_total{kind=\"head-too-large\"}", 1.0),
            ("muleteer_errors_total{kind=\"head-stalled\"}", 1.0),
        ],
    );
}

#[tokio::test]
async fn who_finds_no_room_for_a_connection_is_counted() {
    let port = free_port();
    let server = plain(|config| {
        config.server.connections.max = 2;
        // Whoever looks at the figures needs no place among the others.
        config.metrics.port = port;
    });
    let reader = Api::at(&format!("http://127.0.0.1:{port}")).outside();
    let reader = reader.with("authorization", &format!("Bearer {TOKEN}"));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::to(&server.base).await;
        connection.send(head("GET", "/health/live", &[])).await;
        connection.answer().await.expect(200);
        open.push(connection);
    }

    let mut next = Connection::to(&server.base).await;
    next.answer().await.expect(503);

    let text = reader.get("/metrics").await.text();
    let scraped = Exposition::read(&text);
    scraped.assert_grown(
        &Exposition::read("\n"),
        ERRORS,
        &[("muleteer_errors_total{kind=\"too-many-connections\"}", 1.0)],
    );
}
