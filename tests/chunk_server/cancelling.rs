//! Cancelling: afterwards there never was such an upload, and a file that is complete stays.

use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::wire::{Wire, part_head};
use super::{MIB, everywhere};

#[tokio::test]
async fn what_is_cancelled_is_gone_for_everybody_and_from_the_storage() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB).await;
        client.send(&upload, 1).await;
        assert!(!place.unfinished().await.is_empty());

        let told = client.cancel(&upload).await.expect(200);

        assert_eq!(
            (&told["file_id"], &told["status"]),
            (&json!(upload.id), &json!("cancelled"))
        );
        assert!(told["message"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(3), "{told}");
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        client.status(&upload).await.error(404, "not_found");
        client.complete(&upload).await.error(404, "not_found");
        client.cancel(&upload).await.error(404, "not_found");
        client
            .put(&upload, 0, upload.part(0))
            .await
            .error(404, "not_found");
        client
            .put(&upload, 1, upload.part(1))
            .await
            .error(404, "not_found");
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn an_upload_without_any_part_is_cancelled_too() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for size in [0, 5, 2 * MIB] {
            let upload = client.init("a", size).await;
            client.cancel(&upload).await.expect(200);
            client.status(&upload).await.error(404, "not_found");
        }
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_complete_upload_cannot_be_cancelled_and_its_file_stays() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        client.send(&upload, 0).await;
        let path = client.finish(&upload).await;

        client.cancel(&upload).await.error(409, "already_complete");

        assert!(place.object(&path).await == Some(upload.whole()));
        assert_eq!(client.status(&upload).await.expect(200)["status"], "complete");
        assert_eq!(client.finish(&upload).await, path);
    })
    .await;
}

#[tokio::test]
async fn a_part_that_is_under_way_is_lost_with_its_upload() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB).await;
        let head = part_head(&upload, 0, &[&format!("Content-Length: {MIB}")]);
        let (first, rest) = (
            upload.part(0)[..300_000].to_vec(),
            upload.part(0)[300_000..].to_vec(),
        );
        let mut wire = Wire::begin(&place, &head, &first).await;
        assert!(wire.is_silent_for(Duration::from_millis(50)).await);

        client.cancel(&upload).await.expect(200);
        wire.send_on(&rest).await;

        let answer = wire.answer().await;
        assert!(matches!(answer.status, 404 | 409), "{answer:?}");
        super::client::check_error(&answer.json(), answer.status);
        client.status(&upload).await.error(404, "not_found");
        client.cancel(&upload).await.error(404, "not_found");
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
    })
    .await;
}

#[tokio::test]
async fn parts_completion_and_cancellation_at_once_have_one_outcome() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for _ in 0..5 {
            let upload = client.init("a", MIB + 5).await;
            client.send(&upload, 0).await;
            let (part, done, cancelled) = tokio::join!(
                client.put(&upload, 1, upload.part(1)),
                client.complete(&upload),
                client.cancel(&upload)
            );

            if cancelled.status != 200 {
                cancelled.error(409, "already_complete");
                part.expect(200);
                let path = client.finish(&upload).await;
                assert!(place.object(&path).await == Some(upload.whole()));
                return;
            }
            client.status(&upload).await.error(404, "not_found");
            client.cancel(&upload).await.error(404, "not_found");
            // Refused in any case; the words depend on who saw the other first.
            assert!(matches!(done.status, 400 | 404 | 409), "{}", done.text());
            assert_eq!(place.finished().await, Vec::<String>::new());
        }
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
    })
    .await;
}
