//! Whole files in one request: a form that allows exactly this object, and an object that is found without being told of.

use chrono::TimeDelta;
use muleteer::domain::State;
use muleteer::error::Error;
use serde_json::{Value, json};

use super::{bytes, leave_alone, on_both, on_both_with, page, record_of_key, store_of, sweep};

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
            leave_alone(&server, &id, TimeDelta::days(8)).await;
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
