//! What the first bytes of a file give away, whatever it is called.

use muleteer::config::Sniff;
use serde_json::{Value, json};

use super::api::{Api, Reply, all_parts};
use super::{PART, on_both, on_both_with, store_of};

const PAGE: &[u8] = b"<!DOCTYPE html><script>alert(document.domain)</script>";
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR and so on";

/// Sends one file straight to the store, and asks for its completion.
async fn send_picture(api: &Api, name: &str, bytes: &[u8]) -> (Value, Reply) {
    let wanted = json!({ "filename": name, "size": bytes.len(), "content_type": "image/png" });
    let upload = api.post("/uploads", &wanted).await.expect(201);
    for door in api.sign(&upload, all_parts(&upload)).await {
        let at = usize::try_from(PART * (door["number"].as_u64().expect("a number") - 1)).expect("small");
        let end = bytes.len().min(at + usize::try_from(PART).expect("small"));
        assert_eq!(api.put_part(&door, bytes[at..end].to_vec()).await, 200);
    }
    let reply = api.complete(&upload).await;
    (upload, reply)
}

#[tokio::test]
async fn a_page_that_is_called_a_picture_is_never_announced_and_nothing_of_it_stays() {
    on_both_with(
        |config| config.limits.types = vec!["image/*".into()],
        async |server| {
            let api = Api::of(&server);
            send_picture(&api, "a.png", PICTURE).await.1.expect(200);

            let (upload, refused) = send_picture(&api, "b.png", PAGE).await;
            let problem = refused.problem(415, "content-refused");
            assert_eq!(
                (&problem["found"], &problem["declared"]),
                (&json!("text/html"), &json!("image/png"))
            );
            assert_eq!(api.show(&upload).await["state"], "failed");
            let key = upload["key"].as_str().expect("a key");
            assert_eq!(store_of(&server).get(key).await.status, 404);

            // The same through the server.
            let tus = api
                .outside()
                .with("tus-resumable", "1.0.0")
                .with("upload-offset", "0");
            let begun = tus
                .with("upload-length", &PAGE.len().to_string())
                // name.png, image/png
                .with("upload-metadata", "filename bmFtZS5wbmc=,filetype aW1hZ2UvcG5n")
                .raw("POST", "/files", Vec::new())
                .await;
            assert_eq!(begun.status, 201, "{}", begun.text());
            let place = begun.header("location").to_owned();
            let patch = tus.with("content-type", "application/offset+octet-stream");
            let refused = patch.raw("PATCH", &place, PAGE.to_vec()).await;
            assert_eq!(refused.status, 415, "{}", refused.text());
        },
    )
    .await;
}

#[tokio::test]
async fn without_a_list_of_types_the_bytes_have_a_say_only_where_asked() {
    on_both(async |server| {
        send_picture(&Api::of(&server), "a.png", PAGE).await.1.expect(200);
    })
    .await;
    on_both_with(
        |config| config.limits.sniff = Sniff::Declared,
        async |server| {
            let api = Api::of(&server);
            send_picture(&api, "a.png", PAGE)
                .await
                .1
                .problem(415, "content-refused");
            send_picture(&api, "b.png", PICTURE).await.1.expect(200);
        },
    )
    .await;
}
