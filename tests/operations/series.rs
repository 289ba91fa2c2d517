//! Nobody can make series: whatever a client sends, the labels stay those of the lists.

use muleteer::metrics::{Kind, METRICS};

use super::places::in_a_folder;
use super::{Api, plain, scrape};

/// Text that differs with each number and looks like nothing in particular.
fn noise(seed: u64) -> String {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:x}", mixed ^ (mixed >> 29))
}

#[tokio::test]
async fn a_thousand_paths_methods_and_hosts_make_no_series() {
    let server = plain(|_| {});
    let api = Api::of(&server).outside();
    let mounts = [
        "",
        "/api/v1",
        "/upload",
        "/files",
        "/s3",
        "/static",
        "/chunk",
        "/evaporate",
    ];
    let ask = async |mount: &str, seed: u64| {
        let method = match seed % 4 {
            0 => "GET".to_owned(),
            1 => "DELETE".to_owned(),
            _ => format!("M{}", noise(seed ^ 7).to_uppercase()),
        };
        let host = api.with("host", &format!("{}.example", noise(seed)));
        let path = format!(
            "{mount}/{}/{}?{}",
            noise(seed + 1),
            noise(seed + 2),
            noise(seed + 3)
        );
        host.with("x-request-id", &noise(seed))
            .send(&method, &path, None)
            .await;
    };
    // Each door once in each way, which is all that there is.
    for mount in mounts {
        for seed in 0..4 {
            ask(mount, seed).await;
        }
    }
    // A scrape is counted too, when it has been answered.
    scrape(&server).await;
    let before = scrape(&server).await.series();

    for seed in 0..1000 {
        ask(
            mounts[usize::try_from(seed).expect("small") % mounts.len()],
            1000 + seed * 31,
        )
        .await;
    }

    let after = scrape(&server).await.series();
    let made: Vec<_> = after.difference(&before).collect();
    assert!(made.is_empty(), "{made:#?}");
}

#[tokio::test]
async fn every_metric_is_on_the_list_and_of_the_kind_that_the_list_says() {
    let server = plain(|_| {});
    Api::of(&server).upload("film.mp4", 40).await;
    // Of S3 the requests are counted, and of a folder the operations.
    let folder = plain(in_a_folder);
    Api::of(&folder).create("film.mp4", 40).await;
    let mut families = scrape(&server).await.families().clone();
    families.extend(scrape(&folder).await.families().clone());
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let found = families.get(metric.name).map(String::as_str);
        assert_eq!(found, Some(kind), "{}", metric.name);
    }
    assert_eq!(families.len(), METRICS.len(), "{families:?}");
}
