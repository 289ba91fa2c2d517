//! Files on their way: new, taken up again, lost and begun anew.

use std::time::Duration;

use muleteer::domain::State;
use serde_json::Value;

use crate::script::Ending;
use crate::time_line::{assert_tells, assert_tells_nothing, page_of_upload};
use crate::{CHUNK, assert_stored, get, key_for, on_both, on_record, page_with, store_of, unfinished};

/// Uploads until it is complete; the key.
macro_rules! complete {
    ($page:expr) => {{
        let (ending, record) = $page.upload().await;
        let Ending::Complete(key) = ending else {
            panic!("{ending:?} after {record:?}")
        };
        (key, record)
    }};
}

#[tokio::test]
async fn a_fresh_upload_completes_under_a_key_of_ours_and_chunk_0_is_part_1() {
    on_both(async |server| {
        let mut page = page_with(&server, 2);
        page.stop_after = 1;
        let (ending, record) = page.upload().await;
        assert_eq!((ending, &record.sent), (Ending::Closed, &vec![1]));
        assert!(record.told[0].contains("chunk=0&"), "{record:?}");
        let (upload, parts) = on_record(&server, &record.reply).await;
        assert_eq!((upload.protocol.as_str(), parts), ("mule-v2", vec![1]));
        page.stop_after = usize::MAX;

        let (key, record) = complete!(page);

        assert_eq!(key, upload.key.as_str());
        assert_stored(&server, &key, &page).await;
        assert_eq!(record.reply["content_type"], "video/mp4");
        let object = store_of(&server).get(&key).await;
        assert_eq!(object.header("content-type"), Some("video/mp4"));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/{}/{key}", server.store, server.config.dev_s3.bucket);
        assert_eq!(
            http.get(url).send().await.unwrap().status(),
            403,
            "the object is private"
        );
    })
    .await;
}

#[tokio::test]
async fn a_refresh_after_two_parts_sends_none_of_them_again() {
    on_both(async |server| {
        let mut page = page_with(&server, 5);
        page.stop_after = 2;
        let (_, before) = page.upload().await;
        assert_eq!(before.sent, [1, 2]);
        page.stop_after = usize::MAX;

        let (key, after) = complete!(page);

        assert_eq!(after.sent, [3, 4, 5, 6]);
        assert_eq!(after.reply["upload_id"], before.reply["upload_id"]);
        assert_stored(&server, &key, &page).await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_an_upload_is_found_out_though_nobody_tells_of_it() {
    on_both(async |server| {
        let mut page = page_with(&server, 2);
        page.stop_after = 2;
        page.upload().await;
        page.stop_after = usize::MAX;
        let (_, record) = complete!(page);
        for _ in 0..100 {
            if on_record(&server, &record.reply).await.0.state == State::Complete {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("still open: {:?}", on_record(&server, &record.reply).await);
    })
    .await;
}

#[tokio::test]
async fn what_leaks_out_of_extra_params_changes_nothing() {
    on_both(async |server| {
        let mut page = page_with(&server, 3);
        page.extra_params = Some(vec![("album".to_owned(), "summer & sun+sea".to_owned())]);
        page.stop_after = 2;
        let (_, before) = page.upload().await;
        // The next call carries the last chunk, its key and its id, and after a forced one everything is forced.
        page.stop_after = usize::MAX;
        page.extra_params.as_mut().unwrap().push(("force".to_owned(), "true".to_owned()));

        let (key, after) = complete!(page);

        for name in ["chunk=1", "key=", "upload_id=", "force=true"] {
            assert!(after.asked[0].contains(name), "{name} in {after:?}");
        }
        assert!(after.told.iter().all(|told| told.contains("force=true")), "{after:?}");
        assert_eq!(after.sent, [3, 4], "force drops nothing");
        assert_eq!(after.reply["key"], before.reply["key"]);
        assert_stored(&server, &key, &page).await;
        // Even what belongs to somebody else says nothing on the wrong action.
        let query = "chunk=9&key=others%3Fx&upload_id=none&filename=clip.mp4&filesize=40&content_type=&last_modified=0";
        assert_eq!(get(&server, "signing_key", query).await.status(), 200);
    })
    .await;
}

#[tokio::test]
async fn an_upload_whose_side_at_the_store_vanished_restarts_and_completes() {
    on_both(async |server| {
        let mut page = page_with(&server, 3);
        page.stop_after = 2;
        let (_, before) = page.upload().await;
        let text = |name: &str| before.reply[name].as_str().unwrap().to_owned();
        let dropped = store_of(&server)
            .ask("DELETE", &text("key"))
            .query("uploadId", &text("upload_id"));
        assert_eq!(dropped.send().await.status, 204);
        page.stop_after = usize::MAX;

        let (key, after) = complete!(page);

        assert_eq!(after.sent, [1, 2, 3, 4]);
        assert_ne!(after.reply["upload_id"], before.reply["upload_id"]);
        assert_stored(&server, &key, &page).await;
        assert_eq!(unfinished(&server).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_name_with_non_latin_characters_completes_and_resumes() {
    on_both(async |server| {
        let mut page = page_with(&server, 3);
        page.file_name = "日本 + Straße 100% & é.mp4".to_owned();
        page.stop_after = 2;
        let (_, before) = page.upload().await;
        page.stop_after = usize::MAX;

        let (key, after) = complete!(page);

        assert_eq!((before.sent, after.sent), (vec![1, 2], vec![3, 4]));
        assert_stored(&server, &key, &page).await;
        assert_eq!(
            on_record(&server, &after.reply).await.0.filename.as_str(),
            page.file_name
        );
    })
    .await;
}

#[tokio::test]
async fn two_people_with_the_same_file_never_see_each_others_key_or_upload_id() {
    on_both(async |server| {
        let (mut anna, mut bert) = (page_with(&server, 2), page_with(&server, 2));
        anna.api_key = key_for(&server, "anna").await;
        bert.api_key = key_for(&server, "bert").await;
        anna.stop_after = 1;
        let (_, annas) = anna.upload().await;

        let (key, berts) = complete!(bert);

        assert_ne!(berts.reply["key"], annas.reply["key"]);
        assert_ne!(berts.reply["upload_id"], annas.reply["upload_id"]);
        assert_eq!(berts.sent, [1, 2, 3]);
        assert_stored(&server, &key, &bert).await;
    })
    .await;
}

#[tokio::test]
async fn a_page_that_forces_for_ever_is_stopped() {
    on_both(async |server| {
        let query = "filename=clip.mp4&filesize=40&content_type=video%2Fmp4&last_modified=1&force=true";
        let mut statuses = Vec::new();
        for _ in 0..8 {
            statuses.push(get(&server, "signing_key", query).await.status().as_u16());
        }

        assert_eq!(statuses[..6], [200; 6], "{statuses:?}");
        assert!(statuses[6] >= 400, "{statuses:?}");
        assert_eq!(unfinished(&server).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn files_that_the_script_could_never_finish_are_refused_before_anything_is_begun() {
    on_both(async |server| {
        for size in [0, CHUNK, CHUNK * 4, CHUNK * 10_001 + 1] {
            let query = format!("filename=clip.mp4&filesize={size}&content_type=&last_modified=1");
            let answer = get(&server, "signing_key", &query).await;

            assert!(answer.status().is_client_error(), "{size}");
            assert!(serde_json::from_str::<Value>(&answer.text().await.unwrap()).is_err());
        }
        assert_eq!(unfinished(&server).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_in_the_time_line_of_the_upload_that_the_query_names() {
    on_both(async |server| {
        let mut page = page_with(&server, 2);
        page.stop_after = 1;
        let (_, record) = page.upload().await;
        let (upload, _) = on_record(&server, &record.reply).await;
        let time_line = async || page_of_upload(&server.base, upload.id.as_str()).await;
        assert_tells_nothing(&time_line().await);

        let text = |name: &str| record.reply[name].as_str().unwrap().to_owned();
        let query = format!("chunk=9&key={}&upload_id={}", text("key"), text("upload_id"));
        assert_eq!(get(&server, "chunk_loaded", &query).await.status(), 400);

        assert_tells(
            &time_line().await,
            "invalid-request",
            "GET /upload-backend/chunk_loaded/",
        );
    })
    .await;
}
