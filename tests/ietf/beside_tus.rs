//! Next to tus: RUFH-90 to 93.

use super::client::Client;
use super::client::location;
use super::place::Place;
use super::{MIB, content, everywhere, here};

/// Somebody who speaks tus, at the same address and with the same key.
fn tus(place: &Place) -> Client {
    place.client().with("Tus-Resumable", "1.0.0")
}

const PIECE: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

#[tokio::test]
async fn rufh_90_who_speaks_tus_gets_its_answers_and_never_a_104() {
    here(async |place| {
        for both in [false, true] {
            // Even where it carries fields of both.
            let client = if both {
                tus(&place).with("Upload-Draft-Interop-Version", "6")
            } else {
                tus(&place)
            };
            let mut fields = vec![("Upload-Length", "3"), PIECE];
            if both {
                fields.push(("Upload-Complete", "?1"));
            }
            let made = client.ask("POST", "/files", &fields, b"abc").await;
            assert!(made.interim.is_empty(), "{made:?}");
            let made = made.expect(201);
            assert_eq!(made.header("tus-resumable"), "1.0.0");
            assert_eq!(made.field("upload-complete"), None);
            let told = client.look(&location(&made)).await.expect(200);
            assert_eq!(told.number("upload-offset"), 3);
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_91_no_answer_here_speaks_of_tus() {
    here(async |place| {
        let client = place.speaking(6);
        let made = client.create(false, b"abc").await;
        let path = location(&made.last);
        let mut answers = made.interim;
        answers.extend([
            made.last,
            client.look(&path).await,
            client.quietly().look(&path).await,
            client.append(&path, 9, true, b"").await.last,
            client.append(&path, 3, true, b"").await.last,
            client.look("/files/unknown").await,
            client
                .quietly()
                .cancel("/files/00000000000000000000000000000000")
                .await,
            client.cancel(&path).await,
        ]);
        for answer in answers {
            assert_eq!(answer.field("tus-resumable"), None, "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_92_an_upload_begun_here_is_ended_by_tus() {
    everywhere(async |place| {
        let body = content(MIB + 5);
        // Its length is not known at first.
        let path = place.speaking(6).begin(&body[..10]).await;
        let told = tus(&place).look(&path).await.expect(200);
        assert_eq!(told.number("upload-offset"), 10);
        assert_eq!(told.header("upload-defer-length"), "1");
        assert_eq!(told.field("upload-draft-interop-version"), None);
        let length = body.len().to_string();
        let fields = [PIECE, ("Upload-Offset", "10"), ("Upload-Length", length.as_str())];
        let done = tus(&place)
            .ask("PATCH", &path, &fields, &body[10..])
            .await
            .expect(204);
        assert_eq!(done.number("upload-offset"), body.len() as u64);
        assert!(place.object(&path).await == Some(body));
        let told = place.speaking(6).look(&path).await.expect(204);
        assert_eq!(told.header("upload-complete"), "?1");

        // All bytes are there, and only tus takes that for the end.
        let client = place.speaking(6);
        let made = client.create_with(false, &[("Upload-Length", "3")], b"abc").await;
        let path = location(&made.expect(201));
        let told = tus(&place).look(&path).await.expect(200);
        assert_eq!(
            (told.number("upload-offset"), told.number("upload-length")),
            (3, 3)
        );
        let fields = [PIECE, ("Upload-Offset", "3")];
        tus(&place).ask("PATCH", &path, &fields, b"").await.expect(204);
        assert_eq!(place.object(&path).await, Some(b"abc".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn rufh_93_an_upload_begun_by_tus_is_ended_here() {
    everywhere(async |place| {
        for length in [("Upload-Length", "6"), ("Upload-Defer-Length", "1")] {
            let made = tus(&place).ask("POST", "/files", &[length, PIECE], b"abc").await;
            let path = location(&made.expect(201));
            let client = place.speaking(6);
            let told = client.look(&path).await.expect(204);
            assert_eq!(told.number("upload-offset"), 3);
            assert_eq!(told.header("upload-complete"), "?0");
            assert_eq!(told.field("upload-length").is_some(), length.0 == "Upload-Length");

            let done = client.append(&path, 3, true, b"def").await.expect(200);

            assert_eq!(done.header("upload-complete"), "?1");
            assert_eq!(place.object(&path).await, Some(b"abcdef".to_vec()));
            let told = tus(&place).look(&path).await.expect(200);
            assert_eq!(
                (told.number("upload-offset"), told.number("upload-length")),
                (6, 6)
            );
        }
    })
    .await;
}
