//! Settings that pages mention exist.

use muleteer::config::{Config, Sources, load};
use serde_json::Value;

use super::pages::{Page, all};

/// What is said of a key that does not exist, or of a value of the wrong kind; all else depends on the installation.
fn is_mistake(complaint: &str) -> bool {
    [
        "unknown",
        "invalid",
        "expected",
        "no such",
        "does not exist",
        "duplicate",
    ]
    .iter()
    .any(|word| complaint.contains(word))
}

#[test]
fn every_settings_block_can_be_read_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("Rocket.toml");
    let mut count = 0;
    for page in all() {
        for block in page.blocks() {
            if block.info != "toml" || !block.code.contains("[default") {
                continue;
            }
            count += 1;
            std::fs::write(&file, &block.code).expect("written");
            let sources = Sources {
                file: Some(file.clone()),
                ..Sources::default()
            };
            let complaints = load(&sources).err().map_or(Vec::new(), |error| error.0);
            let mistakes: Vec<&String> = complaints.iter().filter(|text| is_mistake(text)).collect();
            assert!(
                mistakes.is_empty(),
                "{}: {mistakes:#?}\n{}",
                page.name,
                block.code
            );
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn a_key_that_does_not_exist_would_be_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("Rocket.toml");
    for wrong in [
        "[default.tus]\npath = \"/x\"\n",
        "[default.s3]\nbuckets = \"x\"\n",
        "[default.s3]\nbucket = 1\n",
    ] {
        std::fs::write(&file, wrong).expect("written");
        let sources = Sources {
            file: Some(file.clone()),
            ..Sources::default()
        };
        let complaints = load(&sources).expect_err(wrong).0;
        assert!(complaints.iter().all(|text| is_mistake(text)), "{complaints:?}");
    }
}

/// Files of ours, and hosts.
fn is_other(piece: &str) -> bool {
    piece.rsplit('.').next() == Some("rs") || piece.split('.').any(|word| word == "example")
}

/// Pieces of code that look like settings and name none.
fn dangling(page: &Page, all: &Value) -> Vec<String> {
    let pieces = page.pieces().into_iter().filter(|piece| {
        let begins = piece
            .split('.')
            .next()
            .is_some_and(|first| all.get(first).is_some());
        let is_name = piece
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._".contains(&b));
        begins && is_name && piece.contains('.') && !is_other(piece)
    });
    let unknown = pieces.filter(|piece| all.pointer(&format!("/{}", piece.replace('.', "/"))).is_none());
    unknown.map(str::to_owned).collect()
}

#[test]
fn every_setting_that_is_named_in_a_sentence_exists() {
    let settings = serde_json::to_value(Config::default()).expect("JSON");
    for page in all() {
        // What is in the changelog may have gone since.
        if page.name != "CHANGELOG.md" {
            assert_eq!(dangling(&page, &settings), Vec::<String>::new(), "{}", page.name);
        }
    }
    let wrong = Page {
        name: String::new(),
        text: "`server.puplic_url` and `server.public_url`".into(),
    };
    assert_eq!(dangling(&wrong, &settings), ["server.puplic_url"]);
}
