//! What pages may do at the bucket, and the address at which they reach it.

use super::ground::{Ground, assert_only, on_each, only};
use super::proxy;

/// The origin of our own page by the settings' defaults, both ways.
const OURS: &str = "<AllowedOrigin>http://127.0.0.1:8080</AllowedOrigin><AllowedOrigin>http://localhost:8080</AllowedOrigin>";
const METHODS: &str = "<AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod><AllowedMethod>GET\
                       </AllowedMethod><AllowedMethod>DELETE</AllowedMethod>";
const ETAG: &str = "<ExposeHeader>ETag</ExposeHeader>";

#[tokio::test]
async fn a_bucket_without_rules_is_named() {
    // The embedded S3 is open to every page as long as nobody gives it rules.
    let Some(ground) = Ground::outside().await else {
        return eprintln!("without an outside store: S3_ENDPOINT is not set");
    };
    ground.remove("cors").await;

    assert_only(&ground.examine().await, "cors-missing", "muleteer cors apply");
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_is_named() {
    on_each(async |mut ground| {
        ground.config.cors.allowed_origins = vec!["https://shop.example.org".into()];

        let finding = only(&ground.examine().await, "cors-origin");

        assert!(finding.seen.contains("https://shop.example.org"), "{finding:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_named() {
    on_each(async |ground| {
        let rule = format!("{OURS}<AllowedMethod>GET</AllowedMethod><AllowedHeader>*</AllowedHeader>{ETAG}");
        ground.put_cors(&rule).await;

        let finding = only(&ground.examine().await, "cors-method");

        assert!(finding.seen.contains("PUT"), "{finding:#?}");
    })
    .await;
}

#[tokio::test]
async fn headers_that_are_not_allowed_are_named() {
    on_each(async |ground| {
        let rule = format!("{OURS}{METHODS}<AllowedHeader>content-type</AllowedHeader>{ETAG}");
        ground.put_cors(&rule).await;

        assert_only(&ground.examine().await, "cors-headers", "muleteer cors apply");
    })
    .await;
}

#[tokio::test]
async fn an_etag_that_no_page_can_read_is_named() {
    on_each(async |ground| {
        let rule = format!("{OURS}{METHODS}<AllowedHeader>*</AllowedHeader>");
        ground.put_cors(&rule).await;

        assert_only(&ground.examine().await, "cors-etag-hidden", "muleteer cors apply");
    })
    .await;
}

#[tokio::test]
async fn a_public_endpoint_where_nothing_listens_is_named() {
    on_each(async |mut ground| {
        ground.config.s3.public_endpoint = "http://127.0.0.1:9".into();

        assert_only(
            &ground.examine().await,
            "public-endpoint-unreachable",
            "s3.public_endpoint",
        );
    })
    .await;
}

#[tokio::test]
async fn a_public_endpoint_where_something_else_answers_is_named() {
    on_each(async |mut ground| {
        let before = proxy::start(&ground.config.s3.endpoint, proxy::nothing, proxy::not_found).await;
        ground.config.s3.public_endpoint = before;

        assert_only(
            &ground.examine().await,
            "public-endpoint-not-s3",
            "s3.public_endpoint",
        );
    })
    .await;
}

#[tokio::test]
async fn a_proxy_before_the_store_that_keeps_everything_is_fine() {
    on_each(async |mut ground| {
        let before = proxy::start(&ground.config.s3.endpoint, proxy::nothing, proxy::nothing).await;
        ground.config.s3.public_endpoint = before;

        let report = ground.examine().await;

        assert!(report.findings.is_empty(), "{report:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_changes_what_was_signed_is_named() {
    on_each(async |mut ground| {
        let before = proxy::start(&ground.config.s3.endpoint, proxy::rewrite_host, proxy::nothing).await;
        ground.config.s3.public_endpoint = before;

        assert_only(&ground.examine().await, "public-endpoint-signature", "Host");
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_drops_cors_is_told_from_a_bucket_without() {
    on_each(async |mut ground| {
        let before = proxy::start(&ground.config.s3.endpoint, proxy::nothing, proxy::hide_cors).await;
        ground.config.s3.public_endpoint = before;

        assert_only(&ground.examine().await, "cors-swallowed", "Access-Control");
    })
    .await;
}

#[tokio::test]
async fn a_store_on_loopback_is_a_warning_where_other_machines_reach_the_server_itself() {
    on_each(async |mut ground| {
        ground.config.server.address = "0.0.0.0".into();
        ground.set_up(&ground.config).await;

        let report = ground.examine().await;

        assert_only(&report, "public-endpoint-loopback", "browsers reach");
        assert!(report.findings[0].seen.contains("0.0.0.0"), "{report:#?}");
        assert_eq!(report.findings[0].severity.as_str(), "warning");
    })
    .await;
}

#[tokio::test]
async fn a_secure_page_with_an_insecure_store_on_loopback_is_told_both() {
    on_each(async |mut ground| {
        ground.config.server.public_url = "https://upload.example.org".into();
        ground.config.server.trusted_proxies = vec!["127.0.0.1".into()];
        ground.set_up(&ground.config).await;

        let report = ground.examine().await;

        let names: Vec<_> = report.findings.iter().map(|finding| finding.id.name()).collect();
        assert_eq!(
            names,
            ["public-endpoint-loopback", "public-endpoint-insecure"],
            "{report:#?}"
        );
        assert!(report.findings[1].fix.contains("https://"), "{report:#?}");
    })
    .await;
}
