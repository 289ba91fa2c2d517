//! Sections 1 and 2: the original client, unmodified.

use serde_json::json;

use super::client::content;
use super::clients::OldClient;
use super::place::Place;
use super::socket::Handshake;
use super::{everywhere, here};

const MIB: u64 = 1 << 20;

#[actix_web::test]
async fn the_original_client_sends_files_of_every_size() {
    everywhere(async |place: Place| {
        for size in [0, 1, 250_000, MIB, 2 * MIB, 5 * MIB / 2] {
            let file = content(size);

            let told = OldClient::new("a b.bin", &file).send(&place, "/galileo").await;

            assert!(told.success, "{size}: {told:?}");
            let chunks = usize::try_from(size.div_ceil(MIB).max(1)).unwrap();
            assert_eq!(told.chunks, chunks, "{size}");
            // N chunks take N + 1 ready signals, and then the close.
            let (close, readies) = told.signals.split_last().unwrap();
            assert_eq!(readies.len(), chunks + 1, "{size}");
            let ready = json!({ "ready": true, "chunksize": MIB });
            assert!(readies.iter().all(|signal| *signal == ready), "{told:?}");
            let path = close["path"].as_str().unwrap();
            assert!(path.ends_with("_a b.bin") && path.contains("files/"), "{path}");
            assert_eq!(place.object(path).await.unwrap(), file, "{size}");
        }
        assert_eq!(place.finished().await.len(), 6, "one object for each");
        assert!(place.is_clean().await);
    })
    .await;
}

#[actix_web::test]
async fn the_originals_example_address_takes_it_too_and_other_requests_there_are_the_chunk_servers() {
    let place = here(|_| {});
    let file = content(300_000);

    for path in ["/upload", "/galileo/", "/galileo"] {
        assert!(
            OldClient::new("x", &file).send(&place, path).await.success,
            "{path}"
        );
    }
    let chunks = super::client::Client::of(&place);
    chunks.init("x", 5).await;
    assert_eq!(chunks.get("/galileo").await.status, 426);
}

#[actix_web::test]
async fn large_files_are_asked_for_in_larger_chunks() {
    let place = here(|_| {});
    for (size, chunk) in [(32 * MIB, MIB), (64 * MIB, 2 * MIB), (1 << 30, 8 * MIB)] {
        let mut socket = Handshake::new("/galileo").open(&place).await;
        socket.json(&json!({ "name": "x", "size": size })).await;
        assert_eq!(
            socket.signal().await,
            json!({ "ready": true, "chunksize": chunk })
        );
        socket.close().await;
    }
}

#[actix_web::test]
async fn six_at_once_with_one_name_all_survive() {
    let place = here(|_| {});
    let files: Vec<Vec<u8>> = (0..6).map(|n| content(1_500_000 + n)).collect();

    let sent = files.iter().map(|file| async {
        let told = OldClient::new("same.bin", file).send(&place, "/galileo").await;
        (
            told.signals.last().unwrap()["path"].as_str().unwrap().to_owned(),
            told.success,
        )
    });
    let paths = futures_util::future::join_all(sent).await;

    for ((path, success), file) in paths.iter().zip(&files) {
        assert!(success);
        assert_eq!(place.object(path).await.as_ref(), Some(file));
    }
    assert_eq!(place.finished().await.len(), 6);
}

#[actix_web::test]
async fn the_perl_sender_ends_with_an_empty_message() {
    let place = here(|_| {});
    let file = content(250_000);
    let mut socket = Handshake::new("/galileo").open(&place).await;

    socket
        .json(&json!({ "name": "perl.bin", "size": file.len() }))
        .await;
    socket.signal().await;
    socket.binary(&file).await;
    assert_eq!(socket.signal().await["ready"], true);
    socket.binary(&[]).await;
    assert_eq!(socket.signal().await["ready"], true);
    socket.json(&json!({ "finished": true })).await;
    let close = socket.signal().await;

    assert_eq!(close["close"], true);
    assert_eq!(place.object(close["path"].as_str().unwrap()).await.unwrap(), file);
    socket.close().await;
}

#[actix_web::test]
async fn an_old_client_that_loses_its_line_begins_anew_and_leaves_nothing() {
    everywhere(async |place: Place| {
        let file = content(3 * MIB);
        let other = OldClient::new("kept.bin", &file).send(&place, "/galileo").await;
        let mut socket = Handshake::new("/galileo").open(&place).await;
        socket.json(&json!({ "name": "x", "size": file.len() })).await;
        socket.signal().await;
        socket.binary(&file[..1 << 20]).await;
        socket.signal().await;
        assert_eq!(
            place.finished().await.len(),
            1,
            "no part of it under the final name"
        );

        socket.reset();
        let again = OldClient::new("x", &file).send(&place, "/galileo").await;

        assert!(again.success && other.success);
        assert_eq!(
            again.signals[0],
            json!({ "ready": true, "chunksize": MIB }),
            "from the beginning"
        );
        assert!(place.is_clean().await);
        assert_eq!(place.finished().await.len(), 2);
    })
    .await;
}
