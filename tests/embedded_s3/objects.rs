//! Finished objects: reading, listing, removing, and forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Running;

#[tokio::test]
async fn an_object_keeps_its_headers_and_shows_the_usual_ones() {
    let s3 = Running::start().await;
    let put = s3
        .client
        .ask("PUT", "key")
        .header("content-type", "text/x-test")
        .header("cache-control", "max-age=5");
    put.signed("x-amz-meta-who", "me").body(b"hello").send().await;

    let object = s3.client.get("key").await;

    assert_eq!(
        object.header("etag"),
        Some("\"5d41402abc4b2a76b9719d911017c592\"")
    );
    assert_eq!(object.header("content-type"), Some("text/x-test"));
    assert_eq!(object.header("cache-control"), Some("max-age=5"));
    assert_eq!(object.header("x-amz-meta-who"), Some("me"));
    assert_eq!(object.header("content-length"), Some("5"));
    assert!(object.header("last-modified").is_some());
}

#[tokio::test]
async fn ranges_and_part_numbers_cut_across_the_parts() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let first = s3.client.part("key", &upload, 1, b"0123456789").await;
    let last = s3.client.part("key", &upload, 4, b"abc").await;
    s3.client
        .complete("key", &upload, &[(1, &first), (4, &last)])
        .await;
    let range = async |range: &str| s3.client.ask("GET", "key").header("range", range).send().await;
    let by_part = async |method: &str, number: &str| {
        s3.client
            .ask(method, "key")
            .query("partNumber", number)
            .send()
            .await
    };

    let across = range("bytes=8-11").await;
    assert_eq!((across.status, across.body.as_slice()), (206, &b"89ab"[..]));
    assert_eq!(across.header("content-range"), Some("bytes 8-11/13"));
    assert_eq!(range("bytes=-2").await.body, b"bc");
    assert_eq!(range("bytes=13-").await.outcome(), "416 InvalidRange");
    let part = by_part("GET", "4").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &b"abc"[..]));
    assert_eq!(part.header("x-amz-mp-parts-count"), Some("2"));
    let head = by_part("HEAD", "1").await;
    assert_eq!((head.status, head.header("content-length")), (206, Some("10")));
    assert_eq!(by_part("GET", "2").await.outcome(), "416 InvalidPartNumber");
}

#[tokio::test]
async fn conditions_on_reading_and_writing_are_kept() {
    let s3 = Running::start().await;
    let etag = s3
        .client
        .put("key", b"1")
        .await
        .header("etag")
        .expect("an ETag")
        .to_owned();
    let with = async |method: &str, name: &str, value: &str| {
        s3.client
            .ask(method, "key")
            .header(name, value)
            .body(b"")
            .send()
            .await
            .outcome()
    };
    let http_date = |days| {
        (Utc::now() + TimeDelta::days(days))
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    };

    assert_eq!(with("GET", "if-none-match", &etag).await, "304");
    assert_eq!(with("GET", "if-none-match", "\"other\"").await, "200");
    assert_eq!(
        with("GET", "if-match", "\"other\"").await,
        "412 PreconditionFailed"
    );
    assert_eq!(with("GET", "if-modified-since", &http_date(1)).await, "304");
    assert_eq!(with("GET", "if-modified-since", &http_date(-1)).await, "200");
    assert_eq!(
        with("GET", "if-unmodified-since", &http_date(-1)).await,
        "412 PreconditionFailed"
    );
    assert_eq!(with("PUT", "if-none-match", "*").await, "412 PreconditionFailed");
    assert_eq!(
        with("PUT", "if-match", "\"other\"").await,
        "412 PreconditionFailed"
    );
    assert_eq!(with("PUT", "if-match", &etag).await, "200");
    assert_eq!(with("GET", "if-match", &etag).await, "412 PreconditionFailed");
}

#[tokio::test]
async fn odd_keys_stay_what_they_are() {
    let s3 = Running::start().await;
    for key in [
        "a b+c/ü-日本%25&=~*'()!@;,$.bin",
        "a",
        "a/b",
        "dir/",
        "x//y",
        "%2F",
    ] {
        assert_eq!(s3.client.put(key, key.as_bytes()).await.status, 200, "{key}");
        assert_eq!(s3.client.get(key).await.body, key.as_bytes(), "{key}");
    }

    let list = s3
        .client
        .ask("GET", "")
        .query("list-type", "2")
        .query("encoding-type", "url")
        .send()
        .await;

    let expected = [
        "%252F",
        "a",
        "a%20b%2Bc/%C3%BC-%E6%97%A5%E6%9C%AC%2525%26%3D~%2A%27%28%29%21%40%3B%2C%24.bin",
        "a/b",
        "dir/",
        "x//y",
    ];
    assert_eq!(list.tags("Key"), expected);
}

#[tokio::test]
async fn a_listing_pages_and_folds_and_removed_keys_leave_it() {
    let s3 = Running::start().await;
    for key in ["p/a", "p/b/1", "p/b/2", "p/c", "q"] {
        s3.client.put(key, b"x").await;
    }
    let list = async |query: &[(&str, &str)]| {
        let ask = s3.client.ask("GET", "").query("list-type", "2");
        query
            .iter()
            .fold(ask, |ask, (name, value)| ask.query(name, value))
            .send()
            .await
    };

    let (mut seen, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("max-keys", "1"), ("prefix", "p/"), ("delimiter", "/")];
        query.extend(token.as_deref().map(|token| ("continuation-token", token)));
        let page = list(&query).await;
        seen.extend(page.tags("Key"));
        seen.extend(page.tags("CommonPrefixes"));
        token = page.tag("NextContinuationToken");
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["p/a", "<Prefix>p/b/</Prefix>", "p/c"]);
    assert_eq!(
        list(&[("start-after", "p/b/1")]).await.tags("Key"),
        ["p/b/2", "p/c", "q"]
    );

    let document = "<Delete><Object><Key>p/a</Key></Object><Object><Key>p/c</Key></Object><Object><Key>none</Key></Object></Delete>";
    let deleted = s3
        .client
        .ask("POST", "")
        .query("delete", "")
        .body(document.as_bytes())
        .send()
        .await;
    let alone = s3.client.ask("DELETE", "q").send().await;

    assert_eq!(deleted.tags("Key"), ["p/a", "p/c", "none"]);
    assert_eq!(alone.status, 204);
    assert_eq!(list(&[]).await.tags("Key"), ["p/b/1", "p/b/2"]);
    assert_eq!(s3.files_in("segments"), 2);
}

#[tokio::test]
async fn a_missing_bucket_is_named_as_such() {
    let s3 = Running::start().await;
    let mut elsewhere = s3.client.clone();
    elsewhere.bucket = "elsewhere".to_owned();

    assert_eq!(elsewhere.put("key", b"x").await.outcome(), "404 NoSuchBucket");
    let begun = elsewhere.ask("POST", "key").query("uploads", "").send().await;
    assert_eq!(begun.outcome(), "404 NoSuchBucket");
    assert_eq!(elsewhere.ask("PUT", "").send().await.status, 200);
    assert_eq!(elsewhere.put("key", b"x").await.status, 200);
    assert_eq!(s3.client.ask("HEAD", "").send().await.status, 200);
}

/// A form as a browser sends it: policy, signature, one file.
async fn post_form(s3: &Running, key: &str, file: &[u8], most: usize, spoil: bool) -> reqwest::Response {
    let (day, moment) = (
        Utc::now().format("%Y%m%d").to_string(),
        Utc::now().format("%Y%m%dT%H%M%SZ").to_string(),
    );
    let signer = &s3.client.signer;
    let credential = format!("{}/{day}/{}/s3/aws4_request", signer.access_key_id, signer.region);
    let until = (Utc::now() + TimeDelta::minutes(5)).format("%Y-%m-%dT%H:%M:%SZ");
    let policy = format!(
        r#"{{"expiration":"{until}","conditions":[{{"bucket":"uploads"}},{{"key":"{key}"}},{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-date":"{moment}"}},{{"success_action_status":"201"}},["content-length-range",0,{most}]]}}"#
    );
    let policy = STANDARD.encode(policy);
    let mut signing_key = format!("AWS4{}", signer.secret).into_bytes();
    for step in [day.as_str(), &signer.region, "s3", "aws4_request", &policy] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&signing_key).expect("any length");
        mac.update(step.as_bytes());
        signing_key = mac.finalize().into_bytes().to_vec();
    }
    let signature = if spoil {
        "0".repeat(64)
    } else {
        hex::encode(signing_key)
    };
    let fields = [
        ("key", key),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", &moment),
        ("success_action_status", "201"),
        ("policy", &policy),
        ("x-amz-signature", &signature),
    ];
    let mut body = Vec::new();
    for (name, value) in fields {
        let field = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(field.as_bytes());
    }
    body.extend(b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
    body.extend(file);
    body.extend(b"\r\n--edge--\r\n");
    let request = reqwest::Client::new().post(format!("{}/uploads", s3.client.endpoint));
    request
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body)
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_browsers_form_is_taken_within_its_policy_only() {
    let s3 = Running::start().await;

    assert_eq!(
        post_form(&s3, "form", b"from a form", 100, false).await.status(),
        201
    );
    assert_eq!(s3.client.get("form").await.body, b"from a form");
    assert_eq!(
        post_form(&s3, "form", b"from a form", 5, false).await.status(),
        400
    );
    assert_eq!(
        post_form(&s3, "form", b"from a form", 100, true).await.status(),
        403
    );
}
