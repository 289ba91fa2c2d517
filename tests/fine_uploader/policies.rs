//! Policies: whole files in one form, and what a policy must not leave open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Page, assert_refused, member};
use crate::page::{KEY_ID, http, on_both, on_both_with, reply, v4_date};

#[tokio::test]
async fn a_small_file_arrives_and_the_policy_bounds_its_size() {
    on_both_with(
        |config| config.limits.max_size = 100,
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let key = anna.key("pic.png");
            let policy = anna.policy(&key);
            let signed = anna.ask(&policy).await;
            assert_eq!(signed.status, 200, "{signed:?}");
            let document: Value =
                serde_json::from_slice(&STANDARD.decode(member(&signed, "policy")).unwrap()).unwrap();
            let bounds = document["conditions"].as_array().unwrap().last().unwrap().clone();
            assert_eq!(bounds, json!(["content-length-range", 0, 100]));

            let large = anna.post(&policy, &signed, &[b'x'; 101]).await;
            assert_ne!(large.status, 200, "{large:?}");
            let early = anna.success(&key).await;
            assert_refused(&early, "an object that is not there");
            let sent = anna.post(&policy, &signed, b"small").await;
            assert_eq!(sent.status, 200, "{sent:?}");

            assert_eq!(anna.stored(&key).await, b"small");
            for _ in 0..2 {
                let confirmed = anna.success(&key).await;
                assert_eq!(confirmed.status, 200, "{confirmed:?}");
                assert!(confirmed.text.contains("\"success\":true"));
            }
            assert_eq!(anna.session().await[0]["s3Key"], key);
        },
    )
    .await;
}

#[tokio::test]
async fn a_form_is_bounded_by_what_is_free_and_refused_for_now_where_its_file_cannot_fit() {
    on_both_with(
        |config| config.limits.named.open_bytes = 100,
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let other = http()
                .post(format!("{}/api/v1/uploads", server.base))
                .header("x-api-key", &anna.api_key)
                .header("content-type", "application/json");
            let other = reply(other.body(json!({ "filename": "b", "size": 90 }).to_string())).await;
            assert_eq!(other.status, 201, "{other:?}");
            let between = |key: &str, least: u64| {
                let mut policy = anna.policy(&anna.key(key));
                let range = json!(["content-length-range", least.to_string(), "50"]);
                policy["conditions"].as_array_mut().unwrap().push(range);
                policy
            };

            let signed = anna.ask(&between("small", 1)).await;
            assert_eq!(signed.status, 200, "{signed:?}");
            let document: Value =
                serde_json::from_slice(&STANDARD.decode(member(&signed, "policy")).unwrap()).unwrap();
            let bounds = document["conditions"].as_array().unwrap().last().unwrap().clone();
            assert_eq!(bounds, json!(["content-length-range", 1, 10]));

            let refused = anna.ask(&between("large", 11)).await;
            assert_eq!(refused.status, 429, "{refused:?}");
            assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn policies_that_leave_something_open_are_refused_and_nothing_is_recorded() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let good = anna.policy(&anna.key("a"));
        let with = |condition: Value| {
            let mut policy = good.clone();
            policy["conditions"].as_array_mut().unwrap().push(condition);
            policy
        };
        let instead = |index: usize, condition: Value| {
            let mut policy = good.clone();
            policy["conditions"][index] = condition;
            policy
        };
        for (what, policy) in [
            (
                "starts-with key",
                instead(4, json!(["starts-with", "$key", "pages/anna/"])),
            ),
            ("foreign prefix", instead(4, json!({ "key": "pages/bert/a" }))),
            (
                "what the store replaces",
                instead(4, json!({ "key": "pages/anna/${filename}" })),
            ),
            ("no key", instead(4, json!({ "x-amz-meta-a": "b" }))),
            ("two keys", with(json!({ "key": "pages/anna/b" }))),
            ("foreign bucket", instead(1, json!({ "bucket": "other" }))),
            ("raised ACL", instead(0, json!({ "acl": "public-read" }))),
            (
                "another status",
                instead(2, json!({ "success_action_status": "201" })),
            ),
            (
                "redirect",
                with(json!({ "success_action_redirect": "https://evil.example" })),
            ),
            (
                "unknown field",
                with(json!({ "x-amz-website-redirect-location": "/x" })),
            ),
            ("token", with(json!({ "x-amz-security-token": "t" }))),
            ("new line", with(json!({ "x-amz-meta-a": "b\nc" }))),
            (
                "too much metadata",
                with(json!({ "x-amz-meta-a": "x".repeat(2100) })),
            ),
            ("no policy", json!({})),
        ] {
            assert_refused(&anna.ask(&policy).await, what);
        }
        assert_eq!(anna.recorded().await, json!([]));
        assert_eq!(
            anna.ask(&good).await.status,
            200,
            "what was varied is fine itself"
        );
        assert_eq!(anna.recorded().await.as_array().map(Vec::len), Some(1));
    })
    .await;
}

#[tokio::test]
async fn each_piece_of_the_credential_must_be_the_pages_own() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let policy = anna.policy(&anna.key("a"));
        let with = |credential: String| {
            let mut policy = policy.clone();
            policy["conditions"][5] = json!({ "x-amz-credential": credential });
            policy
        };
        let date = v4_date(server.clock.now());
        let day = &date[..8];
        let own = format!("{KEY_ID}/{day}/us-east-1/s3/aws4_request");
        for (piece, other) in [
            (KEY_ID, "AK"),
            (day, "20260101"),
            ("us-east-1", "eu-west-1"),
            ("s3", "iam"),
            ("aws4_request", "aws4"),
        ] {
            let credential = own.replace(piece, other);
            assert_ne!(credential, own);
            assert_refused(&anna.ask(&with(credential)).await, other);
        }
        assert_eq!(anna.recorded().await, json!([]));

        assert_eq!(anna.ask(&with(own)).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_policy_ends_within_fifteen_minutes_and_is_nothing_more() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let with = |member: &str, value: Value| {
            let mut policy = anna.policy(&anna.key("a"));
            policy[member] = value;
            policy
        };
        let at = |minutes| (server.clock.now() + chrono::TimeDelta::minutes(minutes)).to_rfc3339();
        for (minutes, is_fine) in [(-1, false), (14, true), (20, false)] {
            let answer = anna.ask(&with("expiration", at(minutes).into())).await;
            assert_eq!(answer.status == 200, is_fine, "{minutes} minutes: {answer:?}");
        }
        assert_refused(&anna.ask(&with("else", json!(1))).await, "more than a policy");
    })
    .await;
}
