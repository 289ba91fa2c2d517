//! Section "Offset Retrieval": RUFH-30 to 39.

use super::discovery::limits;
use super::{VERSIONS, here};

#[tokio::test]
async fn rufh_30_head_tells_the_offset() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let told = client.look(&path).await.expect(204);
            assert_eq!(told.number("upload-offset"), 3);
            // As a device asks, with what it sent at first.
            let habits = [("Content-Length", "0"), ("Content-Type", "video/mp4")];
            let told = client.look_with(&path, &habits).await.expect(204);
            assert_eq!(told.number("upload-offset"), 3);
            let slashed = client.look(&format!("{path}/")).await.expect(204);
            assert_eq!(slashed.number("upload-offset"), 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_31_head_says_whether_it_is_complete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let told = client.look(&path).await;
            assert_eq!(client.is_complete(&told), Some(false), "{version}: {told:?}");
            client.append(&path, 3, true, b"").await.expect(200);
            let told = client.look(&path).await.expect(204);
            assert_eq!(client.is_complete(&told), Some(true), "{version}: {told:?}");
            assert_eq!(told.number("upload-offset"), 3);
            assert_eq!(told.number("upload-length"), 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_32_head_tells_the_length_once_it_was_told() {
    here(async |place| {
        for version in 6..=9 {
            let client = place.speaking(version);
            let length = [("Upload-Length", "10")];
            let made = client.create_with(false, &length, b"abc").await.expect(201);
            let told = client.look(&super::client::location(&made)).await;
            assert_eq!(told.number("upload-length"), 10);

            let path = client.begin(b"abc").await;
            assert_eq!(client.look(&path).await.field("upload-length"), None);
            client
                .append_with(&path, 3, false, &length, b"d")
                .await
                .expect(204);
            assert_eq!(client.look(&path).await.number("upload-length"), 10);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_33_completeness_and_length_are_told_to_the_newest_as_well() {
    here(async |place| {
        for client in [place.speaking(10), place.client(), place.speaking(11)] {
            let length = [("Upload-Length", "10")];
            let made = client.create_with(false, &length, b"abc").await.expect(201);
            let told = client.look(&super::client::location(&made)).await.expect(204);
            assert_eq!(told.number("upload-length"), 10);
            assert_eq!(client.is_complete(&told), Some(false));
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_34_head_tells_limits() {
    here(async |place| {
        for version in 6..=10 {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let told = limits(&client.look(&path).await.header("upload-limit"));
            let left = told[if version == 6 { "expires" } else { "max-age" }];
            let most = place.config.protocols.tus.ttl_hours * 3600;
            assert!((most - 60..=most).contains(&left), "{version}: {left}");
            assert!(told.contains_key("max-size"));
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_35_nothing_of_this_is_to_be_stored() {
    here(async |place| {
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        for answer in [
            client.look(&path).await,
            client.look("/files/unknown").await,
            client.append(&path, 3, false, b"d").await.last,
            client.append(&path, 3, false, b"d").await.last,
            client.create(true, b"abc").await.last,
            client.cancel(&path).await,
        ] {
            assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_36_get_tells_the_offset_like_head() {
    here(async |place| {
        for client in [place.speaking(9), place.speaking(10), place.client()] {
            let path = client.begin(b"abc").await;
            let told = client.ask("GET", &path, &[], b"").await.expect(204);
            assert_eq!(told.number("upload-offset"), 3);
            assert_eq!(client.is_complete(&told), Some(false));
            assert!(told.body.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_37_what_is_not_there_is_404() {
    here(async |place| {
        let strange = [
            "unknown",
            "00000000000000000000000000000000",
            "..%2f..%2fetc%2fpasswd",
            "%00",
            "%ff%fe",
            &"a".repeat(3000),
        ];
        for client in [place.speaking(6), place.speaking(10)] {
            for id in strange {
                let told = client.look(&format!("/files/{id}")).await;
                assert!(matches!(told.status, 404 | 410), "{id}: {told:?}");
                assert_eq!(told.field("upload-offset"), None);
            }
        }
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        place.advance(chrono::TimeDelta::hours(1000));
        let told = client.look(&path).await;
        assert!(matches!(told.status, 404 | 410), "{told:?}");
        let late = client.append(&path, 3, true, b"d").await.last;
        assert!(matches!(late.status, 404 | 410), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn rufh_38_versions_4_to_6_refuse_what_has_no_place_in_head() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            for field in [("Upload-Offset", "3"), ("Upload-Complete", "?0")] {
                let told = client.look_with(&path, &[field]).await;
                let expected = if (4..=6).contains(&version) { 400 } else { 204 };
                assert_eq!(told.status, expected, "{version} {field:?}");
            }
            // It is still there.
            assert_eq!(client.offset(&path).await, 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_39_nobody_is_sent_elsewhere() {
    here(async |place| {
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        let end = path.trim_start_matches("/files/").to_owned();
        for path in [
            format!("/files/{end}/"),
            format!("/files//{end}"),
            "/files/".to_owned(),
            path,
        ] {
            let told = client.look(&path).await;
            assert!(!matches!(told.status, 301..=303), "{path}: {told:?}");
        }
    })
    .await;
}
