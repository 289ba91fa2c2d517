//! Whole uploads: what is signed works at the store, whatever the key looks like, and the record knows.

use chrono::TimeDelta;

use crate::client::Page;
use crate::page::{
    EMPTY, KEY_ID, PART, Reply, element, http, key_for, on_both, on_both_with, reply, store_of, v2_date,
};
use crate::s3_client::encode;

/// Keys with everything that a person may type into a file's name.
const ODD: [&str; 7] = [
    "pages/anna/a b.mp4",
    "pages/anna/1+1=2 & 100%.mp4",
    "pages/anna/!'()*~.mp4",
    "pages/anna/what?acl#x.mp4",
    "pages/anna/日本/Straße.mp4",
    "pages/anna/%2541.mp4",
    "pages/anna/🐴;,:@$.mp4",
];

#[tokio::test]
async fn three_parts_arrive_whatever_the_key_looks_like_and_the_record_knows() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        for key in ODD {
            let path = encode(key, true);
            let id = anna.begun(&path).await;
            let open = anna.recorded().await[0].clone();
            assert_eq!(
                (open["key"].as_str(), open["state"].as_str()),
                (Some(key), Some("open"))
            );
            let mut tags = Vec::new();
            for (number, bytes) in (1..).zip([[b'a'; PART].as_slice(), &[b'b'; PART], b"c"]) {
                tags.push(anna.sent(&path, &id, number, bytes).await);
            }
            let list = anna.write(
                "GET",
                &path,
                &format!("part-number-marker=0&uploadId={id}"),
                EMPTY,
            );
            assert_eq!(anna.send(&list, b"").await.text.matches("<Part>").count(), 3);
            let (complete, xml) = anna.complete(&path, &id, &tags);
            let done = anna.send(&complete, xml.as_bytes()).await;
            assert_eq!(done.status, 200, "{done:?}");

            let object = store_of(&server).get(key).await;
            assert_eq!(object.body.len(), 2 * PART + 1, "{key}");
        }
    })
    .await;
}

/// SigV2 has the same string for what is signed and what is sent.
async fn send_v2(anna: &Page<'_>, method: &str, key: &str, query: &str, body: &[u8]) -> Reply {
    let date = v2_date(anna.server.clock.now());
    let resource = format!("/{}/{key}?{query}", anna.bucket());
    let signed = anna
        .sign_v2(&format!("{method}\n\n\n\nx-amz-date:{date}\n{resource}"))
        .await;
    assert_eq!(signed.status, 200, "{signed:?}");
    let request = http()
        .request(
            method.parse().unwrap(),
            format!("{}{resource}", anna.server.store),
        )
        .header("x-amz-date", date)
        .header("authorization", format!("AWS {KEY_ID}:{}", signed.text));
    reply(request.body(body.to_vec())).await
}

#[tokio::test]
async fn the_same_in_version_2_where_that_is_switched_on() {
    on_both_with(
        |config| config.protocols.evaporate.signature_v2 = true,
        async |server| {
            let anna = Page::of(&server, &key_for(&server, "anna").await);
            let key = "pages/anna/a%20b%2B!'()*.mp4";
            let begun = send_v2(&anna, "POST", key, "uploads", b"").await;
            assert_eq!(begun.status, 200, "{begun:?}");
            let id = element(&begun.text, "UploadId").to_owned();
            let sent = send_v2(
                &anna,
                "PUT",
                key,
                &format!("partNumber=1&uploadId={id}"),
                b"whole",
            )
            .await;
            assert_eq!(sent.status, 200, "{sent:?}");
            let (_, xml) = anna.complete(key, &id, &[sent.header("etag").to_owned()]);
            let done = send_v2(&anna, "POST", key, &format!("uploadId={id}"), xml.as_bytes()).await;
            assert_eq!(done.status, 200, "{done:?}");

            assert_eq!(
                store_of(&server).get("pages/anna/a b+!'()*.mp4").await.body,
                b"whole"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn days_later_the_same_owner_goes_on_and_an_abort_ends_it() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let id = anna.begun("pages/anna/a").await;
        anna.sent("pages/anna/a", &id, 1, &[b'a'; PART]).await;

        server.advance(TimeDelta::days(5));
        let later = anna.sign(&anna.part("pages/anna/a", &id, 2)).await;
        assert_eq!(later.status, 200, "{later:?}");
        server.advance(-TimeDelta::days(5));

        let abort = anna.write("DELETE", "pages/anna/a", &format!("uploadId={id}"), EMPTY);
        assert_eq!(anna.send(&abort, b"").await.status, 204);
        assert!(anna.in_the_store().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn whether_an_object_exists_is_signed_where_the_settings_allow_it() {
    for (existence, status) in [(false, 403), (true, 200)] {
        on_both_with(
            |config| config.protocols.evaporate.existence = existence,
            async |server| {
                let anna = Page::of(&server, &key_for(&server, "anna").await);
                assert_eq!(
                    anna.sign(&anna.write("HEAD", "pages/anna/a", "", EMPTY))
                        .await
                        .status,
                    status
                );
                let foreign = anna.sign(&anna.write("HEAD", "pages/bert/a", "", EMPTY)).await;
                foreign.assert_signs_nothing("somebody else's object");
            },
        )
        .await;
    }
}
