//! Digests: RUFH-80 to 82.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::client::{location, problem};
use super::{MIB, content, everywhere, here};

fn sha256(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

fn sha512(bytes: &[u8]) -> String {
    format!("sha-512=:{}:", STANDARD.encode(Sha512::digest(bytes)))
}

#[tokio::test]
async fn rufh_80_content_with_a_wrong_digest_is_refused_and_nothing_of_it_stays() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(MIB + 9);
        let path = client.begin(&body[..10]).await;
        let (rest, other) = (&body[10..], &body[..100]);
        for wrong in [
            sha256(other),
            sha512(other),
            format!("{}, {}", sha256(rest), sha512(other)),
            format!("unixsum=:AA==:, {}", sha256(other)),
        ] {
            let digest = [("Content-Digest", wrong.as_str())];
            let refused = client
                .append_with(&path, 10, true, &digest, rest)
                .await
                .expect(400);
            assert_eq!(problem(&refused), "/problems/checksum-mismatch");
            assert_eq!(client.offset(&path).await, 10, "{wrong}");
        }
        let digest = [("Content-Digest", "sha-256=:AAAA:")];
        client
            .append_with(&path, 10, true, &digest, rest)
            .await
            .expect(400);

        let right = sha512(rest);
        let digest = [("Content-Digest", right.as_str())];
        client
            .append_with(&path, 10, true, &digest, rest)
            .await
            .expect(200);
        assert!(place.object(&path).await == Some(body));
    })
    .await;
}

#[tokio::test]
async fn rufh_80_a_cut_body_with_a_digest_keeps_nothing() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(100_000);
        let path = client.begin(b"abc").await;
        let digest = sha256(&body);
        let fields = [("Content-Digest", digest.as_str()), ("Content-Length", "100000")];
        let connection = client.half_append(&path, 3, true, &fields, &body[..60_000]).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        drop(connection);
        assert_eq!(client.offset(&path).await, 3);
        client
            .append_with(&path, 3, true, &fields[..1], &body)
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn rufh_80_a_creation_with_a_wrong_digest_leaves_nothing() {
    everywhere(async |place| {
        for is_last in [true, false] {
            let client = place.speaking(6);
            let wrong = sha256(b"other");
            let digest = [("Content-Digest", wrong.as_str())];
            let refused = client.create_with(is_last, &digest, &content(MIB)).await;
            let path = location(refused.early()[0]);
            assert_eq!(problem(&refused.expect(400)), "/problems/checksum-mismatch");
            assert!(matches!(client.look(&path).await.status, 404 | 410));
        }
        assert!(place.is_clean().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
        let client = place.speaking(6);
        let right = sha256(b"abc");
        let digest = [("Content-Digest", right.as_str())];
        client.create_with(true, &digest, b"abc").await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn rufh_81_the_digest_of_the_whole_file_is_held_against_it_at_the_end() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(MIB + 9);
        let claimed = sha256(&body);
        let digest = [("Repr-Digest", claimed.as_str())];
        let whole = client.create_with(true, &digest, &body).await;
        whole.expect(201);
        let path = location(&client.create_with(false, &digest, &body[..10]).await.expect(201));
        client.append(&path, 10, true, &body[10..]).await.expect(200);
        assert_eq!(place.finished().await.len(), 2);

        let wrong = sha256(b"other");
        let digest = [("Repr-Digest", wrong.as_str())];
        let refused = client.create_with(true, &digest, &body).await;
        let first = location(refused.early()[0]);
        let refused = refused.expect(400);
        assert_eq!(problem(&refused), "/problems/checksum-mismatch");
        assert_eq!(client.is_complete(&refused), Some(false));
        let second = location(&client.create_with(false, &digest, &body[..10]).await.expect(201));
        let refused = client.append(&second, 10, true, &body[10..]).await.expect(400);
        assert_eq!(client.is_complete(&refused), Some(false));

        for path in [first, second] {
            assert!(matches!(client.look(&path).await.status, 404 | 410));
            assert_eq!(place.object(&path).await, None);
        }
        assert_eq!(place.finished().await.len(), 2, "nothing was published");
        let unreadable = [("Repr-Digest", "sha-256=:AAAA:")];
        client.create_with(true, &unreadable, &body).await.expect(400);
        // What we do not know is no claim to us: a device sends such.
        let unknown = [("Repr-Digest", "xxh64=:2Dw7zeWSRAI=:")];
        client.create_with(true, &unknown, &body).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn rufh_82_the_digest_of_the_whole_file_is_told_to_who_wants_it() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(MIB + 9);
        for (wanted, expected) in [
            ("sha-256=1", Some(sha256(&body))),
            ("sha-512=10, sha-256=1", Some(sha512(&body))),
            ("md5=10, sha-512=3", Some(sha512(&body))),
            ("md5=10", None),
            ("sha-256=0", None),
            ("nonsense=", None),
        ] {
            let want = [("Want-Repr-Digest", wanted)];
            let done = client.create_with(true, &want, &body).await.expect(201);
            assert_eq!(done.field("repr-digest"), expected, "{wanted}");

            // Asked for at the beginning, told at the end.
            let path = location(&client.create_with(false, &want, &body[..10]).await.expect(201));
            let done = client.append(&path, 10, true, &body[10..]).await.expect(200);
            assert_eq!(done.field("repr-digest"), expected, "{wanted}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_82_a_digest_that_was_claimed_is_told_without_reading_again_and_the_last_request_may_ask() {
    here(async |place| {
        let client = place.speaking(10);
        let (body, claimed) = (content(1000), sha256(&content(1000)));
        let fields = [
            ("Repr-Digest", claimed.as_str()),
            ("Want-Repr-Digest", "sha-256=5"),
        ];
        let done = client.create_with(true, &fields, &body).await.expect(200);
        assert_eq!(done.header("repr-digest"), claimed);

        let path = client.begin(&body[..10]).await;
        let want = [("Want-Repr-Digest", "sha-512=5")];
        let done = client
            .append_with(&path, 10, true, &want, &body[10..])
            .await
            .expect(200);
        assert_eq!(done.header("repr-digest"), sha512(&body));
        assert_eq!(
            client
                .append(&path, 1000, true, b"")
                .await
                .expect(200)
                .field("repr-digest"),
            None
        );
    })
    .await;
}
