//! What a phone does: URLSession of iOS 17, 18.0 and 18.1, field by field as its requests were seen.

use std::time::Duration;

use super::client::{Client, location};
use super::{MIB, content, everywhere, here};

/// What every request of the session carries, its first one and those that go on.
fn session(client: &Client) -> Client {
    client
        .with("Accept", "*/*")
        .with("Accept-Encoding", "gzip, deflate")
        .with("Accept-Language", "en-GB,en;q=0.9")
        .with("User-Agent", "App/1 CFNetwork/1568.200.51 Darwin/24.1.0")
        .with("Repr-Digest", "xxh64=:2Dw7zeWSRAI=:")
}

/// Sends a file, loses the connection twice, and ends it.
async fn upload(place: &super::place::Place, version: u64) {
    let client = session(&place.speaking(version));
    let body = content(2 * MIB + 12_345);
    let length = body.len().to_string();
    let state = (client.completeness(), client.says(true));
    let first = [
        ("Content-Type", "video/mp4"),
        ("Content-Length", length.as_str()),
        state,
    ];
    let mut connection = client.half("POST", "/files", &first, &body[..700_001]).await;
    let early = connection.answer().await.expect(104);
    assert_eq!(early.header("upload-draft-interop-version"), version.to_string());
    let path = location(&early);
    tokio::time::sleep(Duration::from_millis(100)).await;
    connection.reset();

    for stop in [MIB + 77, body.len()] {
        let looking = [("Content-Type", "video/mp4"), ("Content-Length", "0")];
        let told = client.look_with(&path, &looking).await;
        assert!(matches!(told.status, 200 | 204), "{told:?}");
        assert_eq!(client.is_complete(&told), Some(false));
        let offset = usize::try_from(told.number("upload-offset")).expect("small");
        assert!(offset >= 700_001, "{offset}");
        let (at, left) = (offset.to_string(), (body.len() - offset).to_string());
        let kind = if version >= 6 {
            "application/partial-upload"
        } else {
            "video/mp4"
        };
        let fields = [
            ("Content-Type", kind),
            ("Content-Length", left.as_str()),
            ("Upload-Offset", at.as_str()),
            state,
        ];
        let mut connection = client.half("PATCH", &path, &fields, &body[offset..stop]).await;
        if stop < body.len() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            connection.reset();
            continue;
        }
        let done = super::client::finish(&mut connection).await.expect(200);
        assert_eq!(client.is_complete(&done), Some(true));
    }
    assert_eq!(place.record(&path).await.content_type.as_str(), "video/mp4");
    assert!(place.object(&path).await.as_ref() == Some(&body), "{version}");
}

#[tokio::test]
async fn a_phone_of_today_loses_its_connection_twice_and_ends_its_upload() {
    everywhere(async |place| upload(&place, 6).await).await;
}

#[tokio::test]
async fn older_phones_do_so_too() {
    here(async |place| {
        upload(&place, 3).await;
        upload(&place, 5).await;
    })
    .await;
}
