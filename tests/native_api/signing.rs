//! Signatures: each opens the store for exactly one part, in either format, and for the right person alone.

use serde_json::{Value, json};

use super::api::{Api, all_parts, id, number_in, part_of};
use super::{PART, on_both, on_both_with};

fn path(upload: &Value) -> String {
    format!("/uploads/{}/signatures", id(upload))
}

fn numbers(signed: &[Value]) -> Vec<u64> {
    signed.iter().map(|door| number_in(door, "number")).collect()
}

#[tokio::test]
async fn both_formats_give_the_same_doors() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 20 * PART + 3).await;
        // Signed in the same second they are the same to the letter; a second may end in between.
        let mut attempts = 0;
        loop {
            let full = api.sign(&upload, json!("1-21")).await;
            let ask = json!({ "parts": "1-21", "format": "compact" });
            let compact = api.post(&path(&upload), &ask).await.expect(200);
            let text = |name: &str| compact[name].as_str().expect("text").to_owned();
            let whole = |pair: &Value| {
                let signature = pair[1].as_str().expect("a signature");
                format!(
                    "{}{}{}{signature}{}",
                    text("head"),
                    pair[0],
                    text("middle"),
                    text("tail")
                )
            };
            let made: Vec<String> = compact["signatures"]
                .as_array()
                .expect("a list")
                .iter()
                .map(whole)
                .collect();
            let told: Vec<&str> = full.iter().filter_map(|door| door["url"].as_str()).collect();
            attempts += 1;
            if made == told || attempts == 5 {
                assert_eq!(made, told);
                assert_eq!(made.len(), 21);
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_door_takes_exactly_the_bytes_of_its_part() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 2 * PART + 3).await;
        let signed = api.sign(&upload, all_parts(&upload)).await;

        for (door, length) in signed.iter().zip([PART, PART, 3]) {
            assert_eq!(door["headers"], json!({ "Content-Length": length.to_string() }));
            let right = part_of(&upload, number_in(door, "number"));
            let mut longer = right.clone();
            longer.push(0);
            assert_eq!(api.put_part(door, longer).await, 403);
            assert_eq!(api.put_part(door, right[1..].to_vec()).await, 403);
            assert_eq!(api.put_part(door, right).await, 200);
        }
        // A door of one part is none of another.
        let url = signed[0]["url"]
            .as_str()
            .expect("a URL")
            .replace("partNumber=1&", "partNumber=2&");
        assert_eq!(
            api.put_part(&json!({ "url": url }), part_of(&upload, 2)).await,
            403
        );
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_parts_are_signed_in_one_call() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("long.bin", 10_000 * PART).await;

        let signed = api.sign(&upload, json!("1-10000")).await;

        assert_eq!(numbers(&signed), (1..=10_000).collect::<Vec<u64>>());
        let list: Vec<u64> = (1..=10_000).collect();
        let ask = json!({ "parts": list, "format": "compact" });
        let compact = api.post(&path(&upload), &ask).await.expect(200);
        assert_eq!(compact["signatures"].as_array().map(Vec::len), Some(10_000));
        assert_eq!(api.put_part(&signed[9_999], part_of(&upload, 10_000)).await, 200);
    })
    .await;
}

#[tokio::test]
async fn parts_are_named_by_range_by_list_or_both() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 30 * PART).await;
        for (asked, given) in [
            (json!("3"), vec![3]),
            (json!("2-4"), vec![2, 3, 4]),
            (json!("7, 3,20-22"), vec![3, 7, 20, 21, 22]),
            (json!([30, 1, 1]), vec![1, 30]),
            (json!("2-3,3-4"), vec![2, 3, 4]),
        ] {
            assert_eq!(numbers(&api.sign(&upload, asked.clone()).await), given, "{asked}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bad_choice_of_parts_is_named() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 30 * PART).await;
        for bad in [
            json!("0"),
            json!("1-31"),
            json!("31"),
            json!("4-2"),
            json!("a"),
            json!(""),
            json!("1-"),
            json!("-1"),
            json!("1-18446744073709551616"),
            json!([]),
            json!([0]),
            json!([31]),
            json!([-1]),
            json!(["1"]),
            json!([1.5]),
            json!(7),
            json!(null),
            json!({}),
        ] {
            let refused = api.post(&path(&upload), &json!({ "parts": bad })).await;
            assert_eq!(refused.bad_fields(), ["parts"], "{bad}");
        }
        let refused = api
            .post(&path(&upload), &json!({ "parts": "1", "format": "xml" }))
            .await;
        assert_eq!(refused.bad_fields(), ["format"]);
        let empty = api.create("empty", 0).await;
        assert_eq!(
            api.post(&path(&empty), &json!({ "parts": "1" }))
                .await
                .bad_fields(),
            ["parts"]
        );
    })
    .await;
}

#[tokio::test]
async fn signatures_say_when_they_end_and_do_end() {
    on_both_with(
        |config| config.s3.url_lifetime_s = 2,
        async |server| {
            let api = Api::of(&server);
            let upload = api.create("film.mp4", PART).await;
            let answer = api
                .post(&path(&upload), &json!({ "parts": "1" }))
                .await
                .expect(200);
            let door = &answer["signatures"][0];
            assert_eq!(api.put_part(door, part_of(&upload, 1)).await, 200);

            let end = answer["expires_at"].as_str().expect("a time");
            let end = chrono::DateTime::parse_from_rfc3339(end)
                .expect("RFC 3339")
                .to_utc();
            let left = (end - server.clock.now()).num_milliseconds();
            assert!((0..=2_000).contains(&left), "{left} ms");
            // The store goes by the machine's clock, so this one time is waited for.
            tokio::time::sleep(std::time::Duration::from_millis(3_100)).await;
            assert_eq!(api.put_part(door, part_of(&upload, 1)).await, 403);
        },
    )
    .await;
}

#[tokio::test]
async fn an_ended_upload_is_not_signed() {
    on_both(async |server| {
        let api = Api::of(&server);
        let complete = api.upload("a", 20).await;
        let aborted = api.create("b", 20).await;
        api.delete(&format!("/uploads/{}", id(&aborted)))
            .await
            .expect(204);

        for (upload, state) in [(complete, "complete"), (aborted, "aborted")] {
            let refused = api.post(&path(&upload), &json!({ "parts": "1" })).await;
            assert_eq!(refused.problem(409, "wrong-state")["state"], state);
        }
    })
    .await;
}
