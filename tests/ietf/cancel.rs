//! Section "Upload Cancellation": RUFH-70 to 72.

use std::time::{Duration, Instant};

use super::client::location;
use super::{VERSIONS, content, everywhere, here, here_with};

#[tokio::test]
async fn rufh_70_what_was_cancelled_is_gone() {
    everywhere(async |place| {
        for version in [3, 6, 10] {
            let client = place.speaking(version);
            let path = client.begin(&content(100_000)).await;

            client.cancel(&path).await.expect(204);

            let told = client.look(&path).await;
            assert!(matches!(told.status, 404 | 410), "{told:?}");
            assert_eq!(told.field("upload-offset"), None);
            let late = client.append(&path, 100_000, true, b"x").await.last;
            assert!(matches!(late.status, 404 | 410), "{late:?}");
            let again = client.cancel(&path).await;
            assert!(matches!(again.status, 404 | 410), "{again:?}");
        }
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn rufh_70_versions_4_to_6_refuse_what_has_no_place_in_delete() {
    here(async |place| {
        for version in VERSIONS {
            let client = place.speaking(version);
            let path = client.begin(b"abc").await;
            let answer = client.ask("DELETE", &path, &[("Upload-Offset", "3")], b"").await;
            answer.expect(if (4..=6).contains(&version) { 400 } else { 204 });
        }
    })
    .await;
}

#[tokio::test]
async fn rufh_71_cancelling_ends_a_running_append_and_nothing_comes_back() {
    everywhere(async |place| {
        let client = place.speaking(6);
        let path = client.begin(b"abc").await;
        let length = [("Content-Length", "9000000")];
        let mut running = client.half_append(&path, 3, true, &length, b"def").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();

        client.cancel(&path).await.expect(204);

        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        running.send_while_taken(b"ghi").await;
        assert!(!String::from_utf8_lossy(&running.rest().await).contains("HTTP/1.1 2"));
        assert!(matches!(client.look(&path).await.status, 404 | 410));
        assert!(place.is_clean().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn rufh_71_cancelling_ends_a_running_creation() {
    here(async |place| {
        let client = place.speaking(6);
        let fields = [("Upload-Complete", "?1"), ("Content-Length", "9000000")];
        let mut running = client.half("POST", "/files", &fields, b"abc").await;
        let path = location(&running.answer().await.expect(104));
        // Its address is told before its content is taken; what is cancelled in between is only not there any more.
        let db = place.database().await;
        let append = format!("append:{}", path.rsplit('/').next().expect("an id"));
        while db.lease_holder(&append).await.expect("an answer").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        client.cancel(&path).await.expect(204);

        assert_eq!(String::from_utf8_lossy(&running.rest().await), "");
        assert!(place.is_clean().await);
        db.close().await.expect("closed");
    })
    .await;
}

#[tokio::test]
async fn rufh_72_what_is_not_there_cannot_be_cancelled() {
    here(async |place| {
        let client = place.speaking(6);
        for id in ["unknown", "00000000000000000000000000000000"] {
            client.cancel(&format!("/files/{id}")).await.expect(404);
        }
    })
    .await;
}

#[tokio::test]
async fn where_termination_is_off_nothing_is_cancelled() {
    here_with(
        |config| config.protocols.tus.termination = false,
        async |place| {
            let client = place.speaking(6);
            let path = client.begin(b"abc").await;
            let refused = client.cancel(&path).await.expect(405);
            assert!(!refused.header("allow").contains("DELETE"), "{refused:?}");
            assert_eq!(client.offset(&path).await, 3);
        },
    )
    .await;
}
