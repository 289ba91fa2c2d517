//! How each protocol begins an upload.
//!
//! Separate from the tests that hold all of them to one rule, so that a new door is known to each.

use muleteer::config::Config;
use serde_json::{Value, json};

use super::PART;
use super::api::{Api, Reply};
use super::page::{EMPTY, KEY_ID, Written, hash_of};
use super::server::TestServer;

/// All that begin with one request.
pub const DOORS: [&str; 11] = [
    "native",
    "chunks",
    "tus",
    "ietf",
    "offset",
    "uppy",
    "uppy form",
    "uppy presign",
    "mule",
    "evaporate",
    "fine uploader",
];

/// Opens those that have to be, with the key that their pages go by.
pub fn open_all(config: &mut Config) {
    KEY_ID.clone_into(&mut config.dev_s3.access_key_id);
    config.protocols.uppy.presign = true;
}

/// What the native API is told of a picture of two parts.
pub fn of_image(name: &str) -> Value {
    json!({ "filename": name, "size": 2 * PART, "content_type": "image/png", "metadata": { "album": "7" } })
}

/// Begins an upload of the holder of the server's key by one of the [doors](DOORS); what a refusal looks like is what its
/// clients read.
pub async fn begin_by(door: &str, server: &TestServer) -> Reply {
    let api = Api::of(server).outside();
    match door {
        "native" => api.post("/api/v1/uploads", &of_image("a.png")).await,
        "chunks" => {
            let wanted = json!({ "filename": "a.png", "total_size": 2 * PART });
            api.post("/upload/init", &wanted).await
        }
        "tus" => {
            let length = (2 * PART).to_string();
            let api = api.with("tus-resumable", "1.0.0").with("upload-length", &length);
            api.with("upload-metadata", "filename YS5wbmc=")
                .raw("POST", "/files", Vec::new())
                .await
        }
        "ietf" => {
            let api = api.with("upload-draft-interop-version", "6");
            api.with("upload-complete", "?0")
                .raw("POST", "/files", Vec::new())
                .await
        }
        "offset" => {
            let wanted = json!({ "bytes": 2 * PART, "name": "a.png" });
            api.put("/chunk", &wanted).await
        }
        "uppy" => {
            let wanted = json!({ "filename": "a.png", "type": "image/png", "metadata": {} });
            api.post("/s3/multipart", &wanted).await
        }
        "uppy form" => api.get("/s3/params?filename=a.png&type=image/png").await,
        "uppy presign" => {
            let wanted = json!({ "method": "POST", "key": "a.png" });
            api.post("/s3/presign", &wanted).await
        }
        "mule" => {
            let query =
                "key=a.png&mime_type=image%2Fpng&filename=a.png&filesize=32&last_modified=1777975200000";
            api.get(&format!(
                "/upload-backend/get_init_signature/?{query}&signature_version=4"
            ))
            .await
        }
        "evaporate" => {
            api.get(&format!("/evaporate/sign?{}", asked_of_evaporate(server)))
                .await
        }
        "fine uploader" => {
            let wanted = json!({ "headers": asked_of_fine_uploader(server) });
            api.post("/fineuploader/signature?v4=true", &wanted).await
        }
        other => panic!("no such door: {other}"),
    }
}

/// What Evaporate writes to begin, as the query of the question for its signature.
fn asked_of_evaporate(server: &TestServer) -> String {
    let host = server.store.trim_start_matches("http://").rsplit_once(':');
    let path = format!("/{}/pages/default/a.png", server.config.dev_s3.bucket);
    let (host, _) = host.expect("a port");
    let written = Written::new("POST", host, &path, "uploads=", EMPTY, server.clock.now());
    let canonical = written.canonical();
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("to_sign", &written.to_sign(&hash_of(&canonical)))
        .append_pair("datetime", &written.date)
        .append_pair("canonical_request", &canonical)
        .finish()
}

/// What Fine Uploader writes to begin.
fn asked_of_fine_uploader(server: &TestServer) -> String {
    let host = server.store.trim_start_matches("http://");
    let host = format!("{host}/{}", server.config.dev_s3.bucket);
    let now = server.clock.now();
    let written = Written::new("POST", &host, "/pages/default/b.png", "uploads=", EMPTY, now)
        .with("x-amz-content-sha256", EMPTY)
        .with("x-amz-acl", "private");
    written.to_sign(&written.canonical())
}
