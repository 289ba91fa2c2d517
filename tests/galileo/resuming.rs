//! Section 6: what clients of protocol 2 are told, and how they go on.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::content;
use super::clients::{OldClient, begin, check_ready, send_rest};
use super::place::Place;
use super::server::API_KEY;
use super::socket::{Handshake, Socket};
use super::{everywhere, here, on_both};

const FINISHED: &str = r#"{"finished": true}"#;

fn finished() -> Value {
    json!({ "finished": true })
}

async fn open(place: &Place) -> Socket {
    Handshake::new("/galileo").open(place).await
}

fn id_of(ready: &Value) -> String {
    ready["upload"].as_str().expect("an id").to_owned()
}

#[actix_web::test]
async fn a_client_of_protocol_2_is_told_what_is_stored_and_an_old_one_never() {
    let place = here(|_| {});
    let file = content(2_500_000);
    let mut socket = open(&place).await;

    let ready = begin(&mut socket, "x", file.len(), None).await;
    assert_eq!(check_ready(&ready), 0);
    assert!(ready["window"].as_u64().unwrap() >= ready["chunksize"].as_u64().unwrap());
    let close = send_rest(&mut socket, &file, ready.clone(), &finished()).await;

    assert_eq!(close["upload"], ready["upload"]);
    assert_eq!(close["size"], file.len());
    assert_eq!(close["hash"]["value"], hex::encode(Sha256::digest(&file)));
    assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), file);
    let told = OldClient::new("x", &file).send(&place, "/galileo").await;
    for ready in &told.signals[..told.signals.len() - 1] {
        assert_eq!(ready.as_object().unwrap().len(), 2, "{ready}");
    }
}

#[actix_web::test]
async fn messages_within_the_window_may_follow_each_other() {
    let place = here(|config| config.protocols.galileo.chunk_size = 64 << 10);
    let file = content(16 * 64 * 1024);
    let mut socket = open(&place).await;
    let ready = begin(&mut socket, "x", file.len(), None).await;
    let chunk = usize::try_from(ready["chunksize"].as_u64().unwrap()).unwrap();
    let window = usize::try_from(ready["window"].as_u64().unwrap()).unwrap();

    let (mut sent, mut stored) = (0, 0);
    while stored < file.len() {
        while sent < file.len() && sent + chunk <= stored + window {
            socket.binary(&file[sent..sent + chunk]).await;
            sent += chunk;
        }
        let now = check_ready(&socket.signal().await);
        assert!(now > stored && now <= sent, "{now} of {sent}");
        stored = now;
    }
    socket.text(FINISHED).await;
    let close = socket.signal().await;
    assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), file);
}

#[actix_web::test]
async fn after_a_cut_it_goes_on_from_what_is_stored() {
    everywhere(async |place: Place| {
        let file = content(3_300_000);
        let mut socket = open(&place).await;
        let ready = begin(&mut socket, "x", file.len(), None).await;
        let id = id_of(&ready);
        socket.binary(&file[..1 << 20]).await;
        let kept = check_ready(&socket.signal().await);
        // In the middle of the next chunk.
        socket
            .raw(&super::socket::frame(0x02, &file[kept..kept + 500_000]))
            .await;
        socket.reset();

        let mut again = open(&place).await;
        let ready = begin(&mut again, "x", file.len(), Some(&id)).await;
        let offset = check_ready(&ready);
        assert!((kept..=kept + 500_000).contains(&offset), "{offset}");
        assert_eq!(id_of(&ready), id);
        assert!(
            place.finished().await.is_empty(),
            "no part of it under the final name"
        );
        let claim = json!({ "type": "sha256", "value": hex::encode(Sha256::digest(&file)) });
        let close = send_rest(
            &mut again,
            &file,
            ready,
            &json!({ "finished": true, "hash": claim }),
        )
        .await;

        assert_eq!(close["hash"], claim);
        assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), file);
        assert!(place.is_clean().await);
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_hash_of_a_resumed_file_leaves_nothing() {
    everywhere(async |place: Place| {
        let file = content(1_500_000);
        for kind in ["sha1", "sha256"] {
            let mut socket = open(&place).await;
            let ready = begin(&mut socket, "x", file.len(), None).await;
            socket.binary(&file[..1 << 20]).await;
            socket.signal().await;
            socket.close().await;
            let mut again = open(&place).await;
            let ready = begin(&mut again, "x", file.len(), Some(&id_of(&ready))).await;
            again.binary(&file[check_ready(&ready)..]).await;
            again.signal().await;
            let value = "0".repeat(if kind == "sha1" { 40 } else { 64 });
            again
                .json(&json!({ "finished": true, "hash": { "type": kind, "value": value } }))
                .await;

            assert_eq!(again.fatal().await, "checksum_mismatch");
            // A share lets go of the name once the handle is closed that it was read with.
            for _ in 0..100 {
                if place.finished().await.is_empty() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            assert_eq!(place.finished().await, Vec::<String>::new(), "{kind}");
            assert!(place.is_clean().await);
        }
    })
    .await;
}

#[actix_web::test]
async fn an_unknown_upload_begins_anew_after_an_error_that_is_not_fatal() {
    let place = here(|_| {});
    let gone = {
        let mut socket = open(&place).await;
        let ready = begin(&mut socket, "x", 5, None).await;
        socket.close().await;
        id_of(&ready)
    };
    place.advance(TimeDelta::hours(25));
    for id in ["nonsense", &"0".repeat(32), &gone] {
        let mut socket = open(&place).await;
        let error = begin(&mut socket, "x", 5, Some(id)).await;
        assert_eq!(
            (&error["fatal"], &error["code"]),
            (&json!(false), &json!("resume_unknown")),
            "{error}"
        );
        let ready = socket.signal().await;
        assert_eq!(check_ready(&ready), 0);
        assert_ne!(ready["upload"], id);
        send_rest(&mut socket, b"hello", ready, &finished()).await;
    }
}

#[actix_web::test]
async fn somebody_elses_upload_is_unknown_and_another_size_is_fatal() {
    let place = here(|_| {});
    let mut socket = Handshake::new("/galileo")
        .with("X-API-Key", API_KEY)
        .open(&place)
        .await;
    let ready = begin(&mut socket, "x", 5, None).await;
    socket.close().await;

    let mut stranger = open(&place).await;
    let error = begin(&mut stranger, "x", 5, Some(&id_of(&ready))).await;
    assert_eq!(error["code"], "resume_unknown");
    let mut own = Handshake::new("/galileo")
        .with("X-API-Key", API_KEY)
        .open(&place)
        .await;
    let error = begin(&mut own, "x", 6, Some(&id_of(&ready))).await;
    assert_eq!(
        (&error["fatal"], &error["code"]),
        (&json!(true), &json!("size_mismatch"))
    );
}

#[actix_web::test]
async fn a_second_connection_takes_over_and_the_first_is_told() {
    on_both(async |place: Place| {
        let twin = place.twin();
        let file = content(3_000_000);
        let mut first = open(&place).await;
        let ready = begin(&mut first, "x", file.len(), None).await;
        let id = id_of(&ready);
        first.binary(&file[..1 << 20]).await;
        first.signal().await;

        // While the first is idle; through another process as well.
        let mut second = Handshake::new("/galileo").open(&twin).await;
        let ready = begin(&mut second, "x", file.len(), Some(&id)).await;
        assert_eq!(first.fatal().await, "superseded");
        assert_eq!(check_ready(&ready), 1 << 20);
        // While the second is in the middle of a message.
        second
            .raw(&super::socket::frame(0x02, &file[1 << 20..(1 << 20) + 1000]))
            .await;
        let mut third = open(&place).await;
        let ready = begin(&mut third, "x", file.len(), Some(&id)).await;
        assert_eq!(second.fatal().await, "superseded");
        let close = send_rest(&mut third, &file, ready, &finished()).await;

        assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), file);
    })
    .await;
}

#[actix_web::test]
async fn who_has_lost_the_last_answer_gets_it_again() {
    on_both(async |place: Place| {
        let mut socket = open(&place).await;
        let ready = begin(&mut socket, "x", 5, None).await;
        let id = id_of(&ready);
        let close = send_rest(&mut socket, b"hello", ready, &finished()).await;

        let mut again = open(&place).await;
        let ready = begin(&mut again, "x", 5, Some(&id)).await;
        assert_eq!(check_ready(&ready), 5);
        let closed = send_rest(&mut again, b"hello", ready, &finished()).await;

        assert_eq!(closed["path"], close["path"]);
        assert_eq!(place.finished().await.len(), 1);
    })
    .await;
}

#[actix_web::test]
async fn an_abort_drops_what_is_stored() {
    everywhere(async |place: Place| {
        let mut socket = open(&place).await;
        let ready = begin(&mut socket, "x", 2_000_000, None).await;
        socket.binary(&content(1 << 20)).await;
        socket.signal().await;

        socket.json(&json!({ "abort": true })).await;

        assert_eq!(socket.fatal().await, "aborted");
        assert!(place.is_clean().await);
        let mut again = open(&place).await;
        let error = begin(&mut again, "x", 2_000_000, Some(&id_of(&ready))).await;
        assert_eq!(error["code"], "resume_unknown");
    })
    .await;
}

/// Sends a file called `x`; the upload's id, and where it went.
async fn sent_whole(place: &Place, file: &[u8]) -> (String, String) {
    let mut socket = open(place).await;
    let ready = begin(&mut socket, "x", file.len(), None).await;
    let id = id_of(&ready);
    let close = send_rest(&mut socket, file, ready, &json!({ "finished": true })).await;
    (id, close["path"].as_str().expect("a path").to_owned())
}

#[actix_web::test]
async fn a_wrong_hash_of_a_file_that_is_finished_is_not_repeated_to_its_client() {
    everywhere(async |place: Place| {
        let file = content(300_000);
        let (id, path) = sent_whole(&place, &file).await;
        // Its client has not heard the last word.
        let mut again = open(&place).await;
        let ready = begin(&mut again, "x", file.len(), Some(&id)).await;
        assert_eq!(check_ready(&ready), file.len());
        let wrong = json!({ "type": "sha256", "value": "0".repeat(64) });

        again.json(&json!({ "finished": true, "hash": wrong })).await;

        assert_eq!(again.fatal().await, "checksum_mismatch");
        assert!(place.object(&path).await == Some(file), "what is finished stays");
    })
    .await;
}

#[actix_web::test]
async fn who_gives_up_a_file_that_is_finished_loses_nothing() {
    everywhere(async |place: Place| {
        let file = content(3);
        let (id, path) = sent_whole(&place, &file).await;
        let mut again = open(&place).await;
        begin(&mut again, "x", file.len(), Some(&id)).await;

        again.json(&json!({ "abort": true })).await;

        assert_eq!(again.fatal().await, "wrong_state");
        assert!(place.object(&path).await == Some(file));
    })
    .await;
}

#[actix_web::test]
async fn a_file_has_the_type_that_its_name_stands_for() {
    let place = here(|config| config.limits.types = vec!["image/*".into()]);
    let first = async |name: &str| {
        let mut socket = open(&place).await;
        socket
            .json(&json!({ "name": name, "size": 1, "protocol": 2 }))
            .await;
        socket.signal().await
    };

    assert_eq!(first("a.png").await["ready"], true);
    assert_eq!(first("a.mp4").await["code"], "type_refused");
}
