//! Downloads: off unless switched on; then plain HTTP, and nothing that a browser would run.

use super::client::{BYTES, VERSION, content, metadata};
use super::place::{Backend, Place};
use super::server::Kind;
use super::{CELLS, here, on};

async fn where_they_are_on(test: impl AsyncFn(Place)) {
    for (database, backend) in CELLS {
        on(
            *database,
            *backend,
            |config| config.protocols.tus.downloads = true,
            &test,
        )
        .await;
    }
}

#[tokio::test]
async fn get_01_nothing_can_be_downloaded_unless_the_operator_wants_it() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        client.send(&upload, 0, b"hello").await;

        let refused = client.raw("GET", &upload, &[], b"").await;

        assert!(matches!(refused.status, 405 | 412), "{refused:?}");
        client.ask("GET", &upload, &[], b"").await.expect(405);
    })
    .await;
}

#[tokio::test]
async fn get_02_a_finished_upload_is_sent_whole_or_in_part() {
    where_they_are_on(async |place| {
        let (client, file) = (place.client(), content(300_000));
        let upload = client.create(file.len()).await;
        client.raw("GET", &upload, &[], b"").await.expect(404);
        client.send(&upload, 0, &file).await;

        let whole = client
            .raw("GET", &upload, &[("Accept-Encoding", "gzip")], b"")
            .await
            .expect(200);
        assert!(whole.body == file);
        assert_eq!(whole.header("Content-Length"), "300000");
        assert_eq!(whole.header("Accept-Ranges"), "bytes");
        let tag = whole.header("ETag");
        for (range, bytes, told) in [
            ("bytes=0-0", &file[..1], "bytes 0-0/300000"),
            (
                "bytes=100000-199999",
                &file[100_000..200_000],
                "bytes 100000-199999/300000",
            ),
            ("bytes=299999-", &file[299_999..], "bytes 299999-299999/300000"),
            ("bytes=-5", &file[299_995..], "bytes 299995-299999/300000"),
        ] {
            let fields = [("Range", range), ("If-Range", &tag)];
            let piece = client.raw("GET", &upload, &fields, b"").await.expect(206);
            assert_eq!(piece.header("Content-Range"), told);
            assert!(piece.body == bytes, "{range}");
        }
        let beyond = client
            .raw("GET", &upload, &[("Range", "bytes=300000-")], b"")
            .await
            .expect(416);
        assert_eq!(beyond.header("Content-Range"), "bytes */300000");
        let other = [("Range", "bytes=0-0"), ("If-Range", "\"another\"")];
        assert_eq!(
            client
                .raw("GET", &upload, &other, b"")
                .await
                .expect(200)
                .body
                .len(),
            300_000
        );
    })
    .await;
}

#[tokio::test]
async fn get_03_no_browser_runs_what_somebody_uploaded() {
    where_they_are_on(async |place| {
        let client = place.client();
        for (kind, told) in [
            ("text/html", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("text/javascript", "application/octet-stream"),
            ("application/xhtml+xml", "application/octet-stream"),
            ("video/mp4", "video/mp4"),
        ] {
            let named = metadata(&[
                ("filename", "naïve \"x\".html".as_bytes()),
                ("filetype", kind.as_bytes()),
            ]);
            let made = client
                .ask(
                    "POST",
                    "/files",
                    &[BYTES, ("Upload-Length", "5"), ("Upload-Metadata", &named)],
                    b"hello",
                )
                .await
                .expect(201);

            let answer = client
                .raw("GET", &made.header("Location"), &[], b"")
                .await
                .expect(200);

            assert_eq!(answer.header("Content-Type"), told);
            assert_eq!(answer.header("X-Content-Type-Options"), "nosniff");
            assert_eq!(
                answer.header("Content-Disposition"),
                "attachment; filename=\"na_ve _x_.html\"; filename*=UTF-8''na%C3%AFve%20%22x%22.html"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn get_04_head_stays_what_it_is_and_strangers_get_nothing() {
    on(
        Kind::Sqlite,
        Backend::Local,
        |config| config.protocols.tus.downloads = true,
        async |place| {
            let client = place.client();
            let anna = client.with("X-API-Key", &place.new_key("anna", "upload").await);
            let upload = anna.create(5).await;
            anna.send(&upload, 0, b"hello").await;

            let looked = anna.look(&upload).await.expect(200);

            assert_eq!(looked.number("Upload-Offset"), 5);
            anna.raw("GET", &upload, &[VERSION], b"").await.expect(200);
            client.raw("GET", &upload, &[VERSION], b"").await.expect(404);
            anna.delete(&upload).await.expect(204);
            anna.raw("GET", &upload, &[], b"").await.expect(404);
        },
    )
    .await;
}
