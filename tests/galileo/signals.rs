//! Section 4: what is answered to what.

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::client::content;
use super::clients::{begin, send_rest};
use super::here;
use super::place::Place;
use super::socket::{Frame, Handshake, Socket, frame};

const PATH: &str = "/galileo";

async fn open(place: &Place) -> Socket {
    Handshake::new(PATH).open(place).await
}

/// A connection that has said what it will send, as an old client.
async fn begun(place: &Place, size: usize) -> Socket {
    let mut socket = open(place).await;
    socket.json(&json!({ "name": "x", "size": size })).await;
    assert_eq!(socket.signal().await["ready"], true);
    socket
}

#[actix_web::test]
async fn what_is_no_metadata_is_a_fatal_error_that_helps_and_then_1008() {
    let place = here(|_| {});
    for text in [
        "nonsense",
        "{",
        "[]",
        "null",
        r#"{"size": 5}"#,
        r#"{"name": "", "size": 5}"#,
        r#"{"name": 7, "size": 5}"#,
        r#"{"name": "..", "size": 5}"#,
        r#"{"name": "../../x", "size": 5}"#,
        r#"{"name": "a/b", "size": 5}"#,
        r#"{"name": "a\\b", "size": 5}"#,
        r#"{"name": "a\u0000", "size": 5}"#,
        r#"{"name": "a\nb", "size": 5}"#,
        r#"{"name": "x"}"#,
        r#"{"name": "x", "size": -1}"#,
        r#"{"name": "x", "size": 1.5}"#,
        r#"{"name": "x", "size": "5"}"#,
        r#"{"name": "x", "size": null}"#,
        r#"{"finished": true}"#,
    ] {
        let mut socket = open(&place).await;
        socket.text(text).await;
        assert_eq!(socket.fatal().await, "bad_metadata", "{text}");
    }
    // One that stays is shown out.
    let mut socket = open(&place).await;
    socket.text("nonsense").await;
    socket.fatal().await;
    assert_eq!(socket.closed().await, Some(1008));
    assert_eq!(socket.next().await, Frame::Gone);
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn a_name_is_at_most_255_bytes_with_our_prefix() {
    let place = here(|_| {});
    for (length, is_good) in [(218, true), (219, false), (2000, false)] {
        let mut socket = open(&place).await;
        socket
            .json(&json!({ "name": "n".repeat(length), "size": 1 }))
            .await;
        if is_good {
            assert_eq!(socket.signal().await["ready"], true, "{length}");
            socket.close().await;
        } else {
            assert_eq!(socket.fatal().await, "invalid_request", "{length}");
        }
    }
}

#[actix_web::test]
async fn a_file_over_the_limit_is_refused_by_its_size() {
    let place = here(|config| config.protocols.galileo.max_size = 1000);
    let mut socket = open(&place).await;
    socket.json(&json!({ "name": "x", "size": 1001 })).await;
    assert_eq!(socket.fatal().await, "too_large");
}

#[actix_web::test]
async fn data_first_and_metadata_twice_are_fatal() {
    let place = here(|_| {});
    let mut first = open(&place).await;
    first.binary(b"hello").await;
    assert_eq!(first.fatal().await, "bad_metadata");

    let mut twice = begun(&place, 5).await;
    twice.json(&json!({ "name": "y", "size": 5 })).await;
    assert_eq!(twice.fatal().await, "bad_metadata");

    let mut nonsense = begun(&place, 5).await;
    nonsense.text("nonsense").await;
    nonsense.fatal().await;
    assert!(place.is_clean().await);
    assert!(place.finished().await.is_empty());
}

#[actix_web::test]
async fn each_message_draws_one_ready_the_empty_one_as_well() {
    let place = here(|_| {});
    let mut socket = begun(&place, 5).await;
    assert!(socket.is_silent(300).await, "the server sends no ready unasked");
    for bytes in [&b""[..], b"he", b"", b"llo", b""] {
        socket.binary(bytes).await;
        assert_eq!(socket.signal().await["ready"], true);
        assert!(socket.is_silent(100).await, "one for each");
    }
    socket.text(r#"{"finished": true}"#).await;
    let close = socket.signal().await;
    assert_eq!(
        place.object(close["path"].as_str().unwrap()).await.unwrap(),
        b"hello"
    );
}

#[actix_web::test]
async fn more_bytes_than_the_file_has_are_refused_at_once() {
    let place = here(|_| {});
    let mut at_once = begun(&place, 5).await;
    // The head alone says so.
    at_once.raw(&super::socket::head(0x82, 6)).await;
    assert_eq!(at_once.fatal().await, "too_many_bytes");

    let mut later = begun(&place, 5).await;
    later.binary(b"hello").await;
    later.signal().await;
    later.binary(b"!").await;
    assert_eq!(later.fatal().await, "too_many_bytes");
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn finished_with_bytes_missing_is_fatal_and_no_close() {
    let place = here(|_| {});
    let mut socket = begun(&place, 5).await;
    socket.binary(b"hell").await;
    socket.signal().await;
    socket.text(r#"{"finished": true}"#).await;
    assert_eq!(socket.fatal().await, "incomplete");
    assert!(place.finished().await.is_empty());
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn an_empty_file_needs_no_message() {
    let place = here(|_| {});
    let mut socket = begun(&place, 0).await;
    socket.text(r#"{"finished": true}"#).await;
    let close = socket.signal().await;
    assert_eq!(close["close"], true);
    assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), b"");
}

#[actix_web::test]
async fn a_hash_is_held_against_the_file() {
    let place = here(|_| {});
    let file = content(400_000);
    let sha1 = hex::encode_upper(Sha1::digest(&file));
    let sha256 = hex::encode(Sha256::digest(&file));
    let finish = async |hash: Value| {
        let mut socket = begun(&place, file.len()).await;
        socket.binary(&file).await;
        socket.signal().await;
        socket.json(&json!({ "finished": true, "hash": hash })).await;
        socket.signal().await
    };

    for hash in [
        json!({ "type": "sha1", "value": sha1 }),
        json!({ "type": "sha256", "value": sha256 }),
        json!({ "type": "sha256", "value": sha256.to_uppercase() }),
        json!({ "type": "md5", "value": "00" }),
        Value::Null,
    ] {
        let close = finish(hash.clone()).await;
        assert_eq!(close["close"], true, "{hash}: {close}");
    }
    let told = finish(Value::Null).await["hash"].clone();
    assert_eq!(told, json!({ "type": "sha256", "value": sha256 }));
    let kept = place.finished().await.len();
    for hash in [
        json!({ "type": "sha1", "value": sha256 }),
        json!({ "type": "sha1", "value": "0".repeat(40) }),
        json!({ "type": "sha256", "value": "0".repeat(64) }),
    ] {
        let error = finish(hash.clone()).await;
        assert_eq!(
            (&error["fatal"], &error["code"]),
            (&json!(true), &json!("checksum_mismatch")),
            "{hash}"
        );
    }
    assert_eq!(place.finished().await.len(), kept, "nothing of it is kept");
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn pings_are_answered_with_their_bytes_also_between_fragments() {
    let place = here(|_| {});
    let mut socket = begun(&place, 10).await;
    socket.raw(&frame(0x89, b"one")).await;
    assert_eq!(socket.next().await, Frame::Pong(b"one".to_vec()));
    socket.raw(&frame(0x02, b"hello")).await;
    socket.raw(&frame(0x89, b"two")).await;
    assert_eq!(socket.next().await, Frame::Pong(b"two".to_vec()));
    socket.raw(&frame(0x00, b"worl")).await;
    socket.raw(&frame(0x80, b"d")).await;
    assert_eq!(
        socket.next().await,
        Frame::Text(json!({ "ready": true, "chunksize": 1 << 20 }))
    );
}

#[actix_web::test]
async fn anything_after_the_close_signal_does_no_harm() {
    let place = here(|_| {});
    let mut socket = open(&place).await;
    let ready = begin(&mut socket, "x", 5, None).await;
    let close = send_rest(&mut socket, b"hello", ready, &json!({ "finished": true })).await;

    socket.binary(b"more").await;
    socket.text(r#"{"finished": true}"#).await;
    socket.text(r#"{"abort": true}"#).await;
    socket.close().await;

    assert_eq!(
        place.object(close["path"].as_str().unwrap()).await.unwrap(),
        b"hello"
    );
    assert_eq!(place.finished().await.len(), 1);
}

#[actix_web::test]
async fn a_client_that_closes_is_answered_with_its_code() {
    let place = here(|_| {});
    let mut socket = begun(&place, 5).await;
    socket.raw(&frame(0x88, &[0x0f, 0xa1, b'x'])).await;
    assert_eq!(socket.closed().await, Some(4001));
    assert_eq!(socket.next().await, Frame::Gone);
    begun(&place, 5).await.close().await;
}
