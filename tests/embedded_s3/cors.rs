//! What a page on another origin may see.

use super::Running;
use super::s3_client::Answer;

const PAGE: &str = "http://page.test:5999";

async fn preflight(s3: &Running, origin: &str, method: &str, extra: &[(&str, &str)]) -> Answer {
    let ask = s3.client.ask("OPTIONS", "key").header("origin", origin);
    let ask = ask.header("access-control-request-method", method);
    let ask = extra
        .iter()
        .fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.send_to("/uploads/key?partNumber=1&X-Amz-Signature=0").await
}

#[tokio::test]
async fn a_fresh_bucket_lets_every_page_upload_and_read_the_etag() {
    let s3 = Running::start().await;
    let wanted = [(
        "access-control-request-headers",
        "content-type,x-amz-checksum-crc32c",
    )];

    let asked = preflight(&s3, PAGE, "PUT", &wanted).await;
    let put = s3
        .client
        .ask("PUT", "key")
        .header("origin", PAGE)
        .body(b"x")
        .send()
        .await;

    assert_eq!(
        (asked.status, asked.header("access-control-allow-origin")),
        (200, Some(PAGE))
    );
    assert!(
        asked
            .header("access-control-allow-methods")
            .is_some_and(|methods| methods.contains("PUT"))
    );
    assert_eq!(
        asked.header("access-control-allow-headers"),
        Some("content-type, x-amz-checksum-crc32c")
    );
    assert_eq!(put.header("access-control-allow-origin"), Some(PAGE));
    let exposed = put.header("access-control-expose-headers").unwrap_or_default();
    assert!(
        exposed.contains("etag") && exposed.contains("x-amz-request-id"),
        "{exposed}"
    );
}

#[tokio::test]
async fn a_page_can_read_every_refusal() {
    let s3 = Running::start().await;
    let from_page = |ask: super::s3_client::Ask| ask.header("origin", PAGE).send();

    let bad_signature = from_page(
        s3.client
            .ask("PUT", "key")
            .by(|signer| signer.secret = "another".into()),
    )
    .await;
    let late = s3
        .client
        .ask("PUT", "key")
        .signed_at(chrono::Utc::now() - chrono::TimeDelta::hours(1));
    let expired = from_page(late.lives_s(1)).await;
    let gone = from_page(s3.client.part_request("key", "bogus", 1).body(b"x")).await;

    for (answer, outcome) in [
        (bad_signature, "403 SignatureDoesNotMatch"),
        (expired, "403 AccessDenied"),
        (gone, "404 NoSuchUpload"),
    ] {
        assert_eq!(answer.outcome(), outcome);
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    }
}

#[tokio::test]
async fn stored_rules_replace_the_open_door_until_they_are_removed() {
    let s3 = Running::start().await;
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.test:5999</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
        <AllowedHeader>content-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>7</MaxAgeSeconds></CORSRule></CORSConfiguration>";
    let config = |method: &str| s3.client.ask(method, "").query("cors", "");
    assert_eq!(
        config("GET").send().await.outcome(),
        "404 NoSuchCORSConfiguration"
    );

    assert_eq!(config("PUT").body(rules.as_bytes()).send().await.status, 200);

    let allowed = preflight(
        &s3,
        PAGE,
        "PUT",
        &[("access-control-request-headers", "Content-Type")],
    )
    .await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-max-age")),
        (200, Some("7"))
    );
    for refused in [
        preflight(&s3, "http://evil.example", "PUT", &[]).await,
        preflight(&s3, PAGE, "DELETE", &[]).await,
        preflight(&s3, PAGE, "PUT", &[("access-control-request-headers", "x-other")]).await,
    ] {
        assert_eq!(refused.outcome(), "403 AccessForbidden");
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    let s3 = s3.restart().await;
    let elsewhere = s3
        .client
        .ask("PUT", "key")
        .header("origin", "http://evil.example")
        .body(b"x")
        .send()
        .await;
    assert_eq!(
        (elsewhere.status, elsewhere.header("access-control-allow-origin")),
        (200, None)
    );
    let stored = s3.client.ask("GET", "").query("cors", "").send().await;
    assert_eq!(stored.tag("AllowedOrigin").as_deref(), Some("http://*.test:5999"));
    assert_eq!(
        s3.client.ask("DELETE", "").query("cors", "").send().await.status,
        204
    );
    assert_eq!(
        preflight(&s3, "http://evil.example", "PUT", &[]).await.status,
        200
    );
}

#[tokio::test]
async fn a_public_page_is_told_that_it_may_reach_this_private_address() {
    let s3 = Running::start().await;

    let asked = preflight(
        &s3,
        PAGE,
        "PUT",
        &[("access-control-request-private-network", "true")],
    )
    .await;

    assert_eq!(asked.header("access-control-allow-private-network"), Some("true"));
}
