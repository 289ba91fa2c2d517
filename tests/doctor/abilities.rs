//! What the store can do, and what it throws away by itself.

use super::ground::{Ground, assert_only, on_each, only};
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
async fn a_store_that_takes_damaged_bodies_or_few_parts_is_named() {
    for (there, back, name) in [
        (
            proxy::nothing as proxy::Change,
            proxy::forgive_md5 as proxy::Change,
            "content-md5-ignored",
        ),
        (proxy::few_parts, proxy::nothing, "part-count-limit"),
    ] {
        let mut ground = Ground::embedded().await;
        // The signatures are for the proxy's address, which the embedded S3 takes as its own.
        ground.config.s3.endpoint = proxy::start(&ground.config.s3.endpoint, there, back).await;

        let report = ground.examine().await;

        assert!(!only(&report, name).fix.is_empty());
    }
}
