//! `104 (Upload Resumption Supported)`: RUFH-12 to 17 and 56.

use std::time::{Duration, Instant};

use super::client::{finish, location};
use super::raw_http::{Connection, LAST_CHUNK, chunk};
use super::{MIB, VERSIONS, content, everywhere, here};

#[tokio::test]
async fn rufh_12_a_104_with_the_address_precedes_the_answer() {
    here(async |place| {
        for version in VERSIONS {
            for is_last in [true, false] {
                let made = place.speaking(version).create(is_last, &content(MIB)).await;
                let early = made.early();
                assert_eq!(early.len(), 1, "{version}: {made:?}");
                assert_eq!(early[0].reason, "Upload Resumption Supported");
                assert_eq!(
                    place.at(&location(early[0])).await.size,
                    if is_last { MIB as u64 } else { 0 }
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_13_the_104_repeats_the_interop_version() {
    here(async |place| {
        for version in VERSIONS {
            let made = place.speaking(version).create(true, b"abc").await;
            let told = made.early()[0].header("upload-draft-interop-version");
            assert_eq!(told, version.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_14_no_104_goes_to_who_names_no_version() {
    here(async |place| {
        let made = place.client().create(false, b"abc").await;
        assert!(made.early().is_empty(), "{made:?}");
        let path = location(&made.expect(201));
        let appended = place.client().append(&path, 3, true, b"d").await;
        assert!(appended.early().is_empty(), "{appended:?}");
        appended.expect(200);
        for unreadable in ["six", "6.0", "\"6\"", "-6", "6, 6"] {
            let client = place.client().with("Upload-Draft-Interop-Version", unreadable);
            let made = client.create(true, b"abc").await;
            assert!(made.early().is_empty(), "{made:?}");
            made.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_14_a_device_whose_version_was_taken_away_by_a_proxy_uploads_without_104s() {
    here(async |place| {
        for version in [3, 5, 6] {
            let client = place.speaking(version).quietly();
            let done = client.create(true, b"abc").await;
            assert!(done.interim.is_empty(), "{done:?}");
            let done = done.last;
            assert!((200..300).contains(&done.status), "{done:?}");
            assert_eq!(client.is_complete(&done), Some(true), "{done:?}");
        }
        let client = place.speaking(3).quietly();
        let path = client.begin(b"abc").await;
        client.append(&path, 3, true, b"d").await.expect(200);
        assert_eq!(place.object(&path).await, Some(b"abcd".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn rufh_15_no_104_goes_to_an_unknown_version_and_it_is_served_all_the_same() {
    here(async |place| {
        for version in [0, 1, 2, 11, 99, 999_999_999_999_999] {
            let client = place.speaking(version);
            let made = client.create(true, b"abc").await;
            assert!(made.early().is_empty(), "{version}: {made:?}");
            let done = made.expect(200);
            assert_eq!(done.header("upload-complete"), "?1");
        }
        assert_eq!(place.finished().await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn rufh_16_the_104_comes_before_any_content() {
    here(async |place| {
        let client = place.speaking(6);
        for length in [("Content-Length", "5"), ("Transfer-Encoding", "chunked")] {
            let fields = [("Upload-Complete", "?1"), length];
            let mut connection = client.half("POST", "/files", &fields, b"").await;

            let early = connection.answer().await.expect(104);

            // It can be used at once: the row is there.
            let path = location(&early);
            assert_eq!(place.at(&path).await.protocol, "ietf");
            let body = if length.0 == "Content-Length" {
                b"abcde".to_vec()
            } else {
                [chunk(b"abcde"), LAST_CHUNK.to_vec()].concat()
            };
            connection.send(body).await;
            connection.answer().await.expect(201);
            assert_eq!(place.object(&path).await, Some(b"abcde".to_vec()));
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_17_the_104_tells_limits_from_version_8_on() {
    here(async |place| {
        for version in VERSIONS {
            let made = place.speaking(version).create(true, b"abc").await;
            let limits = made.early()[0].header("upload-limit");
            if version >= 8 {
                assert!(limits.contains("max-size="), "{version}: {limits}");
                assert!(limits.contains("max-age="), "{version}: {limits}");
            } else {
                assert_eq!(limits, "", "{version}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_expectation_is_answered_besides_the_104() {
    here(async |place| {
        let client = place.speaking(8);
        let fields = [
            ("Upload-Complete", "?1"),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
        ];
        let mut connection = client.half("POST", "/files", &fields, b"").await;

        let statuses = [connection.answer().await.status, connection.answer().await.status];

        assert_eq!(statuses, [104, 100]);
        connection.send(b"abcde").await;
        connection.answer().await.expect(200);
        // In vain: neither.
        let fields = [
            ("Upload-Complete", "?1"),
            ("Content-Length", "5"),
            ("Upload-Length", "6"),
            ("Expect", "100-continue"),
        ];
        let mut connection = client.half("POST", "/files", &fields, b"").await;
        connection.answer().await.expect(400);
    })
    .await;
}

#[tokio::test]
async fn http_1_0_gets_no_104() {
    here(async |place| {
        let client = place.speaking(6);
        let fields = [("Upload-Complete", "?1"), ("Content-Length", "3")];
        let head = client.head_of("POST", "/files", &fields);
        let old = head.replace(" HTTP/1.1\r\n", " HTTP/1.0\r\n");

        let done = client.raw(&[old.as_bytes(), b"abc"].concat()).await;

        assert!(done.interim.is_empty(), "{done:?}");
        done.expect(201);
    })
    .await;
}

#[tokio::test]
async fn two_uploads_on_one_connection_are_told_of_separately() {
    here(async |place| {
        let client = place.speaking(6);
        let fields = [("Upload-Complete", "?0"), ("Content-Length", "3")];
        let mut connection = client.connect().await;
        let mut paths = Vec::new();
        for body in [b"abc", b"def"] {
            connection.send(client.head_of("POST", "/files", &fields)).await;
            connection.send(body).await;
            let made = finish(&mut connection).await;
            assert_eq!(made.early().len(), 1, "{made:?}");
            assert_eq!(location(made.early()[0]), location(&made.last));
            paths.push(location(&made.last));
        }
        assert_ne!(paths[0], paths[1]);
    })
    .await;
}

/// The next 104, which must tell more than `least`; how much, and when it came.
async fn told_beyond(connection: &mut Connection, least: u64) -> (u64, Instant) {
    let early = connection.answer().await.expect(104);
    assert_eq!(early.field("location"), None, "{early:?}");
    assert_eq!(early.header("upload-draft-interop-version").len(), 1, "{early:?}");
    let offset = early.number("upload-offset");
    assert!(offset > least, "{offset} after {least}");
    (offset, Instant::now())
}

#[tokio::test]
async fn rufh_56_progress_is_told_as_bytes_become_durable() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(4 * MIB + 100);
        let path = client.begin(&body[..MIB]).await;
        let length = (3 * MIB + 100).to_string();
        let whole = [("Content-Length", length.as_str())];
        let mut connection = client.half_append(&path, MIB, true, &whole, &[]).await;
        let (mut sent, mut told, mut at) = (MIB, MIB as u64, None::<Instant>);
        // More than a mebibyte: so much is worth an object of its own to a store.
        let step = MIB + MIB / 4;
        while sent + step < body.len() {
            connection.send(&body[sent..sent + step]).await;
            sent += step;
            let (offset, when) = told_beyond(&mut connection, told).await;
            assert!(offset <= sent as u64, "{offset} of {sent}");
            if let Some(before) = at {
                assert!(when - before > Duration::from_millis(900), "{:?}", when - before);
            }
            (told, at) = (offset, Some(when));
        }
        connection.reset();
        let kept = client.offset(&path).await;
        assert!(kept as u64 >= told, "{kept} after {told}");
        client.append(&path, kept, true, &body[kept..]).await.expect(200);
        assert!(place.object(&path).await == Some(body));
    })
    .await;
}

#[tokio::test]
async fn rufh_56_a_creation_tells_its_progress_too_and_none_is_told_without_a_version() {
    here(async |place| {
        let client = place.speaking(4);
        let fields = [("Upload-Complete", "?1"), ("Content-Length", "200000")];
        let body = content(200_000);
        let mut connection = client.half("POST", "/files", &fields, &body[..100_000]).await;
        connection.answer().await.expect(104);
        assert_eq!(told_beyond(&mut connection, 0).await.0, 100_000);
        connection.send(&body[100_000..]).await;
        connection.answer().await.expect(201);

        // Whatever the upload was made in.
        let path = client.begin(b"").await;
        let quiet = client.quietly();
        let length = [("Content-Length", "2")];
        let mut connection = quiet.half_append(&path, 0, true, &length, b"a").await;
        assert!(connection.is_silent_for(Duration::from_millis(1500)).await);
        connection.send(b"b").await;
        connection.answer().await.expect(200);
    })
    .await;
}
