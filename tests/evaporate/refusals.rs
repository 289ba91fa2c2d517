//! What is never signed, point by point of the protocol's section on security.

use chrono::TimeDelta;

use crate::client::Page;
use crate::page::{EMPTY, KEY_ID, Written, hash_of, key_for, on_both, on_both_with, v2_date, v4_date};

const KEY: &str = "pages/anna/a";

/// One thing of a request changed.
fn changed(written: &Written, change: impl FnOnce(&mut Written)) -> Written {
    let mut other = written.clone();
    change(&mut other);
    other
}

/// Operations that a page has no business with.
fn other_operations(anna: &Page<'_>, id: &str) -> Vec<(&'static str, Written)> {
    vec![
        ("get the object", anna.write("GET", KEY, "", EMPTY)),
        ("get it as a part", anna.write("GET", KEY, "partNumber=1", EMPTY)),
        ("remove the object", anna.write("DELETE", KEY, "", EMPTY)),
        ("put the object", anna.write("PUT", KEY, "", "UNSIGNED-PAYLOAD")),
        ("post to the object", anna.write("POST", KEY, "", EMPTY)),
        ("read the ACL", anna.write("GET", KEY, "acl=", EMPTY)),
        ("set the ACL", anna.write("PUT", KEY, "acl=", EMPTY)),
        (
            "an ACL with a part",
            anna.write("PUT", KEY, &format!("acl=&partNumber=1&uploadId={id}"), EMPTY),
        ),
        ("a policy", anna.write("GET", KEY, "policy=", EMPTY)),
        ("a version", anna.write("DELETE", KEY, "versionId=1", EMPTY)),
        (
            "another header in the answer",
            anna.write(
                "GET",
                KEY,
                &format!("response-content-type=a&uploadId={id}"),
                EMPTY,
            ),
        ),
        ("list the bucket", anna.write("GET", "", "list-type=2", EMPTY)),
        ("list all uploads", anna.write("GET", "", "uploads=", EMPTY)),
        ("remove many", anna.write("POST", "", "delete=", EMPTY)),
        ("part 10001", anna.part(KEY, id, 10001)),
        ("part 0", anna.part(KEY, id, 0)),
        (
            "two ids",
            anna.write(
                "PUT",
                KEY,
                &format!("partNumber=1&uploadId={id}&uploadId=x"),
                EMPTY,
            ),
        ),
        ("does it exist", anna.write("HEAD", KEY, "", EMPTY)),
        (
            "a question mark in the key",
            anna.write("GET", "pages/anna/a?acl", &format!("uploadId={id}"), EMPTY),
        ),
    ]
}

/// Operations of ours that carry, or say, something that they must not.
fn other_headers(anna: &Page<'_>, id: &str) -> Vec<(&'static str, Written)> {
    vec![
        (
            "a copy",
            anna.part(KEY, id, 1)
                .with("x-amz-copy-source", "/uploads/pages/bert/b"),
        ),
        (
            "a range of a copy",
            anna.part(KEY, id, 1).with("x-amz-copy-source-range", "bytes=0-1"),
        ),
        ("a raised ACL", anna.begin(KEY).with("x-amz-acl", "public-read")),
        (
            "a grant",
            anna.begin(KEY).with("x-amz-grant-full-control", "uri=x"),
        ),
        (
            "a foreign token",
            anna.begin(KEY).with("x-amz-security-token", "t"),
        ),
        (
            "a redirect",
            anna.begin(KEY).with("x-amz-website-redirect-location", "/x"),
        ),
        (
            "a storage class",
            anna.begin(KEY).with("x-amz-storage-class", "GLACIER"),
        ),
        ("a range", anna.part(KEY, id, 1).with("range", "bytes=0-1")),
    ]
}

/// Operations of ours in another place, or in another form.
fn other_places(anna: &Page<'_>, id: &str) -> Vec<(&'static str, Written)> {
    vec![
        ("another host", anna.part(KEY, id, 1).with("host", "evil.example")),
        (
            "another bucket",
            changed(&anna.part(KEY, id, 1), |part| part.path = format!("/other/{KEY}")),
        ),
        (
            "another region",
            changed(&anna.part(KEY, id, 1), |part| part.region = "eu-west-1".into()),
        ),
        (
            "a body where there is none",
            changed(&anna.begin(KEY), |begin| {
                begin.payload = "UNSIGNED-PAYLOAD".into();
            }),
        ),
        (
            "a stream",
            changed(&anna.part(KEY, id, 1), |part| {
                part.payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into();
            }),
        ),
        (
            "a new line in a value",
            anna.begin(KEY).with("x-amz-meta-a", "b\nx-amz-acl:public-read"),
        ),
        ("a carriage return", anna.begin(KEY).with("x-amz-meta-a", "b\rc")),
        (
            "a new line in the path",
            changed(&anna.begin(KEY), |begin| begin.path += "\n"),
        ),
        (
            "too much metadata",
            anna.begin(KEY).with("x-amz-meta-a", &"x".repeat(2100)),
        ),
    ]
}

#[tokio::test]
async fn nothing_but_the_six_operations_is_signed() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let id = anna.begun(KEY).await;
        for (what, written) in [
            other_operations(&anna, &id),
            other_headers(&anna, &id),
            other_places(&anna, &id),
        ]
        .concat()
        {
            let refused = anna.sign(&written).await;
            assert_eq!(refused.status, 403, "{what}: {refused:?}");
            refused.assert_signs_nothing(what);
            assert!(refused.header("content-type").starts_with("text/plain"), "{what}");
            assert!(
                !refused.text.contains(&hash_of(written.canonical())),
                "{what} is repeated: {refused:?}"
            );
        }
        assert_eq!(anna.in_the_store().await, [id], "nothing was begun");
        assert_eq!(
            anna.recorded().await.as_array().map(Vec::len),
            Some(1),
            "nothing was recorded"
        );
    })
    .await;
}

#[tokio::test]
async fn dates_are_ours_within_fifteen_minutes() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        for (minutes, status) in [(-20, 403), (-14, 200), (14, 200), (20, 403)] {
            let time = server.clock.now() + TimeDelta::minutes(minutes);
            let at = changed(&anna.begin(KEY), |begin| begin.date = v4_date(time))
                .with("x-amz-date", &v4_date(time));
            let answer = anna.sign(&at).await;
            assert_eq!(answer.status, status, "{minutes} minutes: {answer:?}");
        }
        let begin = anna.begin(KEY);
        let (to_sign, canonical) = (begin.to_sign(&hash_of(begin.canonical())), begin.canonical());
        let other = v4_date(server.clock.now() + TimeDelta::minutes(1));
        let told = [
            ("to_sign", to_sign.as_str()),
            ("datetime", &other),
            ("canonical_request", &canonical),
        ];
        anna.ask(&told).await.assert_signs_nothing("another datetime");
        let (scope, day) = (begin.scope(), &begin.date[..8]);
        for wrong in [
            scope.replace(day, "20260101"),
            scope.replace("us-east-1", "eu-west-1"),
            scope.replace("/s3/", "/iam/"),
            format!("{KEY_ID}/{scope}"),
        ] {
            let to_sign = to_sign.replace(&scope, &wrong);
            let told = [
                ("to_sign", to_sign.as_str()),
                ("datetime", &begin.date),
                ("canonical_request", &canonical),
            ];
            anna.ask(&told).await.assert_signs_nothing(&wrong);
        }
        let header = begin.clone().with("x-amz-date", &other);
        anna.sign(&header)
            .await
            .assert_signs_nothing("another x-amz-date");
    })
    .await;
}

#[tokio::test]
async fn what_is_signed_must_be_seen_and_be_what_was_hashed() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let begin = anna.begin(KEY);
        let (to_sign, canonical) = (begin.to_sign(&hash_of(begin.canonical())), begin.canonical());
        let date = begin.date.as_str();
        let wrong = begin.to_sign(&"0".repeat(64));
        let long = "x".repeat(9000);
        for (what, parameters) in [
            ("unseen", vec![("to_sign", to_sign.as_str()), ("datetime", date)]),
            (
                "another hash",
                vec![
                    ("to_sign", &wrong),
                    ("datetime", date),
                    ("canonical_request", &canonical),
                ],
            ),
            (
                "twice",
                vec![
                    ("to_sign", &to_sign),
                    ("to_sign", &to_sign),
                    ("datetime", date),
                    ("canonical_request", &canonical),
                ],
            ),
            (
                "no date",
                vec![("to_sign", &to_sign), ("canonical_request", &canonical)],
            ),
            (
                "no string",
                vec![("datetime", date), ("canonical_request", &canonical)],
            ),
            (
                "too long",
                vec![
                    ("to_sign", &to_sign),
                    ("datetime", date),
                    ("canonical_request", &canonical),
                    ("x", &long),
                ],
            ),
        ] {
            let refused = anna.ask(&parameters).await;
            assert_eq!(refused.status, 403, "{what}: {refused:?}");
            assert!(!refused.text.contains(&to_sign), "{what}");
        }
        assert!(
            anna.ask(&[("to_sign", &to_sign), ("datetime", date)])
                .await
                .text
                .contains("sendCanonicalRequestToSignerUrl")
        );
    })
    .await;
}

#[tokio::test]
async fn version_2_is_refused_while_it_is_off_and_read_line_by_line_when_on() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let date = v2_date(server.clock.now());
        let refused = anna
            .sign_v2(&format!("POST\n\n\n\nx-amz-date:{date}\n/uploads/{KEY}?uploads"))
            .await;
        assert_eq!(refused.status, 403);
        assert!(refused.text.contains("signature_v2"), "{refused:?}");
    })
    .await;
    on_both_with(
        |config| config.protocols.evaporate.signature_v2 = true,
        async |server| {
            let anna = Page::of(&server, &key_for(&server, "anna").await);
            let date = v2_date(server.clock.now());
            let late = v2_date(server.clock.now() + TimeDelta::minutes(20));
            for text in [
                format!("GET\n\n\n\nx-amz-date:{date}\n/uploads/{KEY}"),
                format!("GET\n\n\n\nx-amz-date:{date}\n/uploads/{KEY}?acl"),
                format!("DELETE\n\n\n\nx-amz-date:{date}\n/uploads/{KEY}"),
                format!("POST\n\n\n\nx-amz-date:{date}\n/other/{KEY}?uploads"),
                format!("POST\n\n\n\nx-amz-date:{date}\n/uploads/pages/bert/a?uploads"),
                format!("POST\n\n\n\nx-amz-acl:public-read\nx-amz-date:{date}\n/uploads/{KEY}?uploads"),
                format!("PUT\n\n\n\nx-amz-copy-source:/x\nx-amz-date:{date}\n/uploads/{KEY}?partNumber=1&uploadId=u"),
                format!("POST\n\n\n\nx-amz-date:{late}\n/uploads/{KEY}?uploads"),
                format!("POST\n\n\n{date}\nx-amz-date:{date}\n/uploads/{KEY}?uploads"),
                format!("POST\n\n\n\r\nx-amz-date:{date}\n/uploads/{KEY}?uploads"),
                format!("POST\n\n\n\nx-amz-date:{date}\n/uploads/{KEY}\n/uploads/{KEY}?uploads"),
            ] {
                let refused = anna.sign_v2(&text).await;
                assert_eq!(refused.status, 403, "{text:?}: {refused:?}");
                refused.assert_signs_nothing(&text);
            }
            assert!(anna.in_the_store().await.is_empty());
        },
    )
    .await;
}
