//! The clients that `docs/chunk-server.md` prints, run as they stand there.

use std::path::Path;
use std::process::{Command, Output};

#[path = "support/server.rs"]
#[expect(dead_code, reason = "other tests restart it and move its clock")]
mod server;

use muleteer::config::BackendName;
use server::{API_KEY, Kind, TestServer};

/// The block of the guide that begins with this line, as a file of its own.
fn client(first_line: &str, folder: &Path, name: &str) -> std::path::PathBuf {
    let guide = include_str!("../docs/chunk-server.md");
    let start = guide.find(first_line).expect("the guide has that client");
    let code = guide[start..].split("\n```").next().expect("a block ends");
    let path = folder.join(name);
    std::fs::write(&path, code).expect("a file can be written");
    path
}

fn run(program: &str, client: &Path, arguments: &[&str], server: &TestServer) -> Output {
    Command::new(program)
        .arg(client)
        .args(arguments)
        .env("URL", &server.base)
        .env("API_KEY", API_KEY)
        .env_remove("http_proxy")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

fn server_with_files() -> TestServer {
    TestServer::start(Kind::Sqlite, |config| {
        config.protocols.chunks.chunk_size_mb = 1;
        config.storage.backend = BackendName::Local;
        config.storage.local.path = format!("{}/files", config.data_dir);
    })
    .expect("SQLite is always there")
}

/// Bytes that no two parts share.
fn bytes(length: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .take(length)
        .collect()
}

fn assert_stored(output: &Output, expected: &[u8]) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let stored = std::fs::read(said.trim()).expect("the client says where the file is");
    assert!(stored == expected, "the file is what was sent");
}

#[test]
fn the_curl_client_uploads_a_file() {
    let server = server_with_files();
    let script = client("#!/bin/sh", server.folder(), "upload.sh");
    for length in [3_500_000, 1 << 20, 5, 0] {
        let file = server.folder().join("film.bin");
        std::fs::write(&file, bytes(length)).expect("a file can be written");

        let output = run("sh", &script, &[file.to_str().expect("text")], &server);

        assert_stored(&output, &bytes(length));
    }
}

#[test]
fn the_python_client_uploads_a_file_and_goes_on_with_one() {
    let server = server_with_files();
    let script = client("#!/usr/bin/env python3", server.folder(), "upload.py");
    let file = server.folder().join("film.bin");
    let content = bytes(6_500_000);
    std::fs::write(&file, &content).expect("a file can be written");
    let file = file.to_str().expect("text");

    let output = run("python3", &script, &[file], &server);
    assert_stored(&output, &content);

    // A client that dies half way leaves an id behind: here one that was begun and of which one part was sent.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let id = runtime.block_on(begun_elsewhere(&server, &content));
    let output = run("python3", &script, &[file, &id], &server);
    assert_stored(&output, &content);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 6, "only what was missing is sent: {said}");
}

async fn begun_elsewhere(server: &TestServer, content: &[u8]) -> String {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let begun = http
        .post(format!("{}/upload/init", server.base))
        .header("X-API-Key", API_KEY)
        .header("Content-Type", "application/json")
        .body(format!(
            "{{\"filename\": \"film.bin\", \"total_size\": {}}}",
            content.len()
        ))
        .send()
        .await
        .expect("an answer");
    let begun: serde_json::Value = serde_json::from_str(&begun.text().await.expect("text")).expect("JSON");
    let id = begun["file_id"].as_str().expect("an id").to_owned();
    let part = http
        .put(format!("{}/upload/{id}/part/2", server.base))
        .bearer_auth(begun["parts"][2]["token"].as_str().expect("a token"))
        .body(content[2 << 20..3 << 20].to_vec())
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), 200);
    id
}
