//! Section "Upload Append": what is not taken, RUFH-43 to 49, 52, 54 and 57. Nothing is changed by it.

use super::client::{Client, location, problem, registered};
use super::time_line::{assert_tells, assert_tells_nothing, page_of_upload};
use super::{MIB, VERSIONS, content, everywhere, here};

/// An upload that has three bytes, and perhaps a length.
async fn three_bytes(client: &Client, length: Option<&str>) -> String {
    let fields: Vec<(&str, &str)> = length
        .map(|length| ("Upload-Length", length))
        .into_iter()
        .collect();
    location(&client.create_with(false, &fields, b"abc").await.expect(201))
}

#[tokio::test]
async fn rufh_43_a_wrong_offset_is_refused_with_the_right_one() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let path = three_bytes(&client, None).await;
        for offset in [0, 2, 4, 1000] {
            for is_last in [false, true] {
                let refused = client.append(&path, offset, is_last, b"xyz").await.expect(409);
                assert_eq!(refused.number("upload-offset"), 3);
            }
        }
        client.append(&path, 3, true, b"def").await.expect(200);
        assert_eq!(place.object(&path).await, Some(b"abcdef".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn rufh_44_a_wrong_offset_is_answered_as_incomplete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = three_bytes(&client, None).await;
            let refused = client.append(&path, 5, true, b"x").await.expect(409);
            assert_eq!(
                client.is_complete(&refused),
                Some(false),
                "{version}: {refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_in_the_drafts_own_words_is_in_the_uploads_time_line() {
    here(async |place| {
        let client = place.speaking(6);
        let path = three_bytes(&client, None).await;
        let id = place.at(&path).await.id;
        let time_line = async || page_of_upload(&place.base, id.as_str()).await;
        assert_tells_nothing(&time_line().await);

        client.append(&path, 5, false, b"x").await.expect(409);
        let of_nothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        let digest = [("Content-Digest", of_nothing)];
        let damaged = client.append_with(&path, 3, false, &digest, b"def").await;
        damaged.expect(400);

        let told = time_line().await;
        for problem in ["mismatching-upload-offset", "checksum-mismatch"] {
            assert_tells(&told, problem, "PATCH /files/{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_45_a_wrong_offset_is_a_problem_with_both_offsets() {
    here(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            let path = three_bytes(&client, None).await;
            let refused = client.append(&path, 5, false, b"x").await.expect(409);
            assert_eq!(problem(&refused), registered("mismatching-upload-offset"));
            assert_eq!(refused.json()["expected-offset"], 3);
            assert_eq!(refused.json()["provided-offset"], 5);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_46_another_media_type_is_refused_from_version_6_on() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let types: [&[(&str, &str)]; 4] = [
                &[],
                &[("Content-Type", "video/mp4")],
                &[("Content-Type", "application/offset+octet-stream")],
                &[("Content-Type", "application/partial-uploads")],
            ];
            for kind in types {
                let path = three_bytes(&client, None).await;
                let mut fields = vec![
                    ("Upload-Offset", "3"),
                    (client.completeness(), client.says(false)),
                ];
                fields.extend_from_slice(kind);
                let answer = client.ask("PATCH", &path, &fields, b"d").await.last;
                if version >= 6 {
                    assert_eq!(answer.status, 415, "{version} {kind:?}");
                    assert_eq!(answer.header("accept-patch"), "application/partial-upload");
                    assert_eq!(client.offset(&path).await, 3);
                } else {
                    assert_eq!(client.offset(&path).await, 4, "{version} {kind:?}");
                }
            }
            let path = three_bytes(&client, None).await;
            let fields = [
                ("Upload-Offset", "3"),
                (client.completeness(), client.says(false)),
                ("Content-Type", "Application/Partial-Upload; charset=x"),
            ];
            client.ask("PATCH", &path, &fields, b"d").await;
            assert_eq!(client.offset(&path).await, 4, "{version}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_47_a_missing_or_unreadable_offset_is_refused() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = three_bytes(&client, None).await;
            let common = [
                ("Content-Type", "application/partial-upload"),
                (client.completeness(), client.says(true)),
            ];
            client.ask("PATCH", &path, &common, b"d").await.expect(400);
            for offset in [
                "-1",
                "abc",
                "3.0",
                "1e3",
                "0x3",
                "?1",
                "\"3\"",
                "",
                "1000000000000000",
            ] {
                let fields = [&common[..], &[("Upload-Offset", offset)]].concat();
                let refused = client.ask("PATCH", &path, &fields, b"d").await.last;
                assert_eq!(refused.status, 400, "{version} {offset}: {refused:?}");
            }
            let twice = [&common[..], &[("Upload-Offset", "3"), ("Upload-Offset", "3")]].concat();
            client.ask("PATCH", &path, &twice, b"d").await.expect(400);
            assert_eq!(client.offset(&path).await, 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_48_silence_about_completeness_is_refused_from_version_7_on_and_was_the_end_before() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            for unreadable in [None, Some("yes")] {
                let path = three_bytes(&client, None).await;
                let mut fields = vec![
                    ("Content-Type", "application/partial-upload"),
                    ("Upload-Offset", "3"),
                ];
                fields.extend(unreadable.map(|value| (client.completeness(), value)));
                let answer = client.ask("PATCH", &path, &fields, b"d").await.last;
                let told = client.look(&path).await;
                if version >= 7 {
                    assert_eq!(answer.status, 400, "{version}");
                    assert_eq!(told.number("upload-offset"), 3);
                } else {
                    assert_eq!(answer.status, 200, "{version}");
                    assert_eq!(client.is_complete(&told), Some(true), "{version}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_49_content_past_the_length_is_refused_before_it_is_read() {
    here(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            for is_last in [false, true] {
                let path = three_bytes(&client, Some("5")).await;
                let length = [("Content-Length", "3")];
                let mut connection = client.half_append(&path, 3, is_last, &length, b"").await;

                let refused = connection.answer().await.expect(400);

                assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
                assert_eq!(client.offset(&path).await, 3);
                client.append(&path, 3, true, b"de").await.expect(200);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_57_content_that_ran_past_the_length_voids_the_upload_from_version_8_on() {
    everywhere(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            for (is_last, size) in [(false, 3), (true, 2 * MIB)] {
                let path = three_bytes(&client, Some("5")).await;
                let fields = client.appending("3", is_last);
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let body = content(size);

                let refused = client.ask_in_chunks("PATCH", &path, &fields, &body).await.last;

                assert_eq!(refused.status, 400, "{version}: {refused:?}");
                assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
                let told = client.look(&path).await;
                if version >= 8 {
                    assert!(matches!(told.status, 404 | 410), "{version}: {told:?}");
                } else {
                    assert!(told.number("upload-offset") <= 5, "{version}: {told:?}");
                }
            }
        }
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn rufh_52_an_end_that_comes_too_soon_is_refused_and_completes_nothing() {
    here(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            let path = three_bytes(&client, Some("10")).await;
            let refused = client.append(&path, 3, true, b"de").await.expect(400);
            assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
            assert_eq!(client.offset(&path).await, 3);

            let fields = client.appending("3", true);
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let refused = client.ask_in_chunks("PATCH", &path, &fields, b"de").await;
            let refused = refused.expect(400);
            assert_eq!(problem(&refused), registered("inconsistent-upload-length"));

            let told = client.look(&path).await;
            assert_eq!(client.is_complete(&told), Some(false));
            assert_eq!(told.number("upload-offset"), refused.number("upload-offset"));
            let offset = client.offset(&path).await;
            client
                .append(&path, offset, true, &b"abcdefghij"[offset..])
                .await
                .expect(200);
            assert_eq!(place.object(&path).await, Some(b"abcdefghij".to_vec()));
        }
        // The same for a creation.
        let client = place.speaking(8);
        let fields = [("Upload-Complete", "?1"), ("Upload-Length", "10")];
        let refused = client.ask_in_chunks("POST", "/files", &fields, b"abc").await;
        let path = location(refused.early()[0]);
        refused.expect(400);
        assert_eq!(client.is_complete(&client.look(&path).await), Some(false));
    })
    .await;
}

#[tokio::test]
async fn rufh_54_a_complete_upload_takes_no_more() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = three_bytes(&client, None).await;
            client.append(&path, 3, true, b"").await.expect(200);
            for (offset, body) in [(3, &b"x"[..]), (0, b"abc"), (2, b"c")] {
                for is_last in [false, true] {
                    let refused = client.append(&path, offset, is_last, body).await.last;
                    assert!((400..500).contains(&refused.status), "{version}: {refused:?}");
                    let kind = if version <= 8 {
                        "completed-upload"
                    } else {
                        "inconsistent-upload-length"
                    };
                    assert_eq!(problem(&refused), registered(kind), "{version}");
                }
            }
            let fields = client.appending("3", true);
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let refused = client.ask_in_chunks("PATCH", &path, &fields, b"x").await.last;
            assert!((400..500).contains(&refused.status), "{version}: {refused:?}");
            assert_eq!(place.object(&path).await, Some(b"abc".to_vec()));
        }
    })
    .await;
}
