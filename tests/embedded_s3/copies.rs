//! Parts that are copied from objects which are there already.

use super::Running;
use super::s3_client::{Answer, quoted_md5};

const SOURCE: &[u8] = b"an object of more bytes than a part must have";

/// Copies as part `number`; `range` is empty for the whole object.
async fn copy(s3: &Running, upload: &str, number: u16, source: &str, range: &str) -> Answer {
    let mut ask = s3
        .client
        .part_request("joined", upload, number)
        .signed("x-amz-copy-source", source);
    if !range.is_empty() {
        ask = ask.signed("x-amz-copy-source-range", range);
    }
    ask.send().await
}

#[tokio::test]
async fn parts_are_copied_whole_and_by_range_and_mixed_with_sent_ones() {
    let s3 = Running::start().await;
    s3.client.put("a folder/source+ü", SOURCE).await;
    let upload = s3.client.begin("joined").await;

    let whole = copy(&s3, &upload, 1, "/uploads/a%20folder/source%2B%C3%BC", "").await;
    let range = copy(
        &s3,
        &upload,
        2,
        "uploads/a%20folder/source%2B%C3%BC",
        "bytes=3-20",
    )
    .await;
    let sent = s3.client.part("joined", &upload, 3, b"end").await;

    assert_eq!(whole.tag("ETag"), Some(quoted_md5(SOURCE)));
    assert!(whole.text().contains("<CopyPartResult"), "{whole:?}");
    assert!(whole.tag("LastModified").is_some(), "{whole:?}");
    let range = range.tag("ETag").expect("a tag");
    assert_eq!(range, quoted_md5(&SOURCE[3..=20]));
    let parts = [(1, quoted_md5(SOURCE)), (2, range), (3, sent)];
    let parts: Vec<(u16, &str)> = parts
        .iter()
        .map(|(number, tag)| (*number, tag.as_str()))
        .collect();
    let done = s3.client.complete("joined", &upload, &parts).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(
        s3.client.get("joined").await.body,
        [SOURCE, &SOURCE[3..=20], b"end"].concat()
    );
}

#[tokio::test]
async fn a_copied_part_outlives_its_source_and_a_restart() {
    let s3 = Running::start().await;
    s3.client.put("source", SOURCE).await;
    let upload = s3.client.begin("joined").await;
    copy(&s3, &upload, 1, "uploads/source", "").await;
    s3.client.ask("DELETE", "source").send().await;

    let s3 = s3.restart().await;

    let tag = quoted_md5(SOURCE);
    let done = s3.client.complete("joined", &upload, &[(1, &tag)]).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(s3.client.get("joined").await.body, SOURCE);
}

#[tokio::test]
async fn a_copy_that_cannot_be_is_refused_as_s3_does() {
    let s3 = Running::start().await;
    s3.client.put("source", SOURCE).await;
    s3.client.put("small", b"8 bytes.").await;
    let upload = s3.client.begin("joined").await;
    let outcome = async |source: &str, range: &str| copy(&s3, &upload, 1, source, range).await.outcome();

    for range in [
        "bytes=40-45",
        "bytes=45-50",
        "bytes=5-4",
        "bytes=5-",
        "0-5",
        "bytes=0-1,3-4",
    ] {
        assert_eq!(
            outcome("uploads/source", range).await,
            "400 InvalidArgument",
            "{range}"
        );
    }
    assert_eq!(outcome("uploads/small", "bytes=0-3").await, "400 InvalidRequest");
    assert_eq!(outcome("uploads/missing", "").await, "404 NoSuchKey");
    assert_eq!(outcome("nowhere/source", "").await, "404 NoSuchBucket");
    assert_eq!(outcome("source", "").await, "400 InvalidArgument");

    let none = copy(&s3, "0123456789abcdef0123456789abcdef", 1, "uploads/source", "").await;
    assert_eq!(none.outcome(), "404 NoSuchUpload");
    let beyond = copy(&s3, &upload, 10_001, "uploads/source", "").await;
    assert_eq!(beyond.outcome(), "400 InvalidArgument");
    let changed = s3
        .client
        .part_request("joined", &upload, 1)
        .signed("x-amz-copy-source", "uploads/source")
        .signed("x-amz-copy-source-if-match", &quoted_md5(b"other"));
    assert_eq!(changed.send().await.outcome(), "412 PreconditionFailed");

    assert_eq!(outcome("uploads/small", "").await, "200");
    assert_eq!(outcome("uploads/source", "bytes=0-44").await, "200");
}
