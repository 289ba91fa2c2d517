//! Who is let in, and what a signature binds.

use chrono::{TimeDelta, Utc};

use super::Running;

#[tokio::test]
async fn a_request_without_a_signature_is_refused() {
    let s3 = Running::start().await;
    let ask = s3.client.ask("GET", "key");

    assert_eq!(ask.send_to("/uploads/key").await.outcome(), "403 AccessDenied");
}

#[tokio::test]
async fn each_wrong_signer_gets_the_code_that_s3_gives() {
    let s3 = Running::start().await;
    let put = || s3.client.ask("PUT", "key").body(b"x");

    let wrong_secret = put().by(|signer| signer.secret = "another".into()).send().await;
    let unknown_key = put()
        .by(|signer| signer.access_key_id = "AKOTHER".into())
        .send()
        .await;
    let other_region = put().by(|signer| signer.region = "mars-1".into()).send().await;

    assert_eq!(wrong_secret.outcome(), "403 SignatureDoesNotMatch");
    assert_eq!(unknown_key.outcome(), "403 InvalidAccessKeyId");
    assert_eq!(other_region.outcome(), "400 AuthorizationQueryParametersError");
    assert_eq!(s3.client.get("key").await.outcome(), "404 NoSuchKey");
}

#[tokio::test]
async fn a_signature_is_good_for_one_method_key_and_query_only() {
    let s3 = Running::start().await;
    let target = s3.client.ask("PUT", "one").target();

    let other_method = s3.client.ask("GET", "one").send_to(&target).await;
    let other_key = s3
        .client
        .ask("PUT", "two")
        .send_to(&target.replace("/one?", "/two?"))
        .await;
    let other_query = s3
        .client
        .ask("PUT", "one")
        .send_to(&format!("{target}&partNumber=1"))
        .await;

    for answer in [other_method, other_key, other_query] {
        assert_eq!(answer.outcome(), "403 SignatureDoesNotMatch");
    }
}

#[tokio::test]
async fn an_url_past_its_time_is_refused() {
    let s3 = Running::start().await;
    let ask = s3.client.ask("PUT", "key").body(b"x");

    let answer = ask
        .lives_s(60)
        .signed_at(Utc::now() - TimeDelta::seconds(120))
        .send()
        .await;

    assert_eq!(answer.outcome(), "403 AccessDenied");
    assert_eq!(answer.tag("Message").as_deref(), Some("Request has expired"));
}

#[tokio::test]
async fn an_url_may_not_live_longer_than_a_week() {
    let s3 = Running::start().await;
    let put = |seconds| s3.client.ask("PUT", "key").body(b"x").lives_s(seconds).send();

    assert_eq!(put(604_800).await.status, 200);
    assert_eq!(
        put(604_801).await.outcome(),
        "400 AuthorizationQueryParametersError"
    );
}

#[tokio::test]
async fn a_part_of_another_length_than_the_signed_one_is_refused() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let part = |body: &'static [u8]| {
        s3.client
            .part_request("key", &upload, 1)
            .signed("content-length", "3")
            .body(body)
            .send()
    };

    assert_eq!(part(b"four").await.outcome(), "403 SignatureDoesNotMatch");
    assert_eq!(part(b"tw").await.outcome(), "403 SignatureDoesNotMatch");
    assert!(
        s3.client
            .parts("key", &upload)
            .await
            .tags("PartNumber")
            .is_empty()
    );
    assert_eq!(part(b"abc").await.status, 200);
}

#[tokio::test]
async fn a_header_of_s3_that_was_not_signed_is_refused_and_a_changed_one_too() {
    let s3 = Running::start().await;
    let put = || s3.client.ask("PUT", "key").body(b"x");

    let unsigned = put().header("x-amz-acl", "public-read").send().await;
    let signed = put().signed("x-amz-acl", "private");
    let target = signed.target();
    let changed = put().header("x-amz-acl", "public-read").send_to(&target).await;

    assert_eq!(unsigned.outcome(), "403 AccessDenied");
    assert_eq!(changed.outcome(), "403 SignatureDoesNotMatch");
    assert_eq!(signed.send().await.status, 200);
}

#[tokio::test]
async fn a_token_with_a_long_term_key_is_a_forgery() {
    let s3 = Running::start().await;
    let ask = s3.client.ask("PUT", "key").body(b"x");

    let answer = ask.by(|signer| signer.token = Some("forged".into())).send().await;

    assert_eq!(answer.outcome(), "403 InvalidToken");
}

#[tokio::test]
async fn a_temporary_key_needs_exactly_its_token() {
    let s3 = Running::start_with(|config| config.session_token = Some("the+token/==".into())).await;
    let with = |token: Option<&str>| {
        let token = token.map(str::to_owned);
        s3.client
            .ask("PUT", "key")
            .body(b"x")
            .by(|signer| signer.token = token)
            .send()
    };

    assert_eq!(with(Some("the+token/==")).await.status, 200);
    assert_eq!(with(Some("the+token/=")).await.outcome(), "403 InvalidToken");
    assert_eq!(with(None).await.outcome(), "403 InvalidToken");
}

#[tokio::test]
async fn a_whole_upload_works_with_sigv2_headers_as_old_browsers_clients_send_them() {
    let s3 = Running::start().await;
    let client = &s3.client;
    let begun = client
        .ask("POST", "key")
        .query("uploads", "")
        .header("content-type", "image/png")
        .header("x-amz-acl", "public-read")
        .send_v2()
        .await;
    let upload = begun.tag("UploadId").expect("an upload id");

    let part = client
        .part_request("key", &upload, 1)
        .body(b"the bytes")
        .send_v2()
        .await;
    let list = client
        .ask("GET", "key")
        .query("uploadId", &upload)
        .send_v2()
        .await;
    let etag = part.header("etag").expect("an ETag");
    let document = super::s3_client::completion(&[(1, etag)]);
    let done = client
        .ask("POST", "key")
        .query("uploadId", &upload)
        .body(document.as_bytes())
        .send_v2()
        .await;

    assert_eq!(list.tags("PartNumber"), ["1"]);
    assert_eq!(done.status, 200, "{done:?}");
    let object = client.get("key").await;
    assert_eq!(
        (object.body.as_slice(), object.header("content-type")),
        (&b"the bytes"[..], Some("image/png"))
    );
}

#[tokio::test]
async fn a_sigv2_header_with_a_wrong_secret_or_an_old_date_is_refused() {
    let s3 = Running::start().await;
    let get = || s3.client.ask("GET", "key");

    let wrong = get()
        .by(|signer| signer.secret = "another".into())
        .send_v2()
        .await;
    let old = get().signed_at(Utc::now() - TimeDelta::hours(1)).send_v2().await;

    assert_eq!(wrong.outcome(), "403 SignatureDoesNotMatch");
    assert_eq!(old.outcome(), "403 RequestTimeTooSkewed");
}

#[tokio::test]
async fn a_sigv2_url_works_until_it_expires() {
    let s3 = Running::start().await;
    s3.client.put("key", b"body").await;
    let ask = || s3.client.ask("GET", "key");
    let now = Utc::now().timestamp();

    let good = ask().send_to(&ask().target_v2(now + 60)).await;
    let late = ask().send_to(&ask().target_v2(now - 60)).await;

    assert_eq!(good.body, b"body");
    assert_eq!(late.outcome(), "403 AccessDenied");
}

#[tokio::test]
async fn an_error_says_what_is_wrong_and_names_its_request() {
    let s3 = Running::start().await;

    for answer in [
        s3.client.get("nothing here").await,
        s3.client
            .ask("GET", "key")
            .by(|signer| signer.secret = "another".into())
            .send()
            .await,
        s3.client.ask("GET", "key").query("tagging", "").send().await,
    ] {
        assert!(
            answer.tag("Message").is_some_and(|message| message.len() > 10),
            "{}",
            answer.text()
        );
        assert_eq!(
            answer.tag("RequestId").as_deref(),
            answer.header("x-amz-request-id")
        );
        assert!(answer.header("x-amz-request-id").is_some());
    }
}

#[tokio::test]
async fn a_bucket_may_stand_in_the_host_name() {
    let s3 = Running::start().await;

    let put = s3
        .client
        .ask("PUT", "a b/ü")
        .virtual_host()
        .body(b"by host")
        .send()
        .await;

    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(s3.client.get("a b/ü").await.body, b"by host");
}
