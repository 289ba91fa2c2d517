//! Section "Upload Creation": what cannot be made, RUFH-24 to 27, and before anything is read.

use super::client::{problem, registered};
use super::{VERSIONS, content, here, here_with};

#[tokio::test]
async fn rufh_24_a_length_that_contradicts_the_content_is_refused_before_reading() {
    here(async |place| {
        for version in 6..=10 {
            for (length, told) in [("100", "101"), ("100", "99"), ("0", "1")] {
                let client = place.speaking(version);
                let fields = [
                    ("Upload-Complete", "?1"),
                    ("Content-Length", length),
                    ("Upload-Length", told),
                ];
                let mut connection = client.half("POST", "/files", &fields, b"").await;
                let refused = connection.answer().await.expect(400);
                assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
            }
        }
        assert_eq!(place.uploads().await, 0);
    })
    .await;
}

#[tokio::test]
async fn rufh_25_that_refusal_has_a_type_of_its_own_also_for_a_first_part_that_is_too_long() {
    here(async |place| {
        let client = place.speaking(7);
        for (is_last, told) in [(true, "4"), (true, "2"), (false, "2")] {
            let refused = client
                .create_with(is_last, &[("Upload-Length", told)], b"abc")
                .await;
            assert_eq!(refused.interim.len(), 0);
            let refused = refused.expect(400);
            assert_eq!(problem(&refused), registered("inconsistent-upload-length"));
        }
        client
            .create_with(true, &[("Upload-Length", "3")], b"abc")
            .await
            .expect(200);
        client
            .create_with(false, &[("Upload-Length", "3")], b"abc")
            .await
            .expect(201);
    })
    .await;
}

#[tokio::test]
async fn rufh_26_what_is_no_boolean_makes_no_upload() {
    here(async |place| {
        for version in VERSIONS.map(Some).chain([None]) {
            let client = version.map_or_else(|| place.client(), |version| place.speaking(version));
            let field = client.completeness();
            for value in ["yes", "1", "?2", "true", "", "?1, ?1"] {
                let refused = client.ask("POST", "/files", &[(field, value)], b"abc").await;
                assert_eq!(refused.interim.len(), 0, "{version:?} {value}");
                let text = refused.expect(400).text();
                assert!(text.contains("Tus-Resumable"), "both protocols are named: {text}");
            }
            let twice = [(field, "?1"), (field, "?1")];
            client.ask("POST", "/files", &twice, b"abc").await.expect(400);
        }
        let nothing = place.speaking(6).ask("POST", "/files", &[], b"abc").await;
        nothing.expect(400);
        assert_eq!(place.uploads().await, 0);
    })
    .await;
}

#[tokio::test]
async fn rufh_27_a_length_above_the_limit_is_refused_with_the_limit() {
    here_with(
        |config| config.protocols.tus.max_size = 1000,
        async |place| {
            for version in 6..=10 {
                let client = place.speaking(version);
                let too_large: [&[(&str, &str)]; 3] = [
                    &[("Upload-Complete", "?1"), ("Content-Length", "1001")],
                    &[("Upload-Complete", "?0"), ("Content-Length", "1001")],
                    &[
                        ("Upload-Complete", "?0"),
                        ("Content-Length", "5"),
                        ("Upload-Length", "1001"),
                    ],
                ];
                for fields in too_large {
                    let mut connection = client.half("POST", "/files", fields, b"").await;
                    let refused = connection.answer().await.expect(413);
                    let limits = refused.header("upload-limit");
                    assert!(limits.starts_with("max-size=1000, "), "{refused:?}");
                }
            }
            assert_eq!(place.uploads().await, 0);
            let client = place.speaking(10);
            client.create(true, &content(1000)).await.expect(200);
            // Nobody said how long it would be.
            let fields = [("Upload-Complete", "?1")];
            let refused = client
                .ask_in_chunks("POST", "/files", &fields, &content(1001))
                .await;
            let path = super::client::location(refused.early()[0]);
            refused.expect(413);
            assert_eq!(client.look(&path).await.status, 404);
            assert_eq!(place.finished().await.len(), 1);
        },
    )
    .await;
}

/// What the file of a picture begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[tokio::test]
async fn a_type_that_the_operator_does_not_take_is_refused() {
    here_with(
        |config| config.limits.types = vec!["image/*".to_owned()],
        async |place| {
            let client = place.speaking(6);
            let video = [("Content-Type", "video/mp4")];
            let refused = client.create_with(true, &video, b"abc").await;
            assert_eq!(refused.interim.len(), 0);
            refused.expect(415);
            let image = [("Content-Type", "image/png")];
            client.create_with(true, &image, PNG).await.expect(201);
        },
    )
    .await;
}
