//! What the store can do, and what it throws away by itself.

use super::certificate::Certificate;
use super::commands::{examined, variables};
use super::ground::{Ground, assert_only, on_each, only};
use super::nginx::Nginx;
use super::process::Place;
use super::proxy;

fn rule(id: &str, prefix: &str, days: u32) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>{id}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
    )
}

#[tokio::test]
async fn parts_that_the_store_would_find_too_small_are_named() {
    on_each(async |mut ground| {
        ground.config.s3.min_part_size = 1024;

        assert_only(
            &ground.examine().await,
            "part-size-too-small",
            "s3.min_part_size = 5242880",
        );
        assert_eq!(ground.left_over().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_bucket_without_a_lifecycle_rule_is_named() {
    on_each(async |ground| {
        ground.remove("lifecycle").await;

        assert_only(&ground.examine().await, "lifecycle-missing", "after 8 days");
    })
    .await;
}

#[tokio::test]
async fn a_rule_for_other_keys_alone_is_none() {
    on_each(async |ground| {
        ground.put("lifecycle", &rule("theirs", "logs/", 30)).await;

        assert_only(&ground.examine().await, "lifecycle-missing", "after 8 days");
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_drops_uploads_before_we_do_is_named() {
    on_each(async |ground| {
        ground.put("lifecycle", &rule("hasty", "", 3)).await;

        let finding = only(&ground.examine().await, "lifecycle-too-short");

        assert!(
            finding.seen.contains("hasty") && finding.seen.contains("168 hours"),
            "{finding:#?}"
        );
        assert!(finding.remedy.is_none(), "rules of others are not ours to change");
    })
    .await;
}

#[tokio::test]
async fn what_the_store_verifies_is_a_fact_of_the_report() {
    on_each(async |ground| {
        let report = ground.examine().await;

        let fact = report
            .facts
            .iter()
            .find(|fact| fact.name.starts_with("checksums"));
        let sums = &fact.expect("a fact").value;
        assert!(sums.contains("content-md5"), "{sums}");
        // Ceph takes a wrong checksum and says nothing.
        assert_eq!(sums.contains("sha256"), ground.is_embedded(), "{sums}");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_takes_few_parts_is_named_with_the_settings_that_need_no_more() {
    let mut ground = Ground::embedded().await;
    // The signatures are for the proxy's address, which the embedded S3 takes as its own.
    let store = proxy::start(&ground.config.s3.endpoint, proxy::few_parts, proxy::tell_limit).await;
    ground.config.s3.endpoint = store;

    let finding = only(&ground.examine().await, "part-count-limit");

    // What is appended to is cut into the least parts, however large ours are.
    let (last, least) = (proxy::LAST_PART, ground.config.s3.min_part_size);
    assert!(least < ground.config.uploads.part_size);
    let max_size = least * u64::from(last);
    assert!(finding.seen.contains("InvalidArgument"), "{finding:#?}");
    for setting in [
        format!("limits.max_parts = {last}"),
        format!("limits.max_size = {max_size}"),
    ] {
        assert!(finding.fix.contains(&setting), "{setting}: {finding:#?}");
    }
    ground.config.limits.max_parts = last.into();
    ground.config.limits.max_size = max_size;
    let mended = ground.examine().await;
    assert!(mended.findings.is_empty(), "{mended:#?}");
    assert_eq!(ground.left_over().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_takes_damaged_bodies_is_named() {
    let mut ground = Ground::embedded().await;
    let careless = proxy::start(&ground.config.s3.endpoint, proxy::nothing, proxy::forgive_md5);
    ground.config.s3.endpoint = careless.await;

    assert_only(&ground.examine().await, "content-md5-ignored", "https://");
}

// The program is waited for, so the store must not run on the thread that waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_damaged_bodies_is_fine_where_everybody_reaches_it_by_https() {
    let mut ground = Ground::embedded().await;
    let careless = proxy::start(&ground.config.s3.endpoint, proxy::nothing, proxy::forgive_md5).await;
    let place = Place::new();
    let certificate = Certificate::make(place.path());
    let secure = Nginx::secure(place.path(), &careless, &certificate);
    ground.config.s3.endpoint.clone_from(&secure.base);
    let mut settings = variables(&ground.config);
    let trusted = certificate.certificate.to_str().expect("UTF-8");
    settings.push(("SSL_CERT_FILE", trusted.to_owned()));
    assert_eq!(examined(&place, &settings), (Some(0), Vec::new()));

    // Browsers go another way now.
    settings.push(("MULETEER_S3__PUBLIC_ENDPOINT", careless));
    let (_, findings) = examined(&place, &settings);
    let names: Vec<_> = findings.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-md5-ignored"], "{findings:?}");
}
