//! What is kept of the file besides its bytes: name, type, encoding.

use super::client::location;
use super::{content, everywhere, here};

#[tokio::test]
async fn name_and_type_are_those_of_the_request_that_made_the_upload() {
    here(async |place| {
        let client = place.speaking(6);
        let fields = [
            ("Content-Type", "video/mp4"),
            (
                "Content-Disposition",
                "inline; filename=\"file name.mp4\"; filename*=UTF-8''na%C3%AFve%20name.mp4",
            ),
        ];
        let path = location(&client.create_with(false, &fields, b"abc").await.expect(201));
        let others = [("Content-Disposition", "inline; filename=other.txt")];

        let done = client
            .append_with(&path, 3, true, &others, b"d")
            .await
            .expect(200);

        let record = place.record(&path).await;
        assert_eq!(record.filename.as_str(), "naïve name.mp4");
        assert_eq!(record.content_type.as_str(), "video/mp4");
        assert_eq!(done.json()["filename"], "naïve name.mp4");
        assert_eq!(done.json()["content_type"], "video/mp4");
    })
    .await;
}

#[tokio::test]
async fn a_name_never_leads_out_of_its_place_and_may_be_missing() {
    here(async |place| {
        let client = place.speaking(6);
        for (disposition, expected) in [
            ("inline; filename=\"../../../etc/passwd\"", "passwd"),
            ("inline; filename*=UTF-8''..%2F..%2Fx%00%0A.bin", "x.bin"),
            ("attachment; filename=\"..\"", "file"),
            ("inline", "file"),
        ] {
            let fields = [("Content-Disposition", disposition)];
            let done = client.create_with(true, &fields, b"abc").await.expect(201);
            assert_eq!(done.json()["filename"], expected, "{disposition}");
            assert_eq!(done.json()["content_type"], "application/octet-stream");
        }
        assert_eq!(place.finished().await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn encoded_content_is_stored_as_it_came_with_its_encoding() {
    everywhere(async |place| {
        let client = place.speaking(6);
        // Not gzip at all: nobody decodes it on the way.
        let body = content(5000);
        let fields = [("Content-Encoding", "gzip")];
        let done = client.create_with(true, &fields, &body).await;
        let path = location(done.early()[0]);
        assert_eq!(done.expect(201).json()["size"], 5000);
        let record = place.record(&path).await;
        assert_eq!(record.content_encoding(), Some("gzip"));
        assert!(place.object(&path).await.as_ref() == Some(&body));
        if place.is_s3() {
            let object = place.store().ask("HEAD", record.key.as_str()).send().await;
            assert_eq!(object.header("content-encoding"), Some("gzip"), "{object:?}");
        }
    })
    .await;
}
