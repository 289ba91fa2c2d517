//! Whole files in one request: a form that allows exactly this object, and an object that is found without being told of.

use std::io::Write;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use muleteer::config::KeyChoice;
use muleteer::domain::{LogKind, State};
use muleteer::error::Error;
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    TestServer, bytes, database, leave_alone, on_both, on_both_with, page, record_of_key, store_of, sweep,
};

const PARAMS: &str =
    "/s3/params?filename=een%20%C3%A9n+%E6%BC%A2.png&type=image%2Fpng&metadata[name]=%C3%A9.png";

#[tokio::test]
async fn a_form_takes_the_file_and_the_sweeper_finds_it() {
    on_both(async |server| {
        let page = page(&server);
        let form = page.ask("GET", PARAMS, None).await.good();

        assert_eq!(form["method"], "POST");
        let url = form["url"].as_str().expect("a URL");
        assert!(url.ends_with('/') && !url.contains('?'), "{url}");
        let key = form["fields"]["key"].as_str().expect("a key").to_owned();
        assert_eq!(form["fields"]["success_action_status"], "201");
        let (status, headers, text) = page.post_form(&form, &bytes(30)).await;
        assert_eq!(status, 201, "{text}");
        // Versions 4 and 5 wait for ever where they find no tag.
        assert!(headers.contains_key("etag"));
        let location = headers["location"].to_str().expect("a text");
        assert_eq!(location, format!("{url}{key}"));
        assert!(
            text.contains(&format!("<Location>{location}</Location>")),
            "{text}"
        );

        let object = store_of(&server).get(&key).await;
        assert_eq!(object.body, bytes(30));
        assert_eq!(object.header("content-type"), Some("image/png"));
        assert_eq!(object.header("x-amz-meta-name"), Some("=?UTF-8?B?w6kucG5n?="));
        assert_eq!(record_of_key(&server, &key).await.state, State::Completing);

        server.advance(TimeDelta::minutes(3));
        assert_eq!(sweep(&server).await.completed, 1);

        let record = record_of_key(&server, &key).await;
        assert_eq!((record.state, record.size), (State::Complete, 30));
        assert_eq!(record.filename.as_str(), "een én 漢.png");
    })
    .await;
}

#[tokio::test]
async fn a_form_takes_no_other_key_no_other_type_and_nothing_above_the_limit() {
    on_both_with(
        |config| config.limits.max_size = 40,
        async |server| {
            let page = page(&server);
            let form = page.ask("GET", PARAMS, None).await.good();
            let with = |name: &str, value: &str| {
                let mut form = form.clone();
                form["fields"][name] = value.into();
                form
            };

            for (form, size) in [
                (form.clone(), 41),
                (with("key", "uploads/mine"), 10),
                (with("content-type", "text/html"), 10),
                (with("content-disposition", "inline"), 10),
            ] {
                let (status, _, _) = page.post_form(&form, &bytes(size)).await;
                assert!((400..500).contains(&status), "{status} {form}");
            }

            let (status, _, text) = page.post_form(&form, &bytes(40)).await;
            assert_eq!(status, 201, "{text}");
        },
    )
    .await;
}

#[tokio::test]
async fn what_nobody_sends_is_given_up_and_what_was_sent_in_time_is_not() {
    on_both(async |server| {
        let page = page(&server);
        let key_of = |form: &Value| form["fields"]["key"].as_str().expect("a key").to_owned();
        let sent = page.ask("GET", PARAMS, None).await.good();
        let unsent = page.ask("GET", PARAMS, None).await.good();
        page.post_form(&sent, &bytes(5)).await;

        // Nobody looks until both have run out.
        for form in [&sent, &unsent] {
            let id = record_of_key(&server, &key_of(form)).await.id;
            leave_alone(&server, &id, TimeDelta::days(8));
        }
        sweep(&server).await;

        assert_eq!(
            record_of_key(&server, &key_of(&sent)).await.state,
            State::Complete
        );
        assert_eq!(store_of(&server).get(&key_of(&sent)).await.body, bytes(5));
        assert_eq!(
            record_of_key(&server, &key_of(&unsent)).await.state,
            State::Expired
        );
    })
    .await;
}

#[tokio::test]
async fn an_owner_who_looks_finds_the_object_at_once() {
    on_both(async |server| {
        let page = page(&server);
        let form = page.ask("GET", PARAMS, None).await.good();
        let key = form["fields"]["key"].as_str().expect("a key");
        let id = record_of_key(&server, key).await.id;
        let address = format!("/api/v1/uploads/{id}");
        let completing = page
            .ask("POST", &format!("{address}/complete"), Some(&json!({})))
            .await;
        assert_eq!(completing.status, 409, "{completing:?}");

        page.post_form(&form, &bytes(7)).await;
        let shown = page.ask("GET", &address, None).await.json();

        assert_eq!(
            (&shown["state"], &shown["size"]),
            (&json!("complete"), &json!(7)),
            "{shown}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_type_that_is_not_taken_and_a_size_that_is_told_are_refused_before_anything_is_signed() {
    on_both_with(
        |config| {
            config.limits.types = vec!["image/*".into()];
            config.limits.max_size = 100;
        },
        async |server| {
            let page = page(&server);
            for (query, status, code) in [
                ("filename=a&type=text/html", 415, "type-refused"),
                ("filename=a&type=undefined", 415, "type-refused"),
                ("filename=a&type=image/png&metadata[size]=101", 413, "too-large"),
            ] {
                let refused = page.ask("GET", &format!("/s3/params?{query}"), None).await;
                let message = refused.refusal(status, code);
                let error = Error::TooLarge {
                    limit: 100,
                    size: 101,
                };
                assert!(code != "too-large" || message == error.to_string(), "{message}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn without_forms_versions_before_6_put_the_file_and_version_6_still_posts_it() {
    on_both_with(
        |config| config.protocols.uppy.forms = false,
        async |server| {
            let page = page(&server);
            let before_6 = page.clone().with_header("accept", "application/json");
            let put = before_6.ask("GET", PARAMS, None).await.good();
            assert_eq!((&put["method"], &put["fields"]), (&json!("PUT"), &json!({})));
            let (status, headers, text) = page.send_presigned("PUT", &put, bytes(8)).await;
            assert_eq!(status, 200, "{text}");
            assert!(headers.contains_key("etag"));

            assert_eq!(page.ask("GET", PARAMS, None).await.good()["method"], "POST");
            server.advance(TimeDelta::minutes(3));
            assert_eq!(sweep(&server).await.completed, 1);
        },
    )
    .await;
}

/// Has all that was signed for the object with this key be of no use any more, where the store goes by the machine's clock.
async fn let_signatures_die(server: &TestServer, key: &str) {
    let id = record_of_key(server, key).await.id;
    let db = database(server).await;
    let due = db
        .due_rechecks(server.clock.now() + TimeDelta::days(8), 100, 0)
        .await;
    let due = due.expect("the database answers");
    assert!(due.iter().any(|upload| upload.id == id), "{due:?}");
    db.note_recheck(&id, server.clock.now()).await.expect("noted");
    db.close().await.expect("the database closes");
}

/// How many uploads are still to be looked at once more.
async fn to_be_looked_at(server: &TestServer) -> usize {
    let db = database(server).await;
    let due = db
        .due_rechecks(server.clock.now() + TimeDelta::days(8), 100, 0)
        .await;
    db.close().await.expect("the database closes");
    due.expect("the database answers").len()
}

#[tokio::test]
async fn what_is_sent_after_it_was_given_up_does_not_stay() {
    on_both(async |server| {
        let page = page(&server);
        let put = page
            .presign(json!({ "method": "PUT", "key": "clip.mp4" }))
            .await
            .good();
        let form = page.ask("GET", PARAMS, None).await.good();
        let keys = [put["key"].clone(), form["fields"]["key"].clone()];
        for key in &keys {
            let id = record_of_key(&server, key.as_str().expect("a key")).await.id;
            let gone = page.ask("DELETE", &format!("/api/v1/uploads/{id}"), None).await;
            assert_eq!(gone.status, 204, "{gone:?}");
        }

        // The signatures are still good, and the store knows of nothing.
        assert_eq!(page.send_presigned("PUT", &put, bytes(9)).await.0, 200);
        assert_eq!(page.post_form(&form, &bytes(9)).await.0, 201);
        sweep(&server).await;
        for key in &keys {
            let key = key.as_str().expect("a key");
            assert_eq!(
                store_of(&server).get(key).await.status,
                200,
                "too early to be sure"
            );
            let_signatures_die(&server, key).await;
        }

        assert_eq!(sweep(&server).await.strays, 2);
        for key in &keys {
            let key = key.as_str().expect("a key");
            assert_eq!(store_of(&server).get(key).await.status, 404);
            assert_eq!(record_of_key(&server, key).await.state, State::Aborted);
        }
        assert_eq!(to_be_looked_at(&server).await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_after_it_was_given_up_stays_where_the_key_is_anothers_by_now() {
    on_both_with(
        |config| config.protocols.uppy.keys = KeyChoice::Proposed,
        async |server| {
            let page = page(&server);
            let wanted = json!({ "method": "PUT", "key": "in/a.mp4" });
            page.presign(wanted.clone()).await.good();
            let given_up = record_of_key(&server, "in/a.mp4").await.id;
            page.ask("DELETE", &format!("/api/v1/uploads/{given_up}"), None)
                .await;
            let put = page.presign(wanted).await.good();
            assert_eq!(page.send_presigned("PUT", &put, bytes(9)).await.0, 200);
            let db = database(&server).await;
            db.note_recheck(&given_up, server.clock.now())
                .await
                .expect("noted");
            db.close().await.expect("the database closes");

            assert_eq!(sweep(&server).await.strays, 0);

            assert_eq!(store_of(&server).get("in/a.mp4").await.body, bytes(9));
            assert_eq!(
                to_be_looked_at(&server).await,
                1,
                "the next one, when its time comes"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_finished_object_that_is_replaced_is_taken_for_what_it_is_and_the_operator_hears_of_it() {
    on_both(async |server| {
        let page = page(&server);
        let put = page
            .presign(json!({ "method": "PUT", "key": "clip.mp4" }))
            .await
            .good();
        let key = put["key"].as_str().expect("a key");
        page.send_presigned("PUT", &put, bytes(9)).await;
        let id = record_of_key(&server, key).await.id;
        let shown = page.ask("GET", &format!("/api/v1/uploads/{id}"), None).await;
        assert_eq!(shown.json()["state"], "complete");
        let_signatures_die(&server, key).await;
        let (_, quiet) = Box::pin(heard(sweep(&server))).await;
        page.send_presigned("PUT", &put, bytes(10)).await;
        let db = database(&server).await;
        db.note_recheck(&id, server.clock.now()).await.expect("noted");
        db.close().await.expect("the database closes");

        let (swept, said) = Box::pin(heard(sweep(&server))).await;

        assert_eq!(swept.strays, 0);
        assert!(!quiet.contains("was replaced"), "{quiet}");
        assert!(
            said.contains("was replaced") && said.contains(id.as_str()),
            "{said}"
        );
        assert_eq!(store_of(&server).get(key).await.body, bytes(10));
        let record = record_of_key(&server, key).await;
        assert_eq!((record.state, record.size), (State::Complete, 10));
    })
    .await;
}

/// What a picture begins with, and a page that takes its place.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const WEB_PAGE: &[u8] = b"<!DOCTYPE html><script>alert(1)</script>";

#[tokio::test]
async fn what_takes_the_place_of_a_finished_object_unseen_is_refused_once_its_signature_is_dead() {
    on_both_with(
        |config| config.limits.types = vec!["image/*".into()],
        async |server| {
            let page = page(&server);
            let wanted = json!({ "method": "PUT", "key": "clip.png" });
            let put = page.presign(wanted).await.good();
            let form = page.ask("GET", PARAMS, None).await.good();
            let keys = [put["key"].clone(), form["fields"]["key"].clone()].map(|key| {
                let key: &str = key.as_str().expect("a key");
                key.to_owned()
            });
            let send = async |bytes: &[u8]| {
                let sent = page.send_presigned("PUT", &put, bytes.to_vec()).await;
                assert_eq!(sent.0, 200, "{}", sent.2);
                let sent = page.post_form(&form, bytes).await;
                assert_eq!(sent.0, 201, "{}", sent.2);
            };
            send(PICTURE).await;
            for key in &keys {
                let id = record_of_key(&server, key).await.id;
                let shown = page.ask("GET", &format!("/api/v1/uploads/{id}"), None).await;
                assert_eq!(shown.json()["state"], "complete", "{shown:?}");
            }

            // Nobody asks for them again.
            send(WEB_PAGE).await;
            sweep(&server).await;
            for key in &keys {
                let record = record_of_key(&server, key).await;
                assert_eq!(record.state, State::Complete, "too early to be sure");
                let_signatures_die(&server, key).await;
            }

            assert_eq!(sweep(&server).await.strays, 2);
            let db = database(&server).await;
            for key in &keys {
                let record = record_of_key(&server, key).await;
                assert_eq!(record.state, State::Failed);
                assert_eq!(store_of(&server).get(key).await.status, 404);
                let log = db.log_of(&record.id).await.expect("the database answers");
                let told = log.iter().find(|entry| entry.kind == LogKind::Replaced);
                assert!(told.is_some_and(|told| told.detail.reason.is_some()), "{log:?}");
            }
            db.close().await.expect("the database closes");
            assert_eq!(to_be_looked_at(&server).await, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn nothing_is_signed_for_a_whole_object_where_none_is_taken() {
    on_both_with(
        |config| config.limits.whole_objects = false,
        async |server| {
            let page = page(&server);
            let form = page.ask("GET", PARAMS, None).await;
            assert_eq!(form.status, 403, "{form:?}");
            assert!(form.text.contains("limits.whole_objects"), "{form:?}");
            let put = page.presign(json!({ "method": "PUT", "key": "clip.mp4" })).await;
            assert_eq!(put.status, 403, "{put:?}");

            let upload = page.begin("clip.mp4").await;
            let etag = page.send(&upload, 1, &bytes(9)).await;
            assert_eq!(page.complete(&upload, &[(1, &etag)]).await.status, 200);
        },
    )
    .await;
}

/// What somebody does, and what is logged on the way.
async fn heard<T>(work: impl Future<Output = T>) -> (T, String) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let outcome = work.with_subscriber(subscriber).await;
    let said = log.0.lock().expect("the log").clone();
    (outcome, String::from_utf8(said).expect("text"))
}

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
