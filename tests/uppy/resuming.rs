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
        leave_alone(&server, &id, TimeDelta::days(8));
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
async fn parts_of_two_cuts_are_not_listed_and_none_of_them_is_joined() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let file = bytes(40);
        // One view cut into tens, the next one into twenties.
        page.send(&upload, 1, &file[..10]).await;
        page.send(&upload, 4, &file[30..]).await;
        page.send(&upload, 1, &file[..20]).await;
        page.send(&upload, 2, &file[10..20]).await;
        page.send(&upload, 3, &file[20..30]).await;
        let lost = record(&server, &upload.id).await.multipart_id;
        assert_eq!(page.list(&upload).await.good().as_array().map(Vec::len), Some(0));
        assert_eq!(
            store_of(&server)
                .ask("GET", "")
                .query("uploads", "")
                .send()
                .await
                .tags("UploadId")
                .len(),
            1
        );
        assert_ne!(record(&server, &upload.id).await.multipart_id, lost);

        let one = page.send(&upload, 1, &file[..20]).await;
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

        let refused = page.complete(&upload, &[(1, &one), (2, &two)]).await;
        let message = refused.refusal(409, "mixed-parts");
        assert!(message.starts_with("part 3 is stored"), "{message}");
        assert_eq!(page.list(&upload).await.good(), json!([]));
    })
    .await;
}

/// A file of 40 bytes whose first part was sent in one size, and whose rest is sent in another by a page that trusts the
/// numbers of the list.
#[tokio::test]
async fn a_page_that_goes_on_with_another_chunk_size_makes_no_object_and_begins_anew_behind_the_same_id() {
    on_both(async |server| {
        let page = page(&server);
        let file = bytes(40);
        for (first, rest) in [
            (vec![&file[..20]], vec![&file[10..20], &file[20..30], &file[30..]]),
            (vec![&file[..10]], vec![&file[20..]]),
            (vec![&file[..10], &file[10..20], &file[20..30]], vec![]),
        ] {
            let upload = page.begin("clip.mp4").await;
            let mut tags = Vec::new();
            for (number, piece) in (1..).zip(first.iter().chain(&rest)) {
                tags.push((number, page.send(&upload, number, piece).await));
            }
            // The last page view has larger parts, and so fewer of them.
            tags.truncate(if rest.is_empty() { 2 } else { tags.len() });
            let named: Vec<_> = tags.iter().map(|(number, tag)| (*number, tag.as_str())).collect();

            let refused = page.complete(&upload, &named).await;

            let message = refused.refusal(409, "mixed-parts");
            assert!(message.contains("send the file again"), "{message}");
            assert_eq!(store_of(&server).get(&upload.key).await.status, 404);
            assert_eq!(page.list(&upload).await.good(), json!([]));
            let (one, two) = (
                page.send(&upload, 1, &file[..20]).await,
                page.send(&upload, 2, &file[20..]).await,
            );
            page.complete(&upload, &[(1, &one), (2, &two)]).await.good();
            assert_eq!(store_of(&server).get(&upload.key).await.body, file);
        }
        let open = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert!(open.tags("UploadId").is_empty(), "{}", open.text());
    })
    .await;
}

#[tokio::test]
async fn parts_that_do_not_add_up_to_the_size_that_the_page_told_are_no_object() {
    on_both(async |server| {
        let page = page(&server);
        let file = bytes(40);
        let upload = page
            .create(json!({ "filename": "clip.mp4", "metadata": { "size": 40 } }))
            .await;
        // Two parts of an earlier view with four; this one has two, and skips both.
        let one = page.send(&upload, 1, &file[..10]).await;
        let two = page.send(&upload, 2, &file[10..20]).await;
        let refused = page.complete(&upload, &[(1, &one), (2, &two)]).await;

        let message = refused.refusal(409, "mixed-parts");
        assert!(
            message.contains("20 bytes") && message.contains("40"),
            "{message}"
        );
        assert_eq!(page.list(&upload).await.good(), json!([]));
        let one = page.send(&upload, 1, &file[..20]).await;
        let two = page.send(&upload, 2, &file[20..]).await;
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
            let mut tags = Vec::new();
            for (number, text) in (1..).zip(&numbers) {
                let url = urls[text].as_str().expect("a URL");
                tags.push((number, page.put(url, &bytes(8)).await));
            }

            let listed = page.list(&upload).await.good();
            let listed = listed.as_array().expect("a list");
            assert_eq!(listed.len(), 1001);
            assert_eq!(listed[1000]["PartNumber"], 1001);
            let named: Vec<_> = tags.iter().map(|(number, tag)| (*number, tag.as_str())).collect();
            page.complete(&upload, &named).await.good();
            assert_eq!(record(&server, &upload.id).await.size, 8008);
            assert_eq!(
                page.list(&upload).await.good().as_array().map(Vec::len),
                Some(1001)
            );
        },
    )
    .await;
}
