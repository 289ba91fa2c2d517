//! Telling that a part has arrived (`chunk_loaded`): checked, durable, and harmless when told again.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::api::{Api, id, number_in};
use super::{PART, on_both};

fn one(upload: &Value, number: u64) -> String {
    format!("/uploads/{}/parts/{number}", id(upload))
}

fn many(upload: &Value) -> String {
    format!("/uploads/{}/parts", id(upload))
}

/// What the list of uploads says of one: parts and bytes recorded.
async fn recorded(api: &Api, upload: &Value) -> (u64, u64) {
    let page = api.get("/uploads").await.expect(200);
    let rows = page["uploads"].as_array().expect("a list");
    let row = rows
        .iter()
        .find(|row| row["id"] == upload["id"])
        .expect("it is listed");
    (number_in(row, "parts_recorded"), number_in(row, "bytes_recorded"))
}

#[tokio::test]
async fn a_part_is_recorded_once_however_often_it_is_told() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 3 * PART + 1).await;
        for _ in 0..3 {
            let told = api
                .put(&one(&upload, 1), &json!({ "size": PART, "etag": "\"abc\"" }))
                .await;
            assert!(told.body.is_empty());
            told.expect(204);
        }
        api.put(&one(&upload, 4), &json!({ "size": 1 })).await.expect(204);

        assert_eq!(recorded(&api, &upload).await, (2, PART + 1));
    })
    .await;
}

#[tokio::test]
async fn a_list_of_parts_is_recorded_wholly_or_not_at_all() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 3 * PART).await;
        let part = |number: u64, size: u64| json!({ "number": number, "size": size });

        let bad = json!({ "parts": [part(1, PART), part(2, PART - 1)] });
        assert_eq!(api.post(&many(&upload), &bad).await.bad_fields(), ["size"]);
        assert_eq!(recorded(&api, &upload).await, (0, 0));

        let good = json!({ "parts": [part(1, PART), part(2, PART), part(2, PART)] });
        api.post(&many(&upload), &good).await.expect(204);
        api.post(&many(&upload), &good).await.expect(204);
        assert_eq!(recorded(&api, &upload).await, (2, 2 * PART));
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_parts_are_recorded_in_one_call() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("long.bin", 10_000 * PART).await;
        let etag = format!("\"{}\"", "0123456789abcdef".repeat(2));
        let part = |number: u64| json!({ "number": number, "size": PART, "etag": etag });
        let parts: Vec<Value> = (1..=10_000).map(part).collect();

        api.post(&many(&upload), &json!({ "parts": parts }))
            .await
            .expect(204);

        assert_eq!(recorded(&api, &upload).await, (10_000, 10_000 * PART));
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 100 * PART).await;
        let told = (1..=100).map(|number| {
            let (api, path) = (api.clone(), one(&upload, number));
            async move { api.put(&path, &json!({ "size": PART })).await.expect(204) }
        });
        join_all(told).await;

        let server = server.restart();

        assert_eq!(recorded(&Api::of(&server), &upload).await, (100, 100 * PART));
    })
    .await;
}

#[tokio::test]
async fn a_part_that_cannot_be_is_refused_by_name() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 2 * PART + 3).await;
        for (number, body, field) in [
            ("0", json!({ "size": PART }), "number"),
            ("4", json!({ "size": PART }), "number"),
            ("10001", json!({ "size": PART }), "number"),
            ("99999999999999999999", json!({ "size": PART }), "number"),
            ("-1", json!({ "size": PART }), "number"),
            ("one", json!({ "size": PART }), "number"),
            ("1", json!({ "size": PART + 1 }), "size"),
            ("3", json!({ "size": PART }), "size"),
            ("1", json!({ "size": -1 }), "size"),
            ("1", json!({ "size": "16" }), "size"),
            ("1", json!({}), "size"),
            ("1", json!({ "size": PART, "etag": "a\u{0}b" }), "etag"),
            ("1", json!({ "size": PART, "etag": "x".repeat(201) }), "etag"),
            ("1", json!({ "size": PART, "etag": 7 }), "etag"),
            ("1", json!({ "size": PART, "number": 1 }), "number"),
        ] {
            let path = format!("{}/{number}", many(&upload));
            assert_eq!(
                api.put(&path, &body).await.bad_fields(),
                [field],
                "{number} {body}"
            );
        }
        for (body, field) in [
            (json!({}), "parts"),
            (json!({ "parts": [] }), "parts"),
            (json!({ "parts": "1" }), "parts"),
            (json!({ "parts": [{ "number": 1 }] }), "parts[0].size"),
            (json!({ "parts": [{ "number": 9, "size": PART }] }), "number"),
            (
                json!({ "parts": vec![json!({ "number": 1, "size": PART }); 10_001] }),
                "parts",
            ),
        ] {
            assert_eq!(
                api.post(&many(&upload), &body).await.bad_fields(),
                [field],
                "{field}"
            );
        }
        assert_eq!(recorded(&api, &upload).await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_late_word_is_harmless_after_completion_and_refused_after_an_abort() {
    on_both(async |server| {
        let api = Api::of(&server);
        let done = api.upload("a", 20).await;
        let before = api.show(&done).await;
        api.put(&one(&done, 1), &json!({ "size": PART }))
            .await
            .expect(204);
        assert_eq!(api.show(&done).await["state"], before["state"]);

        let aborted = api.create("b", 20).await;
        api.delete(&format!("/uploads/{}", id(&aborted)))
            .await
            .expect(204);
        let refused = api.put(&one(&aborted, 1), &json!({ "size": PART })).await;
        assert_eq!(refused.problem(409, "wrong-state")["state"], "aborted");
    })
    .await;
}
