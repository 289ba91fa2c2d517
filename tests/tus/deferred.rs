//! A length that is told later.

use super::client::{BYTES, content, location};
use super::raw_http::chunk;
use super::{MIB, everywhere, here, here_with};

#[tokio::test]
async fn defer_01_a_length_to_come_is_told_as_such() {
    everywhere(async |place| {
        let client = place.client();

        let upload = client.create_deferred().await;

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.header("Upload-Defer-Length"), "1");
        assert_eq!(
            (looked.field("Upload-Length"), looked.number("Upload-Offset")),
            (None, 0)
        );
    })
    .await;
}

#[tokio::test]
async fn defer_02_only_1_defers() {
    here(async |place| {
        for text in ["0", "2", "true", "", "01"] {
            place
                .client()
                .post(&[("Upload-Defer-Length", text)])
                .await
                .expect(400);
        }
    })
    .await;
}

#[tokio::test]
async fn defer_03_to_defer_05_bytes_come_first_and_the_length_once() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(7 * MIB));
        let upload = client.create_deferred().await;
        client.send(&upload, 0, &file[..6 * MIB]).await;
        client.send(&upload, 6 * MIB, &file[6 * MIB..6 * MIB + 5]).await;
        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.header("Upload-Defer-Length"), "1");

        let (length, other) = (file.len().to_string(), (file.len() + 1).to_string());
        client
            .patch_with(
                &upload,
                6 * MIB + 5,
                &[("Upload-Length", &length)],
                &file[6 * MIB + 5..6 * MIB + 9],
            )
            .await
            .expect(204);

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.header("Upload-Length"), length);
        assert_eq!(looked.field("Upload-Defer-Length"), None);
        client
            .patch_with(&upload, 6 * MIB + 9, &[("Upload-Length", &other)], b"x")
            .await
            .expect(400);
        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.header("Upload-Length"), length, "the first one stays");
        assert_eq!(looked.number("Upload-Offset"), 6 * 1024 * 1024 + 9);
        client
            .patch_with(
                &upload,
                6 * MIB + 9,
                &[("Upload-Length", &length)],
                &file[6 * MIB + 9..],
            )
            .await
            .expect(204);
        assert!(place.object(&upload).await == Some(file));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn defer_05_the_length_of_a_creation_cannot_change_either() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        client
            .patch_with(&upload, 0, &[("Upload-Length", "6")], b"x")
            .await
            .expect(400);
        client
            .patch_with(&upload, 0, &[("Upload-Length", "x")], b"x")
            .await
            .expect(400);

        client
            .patch_with(&upload, 0, &[("Upload-Length", "5")], b"hello")
            .await
            .expect(204);
    })
    .await;
}

#[tokio::test]
async fn defer_06_a_length_below_the_offset_is_not_taken() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create_deferred().await;
        client.send(&upload, 0, b"hello").await;

        client
            .patch_with(&upload, 5, &[("Upload-Length", "4")], b"")
            .await
            .expect(400);

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(
            (looked.field("Upload-Length"), looked.number("Upload-Offset")),
            (None, 5)
        );
        client
            .patch_with(&upload, 5, &[("Upload-Length", "5")], b"")
            .await
            .expect(204);
        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}

#[tokio::test]
async fn defer_07_the_length_alone_can_be_the_end() {
    everywhere(async |place| {
        let client = place.client();
        for size in [0, 11, 6 * MIB] {
            let file = content(size);
            let upload = client.create_deferred().await;
            client.send(&upload, 0, &file).await;
            assert_eq!(place.object(&upload).await, None, "not yet");

            let length = size.to_string();
            let answer = client
                .patch_with(&upload, size, &[("Upload-Length", &length)], b"")
                .await;

            assert_eq!(answer.expect(204).number("Upload-Offset"), size as u64);
            assert!(place.object(&upload).await == Some(file));
        }
    })
    .await;
}

#[tokio::test]
async fn defer_08_no_upload_grows_beyond_the_limit_whether_its_length_is_told_or_not() {
    here_with(
        |config| config.protocols.tus.max_size = 100,
        async |place| {
            let client = place.client();
            let upload = client.create_deferred().await;

            client
                .patch_with(&upload, 0, &[("Upload-Length", "101")], b"x")
                .await
                .expect(413);

            assert_eq!(client.look(&upload).await.field("Upload-Length"), None);
            client.send(&upload, 0, &content(90)).await;
            client.patch(&upload, 90, &content(11)).await.expect(413);
            let mut connection = client.begin_chunked(&upload, 90, &[]).await;
            connection.send(chunk(&content(11))).await;
            connection.answer().await.expect(413);
            assert!(client.offset(&upload).await <= 100);
            let with_bytes = [BYTES, ("Upload-Defer-Length", "1")];
            client
                .ask("POST", "/files", &with_bytes, &content(101))
                .await
                .expect(413);
        },
    )
    .await;
}

#[tokio::test]
async fn with_05_the_first_bytes_may_come_before_the_length() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(20));
        let made = client
            .ask(
                "POST",
                "/files",
                &[BYTES, ("Upload-Defer-Length", "1")],
                &file[..12],
            )
            .await
            .expect(201);
        assert_eq!(made.number("Upload-Offset"), 12);
        let upload = location(&made);
        assert_eq!(client.look(&upload).await.header("Upload-Defer-Length"), "1");

        client
            .patch_with(&upload, 12, &[("Upload-Length", "20")], &file[12..])
            .await
            .expect(204);

        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn defer_09_a_request_that_counts_for_nothing_fixes_no_length() {
    everywhere(async |place| {
        let client = place.client();
        let upload = client.create_deferred().await;
        let wrong = [
            ("Upload-Length", "3"),
            ("Upload-Checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ];
        client.patch_with(&upload, 0, &wrong, b"abc").await.expect(460);
        let mut too_long = client.begin_chunked(&upload, 0, &[("Upload-Length", "3")]).await;
        too_long.send(super::raw_http::chunk(b"abcdef")).await;
        too_long.send(b"0\r\n\r\n").await;
        too_long.answer().await.expect(413);

        let now = client.look(&upload).await.expect(200);

        assert_eq!(now.field("Upload-Length"), None, "{now:?}");
        let offset = usize::try_from(now.number("Upload-Offset")).expect("small");
        let rest = &b"abcd"[offset..];
        let told = [("Upload-Length", "4")];
        client.patch_with(&upload, offset, &told, rest).await.expect(204);
        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"abcd"[..]));
    })
    .await;
}
