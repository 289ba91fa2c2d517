//! A scanner that speaks ICAP sees what is uploaded, wherever it ends.

use muleteer::config::{BackendName, Config};

use super::api::{Api, id};
use super::icap_server::{INFECTED, IcapServer};
use super::on_both_with;

#[tokio::test]
async fn a_scanner_that_speaks_icap_is_shown_every_byte() {
    let scanner = IcapServer::start().await;
    for backend in [BackendName::S3, BackendName::Local] {
        let adjust = |config: &mut Config| {
            config.storage.backend = backend;
            config.protocols.tus.downloads = true;
            config.storage.local.path = format!("{}/uploads", config.data_dir);
            config.hooks.pre_complete.url.clone_from(&scanner.url);
            config.hooks.pre_complete.wait_s = 30;
        };
        on_both_with(adjust, async |server| {
            let api = Api::of(&server).outside().with("tus-resumable", "1.0.0");
            let clean: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
            for file in [&b""[..], b"abc", b"abcd", b"abcde", &clean] {
                let before = scanner.seen().len();
                let length = file.len().to_string();
                let api = api
                    .with("upload-length", &length)
                    .with("content-type", "application/offset+octet-stream");
                let sent = api.raw("POST", "/files", file.to_vec()).await;
                assert_eq!(sent.status, 201, "{length}: {}", sent.text());
                let seen = scanner.seen();
                assert_eq!(seen.len(), before + 1, "{length}");
                assert_eq!(seen[before].body, file);
                assert!(seen[before].heads.contains(&format!("Content-Length: {length}")));
                let file_at = sent.header("location").replace(&server.base, "");
                assert_eq!(api.raw("GET", &file_at, Vec::new()).await.body, file, "{length}");
            }

            let mut worm = clean.clone();
            worm.extend_from_slice(INFECTED);
            let length = worm.len().to_string();
            let sending = api
                .with("upload-length", &length)
                .with("content-type", "application/offset+octet-stream");
            let sent = sending.raw("POST", "/files", worm).await;
            assert_eq!(sent.status, 422, "{}", sent.text());
            assert!(sent.text().contains("Test-Signature"), "{}", sent.text());
            let uploads = Api::of(&server).get("/uploads?state=failed").await.expect(200);
            assert_eq!(uploads["uploads"].as_array().map(Vec::len), Some(1));
            let there = api.get(&format!("/files/{}", id(&uploads["uploads"][0]))).await;
            assert!((400..500).contains(&there.status), "{}", there.status);
        })
        .await;
    }
}
