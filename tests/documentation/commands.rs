//! Commands that pages print: subcommands exist, and what is marked ` ```sh run ` is run, page by page, against a real server
//! of its own, with everything that such a server has by default.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use muleteer::config::Secret;

use super::pages::{PROJECT, all};
use super::server::{API_KEY, Kind, TestServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_muleteer");

/// What stands for the reader's shell: `cargo run --release` is this build, and the key of the admin is known.
const PRELUDE: &str = r#"
set -eu
cargo() {
    [ "$1 $2" = 'run --release' ] || { echo "cargo $* is not run here" >&2; return 1; }
    shift 2
    [ "${1:-}" != -- ] || shift
    muleteer "$@"
}
"#;

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn what_is_marked_as_runnable_runs() {
    let mut count = 0;
    for page in all() {
        let blocks = page.blocks();
        let runnable = blocks.iter().filter(|block| block.info == "sh run");
        let code: Vec<&str> = runnable.map(|block| &block.code[..]).collect();
        let code = code.join("\n");
        if code.is_empty() {
            continue;
        }
        count += 1;
        let server = TestServer::start(Kind::Sqlite, |config| {
            config.dev_s3.secret_access_key = Secret::new("the-store-of-the-guides");
        })
        .expect("SQLite is never skipped");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(format!("{PROJECT}/README.md"), folder.path().join("README.md")).expect("copied");
        std::os::unix::fs::symlink(PROGRAM, folder.path().join("muleteer")).expect("a link");
        let address = server.base.trim_start_matches("http://");
        let script = PRELUDE.to_owned() + &code.replace("127.0.0.1:8080", address);
        let path = std::env::var("PATH").expect("a path");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .env("MULETEER_DATA_DIR", server.folder())
            .env("KEY", API_KEY)
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert!(
            output.status.success(),
            "{}:\n{script}\n{}",
            page.name,
            said(&output)
        );
    }
    assert!(count >= 3, "{count} pages have something to run");
}

/// The subcommands that `--help` lists.
fn listed(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .arg("--help")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let Some((_, commands)) = text.split_once("Commands:\n") else {
        return Vec::new();
    };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    // What is indented further is the rest of a long description.
    lines
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn every_subcommand_that_is_named_exists() {
    let first = listed(&[]);
    assert!(first.contains(&"serve".to_owned()), "{first:?}");
    let mut second: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for page in all().iter().filter(|page| page.name != "CHANGELOG.md") {
        let blocks = page.blocks();
        let shells = blocks.iter().filter(|block| block.info.starts_with("sh"));
        let lines = shells.flat_map(|block| block.code.lines());
        for line in lines.chain(page.pieces()) {
            let words: Vec<&str> = line
                .split([' ', '(', '"', '\'', ';'])
                .filter(|word| !word.is_empty())
                .collect();
            for at in 0..words.len() {
                let name = words[at].rsplit('/').next().expect("a name");
                let is_program = name == "muleteer" || (name == "--" && words[..at].contains(&"cargo"));
                let Some(command) = words.get(at + 1).filter(|_| is_program) else {
                    continue;
                };
                if !command.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') || command.starts_with('-') {
                    continue;
                }
                // `docker run … muleteer`, accounts and services have the same name.
                let is_ours = ["docker", "systemctl", "journalctl", "useradd", "chown"];
                if words[..at]
                    .iter()
                    .any(|word| is_ours.contains(word) || *word == "-u")
                    && name == "muleteer"
                {
                    continue;
                }
                if !first.contains(&(*command).to_owned()) {
                    wrong.push(format!("{}: {line}", page.name));
                    continue;
                }
                let below = second
                    .entry((*command).to_owned())
                    .or_insert_with(|| listed(&[command]));
                let next = words
                    .get(at + 2)
                    .filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
                if !below.is_empty() && next.is_some_and(|next| !below.contains(&(*next).to_owned())) {
                    wrong.push(format!("{}: {line}", page.name));
                }
            }
        }
    }
    assert!(second.contains_key("keys"), "{second:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The text of all Rust files below a folder.
fn sources(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text += &sources(&path);
        } else {
            text += &std::fs::read_to_string(&path).unwrap_or_default();
        }
    }
    text
}

#[test]
fn every_line_of_the_log_that_is_explained_is_written_somewhere() {
    let page = all().into_iter().find(|page| page.name == "docs/operating.md");
    let text = page.expect("the guide").text;
    let table = text.split("| in the log | means |").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let lines: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    let source = sources(&std::path::Path::new(PROJECT).join("src"));
    for line in lines {
        assert!(source.contains(&format!("\"{line}")), "nothing writes \"{line}\"");
    }
}
