//! A reader of Prometheus' text format that takes nothing on trust:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.
//!
//! Separate from the tests, because every one of them reads through it, and so each scrape is checked for its form and
//! for the habits that `promtool check metrics` looks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A scrape that is right in form.
#[derive(Debug, Clone)]
pub struct Exposition {
    /// As it came.
    pub text: String,
    kinds: BTreeMap<String, String>,
    /// Each series with its labels as they stand, `name{a="b"}`, and its value.
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a scrape, and complains of everything that is wrong with it.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut helps = BTreeSet::new();
        let mut kinds: BTreeMap<String, String> = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a name and a text");
                assert!(!text.is_empty() && helps.insert(name.to_owned()), "{line}");
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert!(helps.contains(name), "{name} has no help before its type");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                check_name(name, kind);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
            let family = family_of(series, &kinds);
            assert!(kinds.contains_key(family), "{line} comes before its type");
            assert!(value >= 0.0, "{line}");
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "{line} is there twice"
            );
        }
        let read = Self {
            text: text.to_owned(),
            kinds,
            samples,
        };
        read.check_histograms();
        read
    }

    /// The value of a series; 0 for one that is not there.
    pub fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or(0.0)
    }

    /// The names of all series.
    pub fn series(&self) -> BTreeSet<String> {
        self.samples.keys().cloned().collect()
    }

    /// The metrics that are there, each with its type.
    pub fn families(&self) -> &BTreeMap<String, String> {
        &self.kinds
    }

    /// What has changed since `before` in the counters and sums of these metrics, and in nothing of them beside it.
    #[track_caller]
    pub fn assert_grown(&self, before: &Self, metrics: &[&str], expected: &[(&str, f64)]) {
        let of_these = |series: &String| {
            let name = series.split('{').next().unwrap_or_default();
            metrics.contains(&name)
        };
        let grown: BTreeMap<&str, f64> = self
            .samples
            .iter()
            .filter(|(series, _)| of_these(series))
            .map(|(series, value)| (series.as_str(), value - before.value(series)))
            .filter(|(_, growth)| *growth != 0.0)
            .collect();
        assert_eq!(grown, expected.iter().copied().collect(), "{}", self.text);
    }

    fn check_histograms(&self) {
        for (name, kind) in &self.kinds {
            if kind != "histogram" {
                continue;
            }
            let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            for line in self
                .text
                .lines()
                .filter(|line| line.starts_with(&format!("{name}_bucket{{")))
            {
                let (series, count) = line.rsplit_once(' ').expect("a value");
                let (labels, bound) = series.split_once("le=\"").expect("a bound");
                let bound = bound.trim_end_matches("\"}");
                let bound: f64 = if bound == "+Inf" {
                    f64::INFINITY
                } else {
                    bound.parse().expect("a number")
                };
                let count: f64 = count.parse().expect("a number");
                if let Some((before, less)) = last.insert(labels.to_owned(), (bound, count)) {
                    assert!(before < bound && less <= count, "{line}");
                }
            }
            for (labels, (bound, count)) in last {
                assert!(bound.is_infinite(), "{labels} has no last bucket");
                let labels = labels.trim_end_matches([',', '{']).replace("_bucket", "_count");
                let total = if labels.contains('{') {
                    format!("{labels}}}")
                } else {
                    labels
                };
                assert_eq!(self.samples.get(&total), Some(&count), "{total}");
            }
        }
    }
}

/// The metric that a sample is of.
fn family_of<'a>(series: &'a str, kinds: &BTreeMap<String, String>) -> &'a str {
    let name = series.split('{').next().unwrap_or_default();
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|base| kinds.get(*base).is_some_and(|kind| kind == "histogram"));
    base.unwrap_or(name)
}

fn check_name(name: &str, kind: &str) {
    assert!(
        name.starts_with("muleteer_") && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()),
        "{name}"
    );
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    assert!(
        ["counter", "gauge", "histogram"].contains(&kind),
        "{name} is a {kind}"
    );
    assert!(
        kind != "histogram" || name.ends_with("_seconds"),
        "{name} has no unit"
    );
    for suffix in ["_count", "_sum", "_bucket", "_ms", "_mb", "_gauge", "_counter"] {
        assert!(!name.ends_with(suffix), "{name}");
    }
}

/// Has the real `promtool` say the same, with these arguments and this input; false where it is not installed.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) -> bool {
    let started = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("without promtool, which Debian's package `prometheus` has");
            return false;
        }
        Err(error) => panic!("promtool: {error}"),
    };
    let mut stdin = child.stdin.take().expect("its input");
    // One that reads nothing has closed it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = write!(said, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    true
}
