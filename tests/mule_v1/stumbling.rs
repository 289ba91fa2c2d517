//! What goes wrong between page and store, and how little it may cost.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use crate::browser::{Browser, Meddling, Outgoing};
use crate::script::{Ending, upload};
use crate::server::TestServer;
use crate::{CHUNK, assert_stored, clip, file_of, on_both, page_for, store_of};

/// Answers the first request of that kind with a status of our own.
fn once(browser: &Browser, what: &'static str, status: u16) {
    let mut left = 1;
    browser.meddle(move |out: &Outgoing| {
        if out.what != what || left == 0 {
            return Meddling::None;
        }
        left -= 1;
        Meddling::Answer(status)
    });
}

#[tokio::test]
async fn a_completion_that_is_refused_once_costs_at_most_one_part() {
    on_both(async |server| {
        for status in [403, 404, 500, 503] {
            let (browser, page) = (Browser::same_origin(), page_for(&server));
            let file = file_of(CHUNK * 6 + 3);
            once(&browser, "complete", status);

            let Ending::Complete(key) = upload(&browser, &page, &file).await else {
                panic!("not complete")
            };

            assert_stored(&server, &key, &file).await;
            assert_eq!(
                browser.parts_taken().len(),
                8,
                "after {status}: seven parts and one again"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_completion_that_never_succeeds_ends_in_plain_text_and_not_in_a_storm() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 6 + 3));
        browser.meddle(|out| {
            if out.what == "complete" {
                Meddling::Answer(403)
            } else {
                Meddling::None
            }
        });

        let Ending::Stopped(why) = upload(&browser, &page, &file).await else {
            panic!("not stopped")
        };

        assert!(why.starts_with("get_init_signature: 503 refused"), "{why}");
        assert!(
            browser.parts_taken().len() <= 7 + 5,
            "{}",
            browser.parts_taken().len()
        );
    })
    .await;
}

#[tokio::test]
async fn a_part_that_the_store_refuses_once_is_sent_again_with_a_fresh_signature() {
    on_both(async |server| {
        for status in [403, 500] {
            let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
            once(&browser, "part", status);

            let Ending::Complete(key) = upload(&browser, &page, &file).await else {
                panic!("not complete")
            };

            assert_stored(&server, &key, &file).await;
            assert_eq!(browser.seen("get_all_signatures").len(), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn broken_connections_to_the_backend_are_waited_out() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), clip());
        let mut broken = std::collections::BTreeSet::new();
        browser.meddle(move |out| {
            let backend = out.what.starts_with("get_") || out.what == "chunk_loaded";
            if backend && broken.insert(out.what) {
                Meddling::Break
            } else {
                Meddling::None
            }
        });

        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        assert_eq!(browser.parts_taken().len(), 3);
    })
    .await;
}

/// The script keeps what `get_all_signatures` gave it, so the store refuses that once a quarter of an hour is over.
/// The store goes by its own clock, hence the few real seconds: signatures begin their life almost at its end.
#[tokio::test]
async fn an_upload_that_lasts_longer_than_signatures_do_completes() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 12 + 3));
        let nearly = TimeDelta::seconds(14 * 60 + 55);
        server.advance(-nearly);
        let clock = server.clock.clone();
        let mut first = true;
        browser.meddle(move |out| {
            if out.what != "part" || !std::mem::replace(&mut first, false) {
                return Meddling::None;
            }
            let clock = clock.clone();
            Meddling::After(Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(7)).await;
                clock.advance(nearly);
            }))
        });
        let one_at_a_time = crate::Settings {
            num_workers: 1,
            ..page
        };

        let Ending::Complete(key) = upload(&browser, &one_at_a_time, &file).await else {
            panic!("not complete")
        };

        assert_stored(&server, &key, &file).await;
        let refused = browser
            .seen("part")
            .iter()
            .filter(|seen| seen.status != 200)
            .count();
        assert_eq!(refused, 1, "one old signature is tried, then all are fresh");
        assert!(
            browser.seen("list").iter().all(|seen| seen.status == 200),
            "it never hangs in finishing"
        );
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_the_store_dropped_under_way_stops_instead_of_sending_for_ever() {
    on_both(async |server| {
        let (browser, page, file) = (Browser::same_origin(), page_for(&server), file_of(CHUNK * 12 + 3));
        let store = store_of(&server);
        let mut parts = 0;
        browser.meddle(move |out| {
            parts += u32::from(out.what == "part");
            if out.what != "part" || parts != 3 {
                return Meddling::None;
            }
            let (store, url) = (store.clone(), out.url.clone());
            Meddling::After(Box::pin(async move {
                let (path, query) = url.split_once('?').unwrap();
                let key = path.split_once("/uploads/").unwrap().1;
                let id = query.split_once("uploadId=").unwrap().1;
                assert_eq!(
                    store.ask("DELETE", key).query("uploadId", id).send().await.status,
                    204
                );
            }))
        });

        let Ending::Stopped(why) = upload(&browser, &page, &file).await else {
            panic!("not stopped")
        };

        assert!(
            why.starts_with("get_all_signatures: 4") || why.starts_with("get_chunk_signature: 4"),
            "{why}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_was_aborted_here_stops_the_page_that_still_sends() {
    on_both(async |server| {
        let key = crate::key_for(&server, "anna").await;
        let (object, id) = crate::begin(&server, &key).await;
        let found = crate::ask(
            &server,
            "GET",
            &format!("/api/v1/uploads?upload_id={id}"),
            &[("x-api-key", crate::server::API_KEY)],
        )
        .await;
        let ours = found.json()["uploads"][0]["id"].as_str().unwrap().to_owned();
        let aborted = crate::ask(
            &server,
            "DELETE",
            &format!("/api/v1/uploads/{ours}"),
            &[("x-api-key", &key)],
        )
        .await;
        assert_eq!(aborted.status, 204);

        for (action, query) in crate::queries_about(&object, &id) {
            let reply = crate::get_with(&server, action, &query, &key).await;
            reply.assert_stops_the_script(action);
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_signed_once_the_object_is_complete_and_late_words_are_fine() {
    on_both(async |server| {
        let (browser, file) = (Browser::same_origin(), clip());
        let page = crate::Settings {
            extra_params: vec![("api_key".to_owned(), crate::server::API_KEY.to_owned())],
            ..page_for(&server)
        };
        let Ending::Complete(key) = upload(&browser, &page, &file).await else {
            panic!("not complete")
        };
        let reply: Value = serde_json::from_str(&browser.seen("get_init_signature")[0].text).unwrap();

        for (action, query) in crate::queries_about(&key, reply["upload_id"].as_str().unwrap()) {
            let reply = crate::get(&server, action, &query).await;
            if action.starts_with("get_") {
                reply.assert_stops_the_script(action);
            } else {
                assert_eq!((reply.status, reply.text.as_str()), (200, ""), "{action}");
            }
        }
    })
    .await;
}

/// The script tells of the end and never looks at the answer, so what it says is checked.
#[tokio::test]
async fn a_page_that_says_finished_too_early_is_not_believed() {
    on_both(async |server| {
        let (key, id) = crate::begin(&server, crate::server::API_KEY).await;

        let reply = crate::get(&server, "upload_finished", &format!("key={key}&upload_id={id}")).await;

        reply.assert_stops_the_script("upload_finished");
        assert_eq!(reply.status, 409);
        assert_eq!(
            crate::begin(&server, crate::server::API_KEY).await.1,
            id,
            "it can still go on"
        );
    })
    .await;
}

/// Sends the first part of `clip()` with what `get_chunk_signature` answered.
pub async fn put_part(server: &TestServer, key: &str, id: &str, signed: &Value, kind: &str) -> u16 {
    let page = page_for(server);
    let signature = signed["signature"].as_str().expect("a signature");
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client");
    let request = http
        .put(format!("{}/{key}?partNumber=1&uploadId={id}", page.host))
        .header("authorization", format!("AWS {}:{signature}", page.access_key))
        .header("x-amz-date", signed["date"].as_str().expect("a date"))
        .header("content-type", kind)
        .body(clip().bytes[..16].to_vec());
    request.send().await.expect("an answer").status().as_u16()
}
