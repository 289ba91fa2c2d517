//! Whose upload it is: another owner's key, id, and token.

use crate::client::Page;
use crate::page::{EMPTY, PART, http, key_for, on_both, reply};
use crate::time_line::{assert_tells, assert_tells_nothing, page_of_upload};

#[tokio::test]
async fn another_owner_can_have_nothing_signed_for_an_upload() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let bert = Page::of(&server, &key_for(&server, "bert").await);
        let id = anna.begun("pages/anna/a").await;
        let own = bert.begun("pages/bert/b").await;

        for written in [
            bert.part("pages/anna/a", &id, 1),
            bert.write("GET", "pages/anna/a", &format!("uploadId={id}"), EMPTY),
            bert.write("DELETE", "pages/anna/a", &format!("uploadId={id}"), EMPTY),
            bert.complete("pages/anna/a", &id, &[]).0,
            bert.begin("pages/anna/new"),
            // The id of one upload with the key of another.
            bert.part("pages/bert/b", &id, 1),
            bert.part("pages/bert/other", &own, 1),
            bert.part("pages/bert/b", "made-up", 1),
        ] {
            let refused = bert.sign(&written).await;
            assert_eq!(refused.status, 403, "{written:?}");
            refused.assert_signs_nothing(&format!("{written:?}"));
        }
        anna.sent("pages/anna/a", &id, 1, &[b'a'; PART]).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_prefix_is_not_enough_where_it_only_begins_alike() {
    on_both(async |server| {
        let ann = Page::of(&server, &key_for(&server, "ann").await);
        for key in [
            "pages/anna/a",
            "pages/ann",
            "pages/ann../a",
            "pages/ann/../anna/a",
            "pages/ann%2Fx/../../a",
            "uploads/a",
            "a",
        ] {
            let refused = ann.sign(&ann.begin(key)).await;
            assert_eq!(refused.status, 403, "{key}");
            refused.assert_signs_nothing(key);
        }
        assert!(ann.in_the_store().await.is_empty());
        assert_eq!(ann.recorded().await, serde_json::json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_an_owner_too_and_stays_in_a_part_of_the_bucket_of_their_own() {
    on_both(async |server| {
        let settings = reply(http().get(format!("{}/evaporate/settings", server.base))).await;
        let cookie = settings
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let told: serde_json::Value = serde_json::from_str(&settings.text).expect("JSON");
        let prefix = told["prefix"].as_str().expect("a prefix");
        // Only to write requests: this key is not sent.
        let page = Page::of(&server, "");
        for (key, status) in [(format!("{prefix}a"), 200), ("pages/anna/a".to_owned(), 403)] {
            let begin = page.begin(&key);
            let query = Page::query(&begin);
            let request = http().get(format!("{}/evaporate/sign?{query}", server.base));
            let answer = reply(request.header("cookie", &cookie)).await;
            assert_eq!(answer.status, status, "{key}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_not_signed_is_in_the_time_line_of_its_upload_and_what_others_ask_for_is_not() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let bert = Page::of(&server, &key_for(&server, "bert").await);
        anna.begun("pages/anna/a").await;
        let id = anna.recorded().await[0]["id"].as_str().expect("an id").to_owned();
        let made_up = anna.part("pages/anna/a", "made-up", 1);

        assert_eq!(bert.sign(&made_up).await.status, 403);
        assert_tells_nothing(&page_of_upload(&server.base, &id).await);
        assert_eq!(anna.sign(&made_up).await.status, 403);

        let told = page_of_upload(&server.base, &id).await;
        assert_tells(&told, "not-found", "GET /evaporate/sign");
    })
    .await;
}
