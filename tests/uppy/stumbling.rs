//! Completing waits rather than fails: versions 3 to 5 answer an error by throwing everything away.

use super::tripping_store::{Trip, Tripping};
use super::{Kind, TestServer, bytes, page, record, start, store_of};

const ERROR: &str = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>x</Message></Error>";

#[tokio::test]
async fn a_store_that_stumbles_over_a_completion_is_asked_again_and_the_upload_succeeds() {
    let first = start(Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
    for (trip, times) in [
        (Trip::Instead("500 Oops", ERROR), 1),
        (Trip::Instead("200 OK", ERROR), 1),
        (Trip::Instead("200 OK", "<Error><Code>SlowDown</Code></Error>"), 1),
        // More than one request of ours is ever sent for: the client's request waits.
        (Trip::Instead("503 Oops", ERROR), 5),
        (Trip::Lost, 1),
    ] {
        eprintln!("{trip:?}");
        let store = Tripping::before(&first, trip, times).await;
        let server = TestServer::start(Kind::Sqlite, |config| store.beside(&first, config));
        let server = server.expect("SQLite is never skipped");
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;

        page.complete(&upload, &[(1, &one)]).await.good();

        assert_eq!(store.left(), 0);
        assert_eq!(store_of(&first).get(&upload.key).await.body, bytes(10));
        assert_eq!(record(&first, &upload.id).await.size, 10);
    }
}
