//! What is refused, and that the script stops cleanly at every refusal: no JSON, and nothing that anybody keeps.

use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::escape::encode_uri_component;
use crate::script::{Ending, upload};
use crate::server::API_KEY;
use crate::time_line::{assert_tells, assert_tells_nothing, page_of_upload};
use crate::{
    CHUNK, PROPOSED, TYPE, ask, begin, clip, file_of, get, get_with, init_query, key_for, on_both,
    on_both_with, page_for, queries_about, store_of,
};

const ORIGIN: &str = "https://app.example.org";

#[tokio::test]
async fn keys_that_could_change_what_is_signed_are_refused_by_every_action() {
    on_both(async |server| {
        let (_, id) = begin(&server, API_KEY).await;
        let mut keys: Vec<String> = vec![
            "a&b".into(),
            "a%b".into(),
            "a%3Fb".into(),
            "a%41".into(),
            "a+b".into(),
            "a//b".into(),
        ];
        let bad = [
            "a?b", "a&b", "a#b", "a%b", "a\nb", "a\rb", "a\0b", "a\u{7f}b", "..", "a/../b", "./a", "/a",
            "a/", "a b", "é", "",
        ];
        keys.extend(bad.map(encode_uri_component));
        keys.push("/leading".into());
        keys.push("victim?response-content-type=x".into());
        for key in keys {
            let mut queries = vec![("get_init_signature", init_query(&key))];
            queries.extend(queries_about(&key, &id));
            for (action, query) in queries {
                let what = format!("{action} with {key:?}");
                get(&server, action, &query).await.assert_stops_the_script(&what);
                // Front ends that take SigV4 may encode a key, so there only what it stands for counts.
                if !key.contains('%') || bad.contains(&decoded(&key).as_str()) {
                    let query = format!("{query}&signature_version=4");
                    get(&server, action, &query).await.assert_stops_the_script(&what);
                }
            }
        }
        let unfinished = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert_eq!(
            unfinished.tags("UploadId"),
            [id],
            "nothing was begun for any of them"
        );
    })
    .await;
}

/// What `encodeURIComponent` made that of.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escape = behind.get(..2).filter(|_| first == b'%');
        let byte = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn ids_that_could_change_what_is_signed_are_refused_by_every_action() {
    on_both(async |server| {
        let (key, id) = begin(&server, API_KEY).await;
        for bad in [
            "",
            "x",
            &format!("{id}%26acl"),
            &format!("{id}%0A"),
            &format!("{id}?x"),
            "%00",
            "%u0000",
            "..%2F",
        ] {
            for (action, query) in queries_about(&key, bad) {
                get(&server, action, &query)
                    .await
                    .assert_stops_the_script(&format!("{action} with {bad:?}"));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn empty_files_and_exact_multiples_of_the_chunk_are_refused_before_anything_is_begun() {
    on_both(async |server| {
        for size in [0, CHUNK, CHUNK * 4] {
            let browser = Browser::same_origin();

            let ending = upload(&browser, &page_for(&server), &file_of(size)).await;

            let Ending::Stopped(why) = ending else {
                panic!("{size}: {ending:?}")
            };
            assert!(why.starts_with("get_init_signature: 400 refused"), "{why}");
        }
        let unfinished = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert!(unfinished.tags("UploadId").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_file_of_more_chunks_than_may_be_is_refused_before_anything_is_begun() {
    on_both_with(
        |config| config.limits.max_parts = 2,
        async |server| {
            let browser = Browser::same_origin();

            let ending = upload(&browser, &page_for(&server), &clip()).await;

            let Ending::Stopped(why) = ending else {
                panic!("{ending:?}")
            };
            assert!(why.starts_with("get_init_signature: 413 refused"), "{why}");
            assert!(why.contains("at most 32 bytes"), "{why}");
            let unfinished = store_of(&server).ask("GET", "").query("uploads", "").send().await;
            assert!(unfinished.tags("UploadId").is_empty());

            let fits = file_of(CHUNK + 1);
            let ending = upload(&browser, &page_for(&server), &fits).await;
            assert!(matches!(ending, Ending::Complete(_)), "{ending:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_hundred_million_chunks_are_refused_at_once() {
    on_both(async |server| {
        let (key, id) = begin(&server, API_KEY).await;
        for count in [
            "99999999",
            "10001",
            "18446744073709551616",
            "-1",
            "0",
            "4",
            "x",
            "",
        ] {
            let began = Instant::now();
            let query = format!("key={key}&mime_type={TYPE}&num_chunks={count}&upload_id={id}");

            let reply = get(&server, "get_all_signatures", &query).await;

            reply.assert_stops_the_script(count);
            assert_eq!(reply.status, 400, "{count}: {reply:?}");
            assert!(
                began.elapsed() < Duration::from_secs(2),
                "{count} took {:?}",
                began.elapsed()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn chunks_that_the_file_does_not_have_are_refused() {
    on_both(async |server| {
        let (key, id) = begin(&server, API_KEY).await;
        for chunk in [
            "0",
            "4",
            "10001",
            "99999999999999999999",
            "-1",
            "+1",
            "1%20",
            "1&x",
            "1%26acl",
            "%31%0A",
            "one",
            "",
        ] {
            for action in ["get_chunk_signature", "chunk_loaded"] {
                let reply = get(
                    &server,
                    action,
                    &format!("chunk={chunk}&upload_id={id}&key={key}"),
                )
                .await;
                if chunk == "1&x" {
                    // The rest is a parameter of its own, which says nothing to us.
                    assert_eq!(reply.status, 400, "{reply:?}");
                }
                reply.assert_stops_the_script(&format!("{action} with {chunk:?}"));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_or_cannot_be_is_named() {
    on_both(async |server| {
        for (query, field) in [
            ("", "key"),
            ("key=k", "filename"),
            ("key=k&filename=a", "filesize"),
            ("key=k&filename=&filesize=5", "filename"),
            ("key=k&filename=a%0Ab&filesize=5", "filename"),
            ("key=k&filename=a&filesize=-5", "filesize"),
            ("key=k&filename=a&filesize=5e3", "filesize"),
            ("key=k&filename=a&filesize=99999999999999999999999", "filesize"),
            (
                "key=k&filename=a&filesize=5&mime_type=text/plain;charset=latin1",
                "mime_type",
            ),
            ("key=k&filename=a&filesize=5&mime_type=nonsense", "mime_type"),
            (
                "key=k&filename=a&filesize=5&mime_type=a/b%0Ax-amz-acl:x",
                "mime_type",
            ),
            (
                "key=k&filename=a&filesize=5&signature_version=3",
                "signature_version",
            ),
        ] {
            let reply = get(&server, "get_init_signature", query).await;

            reply.assert_stops_the_script(query);
            assert!(reply.text.contains(field), "{query}: {reply:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_of_more_chunks_than_s3_has_parts_is_refused() {
    on_both(async |server| {
        let size = CHUNK * 10_000 + 1;
        let reply = get(
            &server,
            "get_init_signature",
            &format!("key=k&filename=a&filesize={size}"),
        )
        .await;

        reply.assert_stops_the_script("too large");
        assert_eq!(reply.status, 413);
    })
    .await;
}

#[tokio::test]
async fn every_reply_may_be_read_by_the_page_and_kept_by_nobody() {
    on_both_with(
        |config| config.cors.allowed_origins = vec![ORIGIN.to_owned()],
        async |server| {
            let key = key_for(&server, "anna").await;
            let (object, id) = begin(&server, &key).await;
            let mut asked = vec![
                ("GET", "get_init_signature/".to_owned(), init_query(PROPOSED)),
                ("GET", "get_init_signature/".to_owned(), String::new()),
                (
                    "GET",
                    "no_such_action/".to_owned(),
                    format!("key={object}&upload_id={id}"),
                ),
                ("GET", "no_such_action/".to_owned(), String::new()),
                ("GET", String::new(), String::new()),
                ("GET", "get_init_signature/and/more/".to_owned(), String::new()),
                ("POST", "get_init_signature/".to_owned(), init_query(PROPOSED)),
                ("PUT", "get_all_signatures/".to_owned(), String::new()),
                ("DELETE", "chunk_loaded/".to_owned(), String::new()),
                ("HEAD", "upload_finished/".to_owned(), String::new()),
                ("POST", "get_init_signature".to_owned(), String::new()),
            ];
            for (action, query) in queries_about(&object, &id) {
                asked.push(("GET", format!("{action}/"), query));
                asked.push(("GET", format!("{action}/"), String::new()));
            }
            for (method, path, query) in asked {
                for credential in [key.as_str(), "wrong"] {
                    let headers = [("origin", ORIGIN), ("x-api-key", credential)];
                    let reply = ask(
                        &server,
                        method,
                        &format!("/upload-backend/{path}?{query}"),
                        &headers,
                    )
                    .await;

                    let what = format!("{method} {path}?{query} by {credential}");
                    assert_eq!(
                        reply.header("access-control-allow-origin"),
                        Some(ORIGIN),
                        "{what}: {reply:?}"
                    );
                    assert_eq!(
                        reply.header("cache-control"),
                        Some("no-store"),
                        "{what}: {reply:?}"
                    );
                    if reply.status != 200 {
                        reply.assert_stops_the_script(&what);
                    }
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn methods_other_than_get_are_told_which_one_is_right() {
    on_both(async |server| {
        let reply = ask(&server, "POST", "/upload-backend/get_init_signature/", &[]).await;

        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), Some("GET"));
    })
    .await;
}

/// The script never tells how it cuts, but it tells how many chunks it makes of the file.
#[tokio::test]
async fn a_page_that_cuts_other_chunks_than_configured_is_stopped_before_it_sends_any() {
    on_both(async |server| {
        let browser = Browser::same_origin();
        let page = crate::Settings {
            chunk_size: CHUNK + 9,
            ..page_for(&server)
        };

        let Ending::Stopped(why) = upload(&browser, &page, &file_of(CHUNK * 10 + 1)).await else {
            panic!("not stopped")
        };

        assert!(why.contains("protocols.mule.chunk_size"), "{why}");
        assert!(browser.parts_taken().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_in_the_time_line_of_the_upload_that_the_query_names() {
    on_both(async |server| {
        let ben = key_for(&server, "ben").await;
        let (key, upload_id) = begin(&server, API_KEY).await;
        let listed = ask(&server, "GET", "/api/v1/uploads", &[("x-api-key", API_KEY)]).await;
        let id = listed.json()["uploads"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let time_line = async || page_of_upload(&server.base, &id).await;
        let query = format!("key={key}&upload_id={upload_id}");
        let chunk = format!("{query}&chunk=9");

        // What a stranger tries is no matter of this upload.
        for action in ["chunk_loaded", "upload_finished"] {
            assert_eq!(get_with(&server, action, &chunk, &ben).await.status, 404);
        }
        assert_tells_nothing(&time_line().await);

        assert_eq!(get(&server, "chunk_loaded", &chunk).await.status, 400);
        assert_eq!(get(&server, "upload_finished", &query).await.status, 409);
        let told = time_line().await;
        assert_tells(&told, "invalid-request", "GET /upload-backend/chunk_loaded/");
        assert_tells(&told, "incomplete", "GET /upload-backend/upload_finished/");
        let own = format!("/api/v1/uploads/{id}");
        ask(&server, "DELETE", &own, &[("x-api-key", API_KEY)]).await;
        assert_eq!(get(&server, "get_end_signature", &query).await.status, 409);
        assert_tells(
            &time_line().await,
            "wrong-state",
            "GET /upload-backend/get_end_signature/",
        );
    })
    .await;
}
