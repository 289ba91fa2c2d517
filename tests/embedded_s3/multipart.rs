//! Uploads in parts: what may be completed, and that nothing but an abort harms an upload.

use md5::{Digest as _, Md5};

use super::Running;
use super::s3_client::{Answer, quoted_md5};

const FIRST: &[u8] = b"the first part, long enough";
const SECOND: &[u8] = b"a second one of the same kind";

#[tokio::test]
async fn parts_in_any_order_become_one_object_with_s3s_etag() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("film.mp4").await;
    let last = s3.client.part("film.mp4", &upload, 3, b"end").await;
    let first = s3.client.part("film.mp4", &upload, 1, FIRST).await;
    let second = s3.client.part("film.mp4", &upload, 2, SECOND).await;
    assert_eq!(first, quoted_md5(FIRST));

    let done = s3
        .client
        .complete("film.mp4", &upload, &[(1, &first), (2, &second), (3, &last)])
        .await;

    let mut md5 = Md5::new();
    for part in [FIRST, SECOND, b"end"] {
        md5.update(Md5::digest(part));
    }
    assert_eq!(
        done.tag("ETag"),
        Some(format!("\"{}-3\"", hex::encode(md5.finalize())))
    );
    assert_eq!(
        done.tag("Location"),
        Some(format!("{}/uploads/film.mp4", s3.client.endpoint))
    );
    assert_eq!(
        s3.client.get("film.mp4").await.body,
        [FIRST, SECOND, b"end"].concat()
    );
    assert_eq!(s3.files_in("uploads"), 0);
}

#[tokio::test]
async fn numbers_may_have_gaps_and_uploaded_parts_may_be_left_out() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let second = s3.client.part("key", &upload, 2, FIRST).await;
    s3.client.part("key", &upload, 5, b"not wanted").await;
    let last = s3.client.part("key", &upload, 900, b"end").await;

    let done = s3
        .client
        .complete("key", &upload, &[(2, &second), (900, &last)])
        .await;

    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(s3.client.get("key").await.body, [FIRST, b"end"].concat());
    assert_eq!(s3.files_in("segments"), 2);
}

#[tokio::test]
async fn every_refused_completion_leaves_the_upload_ready_for_a_better_one() {
    let s3 = Running::start().await;
    let client = &s3.client;
    let upload = client.begin("key").await;
    let small = client.part("key", &upload, 1, b"small").await;
    let last = client.part("key", &upload, 2, b"x").await;
    let complete = async |parts: &[(u16, &str)]| client.complete("key", &upload, parts).await.outcome();

    assert_eq!(complete(&[(1, &small), (2, &last)]).await, "400 EntityTooSmall");
    assert_eq!(complete(&[(2, &last), (1, &small)]).await, "400 InvalidPartOrder");
    assert_eq!(
        complete(&[(1, &small), (1, &small)]).await,
        "400 InvalidPartOrder"
    );
    assert_eq!(complete(&[(1, &quoted_md5(b"other"))]).await, "400 InvalidPart");
    assert_eq!(complete(&[(1, &small), (3, &last)]).await, "400 InvalidPart");
    assert_eq!(complete(&[]).await, "400 MalformedXML");
    let nonsense = client
        .ask("POST", "key")
        .query("uploadId", &upload)
        .body(b"no document")
        .send()
        .await;
    assert_eq!(nonsense.outcome(), "400 MalformedXML");
    let long = client.part("key", &upload, 1, FIRST).await;
    assert_eq!(complete(&[(1, &long), (2, &last)]).await, "200");
}

#[tokio::test]
async fn the_declared_object_size_is_held_against_the_parts() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let etag = s3.client.part("key", &upload, 1, b"abc").await;
    let complete = async |size: &str| {
        let body = super::s3_client::completion(&[(1, &etag)]);
        let ask = s3
            .client
            .ask("POST", "key")
            .query("uploadId", &upload)
            .signed("x-amz-mp-object-size", size);
        ask.body(body.as_bytes()).send().await.outcome()
    };

    assert_eq!(complete("4").await, "400 InvalidRequest");
    assert_eq!(complete("3").await, "200");
}

#[tokio::test]
async fn a_repeated_completion_gets_the_same_answer_and_a_different_one_does_not() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let first = s3.client.part("key", &upload, 1, FIRST).await;
    let last = s3.client.part("key", &upload, 2, b"x").await;
    let done = s3
        .client
        .complete("key", &upload, &[(1, &first), (2, &last)])
        .await;

    let s3 = s3.restart().await;
    let again = s3
        .client
        .complete("key", &upload, &[(1, &first), (2, &last)])
        .await;
    let other = s3.client.complete("key", &upload, &[(1, &first)]).await;

    assert_eq!((again.status, again.tag("ETag")), (200, done.tag("ETag")));
    assert_eq!(other.outcome(), "404 NoSuchUpload");
}

#[tokio::test]
async fn after_an_abort_nothing_of_the_upload_is_left() {
    let s3 = Running::start().await;
    let client = &s3.client;
    let upload = client.begin("key").await;
    let etag = client.part("key", &upload, 1, FIRST).await;
    let abort = || client.ask("DELETE", "key").query("uploadId", &upload).send();

    assert_eq!(abort().await.status, 204);

    assert_eq!(abort().await.outcome(), "404 NoSuchUpload");
    assert_eq!(client.parts("key", &upload).await.outcome(), "404 NoSuchUpload");
    assert_eq!(
        client.complete("key", &upload, &[(1, &etag)]).await.outcome(),
        "404 NoSuchUpload"
    );
    let late = client.part_request("key", &upload, 2).body(b"late").send().await;
    assert_eq!(late.outcome(), "404 NoSuchUpload");
    assert_eq!((s3.files_in("segments"), s3.files_in("uploads")), (0, 0));
}

#[tokio::test]
async fn an_upload_id_is_good_for_its_own_key_only() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("mine").await;

    let other_key = s3
        .client
        .part_request("yours", &upload, 1)
        .body(b"x")
        .send()
        .await;
    let made_up = s3.client.part_request("mine", "bogus", 1).body(b"x").send().await;

    assert_eq!(other_key.outcome(), "404 NoSuchUpload");
    assert_eq!(made_up.outcome(), "404 NoSuchUpload");
}

#[tokio::test]
async fn part_numbers_go_from_one_to_ten_thousand() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let put = async |number| {
        s3.client
            .part_request("key", &upload, number)
            .body(b"x")
            .send()
            .await
            .outcome()
    };

    assert_eq!(put(0).await, "400 InvalidArgument");
    assert_eq!(put(10_001).await, "400 InvalidArgument");
    assert_eq!(put(1).await, "200");
    assert_eq!(put(10_000).await, "200");
}

#[tokio::test]
async fn the_list_of_parts_is_in_order_and_shows_the_part_that_came_last() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    for number in [12, 3, 1] {
        s3.client.part("key", &upload, number, b"first").await;
    }
    s3.client.part("key", &upload, 3, b"replaced").await;

    let list = s3.client.parts("key", &upload).await;

    assert_eq!(list.tags("PartNumber"), ["1", "3", "12"]);
    assert_eq!(list.tags("Size"), ["5", "8", "5"]);
    assert_eq!(list.tags("ETag")[1], quoted_md5(b"replaced"));
    assert_eq!(list.tags("LastModified").len(), 3);
    assert_eq!(s3.files_in("segments"), 3);
}

#[tokio::test]
async fn more_than_a_thousand_parts_come_in_pages() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let workers = (0..4_u16).map(|worker| {
        let (client, upload) = (s3.client.clone(), upload.clone());
        tokio::spawn(async move {
            for number in (1 + worker..=1_010).step_by(4) {
                client.part("key", &upload, number, b"x").await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("all parts are taken");
    }
    let page = |marker: &str, most: &str| {
        let ask = s3.client.ask("GET", "key").query("uploadId", &upload);
        ask.query("part-number-marker", marker)
            .query("max-parts", most)
            .send()
    };

    let first = page("0", "5000").await;
    let second = page(&first.tag("NextPartNumberMarker").expect("a marker"), "5000").await;
    let middle = page("500", "2").await;

    assert_eq!(
        (
            first.tags("PartNumber").len(),
            first.tag("IsTruncated").as_deref()
        ),
        (1000, Some("true"))
    );
    assert_eq!(
        (
            second.tags("PartNumber").len(),
            second.tag("IsTruncated").as_deref()
        ),
        (10, Some("false"))
    );
    assert_eq!(middle.tags("PartNumber"), ["501", "502"]);
}

#[tokio::test]
async fn unfinished_uploads_are_listed_by_key_and_age_in_pages_and_below_prefixes() {
    let s3 = Running::start().await;
    let mut begun = Vec::new();
    for key in ["a", "a", "b", "d/x", "d/y"] {
        begun.push(s3.client.begin(key).await);
    }
    let list = async |query: &[(&str, &str)]| {
        let ask = s3.client.ask("GET", "").query("uploads", "");
        query
            .iter()
            .fold(ask, |ask, (name, value)| ask.query(name, value))
            .send()
            .await
    };

    let (mut seen, mut markers) = (Vec::new(), (String::new(), String::new()));
    loop {
        let query = [
            ("max-uploads", "1"),
            ("key-marker", &markers.0),
            ("upload-id-marker", &markers.1),
        ];
        let page = list(&query).await;
        seen.extend(page.tags("UploadId"));
        if page.tag("IsTruncated").as_deref() == Some("false") {
            break;
        }
        let next = |page: &Answer, name| page.tag(name).expect("a marker");
        markers = (next(&page, "NextKeyMarker"), next(&page, "NextUploadIdMarker"));
    }
    let folded = list(&[("delimiter", "/")]).await;

    assert_eq!(seen, begun);
    assert_eq!(list(&[("prefix", "d/")]).await.tags("Key"), ["d/x", "d/y"]);
    assert_eq!(folded.tags("Key"), ["a", "a", "b"]);
    assert!(
        folded.text().contains("<CommonPrefixes><Prefix>d/</Prefix>"),
        "{}",
        folded.text()
    );
}

#[tokio::test]
async fn of_two_that_send_one_part_at_once_one_wins_whole() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let bodies: Vec<Vec<u8>> = (0..6_u8)
        .map(|fill| vec![fill; 3_000_000 + usize::from(fill)])
        .collect();

    let sending: Vec<_> = bodies
        .iter()
        .map(|body| {
            let (client, upload, body) = (s3.client.clone(), upload.clone(), body.clone());
            tokio::spawn(async move { client.part("key", &upload, 1, &body).await })
        })
        .collect();
    for sent in sending {
        sent.await.expect("each is taken");
    }

    let etag = s3
        .client
        .parts("key", &upload)
        .await
        .tag("ETag")
        .expect("one part");
    assert_eq!(
        s3.client.complete("key", &upload, &[(1, &etag)]).await.status,
        200
    );
    let object = s3.client.get("key").await.body;
    assert_eq!(quoted_md5(&object), etag);
    assert!(bodies.contains(&object));
    assert_eq!(s3.files_in("segments"), 1);
}

#[tokio::test]
async fn do_not_overwrite_is_kept_and_the_upload_survives_the_refusal() {
    let s3 = Running::start().await;
    s3.client.put("key", b"here first").await;
    let upload = s3.client.begin("key").await;
    let etag = s3.client.part("key", &upload, 1, b"late").await;
    let body = super::s3_client::completion(&[(1, &etag)]);
    let ask = || {
        s3.client
            .ask("POST", "key")
            .query("uploadId", &upload)
            .body(body.as_bytes())
    };

    let refused = ask().header("if-none-match", "*").send().await;

    assert_eq!(refused.outcome(), "412 PreconditionFailed");
    assert_eq!(s3.client.get("key").await.body, b"here first");
    assert_eq!(ask().send().await.status, 200);
    assert_eq!(s3.client.get("key").await.body, b"late");
}

#[tokio::test]
async fn an_empty_part_makes_an_empty_object() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("empty").await;
    let etag = s3.client.part("empty", &upload, 1, b"").await;

    assert_eq!(
        s3.client.complete("empty", &upload, &[(1, &etag)]).await.status,
        200
    );

    let object = s3.client.get("empty").await;
    assert_eq!((object.status, object.body.len()), (200, 0));
}
