//! Metadata: any bytes under names, told again as they came.

use super::client::{content, metadata};
use super::{everywhere, here};

#[tokio::test]
async fn meta_01_every_pair_comes_back_as_it_was_sent() {
    everywhere(async |place| {
        let client = place.client();
        let told = "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential,empty ,z eA==,a eQ==";

        let upload = client
            .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", told)])
            .await;

        assert_eq!(client.look(&upload).await.header("Upload-Metadata"), told);
        client.send(&upload, 0, &content(5)).await;
        assert_eq!(
            client.look(&upload).await.header("Upload-Metadata"),
            told,
            "when it is finished too"
        );
    })
    .await;
}

#[tokio::test]
async fn meta_02_a_value_may_be_missing() {
    here(async |place| {
        let client = place.client();
        for told in ["flag", "flag ", "a eA==,flag", "flag ,a eA=="] {
            let upload = client
                .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", told)])
                .await;

            assert_eq!(client.look(&upload).await.header("Upload-Metadata"), told.trim());
        }
    })
    .await;
}

#[tokio::test]
async fn meta_03_values_that_are_no_text_come_back_unchanged() {
    here(async |place| {
        let client = place.client();
        let told = metadata(&[("bytes", b"\xff\x00\xfe\xc3("), ("filename", b"\xe9t\xe9.txt")]);

        let upload = client
            .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", &told)])
            .await;

        assert_eq!(client.look(&upload).await.header("Upload-Metadata"), told);
        client.send(&upload, 0, b"hello").await;
        let keys = place.finished().await;
        assert!(
            keys[0].ends_with("/file"),
            "a name that is no text is none: {keys:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn meta_04_an_empty_field_is_as_good_as_none() {
    here(async |place| {
        let client = place.client();

        let upload = client
            .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", "")])
            .await;

        assert_eq!(client.look(&upload).await.field("Upload-Metadata"), None);
    })
    .await;
}

#[tokio::test]
async fn meta_05_what_is_no_pair_is_refused() {
    here(async |place| {
        let client = place.client();
        for told in [
            "a !!",
            "a eA",
            "a eA==,a eQ==",
            "a eA== eQ==",
            ",",
            "a eA==,,b eA==",
            " ,",
        ] {
            let refused = client
                .post(&[("Upload-Length", "5"), ("Upload-Metadata", told)])
                .await
                .expect(400);
            assert_eq!(refused.field("Location"), None, "{told}");
        }
        let twice = [
            ("Upload-Length", "5"),
            ("Upload-Metadata", "a eA=="),
            ("Upload-Metadata", "b eA=="),
        ];
        client.post(&twice).await.expect(400);
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn meta_06_no_value_becomes_a_line_of_its_own() {
    everywhere(async |place| {
        let client = place.client();
        let evil = b"a\r\nX-Evil: yes\r\n\r\n.html";
        let told = metadata(&[("filename", evil), ("filetype", b"text/html\r\nX-Evil: yes")]);

        let upload = client
            .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", &told)])
            .await;
        client.send(&upload, 0, b"hello").await;

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.field("X-Evil"), None);
        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
        let keys = place.finished().await;
        assert!(keys.iter().all(|key| !key.contains(char::is_control)), "{keys:?}");
    })
    .await;
}
