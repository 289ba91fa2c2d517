//! The client that `docs/offset-chunks.md` prints, run as it stands there.

use std::process::Command;

use super::client::id_of;
use super::server::API_KEY;
use super::{bytes, here};

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_client_uploads_a_file() {
    here(async |place| {
        let guide = include_str!("../../docs/offset-chunks.md");
        let start = guide
            .find("#!/usr/bin/env python3")
            .expect("the guide has a client");
        let code = guide[start..].split("\n```").next().expect("a block ends");
        let client = place.folder().join("send.py");
        std::fs::write(&client, code).expect("written");
        let file = place.folder().join("a file.bin");
        let content = bytes(9_000_000);
        std::fs::write(&file, &content).expect("written");

        let (base, program) = (place.base.clone(), client.clone());
        let output = tokio::task::spawn_blocking(move || {
            Command::new("python3")
                .arg(program)
                .arg(file)
                .env("URL", base)
                .env("API_KEY", API_KEY)
                .output()
        });
        let output = output
            .await
            .expect("run")
            .expect("python3 is needed for this test");

        assert!(output.status.success(), "{output:?}");
        let session = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(place.object_of(&id_of(&session)).await == Some(content));
    })
    .await;
}
