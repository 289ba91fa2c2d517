//! Giving up, too large, and what comes too late.

use muleteer::domain::State;
use serde_json::json;

use super::{bytes, on_both, on_both_with, page, record, store_of};

#[tokio::test]
async fn what_is_given_up_is_gone_and_given_up_again_without_complaint() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;

        for _ in 0..2 {
            assert_eq!(page.abort(&upload).await.good(), json!({}));
        }

        assert_eq!(record(&server, &upload.id).await.state, State::Aborted);
        let open = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert!(open.tags("UploadId").is_empty());
        page.complete(&upload, &[(1, &one)])
            .await
            .refusal(409, "wrong-state");
        page.about(&upload, "GET", "{}/2", None)
            .await
            .refusal(409, "wrong-state");
    })
    .await;
}

#[tokio::test]
async fn a_page_that_goes_on_with_what_it_gave_up_begins_anew_behind_the_same_id() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        page.send(&upload, 1, &bytes(10)).await;
        page.abort(&upload).await.good();

        // Versions 3 to 5 give up when completing fails; their person tries again, and they ask for no other id.
        assert_eq!(page.list(&upload).await.good(), json!([]));
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.complete(&upload, &[(1, &one)]).await.good();

        assert_eq!(store_of(&server).get(&upload.key).await.body, bytes(10));
    })
    .await;
}

#[tokio::test]
async fn a_delete_after_completion_changes_nothing() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.complete(&upload, &[(1, &one)]).await.good();

        assert_eq!(page.abort(&upload).await.good(), json!({}));

        assert_eq!(store_of(&server).get(&upload.key).await.body, bytes(10));
        assert_eq!(record(&server, &upload.id).await.state, State::Complete);
    })
    .await;
}

#[tokio::test]
async fn parts_that_are_too_many_bytes_together_are_no_object() {
    on_both_with(
        |config| config.limits.max_size = 19,
        async |server| {
            let page = page(&server);
            let upload = page.begin("clip.mp4").await;
            let one = page.send(&upload, 1, &bytes(10)).await;
            let two = page.send(&upload, 2, &bytes(10)).await;

            let refused = page.complete(&upload, &[(1, &one), (2, &two)]).await;

            let message = refused.refusal(413, "too-large");
            assert!(message.contains("19"), "{message}");
            assert_eq!(store_of(&server).get(&upload.key).await.status, 404);
            let two = page.send(&upload, 2, &bytes(9)).await;
            page.complete(&upload, &[(1, &one), (2, &two)]).await.good();
        },
    )
    .await;
}
