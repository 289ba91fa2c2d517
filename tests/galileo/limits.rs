//! Section 4: limits of frames and messages, and of time.

use std::time::Duration;

use serde_json::json;

use super::client::content;
use super::here;
use super::place::Place;
use super::socket::{Frame, Handshake, Socket, frame, head};

const MIB: u64 = 1 << 20;

async fn begun(place: &Place, size: u64) -> Socket {
    let mut socket = Handshake::new("/galileo").open(place).await;
    socket.json(&json!({ "name": "x", "size": size })).await;
    assert_eq!(socket.signal().await["ready"], true);
    socket
}

#[actix_web::test]
async fn a_message_over_the_limit_is_known_by_its_head_in_one_frame_or_many() {
    let place = here(|_| {});
    let mut one = begun(&place, 10 * MIB).await;
    one.raw(&head(0x82, MIB + 1)).await;
    assert_eq!(one.closed().await, Some(1009));

    let mut many = begun(&place, 10 * MIB).await;
    many.raw(&frame(0x02, &content(MIB - 10))).await;
    many.raw(&head(0x00, 11)).await;
    assert_eq!(many.closed().await, Some(1009));

    let mut endless = begun(&place, 10 * MIB).await;
    endless.raw(&head(0x82, (1 << 63) - 1)).await;
    assert_eq!(endless.closed().await, Some(1009));

    let mut early = Handshake::new("/galileo").open(&place).await;
    early.raw(&head(0x82, MIB + 1)).await;
    assert_eq!(early.closed().await, Some(1009));
    for socket in [one, many, endless, early] {
        drop(socket);
    }
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn beyond_the_quota_a_client_is_told_how_long_to_wait() {
    let place = here(|config| config.limits.anybody.open_uploads = 1);
    let _first = begun(&place, MIB).await;
    let mut second = Handshake::new("/galileo").open(&place).await;

    second.json(&json!({ "name": "y", "size": 5 })).await;

    let told = second.signal().await;
    assert_eq!(
        (&told["code"], &told["fatal"]),
        (&json!("quota_reached"), &json!(true)),
        "{told}"
    );
    assert!(
        told["retry_after"].as_u64().is_some_and(|seconds| seconds > 0),
        "{told}"
    );
}

#[actix_web::test]
async fn a_text_over_64_kib_is_too_long() {
    let place = here(|_| {});
    let mut before = Handshake::new("/galileo").open(&place).await;
    before.raw(&head(0x81, 65_537)).await;
    assert_eq!(before.closed().await, Some(1009));

    let mut after = begun(&place, MIB).await;
    after.raw(&frame(0x01, &vec![b' '; 65_000])).await;
    after.raw(&head(0x80, 600)).await;
    assert_eq!(after.closed().await, Some(1009));
}

#[actix_web::test]
async fn what_is_against_rfc_6455_closes_with_its_code() {
    let place = here(|_| {});
    let mut unmasked = frame(0x82, b"hello");
    unmasked[1] &= 0x7f;
    for (code, wire) in [
        (1002, unmasked),
        (1002, frame(0x83, b"x")),
        (1002, frame(0xc2, b"x")),
        (1002, frame(0x80, b"x")),
        (1002, [frame(0x02, b"x"), frame(0x82, b"x")].concat()),
        (1002, frame(0x09, b"x")),
        (1002, frame(0x89, &[0; 126])),
        (1002, frame(0x88, &[1])),
        (1007, frame(0x81, &[0xff, 0xfe])),
        (1007, frame(0x88, &[0x03, 0xe8, 0xff])),
    ] {
        let mut socket = begun(&place, 100).await;
        socket.raw(&wire).await;
        assert_eq!(socket.closed().await, Some(code), "{wire:02x?}");
    }
}

#[actix_web::test]
async fn frames_of_any_size_make_a_message() {
    let place = here(|_| {});
    let file = content(MIB);
    for each in [1000, 65_536, 131_000, 1 << 20] {
        let mut socket = begun(&place, MIB).await;
        socket.fragments(&file, each).await;
        assert_eq!(socket.signal().await["ready"], true, "{each}");
        socket.text(r#"{"finished": true}"#).await;
        let close = socket.signal().await;
        assert_eq!(
            place.object(close["path"].as_str().unwrap()).await.unwrap(),
            file,
            "{each}"
        );
    }
}

#[actix_web::test]
async fn who_says_nothing_is_told_so_and_shown_out() {
    let place = here(|config| {
        config.protocols.galileo.metadata_s = 1;
        config.protocols.galileo.idle_s = 2;
        config.protocols.galileo.ping_s = 1;
    });
    let mut silent = Handshake::new("/galileo").open(&place).await;
    assert_eq!(silent.fatal().await, "idle");
    assert_eq!(silent.closed().await, Some(1008));

    let mut idle = begun(&place, 10).await;
    assert_eq!(
        idle.next().await,
        Frame::Ping,
        "the server asks whether anybody is there"
    );
    idle.raw(&frame(0x8a, b"")).await;
    assert_eq!(idle.fatal().await, "idle");
    assert_eq!(idle.closed().await, Some(1008));
    assert_eq!(idle.next().await, Frame::Gone);
    assert!(place.is_clean().await);
}

#[actix_web::test]
async fn a_slow_message_is_no_silence() {
    let place = here(|config| config.protocols.galileo.idle_s = 1);
    let mut socket = begun(&place, 8).await;
    let whole = frame(0x82, b"12345678");
    for byte in whole.chunks(2) {
        socket.raw(byte).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(socket.signal().await["ready"], true);
}
