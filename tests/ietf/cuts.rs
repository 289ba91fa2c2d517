//! Cuts and concurrency: RUFH-60 to 65.

use std::time::{Duration, Instant};

use super::client::{Client, location};
use super::raw_http::{Connection, chunk};
use super::{MIB, content, everywhere};

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Fin,
    Rst,
    Gone,
}

const CUTS: [Cut; 3] = [Cut::Fin, Cut::Rst, Cut::Gone];

/// Ends a connection, once what was sent has had its time to arrive.
async fn cut(mut connection: Connection, how: Cut) {
    tokio::time::sleep(Duration::from_millis(150)).await;
    match how {
        Cut::Fin => {
            connection.finish().await;
            // Nothing sensible can be said to a request without its end.
            let rest = connection.rest().await;
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert!(!rest.contains("HTTP/1.1 2"), "{rest}");
        }
        Cut::Rst => connection.reset(),
        Cut::Gone => drop(connection),
    }
}

#[tokio::test]
async fn rufh_60_a_creation_that_is_cut_goes_on_at_the_address_of_its_104() {
    everywhere(async |place| {
        let body = content(3 * MIB + 11);
        for (version, how) in [(3, Cut::Fin), (5, Cut::Gone), (6, Cut::Rst), (10, Cut::Gone)] {
            let client = place.speaking(version);
            let length = body.len().to_string();
            let fields = [
                (client.completeness(), client.says(true)),
                ("Content-Length", length.as_str()),
            ];
            let mut connection = client.half("POST", "/files", &fields, b"").await;
            let path = location(&connection.answer().await.expect(104));
            connection.send(&body[..MIB + 5]).await;
            cut(connection, how).await;

            let told = client.look(&path).await.expect(204);

            assert_eq!(client.is_complete(&told), Some(false), "{how:?}");
            let offset = client.offset(&path).await;
            assert_eq!(offset, MIB + 5, "every byte of it, {how:?}");
            let done = client
                .append(&path, offset, true, &body[offset..])
                .await
                .expect(200);
            assert_eq!(client.is_complete(&done), Some(true));
            assert!(place.object(&path).await.as_ref() == Some(&body), "{how:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_61_a_cut_request_never_completes_an_upload() {
    everywhere(async |place| {
        let client = place.speaking(6);
        for how in CUTS {
            for is_chunked in [false, true] {
                let path = client.begin(b"abc").await;
                let extra = if is_chunked {
                    ("Transfer-Encoding", "chunked")
                } else {
                    ("Content-Length", "10")
                };
                let first = if is_chunked {
                    chunk(b"defg")
                } else {
                    b"defg".to_vec()
                };
                let connection = client.half_append(&path, 3, true, &[extra], &first).await;

                cut(connection, how).await;

                let told = client.look(&path).await.expect(204);
                assert_eq!(client.is_complete(&told), Some(false), "{how:?}");
                assert_eq!(told.number("upload-offset"), 7, "{how:?} {is_chunked}");
                assert_eq!(place.finished().await, Vec::<String>::new());
                client.cancel(&path).await.expect(204);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_62_what_came_before_a_cut_stays_and_rufh_63_every_byte_of_it() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(2 * MIB + 100);
        let path = client.begin(b"").await;
        let mut offset = 0;
        for (n, step) in [1, 100_001, 7, 65_536, MIB, 3].into_iter().enumerate() {
            let extra = if n % 2 == 0 {
                ("Transfer-Encoding", "chunked")
            } else {
                ("Content-Length", "9000000")
            };
            let piece = &body[offset..offset + step];
            let sent = if n % 2 == 0 { chunk(piece) } else { piece.to_vec() };
            let connection = client.half_append(&path, offset, false, &[extra], &sent).await;
            cut(connection, CUTS[n % 3]).await;
            offset += step;
            assert_eq!(client.offset(&path).await, offset, "{n}");
        }
        client
            .append(&path, offset, true, &body[offset..])
            .await
            .expect(200);
        assert!(place.object(&path).await == Some(body));
    })
    .await;
}

/// A PATCH that has sent these bytes and then nothing.
async fn stalled(client: &Client, path: &str, offset: usize, bytes: &[u8]) -> Connection {
    let length = [("Content-Length", "9000000")];
    let connection = client.half_append(path, offset, false, &length, bytes).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    connection
}

#[tokio::test]
async fn rufh_64_head_during_a_stalled_append_is_answered_at_once_and_ends_it() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        let mut old = stalled(&client, &path, 3, b"def").await;
        let began = Instant::now();

        let offset = client.offset(&path).await;

        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(offset, 6);
        // No answer, which would end the upload for some clients: the connection ends as if the network had.
        assert_eq!(String::from_utf8_lossy(&old.rest().await), "");
    })
    .await;
}

#[tokio::test]
async fn rufh_65_the_offset_that_was_told_holds_whatever_comes_late() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let body = content(MIB);
        for is_asked in [true, false] {
            let path = client.begin(&body[..1000]).await;
            let mut old = stalled(&client, &path, 1000, &body[1000..5000]).await;
            let offset = if is_asked {
                client.offset(&path).await
            } else {
                5000
            };
            assert_eq!(offset, 5000);
            let noise = vec![b'!'; 200_000];
            let late = old.send_while_taken(&noise);
            // Without asking, a newer request takes over just the same.
            let (done, _) = tokio::join!(client.append(&path, offset, true, &body[offset..]), late);
            if is_asked {
                done.expect(200);
            } else if done.last.status == 409 {
                // The old one was still at work when the new one came.
                let offset = client.offset(&path).await;
                assert!(offset > 5000);
                client.cancel(&path).await.expect(204);
                continue;
            }
            assert!(place.object(&path).await.as_ref() == Some(&body));
        }
    })
    .await;
}
