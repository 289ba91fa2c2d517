//! Holds `src/` against the layers that `docs/ARCHITECTURE.md` draws, and against the habits of this code base.
//!
//! The compiler cannot know that a handler must not reach into the database. Here each layer says which other
//! modules of ours it may name, and which outside crates it must not (`architecture/layers.rs`); the scanner
//! (`architecture/scan.rs`) reads what the files really name. Tests beside the code (`#[cfg(test)]`) are free.

#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/scan.rs"]
mod scan;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use layers::{EVERYTHING, LAYERS};

const LONGEST_FILE: usize = 500;

/// A source file: its path under `src/`, the module it is (`["db", "parts"]`), and its text.
struct Source {
    name: String,
    module: Vec<String>,
    text: String,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let mut module: Vec<String> = name
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Self {
            name: name.to_owned(),
            module,
            text: text.to_owned(),
        }
    }

    /// A path as it reads from the crate's root: `["crate", "db"]` and `["super", "super", "db"]` become `["db"]`.
    /// `None` where the path is not one of ours.
    fn resolve(&self, mention: &[String]) -> Option<Vec<String>> {
        let (base, rest): (&[String], &[String]) = match mention.first()?.as_str() {
            "crate" | "muleteer" => (&[], &mention[1..]),
            "self" => (&self.module, &mention[1..]),
            "super" => {
                let ups = mention.iter().take_while(|segment| *segment == "super").count();
                (
                    &self.module[..self.module.len().saturating_sub(ups)],
                    &mention[ups..],
                )
            }
            _ => return None,
        };
        let path: Vec<String> = base
            .iter()
            .chain(rest)
            .filter(|segment| *segment != "self")
            .cloned()
            .collect();
        (!path.is_empty()).then_some(path)
    }

    /// Everything in this file that its layer forbids, one sentence each.
    fn layer_violations(&self) -> Vec<String> {
        let own = self.module[0].as_str();
        let Some(layer) = LAYERS.iter().find(|layer| layer.modules.contains(&own)) else {
            return vec![format!(
                "src/{}: `{own}` has no row in LAYERS; decide what it may use",
                self.name
            )];
        };
        let code = scan::without_test_modules(&scan::code_only(&self.text));
        let mut violations = BTreeSet::new();
        for mention in scan::mentions(&code) {
            let spelled = mention.join("::");
            match self.resolve(&mention) {
                Some(path) => {
                    let other = path[0].as_str();
                    let allowed =
                        other == own || layer.may_use == EVERYTHING || layer.may_use.contains(&other);
                    if is_module(other) && !allowed {
                        violations.insert(format!(
                            "src/{}: {own} must not use {other} ({spelled})",
                            self.name
                        ));
                    }
                    if own == "protocol" && self.names_another_protocol(&path) {
                        violations.insert(format!(
                            "src/{}: a protocol must not use another ({spelled})",
                            self.name
                        ));
                    }
                }
                None if layer.never.iter().any(|banned| begins_with(&spelled, banned)) => {
                    violations.insert(format!("src/{}: {own} must not use {spelled}", self.name));
                }
                None => {}
            }
        }
        violations.into_iter().collect()
    }

    /// `protocol/mod.rs` holds the list of all protocols; what it owns itself (types, functions) all may use.
    fn names_another_protocol(&self, path: &[String]) -> bool {
        let is_list = self.module.len() < 2;
        let lower_case = |name: &String| name.chars().next().is_some_and(char::is_lowercase);
        !is_list
            && path.len() > 2
            && path[0] == "protocol"
            && path[1] != self.module[1]
            && path.get(1).is_some_and(lower_case)
    }

    /// Everything in this file that breaks a habit, one sentence each.
    fn habit_violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let mut complain = |what: &str| violations.push(format!("src/{}: {what}", self.name));
        if !self.text.starts_with("//!") {
            complain("does not open with `//!` (what it owns and why it is separate)");
        }
        let lines = self.text.lines().count();
        if lines > LONGEST_FILE {
            complain(&format!("has {lines} lines; {LONGEST_FILE} at most"));
        }
        let dense: String = scan::code_only(&self.text).split_whitespace().collect();
        if dense.contains("#[allow(") || dense.contains("#![allow(") {
            complain("silences a lint with `allow`; use `#[expect(…, reason = \"…\")]`");
        }
        for unfinished in ["todo!", "unimplemented!"] {
            if dense.contains(unfinished) {
                complain(&format!("contains `{unfinished}`"));
            }
        }
        // Tests beside the code may print.
        let spoken = scan::without_test_modules(&scan::code_only(&self.text));
        let spoken: String = spoken.split_whitespace().collect();
        if ["println!(", "print!("]
            .iter()
            .any(|macro_name| spoken.contains(macro_name))
        {
            complain("prints by a macro that panics where nobody reads; use `cli::output`");
        }
        violations
    }
}

/// Whether `spelled` is the path `banned`, lies below it, or (for crate families such as `actix_web`) goes on with `_`.
fn begins_with(spelled: &str, banned: &str) -> bool {
    spelled
        .strip_prefix(banned)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
}

fn is_module(name: &str) -> bool {
    LAYERS.iter().any(|layer| layer.modules.contains(&name))
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let root = project().join("src");
    let sources: Vec<Source> = files_below(&root)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("files of src lie in src")
                .to_string_lossy()
                .replace('\\', "/");
            Source::new(&name, &fs::read_to_string(&path).expect("source is text"))
        })
        .collect();
    assert!(sources.len() > 5, "src was not found");
    sources
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_layer_uses_only_what_lies_below_it() {
    assert_none(
        &sources()
            .iter()
            .flat_map(Source::layer_violations)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_file_keeps_the_habits() {
    assert_none(
        &sources()
            .iter()
            .flat_map(Source::habit_violations)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_migration_exists_for_both_databases() {
    let names = |database: &str| -> BTreeSet<String> {
        let root = project().join("migrations").join(database);
        files_below(&root)
            .iter()
            .map(|path| {
                path.strip_prefix(&root)
                    .expect("it lies there")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };

    let (sqlite, postgres) = (names("sqlite"), names("postgres"));

    assert!(!sqlite.is_empty(), "there are no migrations");
    let only_in_one: Vec<_> = sqlite.symmetric_difference(&postgres).collect();
    assert!(only_in_one.is_empty(), "only one database has: {only_in_one:?}");
}

#[test]
fn a_forbidden_mention_is_found_however_it_is_written() {
    let cases = [
        ("domain/upload.rs", "use actix_web::HttpRequest;"),
        ("domain/upload.rs", "use {chrono::Utc, diesel::prelude::*};"),
        ("domain/upload.rs", "fn f() { std::fs::read(\"x\"); }"),
        ("domain/upload.rs", "use std::{fmt, fs};"),
        ("signing/v4.rs", "use super::super::domain::Part;"),
        ("signing/mod.rs", "use super::domain::Part;"),
        ("db/parts.rs", "use crate::{domain::Part, storage::Store};"),
        ("storage/s3.rs", "fn f(x: &crate::uploads::Uploads) {}"),
        ("uploads/create.rs", "impl From<diesel::result::Error> for E {}"),
        ("uploads/create.rs", "use crate::web;"),
        ("protocol/mule.rs", "use crate::db::Database;"),
        ("protocol/mule/actions.rs", "use super::super::companion::sign;"),
        ("protocol/mule.rs", "use crate::protocol::companion::sign;"),
        ("web/problem.rs", "use crate::protocol::PROTOCOLS;"),
        ("dev_s3/store.rs", "use crate::error::Error;"),
        ("clock.rs", "use muleteer::config::Config;"),
        ("helpers.rs", "fn f() {}"),
    ];
    for (name, text) in cases {
        assert_eq!(
            Source::new(name, text).layer_violations().len(),
            1,
            "{name}: {text}"
        );
    }
}

#[test]
fn what_a_layer_may_use_is_left_alone() {
    let cases = [
        (
            "domain/upload.rs",
            "use super::part::Part; use crate::error::Error; use chrono::Utc; // diesel::x",
        ),
        ("domain/upload.rs", "#[cfg(test)] mod tests { use tokio::fs; }"),
        (
            "db/parts.rs",
            "use diesel::prelude::*; use crate::domain::Part; use super::schema::parts;",
        ),
        (
            "uploads/create.rs",
            "use super::Uploads; use crate::{db::Database, storage::S3Store};",
        ),
        (
            "protocol/mule/mod.rs",
            "mod actions; use self::actions::sign; use super::Protocol; use crate::web::Problem;",
        ),
        (
            "protocol/mule/actions.rs",
            "use super::Mule; use crate::protocol::Protocol; use crate::uploads::Uploads;",
        ),
        (
            "protocol/mod.rs",
            "pub mod mule; const ALL: &[Protocol] = &[mule::PROTOCOL]; use self::mule::routes;",
        ),
        (
            "cli/serve.rs",
            "use crate::{app, db, dev_s3, web}; use actix_web::App;",
        ),
    ];
    for (name, text) in cases {
        assert_eq!(
            Source::new(name, text).layer_violations(),
            Vec::<String>::new(),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_broken_habit_is_found() {
    let long = format!("//! Long.\n{}", "\n".repeat(LONGEST_FILE));
    let cases = [
        "use std::fmt;",
        long.as_str(),
        "//! x\n#[allow(dead_code)]\nfn f() {}",
        "//! x\n#![allow (dead_code)]\n",
        "//! x\nfn f() { todo!() }",
        "//! x\nfn f() { unimplemented!(\"later\") }",
        "//! x\nfn f() { eprintln!(\"x\") }",
    ];
    for text in cases {
        assert_eq!(
            Source::new("domain/x.rs", text).habit_violations().len(),
            1,
            "{text}"
        );
    }
    let fine = "//! Says `todo!` and `#[allow(x)]` in words only.\nconst S: &str = \"#[allow(x)] todo!\";";
    assert_eq!(
        Source::new("domain/x.rs", fine).habit_violations(),
        Vec::<String>::new()
    );
}
