//! Section 5: who may send, by which of the five ways.

use muleteer::config::{Anonymous, Config};
use serde_json::json;

use super::client::{Client, content};
use super::clients::{OldClient, begin, send_rest};
use super::here;
use super::place::Place;
use super::server::API_KEY;
use super::socket::{Handshake, Socket};

fn closed() -> Place {
    here(closed_to_visitors)
}

fn closed_to_visitors(config: &mut Config) {
    config.auth.anonymous = Anonymous::Off;
}

/// The owners of all uploads, newest first.
async fn owners(place: &Place) -> Vec<String> {
    let list = Client::of(place).get("/api/v1/uploads").await;
    let uploads = list.json()["uploads"].as_array().expect("a list").clone();
    uploads
        .iter()
        .map(|upload| upload["owner"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[actix_web::test]
async fn without_a_credential_there_is_no_connection_where_visitors_are_not_admitted() {
    let place = closed();

    assert_eq!(Handshake::new("/galileo").status(&place).await, 401);
    let wrong = Handshake::new("/galileo").with("X-API-Key", "nobody's");
    assert_eq!(wrong.status(&place).await, 401);
    let wrong = Handshake::new("/galileo").with("Authorization", "Bearer x.y.z");
    assert_eq!(wrong.status(&place).await, 401);
    let wrong = Handshake::new("/galileo").with("Sec-WebSocket-Protocol", "galileo.v2, auth.wrong");
    assert_eq!(wrong.status(&place).await, 401);
    assert_eq!(Handshake::new("/galileo?ticket=wrong").status(&place).await, 401);
}

#[actix_web::test]
async fn a_key_in_a_header_is_enough_and_its_holder_is_the_owner() {
    let place = closed();
    let file = content(5);
    let socket = Handshake::new("/galileo")
        .with("X-API-Key", API_KEY)
        .open(&place)
        .await;

    let told = OldClient::new("x", &file).send_over(socket).await;

    assert!(told.success);
    assert_eq!(owners(&place).await, ["default"]);
}

#[actix_web::test]
async fn a_visitors_cookie_counts_from_our_own_page_alone() {
    let place = here(|config| {
        config.cors.allowed_origins = vec!["https://app.example.org".into()];
    });
    let made = Client::nobody(&place)
        .raw("POST", "/galileo/ticket", Vec::new())
        .await;
    let cookie = made.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("muleteer_visitor="), "{made:?}");
    let send = async |handshake: Handshake| {
        let socket = handshake.with("Cookie", &cookie).open(&place).await;
        assert!(OldClient::new("x", b"hello").send_over(socket).await.success);
        owners(&place).await[0].clone()
    };

    let own = send(Handshake::new("/galileo").with("Origin", &place.base)).await;
    let listed = send(Handshake::new("/galileo").with("Origin", "https://app.example.org")).await;
    let none = send(Handshake::new("/galileo")).await;

    let anybody = format!("visitor:{}", "0".repeat(32));
    assert!(own.starts_with("visitor:") && own != anybody, "{own}");
    assert_eq!((listed, none), (anybody.clone(), anybody));
}

#[actix_web::test]
async fn a_token_comes_as_a_subprotocol_that_is_never_echoed() {
    let place = closed();
    let file = content(300_000);
    let offered = format!("galileo.v2, auth.{API_KEY}");
    let mut socket = Handshake::new("/galileo")
        .with("Sec-WebSocket-Protocol", &offered)
        .open(&place)
        .await;

    let head = socket.head.to_ascii_lowercase();
    assert!(head.contains("sec-websocket-protocol: galileo.v2\r\n"), "{head}");
    assert!(!head.contains("auth."), "{head}");
    let ready = begin(&mut socket, "x", file.len(), None).await;
    send_rest(&mut socket, &file, ready, &json!({ "finished": true })).await;
    assert_eq!(owners(&place).await, ["default"]);
}

#[actix_web::test]
async fn wrong_tokens_of_one_address_are_counted_wherever_they_come() {
    let place = here(|config| {
        closed_to_visitors(config);
        config.limits.rates.failures_per_address = 2;
    });
    let stranger = Handshake::new("/galileo").with("Sec-WebSocket-Protocol", "galileo.v2");
    let metadata = json!({ "name": "x", "size": 5, "protocol": 2, "token": "wrong" });

    for expected in ["unauthenticated", "unauthenticated", "too_fast"] {
        let mut socket = stranger.open(&place).await;
        socket.json(&metadata).await;
        assert_eq!(socket.fatal().await, expected);
    }
    assert_eq!(Handshake::new("/galileo?ticket=wrong").status(&place).await, 429);
    let offered = Handshake::new("/galileo").with("Sec-WebSocket-Protocol", "galileo.v2, auth.wrong");
    assert_eq!(offered.status(&place).await, 429);
}

#[actix_web::test]
async fn a_token_may_come_with_the_metadata_and_nothing_before_it() {
    let place = closed();
    let stranger = Handshake::new("/galileo").with("Sec-WebSocket-Protocol", "galileo.v2");
    let metadata = |token: &str| json!({ "name": "x", "size": 5, "protocol": 2, "token": token });

    let mut socket = stranger.open(&place).await;
    socket.json(&metadata(API_KEY)).await;
    let ready = socket.signal().await;
    send_rest(&mut socket, b"hello", ready, &json!({ "finished": true })).await;

    let mut wrong = stranger.open(&place).await;
    wrong.json(&metadata("wrong")).await;
    assert_eq!(wrong.fatal().await, "unauthenticated");
    let mut none = stranger.open(&place).await;
    none.json(&json!({ "name": "x", "size": 5, "protocol": 2 })).await;
    assert_eq!(none.fatal().await, "unauthenticated");
    let mut early = stranger.open(&place).await;
    early.binary(b"hello").await;
    assert_eq!(early.fatal().await, "bad_metadata");
    assert_eq!(place.finished().await.len(), 1);
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn strangers_have_few_connections_and_little_time() {
    let place = here(|config| {
        closed_to_visitors(config);
        config.protocols.galileo.strangers_per_address = 2;
        config.protocols.galileo.metadata_s = 1;
    });
    let stranger = Handshake::new("/galileo").with("Sec-WebSocket-Protocol", "galileo.v2");

    let mut waiting: Vec<Socket> = Vec::new();
    for _ in 0..2 {
        waiting.push(stranger.open(&place).await);
    }
    assert_eq!(stranger.status(&place).await, 503);
    for socket in &mut waiting {
        assert_eq!(socket.fatal().await, "idle");
        assert_eq!(socket.closed().await, Some(1008));
    }
    drop(waiting);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(stranger.status(&place).await, 101);
}

#[actix_web::test]
async fn a_stranger_behind_a_proxy_is_who_the_proxy_saw_and_not_who_they_say() {
    let place = here(|config| {
        closed_to_visitors(config);
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
        config.protocols.galileo.strangers_per_address = 1;
    });
    let from = |addresses: &str| {
        Handshake::new("/galileo")
            .with("Sec-WebSocket-Protocol", "galileo.v2")
            .with("X-Forwarded-For", addresses)
    };

    let _waiting = from("6.6.6.1, 203.0.113.77").open(&place).await;
    assert_eq!(from("6.6.6.2, 203.0.113.77").status(&place).await, 503);
    assert_eq!(from("6.6.6.1, 203.0.113.78").status(&place).await, 101);
}

#[actix_web::test]
async fn an_admins_key_that_may_not_begin_begins_nothing() {
    let place = closed();
    let key = place.key("boss", "admin").await;
    assert_eq!(key.raw("POST", "/galileo/ticket", Vec::new()).await.status, 403);
}
