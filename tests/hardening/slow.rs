//! Clients that send too slowly, too much or too often: each is told what is wrong, and none holds a connection for long.

use std::time::Duration;

use muleteer::config::Config;

use super::raw_http::{Answer, Connection, chunk, head};
use super::server::{API_KEY, Kind, TestServer};

const ALIVE: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";

fn start(adjust: impl FnOnce(&mut Config)) -> TestServer {
    let started = TestServer::start(Kind::Sqlite, |config| {
        config.server.workers = 1;
        config.server.connections.head_timeout_s = 1;
        config.server.connections.keep_alive_s = 1;
        config.server.connections.body_timeout_s = 1;
        adjust(config);
    });
    started.expect("SQLite is never skipped")
}

/// The answer must be of this kind, and nothing may come after it.
async fn refused(mut connection: Connection, status: u16, kind: &str) -> Answer {
    let answer = connection.answer().await.expect(status);
    assert_eq!(answer.json()["type"], format!("/problems/{kind}"), "{answer:?}");
    assert_eq!(answer.json()["status"], status);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(connection.rest().await, b"");
    answer
}

#[tokio::test]
async fn a_head_that_dribbles_is_ended_be_it_the_first_or_a_later_one() {
    let server = start(|_| {});
    let mut silent = Connection::to(&server.base).await;
    assert_eq!(silent.rest().await, b"", "who says nothing is told nothing");

    let mut first = Connection::to(&server.base).await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await;
    let told = refused(first, 408, "head-stalled").await;
    assert!(told.text().contains("1 seconds"), "{told:?}");

    let mut later = Connection::to(&server.base).await;
    for _ in 0..2 {
        later.send(ALIVE).await;
        later.answer().await.expect(200);
    }
    later.send("GET / HT").await;
    refused(later, 408, "head-stalled").await;

    // What came together with a whole request lies in the stack above already.
    let mut pipelined = Connection::to(&server.base).await;
    pipelined.send(format!("{ALIVE}GET / HT")).await;
    pipelined.answer().await.expect(200);
    assert_eq!(pipelined.rest().await, b"");
}

#[tokio::test]
async fn a_body_may_take_longer_than_a_head_and_its_connection_lives_on() {
    let server = start(|config| config.server.connections.body_timeout_s = 20);
    let mut connection = Connection::to(&server.base).await;
    let body = r#"{"filename":"a","size":3}"#;
    let length = body.len().to_string();
    let fields = [
        ("x-api-key", API_KEY),
        ("content-type", "application/json"),
        ("content-length", &length),
    ];
    connection.send(head("POST", "/api/v1/uploads", &fields)).await;
    for piece in body.as_bytes().chunks(9) {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        connection.send(piece).await;
    }
    connection.answer().await.expect(201);
    connection.send(ALIVE).await;
    connection.answer().await.expect(200);
}

#[tokio::test]
async fn a_body_that_stalls_is_ended_and_so_is_one_that_nobody_reads() {
    let server = start(|_| {});
    let mut stalling = Connection::to(&server.base).await;
    let fields = [("x-api-key", API_KEY), ("content-type", "application/json")];
    let sized = [&fields[..], &[("content-length", "10")]].concat();
    stalling.send(head("POST", "/api/v1/uploads", &sized)).await;
    stalling.send("{\"a").await;
    let answer = stalling.answer().await.expect(408);
    assert!(answer.text().contains("body-stalled"), "{answer:?}");

    // Refused for its head; its chunks could go on for ever.
    let mut endless = Connection::to(&server.base).await;
    let chunked = [("content-type", "text/plain"), ("transfer-encoding", "chunked")];
    endless.send(head("POST", "/api/v1/uploads", &chunked)).await;
    endless.send(chunk(b"some")).await;
    let answer = endless.answer().await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(endless.rest().await, b"");
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_let_go_and_who_takes_it_has_all_of_it() {
    // Together more than the systems of both sides hold for a connection.
    const ASKED: usize = 30;
    let server = start(|config| config.server.connections.write_timeout_s = 1);
    let one = head("GET", "/docs/swagger-ui-bundle.js", &[]);

    let mut taking = Connection::to(&server.base).await;
    taking.send(&one).await;
    let whole = taking.answer().await.expect(200).body.len();
    assert!(whole > 500_000, "{whole} bytes are too few to tell");
    for _ in 1..ASKED {
        taking.send(&one).await;
        assert_eq!(taking.answer().await.expect(200).body.len(), whole);
    }

    let mut idle = Connection::to(&server.base).await;
    idle.send(one.repeat(ASKED)).await;
    // It ends by itself, while nothing is read: what comes afterwards is what was under way.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let came = idle.rest().await.len();
    assert!(came < ASKED * whole, "{came} bytes came: all of it");
}

#[tokio::test]
async fn a_head_beyond_a_limit_is_refused_with_the_limit() {
    let server = start(|config| {
        config.server.connections.head_timeout_s = 30;
        config.server.connections.max_head_bytes = 8192;
        config.server.connections.max_head_fields = 16;
        config.server.connections.max_target_bytes = 1024;
    });
    let fields = |count: usize| vec![("a", "b"); count];
    let long = "x".repeat(20_000);
    for (request, status, kind, limit) in [
        (
            head("GET", &format!("/{}", "x".repeat(1024)), &[]),
            414,
            "address-too-long",
            "1024",
        ),
        (
            head("GET", &format!("/{}", "x".repeat(300_000)), &[]),
            414,
            "address-too-long",
            "1024",
        ),
        (head("GET", "/", &[("a", &long)]), 431, "head-too-large", "8192"),
        (head("GET", "/", &fields(16)), 431, "head-too-large", "16"),
        (head("GET", "/", &fields(5000)), 431, "head-too-large", ""),
    ] {
        for before in ["", ALIVE] {
            let mut connection = Connection::to(&server.base).await;
            if !before.is_empty() {
                connection.send(before).await;
                connection.answer().await.expect(200);
            }
            connection.send(&request).await;
            let told = refused(connection, status, kind).await;
            assert!(told.text().contains(limit), "{told:?}");
        }
    }
    let mut connection = Connection::to(&server.base).await;
    for request in [
        head("GET", &format!("/{}", "x".repeat(1023)), &[]),
        head("GET", "/nowhere", &fields(15)),
        head("GET", "/nowhere", &[("a", &long[..8000])]),
    ] {
        connection.send(request).await;
        connection.answer().await.expect(404);
    }
}

#[tokio::test]
async fn as_many_are_connected_as_may_be_and_the_next_is_told() {
    for (in_all, status) in [(true, 503), (false, 429)] {
        let server = start(|config| {
            let connections = &mut config.server.connections;
            (connections.head_timeout_s, connections.keep_alive_s) = (60, 60);
            if in_all {
                connections.max = 2;
            } else {
                connections.max_per_address = 2;
            }
        });
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut connection = Connection::to(&server.base).await;
            connection.send(ALIVE).await;
            connection.answer().await.expect(200);
            open.push(connection);
        }
        let told = refused(Connection::to(&server.base).await, status, "too-many-connections").await;
        assert_eq!(told.header("retry-after"), "1");

        open[0].send(ALIVE).await;
        open[0].answer().await.expect(200);
        open.pop();
        let mut is_admitted = false;
        for _ in 0..600 {
            let mut next = Connection::to(&server.base).await;
            if next.is_silent_for(Duration::from_millis(100)).await {
                next.send(ALIVE).await;
                is_admitted = next.answer().await.status == 200;
                break;
            }
        }
        assert!(is_admitted, "who leaves makes room");
    }
}
