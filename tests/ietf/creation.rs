//! Section "Upload Creation": RUFH-10, 11, 18 to 23 and 28.

use muleteer::config::{Anonymous, Config};

use super::client::location;
use super::{MIB, VERSIONS, content, everywhere, here, here_with};

#[tokio::test]
async fn rufh_10_the_whole_content_in_one_request_is_stored_exactly() {
    everywhere(async |place| {
        for (version, size) in [(3, 5), (6, 2 * MIB + 7), (8, 1), (10, 9 * MIB)] {
            let client = place.speaking(version);
            let body = content(size);

            let done = client.create(true, &body).await;

            let path = location(done.early()[0]);
            let status = if version <= 6 { 201 } else { 200 };
            assert_eq!(done.expect(status).json()["size"], size);
            assert!(place.object(&path).await.as_ref() == Some(&body), "{version}");
        }
        let body = content(MIB + 3);
        let done = place
            .speaking(6)
            .ask_in_chunks("POST", "/files", &[("Upload-Complete", "?1")], &body)
            .await;
        let path = location(done.early()[0]);
        done.expect(201);
        assert!(place.object(&path).await == Some(body));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn rufh_11_the_answer_to_the_whole_content_says_complete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let done = client.create(true, b"abc").await.last;
            assert_eq!(client.is_complete(&done), Some(true), "{version}: {done:?}");
            assert_eq!(done.number("upload-offset"), 3);
            assert_eq!(
                done.field("location").is_some(),
                // tus-js-client asks for it up to 6.
                version <= 6,
                "{version}: {done:?}"
            );
            assert_eq!(done.header("content-type"), "application/json");
        }
        let done = place.client().create(true, b"abc").await.expect(200);
        assert_eq!(done.header("upload-complete"), "?1");
        assert_eq!(place.finished().await.len(), VERSIONS.count() + 1);
    })
    .await;
}

#[tokio::test]
async fn rufh_18_a_first_part_is_kept_and_its_address_told() {
    everywhere(async |place| {
        for (version, size) in [(3, 5), (5, 1), (6, MIB + 1), (10, 7)] {
            let client = place.speaking(version);
            let made = client.create(false, &content(size)).await.last;
            assert!((200..300).contains(&made.status), "{made:?}");
            assert_eq!(client.offset(&location(&made)).await, size);
        }
        let made = place.client().create(false, b"abc").await.expect(201);
        assert_eq!(place.client().offset(&location(&made)).await, 3);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn rufh_19_an_incomplete_creation_answers_201_and_says_incomplete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let made = client.create(false, b"abc").await.expect(201);
            assert_eq!(client.is_complete(&made), Some(false), "{version}: {made:?}");
            assert_eq!(made.number("upload-offset"), 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_20_an_incomplete_creation_tells_limits() {
    here(async |place| {
        for version in 6..=10 {
            let made = place.speaking(version).create(false, b"abc").await.expect(201);
            let limits = made.header("upload-limit");
            assert!(limits.contains("max-size="), "{version}: {made:?}");
            assert!(limits.contains("min-size=0"), "{version}: {made:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_21_the_address_is_the_same_in_the_104_and_in_the_final_answer() {
    here(async |place| {
        for version in VERSIONS {
            for body in [&b"abc"[..], b""] {
                let made = place.speaking(version).create(false, body).await;
                let early = made.early()[0].header("location");
                assert!(!early.is_empty());
                assert_eq!(made.last.header("location"), early, "{version}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_22_an_incomplete_and_empty_creation_makes_an_upload_at_0() {
    everywhere(async |place| {
        for version in [3, 6, 10] {
            let client = place.speaking(version);
            let made = client.create(false, b"").await.expect(201);
            assert_eq!(made.number("upload-offset"), 0);
            let path = location(&made);
            assert_eq!(client.offset(&path).await, 0);
            client.append(&path, 0, true, b"abc").await.expect(200);
            assert_eq!(place.object(&path).await, Some(b"abc".to_vec()));
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_23_a_complete_and_empty_creation_makes_an_empty_file() {
    everywhere(async |place| {
        for version in [3, 6, 10] {
            let client = place.speaking(version);
            let done = client.create(true, b"").await;
            let path = location(done.early()[0]);
            assert!((200..300).contains(&done.last.status), "{:?}", done.last);
            assert_eq!(client.is_complete(&done.last), Some(true));
            assert_eq!(place.object(&path).await, Some(Vec::new()));
        }
        // Of no known length before it ends.
        let fields = [("Upload-Complete", "?1")];
        let done = place
            .speaking(10)
            .ask_in_chunks("POST", "/files", &fields, b"")
            .await;
        let path = location(done.early()[0]);
        done.expect(200);
        assert_eq!(place.object(&path).await, Some(Vec::new()));
        // Without a word about its length.
        let client = place.speaking(10);
        let head = client.head_of("POST", "/files", &fields);
        assert_eq!(client.raw(head.as_bytes()).await.expect(200).json()["size"], 0);
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn rufh_28_put_creates_like_post_and_no_other_method_does() {
    here(async |place| {
        let client = place.speaking(6);
        let fields = [("Upload-Complete", "?1")];

        let done = client.ask("PUT", "/files", &fields, b"abc").await;

        let path = location(done.early()[0]);
        done.expect(201);
        assert_eq!(place.object(&path).await, Some(b"abc".to_vec()));
        let refused = client.ask("PATCH", "/files", &fields, b"abc").await.expect(405);
        assert_eq!(refused.header("allow"), "OPTIONS, POST, PUT");
        assert_eq!(place.uploads().await, 1);
    })
    .await;
}

#[tokio::test]
async fn uploads_are_their_owners_alone() {
    let known_alone = |config: &mut Config| config.auth.anonymous = Anonymous::Off;
    here_with(known_alone, async |place| {
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        let stranger = place.stranger().await.speaking(6);
        let nobody = client.without("X-API-Key");

        assert_eq!(stranger.look(&path).await.status, 404);
        assert_eq!(stranger.append(&path, 3, true, b"d").await.last.status, 404);
        assert_eq!(stranger.cancel(&path).await.status, 404);
        assert_eq!(nobody.look(&path).await.status, 401);
        assert_eq!(nobody.create(true, b"abc").await.last.status, 401);

        assert_eq!(client.offset(&path).await, 3);
    })
    .await;
}
