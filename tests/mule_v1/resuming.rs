//! A file that was begun before.

use crate::browser::{Browser, Meddling};
use crate::script::{Ending, Settings, upload};
use crate::{CHUNK, assert_stored, clip, closes_after, file_of, key_for, on_both, page_for, store_of};

#[tokio::test]
async fn after_a_refresh_only_the_remaining_parts_are_sent_and_none_twice() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 6 + 3));
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        let before = browser.parts_taken();
        assert!(before.len() >= 2, "{before:?}");
        browser.refresh();

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        let after = browser.parts_taken();
        assert!(
            after.iter().all(|number| !before.contains(number)),
            "{before:?} then {after:?}"
        );
        assert!(after.len() + before.len() <= 7);
    })
    .await;
}

#[tokio::test]
async fn two_people_with_the_same_file_never_see_each_others_key_or_upload_id() {
    on_both(async |server| {
        let (anna, bert, page, file) = (
            Browser::same_origin(),
            Browser::same_origin(),
            page_for(&server),
            clip(),
        );
        for browser in [&anna, &bert] {
            closes_after(browser, 1);
            assert_eq!(upload(browser, &page, &file).await, Ending::Closed);
        }

        let ids = |browser: &Browser| {
            let reply: serde_json::Value =
                serde_json::from_str(&browser.seen("get_init_signature")[0].text).unwrap();
            (
                reply["key"].clone(),
                reply["upload_id"].clone(),
                reply["chunks"].clone(),
            )
        };
        let (annas, berts) = (ids(&anna), ids(&bert));
        assert_ne!(annas.0, berts.0);
        assert_ne!(annas.1, berts.1);
        assert_eq!(
            berts.2,
            serde_json::json!([]),
            "nothing of Anna's counts for Bert"
        );
    })
    .await;
}

#[tokio::test]
async fn two_key_holders_with_the_same_file_are_kept_apart_too() {
    on_both(async |server| {
        let (anna, bert) = (key_for(&server, "anna").await, key_for(&server, "bert").await);

        let annas = crate::begin(&server, &anna).await;
        let berts = crate::begin(&server, &bert).await;

        assert_ne!(annas.0, berts.0);
        assert_ne!(annas.1, berts.1);
        assert_eq!(
            crate::begin(&server, &anna).await,
            annas,
            "each finds their own again"
        );
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_the_store_dropped_while_the_page_was_closed_begins_anew() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        drop_in_the_store(&server, &browser).await;
        browser.refresh();

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_the_store_drops_between_the_answer_and_the_list_begins_anew_by_force() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        let (store, seen) = (store_of(&server), browser.seen("get_init_signature").remove(0));
        browser.refresh();
        let mut dropped = false;
        browser.meddle(move |out| {
            if out.what != "list" || std::mem::replace(&mut dropped, true) {
                return Meddling::None;
            }
            let (store, text) = (store.clone(), seen.text.clone());
            Meddling::After(Box::pin(async move { abort(&store, &text).await }))
        });

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        let asked = browser.seen("get_init_signature");
        assert!(
            asked.len() == 2 && asked[1].url.contains("force=true"),
            "{asked:?}"
        );
        assert_eq!(browser.seen("list")[0].status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_page_closed_when_all_parts_were_there_sends_at_most_one_again() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        browser.meddle(|out| {
            if out.what == "complete" {
                Meddling::Close
            } else {
                Meddling::None
            }
        });
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        assert_eq!(browser.parts_taken().len(), 3);
        browser.refresh();

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        assert_eq!(browser.parts_taken(), [3]);
        assert_eq!(
            browser.seen("get_init_signature").len(),
            1,
            "never as many chunks as the file has"
        );
    })
    .await;
}

#[tokio::test]
async fn a_page_that_forces_goes_on_with_what_the_store_still_holds() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 6 + 3));
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        let before = browser.parts_taken();
        browser.refresh();

        let ending = upload(&browser, &Settings { force: true, ..page }, &file).await;

        let Ending::Complete(key) = ending else {
            panic!("{ending:?}")
        };
        assert_stored(&server, &key, &file).await;
        assert!(
            browser
                .parts_taken()
                .iter()
                .all(|number| !before.contains(number))
        );
    })
    .await;
}

/// A resumed upload keeps the type that its signatures cover, so a page that sends another one needs a new upload.
#[tokio::test]
async fn a_page_whose_content_type_was_changed_in_the_meantime_still_completes() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        closes_after(&browser, 1);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        browser.refresh();

        let ending = upload(
            &browser,
            &Settings {
                content_type: "image/svg+xml".to_owned(),
                ..page
            },
            &file,
        )
        .await;

        let Ending::Complete(key) = ending else {
            panic!("{ending:?}")
        };
        assert_stored(&server, &key, &file).await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_survives_a_restart_of_the_server() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 6 + 3));
        closes_after(&browser, 2);
        assert_eq!(upload(&browser, &page, &file).await, Ending::Closed);
        let before = browser.parts_taken();
        let server = server.restart();
        browser.refresh();

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        assert!(
            browser
                .parts_taken()
                .iter()
                .all(|number| !before.contains(number))
        );
    })
    .await;
}

/// Aborts, with the store's own key, the upload that the browser was told of.
async fn drop_in_the_store(server: &crate::server::TestServer, browser: &Browser) {
    abort(&store_of(server), &browser.seen("get_init_signature")[0].text).await;
}

async fn abort(store: &crate::s3_client::S3Client, init_reply: &str) {
    let reply: serde_json::Value = serde_json::from_str(init_reply).expect("JSON");
    let member = |name: &str| reply[name].as_str().expect("a text").to_owned();
    let aborted = store
        .ask("DELETE", &member("key"))
        .query("uploadId", &member("upload_id"))
        .send()
        .await;
    assert_eq!(aborted.status, 204, "{aborted:?}");
}
