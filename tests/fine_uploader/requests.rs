//! Requests: chunked uploads from beginning to end, and what is never signed.

use chrono::TimeDelta;
use serde_json::json;

use crate::client::{Page, assert_refused, member};
use crate::page::{
    EMPTY, KEY_ID, PART, Written, element, http, joining, on_both, on_both_with, reply, store_of, v2_date,
    v4_date,
};
use crate::s3_client::encode;

#[tokio::test]
async fn parts_arrive_although_the_client_writes_the_bucket_behind_the_host() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        for name in ["a b+c.mp4", "!'()*~.mp4", "what?acl#x", "日本/Straße.mp4"] {
            let key = anna.key(name);
            anna.send_whole(&encode(&key, true), &[&[b'a'; PART], b"b"]).await;

            assert_eq!(anna.stored(&key).await.len(), PART + 1, "{key}");
            let confirmed = anna.success(&key).await;
            assert_eq!(confirmed.status, 200, "{confirmed:?}");
        }
        let session = anna.session().await;
        assert_eq!(session.as_array().map(Vec::len), Some(4));
        assert_eq!(
            session[0]["name"], "film (1).mp4",
            "the client's own name, decoded"
        );
    })
    .await;
}

#[tokio::test]
async fn types_are_judged_by_the_files_name_where_the_string_signs_none() {
    on_both_with(
        |config| config.limits.types = vec!["video/*".into()],
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let named = |key: &str, name: &str| anna.begin(key).with("x-amz-meta-qqfilename", name);
            let (film, page) = (anna.key("u-1/a"), anna.key("u-2/a"));

            let taken = anna.sign(&named(&film, "film.mp4")).await;
            let refused = anna.sign(&named(&page, "page.html")).await;

            assert_eq!(taken.status, 200, "{taken:?}");
            assert_refused(&refused, "a page among films");
            assert!(refused.text.contains("text/html"), "{refused:?}");
            let recorded = anna.recorded().await;
            assert_eq!(recorded.as_array().map(Vec::len), Some(1));
            let id = recorded[0]["id"].as_str().expect("an id");
            let url = format!("{}/api/v1/uploads/{id}", server.base);
            let detail = reply(http().get(url).header("x-api-key", &anna.api_key)).await;
            let detail: serde_json::Value = serde_json::from_str(&detail.text).expect("JSON");
            assert_eq!(detail["content_type"], "video/mp4", "{detail}");
        },
    )
    .await;
}

/// The string of SigV2 for a request on `resource`.
fn v2_string(method: &str, kind: &str, headers: &str, resource: &str) -> String {
    format!("{method}\n\n{kind}\n\n{headers}\n{resource}")
}

#[tokio::test]
async fn the_same_in_version_2_where_that_is_switched_on() {
    on_both_with(
        |config| config.protocols.fine_uploader.signature_v2 = true,
        async |server| {
            let anna = Page::of(&server, "anna").await;
            let date = v2_date(server.clock.now());
            let send = async |method: &str, kind: &str, query: &str, body: &[u8]| {
                let resource = format!("/{}/pages/anna/a%20b?{query}", anna.bucket());
                let text = v2_string(method, kind, &format!("x-amz-date:{date}"), &resource);
                let signed = anna.ask(&json!({ "headers": text })).await;
                let mut request = http()
                    .request(method.parse().unwrap(), format!("{}{resource}", server.store))
                    .header("x-amz-date", &date)
                    .header(
                        "authorization",
                        format!("AWS {KEY_ID}:{}", member(&signed, "signature")),
                    );
                if !kind.is_empty() {
                    request = request.header("content-type", kind);
                }
                let sent = reply(request.body(body.to_vec())).await;
                assert_eq!(sent.status, 200, "{sent:?}");
                sent
            };
            let begun = send("POST", "video/mp4", "uploads", b"").await;
            let id = element(&begun.text, "UploadId");
            let sent = send("PUT", "", &format!("partNumber=1&uploadId={id}"), b"whole").await;
            let xml = joining(&[sent.header("etag").to_owned()]);
            send(
                "POST",
                "application/xml; charset=UTF-8",
                &format!("uploadId={id}"),
                xml.as_bytes(),
            )
            .await;

            assert_eq!(anna.stored("pages/anna/a b").await, b"whole");
            assert_eq!(anna.success("pages/anna/a b").await.status, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn other_requests_are_refused() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let key = anna.key("a");
        let begun = anna.send(&anna.begin(&key), b"").await;
        let id = element(&begun.text, "UploadId");
        let changed = |written: Written, change: fn(&mut Written)| {
            let mut other = written;
            change(&mut other);
            other
        };
        let late = v4_date(server.clock.now() + TimeDelta::minutes(20));
        let cases = [
            ("get", anna.write("GET", &key, "", EMPTY)),
            ("remove", anna.write("DELETE", &key, "", EMPTY)),
            ("put", anna.write("PUT", &key, "", EMPTY)),
            ("acl", anna.write("PUT", &key, "acl=", EMPTY)),
            ("version", anna.write("DELETE", &key, "versionId=1", EMPTY)),
            ("part 10001", anna.part(&key, id, 10001, b"")),
            ("made-up id", anna.part(&key, "made-up", 1, b"")),
            (
                "copy",
                anna.part(&key, id, 1, b"")
                    .with("x-amz-copy-source", "/uploads/pages/bert/b"),
            ),
            ("raised ACL", anna.begin(&key).with("x-amz-acl", "public-read")),
            ("token", anna.begin(&key).with("x-amz-security-token", "t")),
            ("foreign prefix", anna.begin("pages/bert/x")),
            ("no prefix", anna.begin("x")),
            (
                "foreign bucket",
                anna.begin(&key)
                    .with("host", &anna.host().replace("/uploads", "/other")),
            ),
            (
                "foreign host",
                anna.begin(&key).with("host", "evil.example/uploads"),
            ),
            (
                "new line",
                anna.begin(&key).with("x-amz-meta-a", "b\nx-amz-copy-source:/x"),
            ),
            (
                "region",
                changed(anna.begin(&key), |begin| begin.region = "eu-west-1".into()),
            ),
            (
                "another hash",
                anna.begin(&key).with("x-amz-content-sha256", &"0".repeat(64)),
            ),
            ("another date", anna.begin(&key).with("x-amz-date", &late)),
        ];
        for (what, written) in cases {
            assert_refused(&anna.sign(&written).await, what);
        }
        let unfinished = store_of(&server).ask("GET", "").query("uploads", "").send().await;
        assert_eq!(unfinished.tags("UploadId"), [id], "nothing was begun");
    })
    .await;
}

#[tokio::test]
async fn other_peoples_uploads_and_malformed_calls_are_refused() {
    on_both(async |server| {
        let (anna, bert) = (Page::of(&server, "anna").await, Page::of(&server, "bert").await);
        let key = anna.key("a");
        let begun = anna.send(&anna.begin(&key), b"").await;
        let id = element(&begun.text, "UploadId");
        for written in [
            bert.part(&key, id, 1, b""),
            bert.write("DELETE", &key, &format!("uploadId={id}"), EMPTY),
            bert.begin(&key),
        ] {
            assert_refused(&bert.sign(&written).await, "somebody else's upload");
        }
        assert_refused(&anna.ask(&json!({ "headers": 1 })).await, "no text");
        assert_refused(
            &anna.ask(&json!({ "headers": "x", "expiration": "y" })).await,
            "two things at once",
        );
    })
    .await;
}

#[tokio::test]
async fn version_2_is_refused_while_it_is_off_whatever_the_parameter_says() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let date = v2_date(server.clock.now());
        let text = v2_string(
            "POST",
            "",
            &format!("x-amz-date:{date}"),
            "/uploads/pages/anna/a?uploads",
        );
        assert_refused(
            &anna.ask(&json!({ "headers": text })).await,
            "SigV2, asked with ?v4=true",
        );
    })
    .await;
}

#[tokio::test]
async fn days_later_the_same_owner_goes_on() {
    on_both(async |server| {
        let anna = Page::of(&server, "anna").await;
        let key = anna.key("a");
        let begun = anna.send(&anna.begin(&key), b"").await;
        let id = element(&begun.text, "UploadId");
        let sent = anna.send(&anna.part(&key, id, 1, b"x"), b"x").await;
        assert_eq!(sent.status, 200);
        server.advance(TimeDelta::days(5));

        assert_eq!(anna.sign(&anna.part(&key, id, 2, b"y")).await.status, 200);
    })
    .await;
}
