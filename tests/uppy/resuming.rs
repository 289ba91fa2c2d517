//! A page that comes back: it knows one id and one key, and never asks for others.

use chrono::TimeDelta;
use muleteer::domain::State;
use serde_json::json;

use super::{bytes, leave_alone, on_both, on_one_with, page, record, store_of, sweep};

#[tokio::test]
async fn what_is_there_is_listed_and_need_not_be_sent_again() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let file = bytes(25);
        let one = page.send(&upload, 1, &file[..10]).await;
        let three = page.send(&upload, 3, &file[20..]).await;

        let listed = page.list(&upload).await.good();
        assert_eq!(
            listed,
            json!([
                { "PartNumber": 1, "ETag": one, "Size": 10 },
                { "PartNumber": 3, "ETag": three, "Size": 5 },
            ])
        );
        let two = page.send(&upload, 2, &file[10..20]).await;

        // What was listed comes back as it was listed, what was sent now without quotes.
        let parts = [(1, one.as_str()), (2, two.trim_matches('"')), (3, three.as_str())];
        page.complete(&upload, &parts).await.good();
        assert_eq!(store_of(&server).get(&upload.key).await.body, file);
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_the_store_dropped_begins_again_behind_the_same_id() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        page.send(&upload, 1, &bytes(10)).await;
        let lost = record(&server, &upload.id).await.multipart_id.expect("an id");
        let dropped = store_of(&server)
            .ask("DELETE", &upload.key)
            .query("uploadId", &lost);
        assert_eq!(dropped.send().await.status, 204);

        // A page that still remembers parts fails once; what it has is not lost by that.
        page.complete(&upload, &[(1, "x")]).await.refusal(410, "vanished");
        assert_eq!(page.list(&upload).await.good(), json!([]));
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.complete(&upload, &[(1, &one)]).await.good();

        assert_eq!(store_of(&server).get(&upload.key).await.body, bytes(10));
        assert_ne!(record(&server, &upload.id).await.multipart_id, Some(lost));
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_ran_out_begins_again_behind_the_same_id() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        page.send(&upload, 1, &bytes(10)).await;
        let id = record(&server, &upload.id).await.id;
        leave_alone(&server, &id, TimeDelta::days(8)).await;
        assert_eq!(sweep(&server).await.expired, 1);
        assert_eq!(record(&server, &upload.id).await.state, State::Expired);

        assert_eq!(page.list(&upload).await.good(), json!([]));

        let again = record(&server, &upload.id).await;
        assert_eq!(again.state, State::Open);
        assert!(again.expires_at > server.clock.now() + TimeDelta::days(6));
    })
    .await;
}

#[tokio::test]
async fn parts_of_two_cuts_are_not_listed_and_only_the_named_ones_are_joined() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let file = bytes(40);
        // One view cut into tens, the next one into twenties.
        page.send(&upload, 1, &file[..10]).await;
        page.send(&upload, 4, &file[30..]).await;
        let one = page.send(&upload, 1, &file[..20]).await;
        page.send(&upload, 2, &file[10..20]).await;
        page.send(&upload, 3, &file[20..30]).await;
        assert_eq!(page.list(&upload).await.good().as_array().map(Vec::len), Some(0));

        let two = page.send(&upload, 2, &file[20..]).await;
        page.complete(&upload, &[(1, &one), (2, &two)]).await.good();

        assert_eq!(store_of(&server).get(&upload.key).await.body, file);
        assert_eq!(page.list(&upload).await.good().as_array().map(Vec::len), Some(2));
    })
    .await;
}

#[tokio::test]
async fn a_completion_that_was_interrupted_is_not_seen_through_with_parts_that_nobody_named() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let file = bytes(20);
        let one = page.send(&upload, 1, &file[..10]).await;
        let two = page.send(&upload, 2, &file[10..]).await;
        // Of an earlier cut.
        page.send(&upload, 3, &bytes(10)).await;
        let id = record(&server, &upload.id).await.id;
        let db = super::database(&server).await;
        let began = server.clock.now() - TimeDelta::minutes(3);
        let changed = db.change_state(&id, &[State::Open], State::Completing, None, began);
        assert!(changed.await.expect("the database answers"));
        db.close().await.expect("the database closes");

        assert_eq!(sweep(&server).await.completed, 0);

        page.complete(&upload, &[(1, &one), (2, &two)]).await.good();
        assert_eq!(store_of(&server).get(&upload.key).await.body, file);
    })
    .await;
}

#[tokio::test]
async fn more_than_a_thousand_parts_are_listed_whole_and_joined() {
    on_one_with(
        |_| {},
        async |server| {
            let page = page(&server);
            let upload = page.begin("clip.mp4").await;
            let numbers: Vec<String> = (1..=1001).map(|number| number.to_string()).collect();
            let batch = format!("{{}}/batch?partNumbers={}", numbers.join(","));
            let urls = page.about(&upload, "GET", &batch, None).await.good()["presignedUrls"].clone();
            for number in &numbers {
                page.put(urls[number].as_str().expect("a URL"), &bytes(8)).await;
            }

            let listed = page.list(&upload).await.good();
            let listed = listed.as_array().expect("a list");
            assert_eq!(listed.len(), 1001);
            assert_eq!(listed[1000]["PartNumber"], 1001);
            page.complete(&upload, &[]).await.good();
            assert_eq!(record(&server, &upload.id).await.size, 8008);
            assert_eq!(
                page.list(&upload).await.good().as_array().map(Vec::len),
                Some(1001)
            );
        },
    )
    .await;
}
