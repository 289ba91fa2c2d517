//! `docs/configuration.md`, made from the settings' own comments in `src/config`, their defaults, and the list of variables.
//!
//! `MULETEER_TEST_REFRESH=1 cargo test --test documentation reference` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use muleteer::config::Config;
use serde_json::Value;

use super::pages::PROJECT;

const PREFACE: &str = "\
# Configuration

Every setting, made from the code: `MULETEER_TEST_REFRESH=1 cargo test --test documentation reference` writes this page.
[`Rocket.toml.example`](../Rocket.toml.example) has the same as a file to copy from. Keep only what you change: a door that the
file switches on counts as wanted, and stops the start where [a folder is all there is](operating.md#a-folder-or-a-share-alone).

Layers, later ones win: the defaults below; `Rocket.toml` of the working folder, or the file that `--config` or
`MULETEER_CONFIG` names (its section `[default]`, then that of the profile, then `[global]`); well-known variables of the
systems that Muleteer replaces; `MULETEER_` variables; the command line. Variables also come from a file `.env` of the working
folder.

The variable of a setting is its name in capitals behind `MULETEER_`, with two underscores where the name has a dot:
`s3.bucket` is `MULETEER_S3__BUCKET`. Lists are written `[\"a\", \"b\"]`. A key that does not exist, or an impossible value,
stops the start and is named, all of them at once.
";

/// A type of `src/config`.
#[derive(Default)]
struct Shape {
    docs: String,
    /// Name, comment and type of each field; of a choice, name and comment of each value.
    members: Vec<(String, String, String)>,
    is_choice: bool,
}

/// All types of `src/config`, read from their source.
fn shapes() -> BTreeMap<String, Shape> {
    let mut shapes = BTreeMap::new();
    for entry in std::fs::read_dir(format!("{PROJECT}/src/config")).expect("the folder") {
        let path = entry.expect("an entry").path();
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        let (mut docs, mut open): (Vec<&str>, Option<(String, Shape)>) = (Vec::new(), None);
        for line in source.lines() {
            let code = line.trim();
            if let Some(text) = code.strip_prefix("///") {
                docs.push(text.trim());
            } else if let Some(rest) = line
                .strip_prefix("pub struct ")
                .or(line.strip_prefix("pub enum "))
            {
                let name = rest.split([' ', '(', '<', ';']).next().expect("a name");
                let shape = Shape {
                    docs: docs.join(" "),
                    is_choice: line.starts_with("pub enum"),
                    members: Vec::new(),
                };
                open = rest.ends_with('{').then(|| (name.to_owned(), shape));
                docs.clear();
            } else if line == "}" {
                shapes.extend(open.take());
                docs.clear();
            } else if let Some((_, shape)) = &mut open
                && !code.starts_with('#')
                && !docs.is_empty()
            {
                let code = code.trim_end_matches(',');
                let (name, kind) = code.split_once(": ").unwrap_or((code, ""));
                let name = name.trim_start_matches("pub ");
                let name = if shape.is_choice {
                    name.to_lowercase()
                } else {
                    name.to_owned()
                };
                shape.members.push((name, docs.join(" "), kind.to_owned()));
                docs.clear();
            } else if code.is_empty() {
                docs.clear();
            }
        }
    }
    shapes
}

/// Which settings have other names among the variables.
fn variables() -> BTreeMap<String, Vec<String>> {
    let source = include_str!("../../src/config/variables.rs");
    let list = source.split("const WELL_KNOWN").nth(1).expect("the list");
    let list = list.split("];").next().expect("its end");
    let mut variables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in list.lines() {
        let mut texts = line.split('"').skip(1).step_by(2);
        if let (Some(variable), Some(key)) = (texts.next(), texts.next()) {
            variables
                .entry(key.to_owned())
                .or_default()
                .push(variable.to_owned());
        }
    }
    assert!(variables.len() > 20, "{variables:?}");
    variables
}

struct Writer {
    shapes: BTreeMap<String, Shape>,
    variables: BTreeMap<String, Vec<String>>,
    page: String,
}

impl Writer {
    /// One section with its table, and then the sections below.
    fn section(&mut self, path: &str, kind: &str, defaults: &Value) {
        let shape = self
            .shapes
            .remove(kind)
            .unwrap_or_else(|| panic!("src/config has no {kind}"));
        let (mut rows, mut below) = (String::new(), Vec::new());
        for (name, docs, kind) in &shape.members {
            let key = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let default = &defaults[name];
            if default.is_object() {
                below.push((key, kind.clone(), default.clone()));
                continue;
            }
            assert!(!default.is_null(), "{key} has no default");
            let mut what = docs.replace('|', "\\|");
            if let Some(choice) = self.shapes.get(kind).filter(|shape| shape.is_choice) {
                let values = choice.members.iter();
                let values: Vec<String> = values
                    .map(|(value, docs, _)| format!("`{value}`: {docs}"))
                    .collect();
                what = format!("{what} {}", values.join(" "));
            }
            if let Some(variables) = self.variables.remove(&key) {
                let _ = write!(what, " Also `{}`.", variables.join("`, `"));
            }
            let _ = writeln!(rows, "| `{name}` | `{default}` | {what} |");
        }
        if path.is_empty() {
            self.page += "\n## The first level\n\nIn the file: `[default]`.\n";
        } else {
            let _ = write!(
                self.page,
                "\n## {path}\n\nIn the file: `[default.{path}]`. {}\n",
                shape.docs
            );
        }
        if !rows.is_empty() {
            let _ = write!(self.page, "\n| key | default | what |\n|---|---|---|\n{rows}");
        }
        for (key, kind, defaults) in below {
            self.section(&key, &kind, &defaults);
        }
        // Several sections may be of one kind.
        self.shapes.insert(kind.to_owned(), shape);
    }
}

#[test]
fn the_reference_of_settings_is_that_of_the_code() {
    let mut writer = Writer {
        shapes: shapes(),
        variables: variables(),
        page: PREFACE.to_owned(),
    };
    let defaults = serde_json::to_value(Config::default()).expect("JSON");
    writer.section("", "Config", &defaults);
    assert!(
        writer.variables.is_empty(),
        "of no setting: {:?}",
        writer.variables
    );
    let file = format!("{PROJECT}/docs/configuration.md");
    if std::env::var_os("MULETEER_TEST_REFRESH").is_some() {
        std::fs::write(&file, &writer.page).expect("written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let command = "MULETEER_TEST_REFRESH=1 cargo test --test documentation reference";
    assert!(
        written == writer.page,
        "docs/configuration.md is not what the code says; refresh it: {command}"
    );
}

#[test]
fn every_setting_has_its_row() {
    fn keys(path: &str, value: &Value, found: &mut Vec<String>) {
        for (name, inner) in value.as_object().expect("a section") {
            if inner.is_object() {
                keys(&format!("{path}{name}."), inner, found);
            } else {
                found.push(format!("{path}{name}"));
            }
        }
    }
    let mut all = Vec::new();
    keys(
        "",
        &serde_json::to_value(Config::default()).expect("JSON"),
        &mut all,
    );
    let page = std::fs::read_to_string(format!("{PROJECT}/docs/configuration.md")).expect("the page");
    for key in &all {
        let (section, name) = key.rsplit_once('.').unwrap_or(("The first level", key));
        let text = page.split(&format!("\n## {section}\n")).nth(1);
        let text = text.unwrap_or_else(|| panic!("no section {section}"));
        let text = text.split("\n## ").next().expect("its text");
        assert!(text.contains(&format!("\n| `{name}` | ")), "{key} has no row");
    }
}
