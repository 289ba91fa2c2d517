//! Cuts: a connection that ends takes nothing with it that had arrived.

use std::time::Duration;

use super::client::content;
use super::everywhere;
use super::raw_http::chunk;

#[tokio::test]
async fn cut_01_and_cut_02_what_came_before_the_end_of_a_connection_is_kept_to_the_byte() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(900_000));
        let upload = client.create(file.len()).await;
        let mut sending = client.begin_patch(&upload, 0, file.len(), &file[..345_678]).await;

        sending.finish().await;

        sending.rest().await;
        assert_eq!(client.offset(&upload).await, 345_678);
        client.send(&upload, 345_678, &file[345_678..]).await;
        assert!(place.object(&upload).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn cut_03_a_reset_connection_is_no_different() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(900_000));
        // A reset takes with it what the other side has not read yet, so a busy one needs more time.
        for time in [300, 1500, 5000] {
            let upload = client.create(file.len()).await;
            let sending = client.begin_patch(&upload, 0, file.len(), &file[..345_678]).await;
            tokio::time::sleep(Duration::from_millis(time)).await;

            sending.reset();

            let offset = client.offset(&upload).await;
            client.send(&upload, offset, &file[offset..]).await;
            assert!(place.object(&upload).await == Some(file.clone()));
            if offset == 345_678 {
                return;
            }
        }
        panic!("what had come is lost with a reset");
    })
    .await;
}

#[tokio::test]
async fn cut_04_a_body_in_chunks_is_no_different() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(900_000));
        let upload = client.create(file.len()).await;
        let mut sending = client.begin_chunked(&upload, 0, &[]).await;
        for piece in file[..345_678].chunks(30_000) {
            sending.send(chunk(piece)).await;
        }
        // Some of a chunk that never comes whole.
        sending.send(b"2710\r\n").await;
        sending.send(&file[345_678..350_000]).await;

        sending.finish().await;

        sending.rest().await;
        let offset = client.offset(&upload).await;
        assert_eq!(offset, 350_000);
        client.send(&upload, offset, &file[offset..]).await;
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn cut_04_a_body_without_its_last_chunk_does_not_end_an_upload_of_unknown_length() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create_deferred().await;
        let mut sending = client.begin_chunked(&upload, 0, &[("Upload-Length", "10")]).await;
        sending.send(chunk(b"hello")).await;
        sending.finish().await;
        sending.rest().await;

        assert_eq!(client.offset(&upload).await, 5);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn cut_05_the_offset_never_goes_back_however_often_it_is_cut() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(2_000_000));
        let upload = client.create(file.len()).await;
        let mut offset = 0;
        for round in 0..10 {
            let end = offset + 100_000 + round * 7_777;
            let mut sending = client
                .begin_patch(&upload, offset, file.len() - offset, &file[offset..end])
                .await;
            // Only a reset takes with it what has come. What of an earlier one came late after all makes this one wrong.
            let mut least = offset;
            if round % 2 == 0 {
                sending.finish().await;
                if !sending.rest().await.starts_with(b"HTTP/1.1 409") {
                    least = end;
                }
            } else {
                tokio::time::sleep(Duration::from_millis(150)).await;
                sending.reset();
            }
            let now = client.offset(&upload).await;
            assert!((least..=end).contains(&now), "{offset} {now} {end}");
            offset = now;
        }
        assert!(offset > 500_000, "{offset}");

        client.send(&upload, offset, &file[offset..]).await;

        assert!(place.object(&upload).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}
