//! `docs/metrics.md` says what there is.

use std::fmt::Write as _;
use std::path::Path;

use muleteer::metrics::{Kind, METRICS};

const BEGIN: &str =
    "<!-- The list below is made by `cargo test --test operations`, from src/metrics/names.rs. -->\n";

/// The list of all metrics as the page has it.
fn list() -> String {
    let mut text = String::from("\n| metric | kind | labels | what it is |\n|---|---|---|---|\n");
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|(name, values)| format!("`{name}`: {values}"))
            .collect();
        let labels = labels.join("; ");
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {labels} | {} |",
            metric.name, metric.help
        );
    }
    text.push_str("\nBuckets, in seconds:\n\n");
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "- `{}`: {}", metric.name, bounds.join(", "));
        }
    }
    text
}

#[test]
fn the_page_lists_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(&path).expect("docs/metrics.md");
    let (before, after) = page.split_once(BEGIN).expect("the line that begins the list");
    if after == list() {
        return;
    }
    if std::env::var_os("MULETEER_TEST_REFRESH").is_some() {
        return std::fs::write(&path, format!("{before}{BEGIN}{}", list())).expect("written");
    }
    panic!("docs/metrics.md is stale: MULETEER_TEST_REFRESH=1 cargo test --test operations the_page");
}
