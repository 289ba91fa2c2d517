//! Bytes that pass through us and are changed behind us: what the store got in place of others never counts.
//!
//! Separate from the thousand cases of [`lying`](super::lying), whose client tells checksums: here nobody but us can tell.

use serde_json::{Value, json};

use super::api::{Api, Reply, file, id, listed};
use super::lying_proxy::LyingProxy;
use super::{TestServer, start, store_of};
use crate::server::Kind;

/// Enough of them that no trying again gets past.
const ALL: usize = 1000;

/// A server whose way to its store is spoilt where the test says so, and how to speak with it.
struct Line {
    /// It has the store.
    server: TestServer,
    /// It goes through the proxy.
    _second: TestServer,
    proxy: LyingProxy,
    api: Api,
}

impl Line {
    async fn new() -> Self {
        let proxy = LyingProxy::start().await;
        let server = start(Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
        proxy.lead_to(&server.store);
        let mut beside = crate::around::beside(&server);
        beside.s3.endpoint.clone_from(&proxy.url);
        let second = TestServer::start(Kind::Sqlite, |config| *config = beside);
        let second = second.expect("SQLite is never skipped");
        Self {
            api: Api::of(&server).moved_to(&second.base),
            server,
            _second: second,
            proxy,
        }
    }

    async fn holds(&self, key: &Value, bytes: &[u8]) {
        let object = store_of(&self.server).get(key.as_str().expect("a key")).await;
        assert!(object.body == bytes, "the object is not the file");
    }

    /// What was stored of the upload in the end, whose door does not tell its key.
    async fn holds_upload(&self, id: &str, bytes: &[u8]) {
        let shown = self.api.get(&format!("/uploads/{id}")).await.expect(200);
        assert_eq!(shown["state"], "complete", "{shown}");
        self.holds(&shown["key"], bytes).await;
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|n| u8::try_from(n % 251).unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn a_part_of_the_native_api_is_sent_again() {
    let line = Line::new().await;
    let bytes = content(11);
    // Of this one the store makes checksums, and of the next it does not.
    let summed = json!({ "filename": "b.bin", "size": 11, "checksums": true });
    line.api.post("/uploads", &summed).await.expect(201);
    let upload = line.api.post("/uploads", &file("a.bin", 11)).await.expect(201);
    let part = format!("/uploads/{}/parts/1/content", id(&upload));

    line.proxy.spoil(ALL);
    let refused = line.api.raw("PUT", &part, bytes.clone()).await;
    line.proxy.spoil(0);

    refused.problem(503, "unavailable");
    assert_eq!(listed(&line.api.show(&upload).await), Vec::<u64>::new());
    line.api.complete(&upload).await.problem(409, "incomplete");
    line.api.raw("PUT", &part, bytes.clone()).await.expect(200);
    let done = line.api.complete(&upload).await.expect(200);
    line.holds(&done["key"], &bytes).await;
}

#[tokio::test]
async fn a_part_of_the_chunk_server_is_sent_again() {
    let line = Line::new().await;
    let bytes = content(11);
    let outside = line.api.outside();
    let begun = outside.with("content-type", "application/json");
    let wanted = json!({ "filename": "c.bin", "total_size": 11 }).to_string();
    let begun = begun.raw("POST", "/upload/init", wanted.into()).await.expect(200);
    let upload = begun["file_id"].as_str().expect("an id");
    let sender = outside.bearing(&begun["parts"][0]["token"]);
    let part = format!("/upload/{upload}/part/0");

    // One alone: nobody sends it a second time but its client.
    line.proxy.spoil(1);
    let refused = sender.raw("PUT", &part, bytes.clone()).await;

    assert_eq!(refused.status, 503, "{}", refused.text());
    let whole = outside
        .raw("POST", &format!("/upload/{upload}/complete"), Vec::new())
        .await;
    assert!(whole.status >= 400, "{}", whole.text());
    sender
        .outside()
        .raw("PUT", &part, bytes.clone())
        .await
        .expect(200);
    outside
        .raw("POST", &format!("/upload/{upload}/complete"), Vec::new())
        .await
        .expect(200);
    let all = line.api.get("/uploads").await.expect(200);
    line.holds_upload(id(&all["uploads"][0]), &bytes).await;
}

#[tokio::test]
async fn what_is_appended_is_sent_again_from_where_the_right_bytes_end() {
    let line = Line::new().await;
    let tus = line.api.outside().with("tus-resumable", "1.0.0");
    for size in [9, 6000] {
        let bytes = content(size);
        let created = tus
            .with("upload-length", &size.to_string())
            .raw("POST", "/files", Vec::new())
            .await;
        assert_eq!(created.status, 201, "{}", created.text());
        let location = created.header("location").to_owned();
        let upload = location.rsplit('/').next().expect("an id").to_owned();
        let path = format!("/files/{upload}");
        let patch = async |offset: usize| -> Reply {
            let api = tus
                .with("upload-offset", &offset.to_string())
                .with("content-type", "application/offset+octet-stream");
            api.raw("PATCH", &path, bytes[offset..].to_vec()).await
        };

        line.proxy.spoil(ALL);
        let refused = patch(0).await;
        line.proxy.spoil(0);

        assert_eq!(refused.status, 503, "{}", refused.text());
        let looked = tus.raw("HEAD", &path, Vec::new()).await;
        assert_eq!(looked.header("upload-offset"), "0", "{size} bytes");
        // One that is spoilt is sent again by us, and its client learns nothing of it.
        line.proxy.spoil(1);
        let taken = patch(0).await;
        assert_eq!(taken.status, 204, "{}", taken.text());
        line.holds_upload(&upload, &bytes).await;
    }
}
