//! Digests of chunks and of whole files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::{Client, at, error, id_of, standing};
use super::everywhere;

fn sha256(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

#[tokio::test]
async fn a_chunk_with_another_digest_is_not_stored() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        let send = async |field: &'static str, value: String| {
            client
                .ask("PUT", &at(&session, 0), &[(field, value.as_str())], b"abcde")
                .await
        };

        for (field, value) in [
            ("Content-Digest", sha256(b"other")),
            ("Content-MD5", md5(b"other")),
        ] {
            let refused = error(&send(field, value).await, 400, "digest");
            assert_eq!(standing(&refused), 0);
        }
        for (field, value) in [("Content-Digest", "sha-256=:x:"), ("Content-MD5", "short")] {
            let refused = error(&send(field, value.to_owned()).await, 400, "invalid_request");
            assert_eq!(
                (standing(&refused), &refused["details"][0]["field"]),
                (0, &json!(field))
            );
        }
        send("Content-MD5", md5(b"abcde")).await.expect(201);
        let rest = sha256(b"fghij");
        let answer = client
            .ask(
                "PUT",
                &at(&session, 5),
                &[("Content-Digest", rest.as_str())],
                b"fghij",
            )
            .await;
        answer.expect(200);
        assert_eq!(place.object_of(&id_of(&session)).await.unwrap(), b"abcdefghij");
    })
    .await;
}

#[tokio::test]
async fn a_file_with_another_digest_than_was_promised_is_not_kept() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let promised = hex::encode(Sha256::digest(b"abcde"));
        let begin = json!({ "bytes": 5, "name": "a", "sha256": promised }).to_string();
        let started = async || {
            let answer = client.start_with(&begin).await.expect(202).json();
            answer["session_id"].as_str().unwrap().to_owned()
        };

        let right = started().await;
        client.put(&right, 0, b"abcde").await.expect(200);
        let wrong = started().await;
        let told = error(&client.put(&wrong, 0, b"edcba").await, 400, "digest");
        assert_eq!(told["session_id"], json!(null), "there is none any more: {told}");

        assert_eq!(place.object_of(&id_of(&right)).await.unwrap(), b"abcde");
        assert_eq!(place.object_of(&id_of(&wrong)).await, None);
        error(&client.put(&wrong, 0, b"abcde").await, 404, "not_found");
    })
    .await;
}
