//! HEAD: where an upload stands.

use super::client::{BYTES, VERSION, check, content};
use super::raw_http::Connection;
use super::{everywhere, here};

#[tokio::test]
async fn head_01_offset_and_length_are_told() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(10).await;
        client.send(&upload, 0, &content(4)).await;

        let looked = client.look(&upload).await.expect(200);

        assert_eq!(
            (looked.number("Upload-Offset"), looked.number("Upload-Length")),
            (4, 10)
        );
        assert_eq!(looked.field("Upload-Defer-Length"), None);
    })
    .await;
}

#[tokio::test]
async fn head_02_no_answer_is_kept_by_anybody() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(10).await;

        for path in [upload.as_str(), "/files/unknown"] {
            assert_eq!(client.look(path).await.header("Cache-Control"), "no-store");
        }
    })
    .await;
}

#[tokio::test]
async fn head_03_the_offset_is_what_is_stored_and_at_the_end_the_length() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(10));
        let upload = client.create(10).await;
        for (from, to) in [(0, 3), (3, 9), (9, 10)] {
            client.send(&upload, from, &file[from..to]).await;
            assert_eq!(client.offset(&upload).await, to);
        }

        let looked = client.look(&upload).await.expect(200);

        assert_eq!(looked.number("Upload-Offset"), looked.number("Upload-Length"));
        assert_eq!(looked.field("Upload-Expires"), None);
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn head_04_an_unknown_upload_has_no_offset() {
    here(async |place| {
        for path in ["/files/unknown", "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6"] {
            let looked = place.client().look(path).await.expect(404);

            assert_eq!(looked.field("Upload-Offset"), None);
        }
    })
    .await;
}

#[tokio::test]
async fn head_05_ids_that_cannot_be_are_not_found() {
    here(async |place| {
        let client = place.client();
        let long = "a".repeat(5000);
        for id in [
            "..",
            "%2e%2e",
            "..%2f..%2fetc%2fpasswd",
            "%00",
            "0199f0a1b2c37d4e8f90a1b2c3d4e5f6%00",
            "%ff%fe",
            "%c3%28",
            "%",
            "%zz",
            "a%20b",
            "..;/",
            &long,
        ] {
            let path = format!("/files/{id}");
            for method in ["HEAD", "GET", "DELETE"] {
                let answer = client.ask(method, &path, &[], b"").await;
                assert!((400..500).contains(&answer.status), "{method} {path} {answer:?}");
            }
            let fields = [BYTES, ("Upload-Offset", "0")];
            let answer = client.ask("PATCH", &path, &fields, b"hello").await;
            assert!((400..500).contains(&answer.status), "PATCH {path} {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn head_06_no_answer_has_a_body_and_the_connection_goes_on() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(10).await;
        let mut connection = Connection::to(&place.base).await;

        for (path, fields, status) in [
            (upload.as_str(), vec![VERSION], 200),
            ("/files/unknown", vec![VERSION], 404),
            (&upload, vec![], 412),
            (&upload, vec![VERSION, ("Accept-Encoding", "gzip")], 200),
            (&upload, vec![VERSION], 200),
        ] {
            connection.send(client.head_of("HEAD", path, &fields)).await;
            let answer = connection.answer_to_head().await.expect(status);
            check(path, &answer);
            let quiet = std::time::Duration::from_millis(50);
            assert!(connection.is_silent_for(quiet).await, "nothing follows");
        }
    })
    .await;
}

#[tokio::test]
async fn head_09_what_the_storage_has_lost_ends_the_upload_and_its_offset_never_goes_back() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(10).await;
        client.send(&upload, 0, b"hello").await;
        let id = super::client::id_of(&upload);
        let data = format!("{}/.muleteer/{id}/data", place.config.storage.local.path);
        let file = std::fs::File::options().write(true).open(&data).expect(&data);
        file.set_len(2).expect("it is cut");

        let refused = client.patch(&upload, 5, b"world").await;

        assert!(matches!(refused.status, 404 | 410), "{refused:?}");
        let now = client.look(&upload).await;
        assert!(matches!(now.status, 404 | 410), "{now:?}");
    })
    .await;
}
