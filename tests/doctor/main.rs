//! `muleteer doctor`: each test breaks one thing of a bucket that was right, and looks that it is called by its name.
//!
//! On the embedded S3, and on a store that is not ours where `S3_ENDPOINT`, `S3_KEY` and `S3_SECRET` name one.

#![cfg(feature = "embedded-s3")]

use std::path::Path;

use muleteer::doctor::Id;

#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "these tests set buckets up, and upload nothing")]
mod s3_client;

#[path = "../support/certificate.rs"]
#[expect(dead_code, reason = "the program is the client here")]
mod certificate;

mod abilities;
#[cfg(feature = "aws-credential-chain")]
mod chain;
mod commands;
mod cors;
mod ground;
mod identity;
#[cfg(target_os = "linux")]
mod mounted;
mod nginx;
#[path = "../native_api/process.rs"]
#[expect(
    dead_code,
    reason = "these tests run it to its end, or until they have asked it"
)]
mod process;
mod proxy;
mod settings;
mod through;

/// Findings that are seeded elsewhere, each with the file that does it.
const ELSEWHERE: [(&str, &str); 1] = [
    // What it takes is at hand there: a server whose files all go to a folder.
    ("storage-unusable", "tests/native_api/folder_start.rs"),
];

/// Whether a test's source speaks of a finding, by its name or as the program does.
fn speaks_of(source: &str, id: Id) -> bool {
    let variant = format!("Id::{id:?}");
    source.contains(&format!("\"{}\"", id.name()))
        || source
            .match_indices(&variant)
            .any(|(at, found)| !source[at + found.len()..].starts_with(char::is_alphanumeric))
}

#[test]
fn every_finding_is_seeded_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a source");
    let here = std::fs::read_dir(root.join("tests/doctor")).expect("a folder");
    let paths = here.map(|entry| entry.expect("a file").path());
    // This file names them without seeding any.
    let sources: String = paths
        .filter(|path| path.file_name() != Some("main.rs".as_ref()))
        .map(|path| read(&path))
        .collect();

    for id in Id::ALL {
        let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == id.name());
        match elsewhere {
            None => assert!(speaks_of(&sources, *id), "no test seeds {}", id.name()),
            Some((name, file)) => {
                assert!(
                    speaks_of(&read(&root.join(file)), *id),
                    "{file} does not seed {name}"
                );
                assert!(!speaks_of(&sources, *id), "{name} is seeded here as well");
            }
        }
    }
}

#[test]
fn the_page_of_findings_is_the_programs_own_table() {
    let page = include_str!("../../docs/doctor.md");

    assert!(
        page.contains(&muleteer::cli::doctor::table()),
        "docs/doctor.md has not the table of `muleteer doctor --list`"
    );
}
