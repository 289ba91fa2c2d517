//! Clients that vanish in the middle of a part: nothing of it counts, and the next one can send it at once.

use std::time::{Duration, Instant};

use super::client::{Client, Upload, content, sha256};
use super::place::Place;
use super::wire::{Wire, part_head};
use super::{MIB, everywhere};

const HALF: usize = 600_000;

/// A part of which half is sent.
async fn half_sent(place: &Place, upload: &Upload) -> Wire {
    let head = part_head(upload, 0, &[&format!("Content-Length: {}", upload.part(0).len())]);
    Wire::begin(place, &head, &upload.part(0)[..HALF]).await
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_part_leaves_it_pending() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        for _ in 0..3 {
            half_sent(&place, &upload).await.reset();
        }

        assert_eq!(client.part_states(&upload).await, "pp");
        let began = Instant::now();
        client.send_all(&upload).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn a_reset_while_a_stored_part_is_sent_again_changes_nothing() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        client.send_all(&upload).await;
        let other = vec![7; HALF];
        let head = part_head(&upload, 0, &[&format!("Content-Length: {MIB}")]);
        Wire::begin(&place, &head, &other).await.reset();
        half_sent(&place, &upload).await.reset();

        let status = client.status(&upload).await.expect(200);

        assert_eq!(status["uploaded_parts"], 2);
        assert_eq!(status["parts"][0]["checksum_sha256"], sha256(&upload.part(0)));
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_second_sender_takes_over_from_one_that_went_silent() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        let mut silent = half_sent(&place, &upload).await;
        // The silent one has the part by now, or the second would simply be first.
        assert!(silent.is_silent_for(Duration::from_millis(100)).await);
        let began = Instant::now();

        client.send(&upload, 0).await;

        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(4), "{waited:?}");
        let told = silent.answer().await;
        assert_eq!(told.status, 409, "{told:?}");
        super::client::check_error(&told.json(), 409);
        client.send(&upload, 1).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_ends_too_soon_leaves_the_part_pending() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB + 5).await;
        let head = part_head(&upload, 0, &["Transfer-Encoding: chunked"]);
        let mut piece = format!("{HALF:x}\r\n").into_bytes();
        piece.extend(&content(HALF as u64));
        piece.extend(b"\r\n");
        // The end of the last chunk never comes, then one that is no chunk.
        Wire::begin(&place, &head, &piece).await.reset();
        let mut broken = Wire::begin(&place, &head, &piece).await;
        broken.send(b"nonsense\r\n").await;
        broken.has_ended().await;

        assert_eq!(client.part_states(&upload).await, "pp");
        client.send_all(&upload).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_part_leaves_it_pending() {
    everywhere(async |place| {
        let upload = Client::of(&place).init("a", MIB + 5).await;
        let mut held = half_sent(&place, &upload).await;
        assert!(held.is_silent_for(Duration::from_millis(50)).await);
        let place = place.restart();
        let client = Client::of(&place);

        assert_eq!(client.part_states(&upload).await, "pp");
        // The killed process's claim may have to run out first.
        client.send_all(&upload).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
        assert!(place.is_clean().await);
    })
    .await;
}
