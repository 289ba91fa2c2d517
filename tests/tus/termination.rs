//! Termination: gone for good, and everything that was stored with it.

use std::time::{Duration, Instant};

use super::client::{content, id_of};
use super::server::API_KEY;
use super::{MIB, everywhere, here};

#[tokio::test]
async fn term_01_and_term_02_an_unfinished_upload_is_gone_for_good() {
    everywhere(async |place| {
        let client = place.client();
        for (fields, sent) in [
            (vec![("Upload-Length", "7000000")], 6_500_000),
            (vec![("Upload-Length", "10")], 4),
            (vec![("Upload-Length", "10")], 0),
            (vec![("Upload-Defer-Length", "1")], 7),
            (vec![("Upload-Length", "10"), ("Upload-Concat", "partial")], 10),
        ] {
            let upload = client.create_with(&fields).await;
            client.send(&upload, 0, &content(sent)).await;

            let answer = client.delete(&upload).await.expect(204);

            assert!(answer.body.is_empty());
            assert!(matches!(client.look(&upload).await.status, 404 | 410));
            assert!(matches!(
                client.patch(&upload, sent, b"x").await.status,
                404 | 410
            ));
            assert!(matches!(client.delete(&upload).await.status, 404 | 410));
        }
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn term_03_a_finished_upload_goes_with_its_object() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"hello").await;
        assert_eq!(place.finished().await.len(), 1);

        client.delete(&upload).await.expect(204);

        assert_eq!(place.finished().await, Vec::<String>::new());
        assert!(matches!(client.look(&upload).await.status, 404 | 410));
        assert!(matches!(client.delete(&upload).await.status, 404 | 410));
    })
    .await;
}

#[tokio::test]
async fn term_04_an_unknown_upload_cannot_be_ended() {
    everywhere(async |place| {
        let path = "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6";

        place.client().delete(path).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn term_05_who_is_still_sending_is_stopped_and_nothing_comes_back() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(8 * MIB));
        let upload = client.create(file.len()).await;
        let mut sending = client.begin_patch(&upload, 0, file.len(), &file[..7 * MIB]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;

        let began = Instant::now();
        client.delete(&upload).await.expect(204);

        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        sending.send_while_taken(&file[7 * MIB..]).await;
        if let Some(answer) = sending.answer_or_end().await {
            assert!(matches!(answer.status, 404 | 409 | 410), "{answer:?}");
        }
        assert!(matches!(client.look(&upload).await.status, 404 | 410));
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn term_05_a_repeated_last_request_that_stalls_keeps_nobody_waiting() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"hello").await;
        let _stalled = client.begin_chunked(&upload, 5, &[]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();

        client.delete(&upload).await.expect(204);

        assert!(began.elapsed() < super::locks::A_SECOND, "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn term_06_who_aborts_it_elsewhere_stops_what_is_being_sent() {
    everywhere(async |place| {
        let client = place.client().with("X-API-Key", API_KEY);
        let file = content(900_000);
        let upload = client.create(file.len()).await;
        let mut sending = client.begin_patch(&upload, 0, file.len(), &file[..300_000]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let address = format!("/api/v1/uploads/{}", id_of(&upload));

        client.raw("DELETE", &address, &[], b"").await.expect(204);

        if let Some(answer) = sending.answer_or_end().await {
            assert!(matches!(answer.status, 404 | 409 | 410 | 423), "{answer:?}");
        }
        assert!(matches!(client.look(&upload).await.status, 404 | 410));
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
    })
    .await;
}

#[tokio::test]
async fn comp_00_who_completes_it_too_early_changes_nothing() {
    everywhere(async |place| {
        let client = place.client().with("X-API-Key", API_KEY);
        let file = content(10);
        let upload = client.create(file.len()).await;
        client.send(&upload, 0, &file[..4]).await;
        let address = format!("/api/v1/uploads/{}", id_of(&upload));

        let refused = client.raw("POST", &format!("{address}/complete"), &[], b"").await;

        assert!((400..500).contains(&refused.status), "{refused:?}");
        let now = client.raw("GET", &address, &[], b"").await.expect(200).json();
        assert_eq!(now["state"], "open", "{now}");
        client.send(&upload, 4, &file[4..]).await;
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}
