//! Digests that a client claims for a part: what they do not fit is not stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::client::{Client, sha256};
use super::{everywhere, on_both};

fn digest_header(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

#[tokio::test]
async fn a_right_digest_is_taken_and_a_wrong_one_leaves_the_part_pending() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for (name, right, wrong) in [
            ("content-digest", digest_header(b"hello"), digest_header(b"other")),
            ("repr-digest", digest_header(b"hello"), digest_header(b"other")),
            ("x-checksum-sha256", sha256(b"hello"), sha256(b"other")),
            ("x-checksum-sha256", sha256(b"hello").to_uppercase(), sha256(b"")),
        ] {
            let upload = client.init("a", 5).await;
            let claiming = |digest: &str| client.with(name, digest);

            claiming(&wrong)
                .put(&upload, 0, "hello")
                .await
                .error(400, "checksum_mismatch");
            assert_eq!(client.part_states(&upload).await, "p", "{name}");
            let stored = claiming(&right).put(&upload, 0, "hello").await.expect(200);

            assert_eq!(stored["checksum_sha256"], sha256(b"hello"));
            // A claim is held against what is sent, also where the part is there already.
            claiming(&wrong)
                .put(&upload, 0, "hello")
                .await
                .error(400, "checksum_mismatch");
            assert_eq!(client.part_states(&upload).await, "u", "{name}");
            let path = client.finish(&upload).await;
            assert_eq!(place.object(&path).await.as_deref(), Some(b"hello".as_slice()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_digest_that_cannot_be_read_is_refused() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        let plain = STANDARD.encode(Sha256::digest(b"hello"));
        for (name, value) in [
            ("content-digest", format!("sha-256={plain}")),
            ("content-digest", "sha-256=:AAAA:".to_owned()),
            ("content-digest", "sha-256=:***:".to_owned()),
            ("repr-digest", "sha-256=".to_owned()),
            ("x-checksum-sha256", plain.clone()),
            ("x-checksum-sha256", "abc".to_owned()),
            ("x-checksum-sha256", String::new()),
        ] {
            let refused = client.with(name, &value).put(&upload, 0, "hello").await;

            let refused = refused.error(400, "invalid_request");
            let field = refused["details"][0]["field"]
                .as_str()
                .expect("a field")
                .to_lowercase();
            assert_eq!(field, name, "{value}: {refused}");
        }
        assert_eq!(client.part_states(&upload).await, "p");
    })
    .await;
}

#[tokio::test]
async fn digests_of_other_kinds_are_left_alone() {
    on_both(async |place| {
        let client = Client::of(&place);
        let long = STANDARD.encode(Sha512::digest(b"other"));
        for value in [
            format!("sha-512=:{long}:"),
            format!("sha-512=:{long}:, {}", digest_header(b"hello")),
            "md5=:AAAA:".to_owned(),
        ] {
            let upload = client.init("a", 5).await;
            client
                .with("content-digest", &value)
                .put(&upload, 0, "hello")
                .await
                .expect(200);
        }
    })
    .await;
}
