//! The files in `deploy/` speak of metrics that exist, with labels that these have, and Prometheus takes the alerts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use muleteer::metrics::{Kind, METRICS, Metric};
use serde_json::Value;

use super::exposition::promtool;

fn file(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

/// Every query of the dashboard.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                match inner {
                    Value::String(text) if name == "expr" || name == "definition" => found.push(text.clone()),
                    inner => queries(inner, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|inner| queries(inner, found)),
        _ => {}
    }
}

/// The metric behind a name in a query, and whether the name is one that it has.
fn metric_of(name: &str) -> Option<&'static Metric> {
    METRICS.iter().copied().find(|metric| match metric.kind {
        Kind::Histogram(_) => {
            let rest = name.strip_prefix(metric.name);
            rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
        }
        _ => metric.name == name,
    })
}

/// Our metrics that a query names, each held against the list together with the labels in its braces.
fn names_in(query: &str) -> BTreeSet<&'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (start, _) in query.match_indices("muleteer_") {
        let rest = &query[start..];
        let name = rest.split(|c| !is_word(c)).next().unwrap_or_default();
        let metric = metric_of(name).unwrap_or_else(|| panic!("{name} is no metric: {query}"));
        names.insert(metric.name);
        let Some(labels) = rest[name.len()..].strip_prefix('{') else {
            continue;
        };
        let labels = labels.split('}').next().unwrap_or_default();
        for label in labels.split(',').filter(|label| label.contains('=')) {
            let label = label.split(|c| !is_word(c)).next().unwrap_or_default();
            let is_its_own = metric.labels.iter().any(|(known, _)| *known == label);
            assert!(
                is_its_own || ["instance", "job", "le"].contains(&label),
                "{name} has no {label}: {query}"
            );
        }
    }
    names
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let (_, text) = file("grafana/muleteer.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    let shown: BTreeSet<&str> = found.iter().flat_map(|query| names_in(query)).collect();
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, all);

    // As rules, so that the real parser of queries reads them.
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (number, query) in found
        .iter()
        .filter(|query| !query.starts_with("label_values"))
        .enumerate()
    {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let query = serde_json::to_string(&query).expect("text");
        let _ = writeln!(rules, "  - record: dashboard:query{number}\n    expr: {query}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dashboard.yml");
    std::fs::write(&path, rules).expect("written");
    promtool(&["check", "rules", path.to_str().expect("a path")], "");
}

#[test]
fn the_alerts_are_of_metrics_that_exist_and_prometheus_takes_them() {
    let (path, text) = file("prometheus/alerts.yml");
    assert!(names_in(&text).len() >= 5, "{text}");
    promtool(&["check", "rules", path.to_str().expect("a path")], "");
}

#[test]
fn a_name_or_a_label_that_does_not_exist_is_found() {
    for wrong in [
        "rate(muleteer_http_request_total[5m])",
        "muleteer_open_uploads{transfer=\"direct\"}",
        "muleteer_http_request_duration_seconds{door=\"tus\"}",
    ] {
        assert!(std::panic::catch_unwind(|| names_in(wrong)).is_err(), "{wrong}");
    }
}
