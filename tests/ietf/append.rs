//! Section "Upload Append": RUFH-40 to 42, 50, 51, 53, 55 and 58.

use super::client::{location, problem, registered};
use super::{MIB, VERSIONS, content, everywhere, here};

#[tokio::test]
async fn rufh_40_parts_make_a_file() {
    everywhere(async |place| {
        for (version, sizes) in [
            (3, vec![1, 0, 7, 3]),
            (6, vec![MIB, 5, MIB + 1, 7]),
            (10, vec![3 * MIB, 4 * MIB, 1]),
        ] {
            let client = place.speaking(version);
            let body = content(sizes.iter().sum());
            let path = client.begin(b"").await;
            let mut offset = 0;
            for (n, size) in sizes.iter().enumerate() {
                let is_last = n + 1 == sizes.len();
                let piece = &body[offset..offset + size];
                let done = client.append(&path, offset, is_last, piece).await.last;
                assert!((200..300).contains(&done.status), "{version}: {done:?}");
                assert_eq!(client.is_complete(&done), Some(is_last), "{version}: {done:?}");
                offset += size;
            }
            assert!(place.object(&path).await == Some(body), "{version}");
        }
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn rufh_41_an_answer_in_between_says_incomplete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let done = client.append(&path, 3, false, b"de").await;
            let done = done.expect(if version <= 5 { 201 } else { 204 });
            assert_eq!(client.is_complete(&done), Some(false), "{version}: {done:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_42_every_answer_to_content_tells_the_offset() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let between = client.append(&path, 3, false, b"de").await.last;
            assert_eq!(between.number("upload-offset"), 5);
            let last = client.append(&path, 5, true, b"f").await.expect(200);
            assert_eq!(last.number("upload-offset"), 6);
            assert_eq!(last.json()["size"], 6);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_50_all_bytes_are_not_the_end_before_it_is_said() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let length = [("Upload-Length", "6")];
        let made = client.create_with(false, &length, b"abc").await.expect(201);
        let path = location(&made);

        client.append(&path, 3, false, b"def").await.expect(204);

        let told = client.look(&path).await;
        assert_eq!(told.number("upload-offset"), 6);
        assert_eq!(client.is_complete(&told), Some(false));
        assert_eq!(place.finished().await, Vec::<String>::new());
        client.append(&path, 6, true, b"").await.expect(200);
        assert_eq!(place.object(&path).await, Some(b"abcdef".to_vec()));
        assert_eq!(client.is_complete(&client.look(&path).await), Some(true));
    })
    .await;
}

#[tokio::test]
async fn rufh_51_nothing_more_completes_an_upload_of_unknown_length() {
    everywhere(async |place| {
        for first in [&b"abc"[..], b""] {
            let client = place.speaking(6);
            let path = client.begin(first).await;
            let done = client.append(&path, first.len(), true, b"").await.expect(200);
            assert_eq!(client.is_complete(&done), Some(true));
            assert_eq!(place.object(&path).await, Some(first.to_vec()));
        }
        // And one whose last content says nothing of its length.
        let client = place.speaking(10);
        let path = client.begin(b"abc").await;
        let fields = client.appending("3", true);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        client
            .ask_in_chunks("PATCH", &path, &fields, b"def")
            .await
            .expect(200);
        assert_eq!(place.object(&path).await, Some(b"abcdef".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn rufh_53_the_length_may_come_late_and_then_stays() {
    here(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let told = |text: &'static str| [("Upload-Length", text)];
            client
                .append_with(&path, 3, false, &told("10"), b"d")
                .await
                .expect(204);

            for other in ["11", "9"] {
                let refused = client.append_with(&path, 4, false, &told(other), b"e").await;
                let refused = refused.expect(400);
                assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
            }

            let state = client.look(&path).await;
            assert_eq!(
                (state.number("upload-offset"), state.number("upload-length")),
                (4, 10)
            );
            client
                .append_with(&path, 4, false, &told("10"), b"e")
                .await
                .expect(204);
            // The end of the last content tells a length as well.
            let refused = client.append(&path, 5, true, b"f").await.expect(400);
            assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
            client.append(&path, 5, true, b"fghij").await.expect(200);
        }
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        let less = [("Upload-Length", "2")];
        client.append_with(&path, 3, false, &less, b"").await.expect(400);
        assert_eq!(client.look(&path).await.field("upload-length"), None);
    })
    .await;
}

#[tokio::test]
async fn rufh_55_the_last_request_can_be_repeated_with_the_same_answer() {
    everywhere(async |place| {
        for version in [3, 6, 10] {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let first = client.append(&path, 3, true, b"de").await.expect(200);
            for _ in 0..2 {
                let again = client.append(&path, 5, true, b"").await.expect(200);
                assert_eq!(again.json(), first.json());
                assert_eq!(client.is_complete(&again), Some(true));
                assert_eq!(again.number("upload-offset"), 5);
            }
        }
        assert_eq!(place.finished().await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn rufh_58_who_names_no_version_later_is_answered_in_that_of_the_beginning() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let quiet = client.quietly();

            let told = quiet.look(&path).await.expect(204);

            assert_eq!(client.is_complete(&told), Some(false), "{version}: {told:?}");
            assert_eq!(told.header("upload-draft-interop-version"), version.to_string());
            if version >= 6 {
                let age = if version == 6 { "expires=" } else { "max-age=" };
                assert!(told.header("upload-limit").contains(age), "{version}: {told:?}");
            }
            let fields = [
                ("Upload-Offset", "3"),
                (client.completeness(), client.says(false)),
            ];
            let untyped = quiet.ask("PATCH", &path, &fields, b"d").await.last;
            assert_eq!(untyped.status, if version <= 5 { 201 } else { 415 }, "{version}");
            let end = client.offset(&path).await;
            quiet.append(&path, end, false, b"e").await;
            assert_eq!(client.offset(&path).await, end + 1);
            assert_eq!(quiet.cancel(&path).await.status, 204);
        }
    })
    .await;
}
