//! A file that nobody has sent before.

use crate::browser::Browser;
use crate::script::{Ending, upload};
use crate::{CHUNK, PROPOSED, TYPE, assert_stored, clip, file_of, on_both, on_both_with, page_for, store_of};

#[tokio::test]
async fn a_file_of_two_and_a_half_chunks_arrives_byte_for_byte() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        let mut sent = browser.parts_taken();
        sent.sort_unstable();
        assert_eq!(sent, [1, 2, 3], "each part is sent once");
        for told in ["chunk_loaded", "upload_finished"] {
            let answers = browser.seen(told);
            assert_eq!(answers.len(), if told == "chunk_loaded" { 3 } else { 1 });
            assert!(
                answers
                    .iter()
                    .all(|seen| seen.status == 200 && seen.text.is_empty()),
                "{answers:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn key_type_and_permissions_are_the_servers_choice_and_not_the_pages() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert!(
            browser.seen("initiate").is_empty(),
            "the browser never asks for a public object"
        );
        assert_ne!(key, PROPOSED);
        let object = store_of(&server).get(&key).await;
        assert_eq!(object.header("content-type"), Some(TYPE));
        assert!(
            object
                .header("content-disposition")
                .is_some_and(|value| value.contains("clip.mp4"))
        );
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let unsigned = http.head(format!("{}/{key}", page.host)).send().await.unwrap();
        assert_eq!(unsigned.status(), 403, "nobody may read it without a signature");
    })
    .await;
}

#[tokio::test]
async fn the_same_file_again_never_touches_the_finished_object() {
    on_both(async |server| {
        let (browser, page, mut file) = (Browser::same_origin(), page_for(&server), clip());
        let first_bytes = file.clone();
        let Ending::Complete(first) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };
        file.bytes.reverse();

        let Ending::Complete(second) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_ne!(first, second);
        assert_stored(&server, &first, &first_bytes).await;
        assert_stored(&server, &second, &file).await;
    })
    .await;
}

#[tokio::test]
async fn more_than_a_thousand_chunks_are_listed_page_by_page_and_complete() {
    on_both(async |server| {
        let (browser, page, file) = (
            Browser::same_origin(),
            page_for(&server),
            file_of(CHUNK * 1003 + 5),
        );

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        assert_eq!(browser.parts_taken().len(), 1004);
        let pages = browser.seen("list");
        assert!(
            pages
                .iter()
                .any(|page| page.url.contains("part-number-marker=1000")),
            "{}",
            pages.len()
        );
    })
    .await;
}

#[tokio::test]
async fn chunks_count_from_one_in_signatures_and_in_the_record() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        crate::closes_after(&browser, 1);
        let one_worker = crate::Settings {
            num_workers: 1,
            ..page
        };
        assert_eq!(upload(&browser, &one_worker, &file).await, Ending::Closed);

        let all: serde_json::Value =
            serde_json::from_str(&browser.seen("get_all_signatures")[0].text).unwrap();
        let numbers: Vec<_> = all["chunk_signatures"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(numbers, ["1", "2", "3"]);
        let db = muleteer::app::open_database(&server.config).await.unwrap();
        let query = muleteer::db::UploadQuery {
            limit: 10,
            ..Default::default()
        };
        let id = db.list_uploads(query).await.unwrap().uploads.remove(0).upload.id;
        let recorded = db.recorded_parts(&id).await.unwrap();
        assert_eq!(
            recorded
                .iter()
                .map(|record| (record.part.number.get(), record.part.size))
                .collect::<Vec<_>>(),
            [(1, CHUNK)]
        );
        db.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_list_and_end_signatures_are_never_handed_out_ahead() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 40 + 1));

        let ending = upload(&browser, &page, &file).await;

        assert!(matches!(ending, Ending::Complete(_)), "{ending:?}");
        let all: serde_json::Value =
            serde_json::from_str(&browser.seen("get_all_signatures")[0].text).unwrap();
        let members: Vec<_> = all.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            members,
            ["chunk_signatures"],
            "whatever the script keeps grows old with it"
        );
        let ahead = all["chunk_signatures"].as_object().unwrap().len();
        assert!(ahead <= page.num_workers, "only what is used at once: {ahead}");
        assert_eq!(browser.seen("get_chunk_signature").len(), 41 - ahead);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_names_no_type_gets_the_configured_one_signed() {
    on_both_with(
        |config| config.protocols.mule.mime_type = "application/x-page".to_owned(),
        async |server| {
            let query = "key=k&mime_type=&filename=a.bin&filesize=40&last_modified=0";
            let reply = crate::get(&server, "get_init_signature", query).await.json();

            let (key, id) = (
                reply["key"].as_str().unwrap(),
                reply["upload_id"].as_str().unwrap(),
            );
            let signed = crate::get(
                &server,
                "get_chunk_signature",
                &format!("chunk=1&upload_id={id}&key={key}"),
            )
            .await;
            let answer =
                crate::stumbling::put_part(&server, key, id, &signed.json(), "application/x-page").await;
            assert_eq!(answer, 200);
        },
    )
    .await;
}
