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
            method.parse().expect("a method"),
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

#[tokio::test]
async fn a_file_beyond_the_largest_size_is_not_completed_and_parts_that_prove_it_are_not_signed() {
    on_both_with(
        |config| config.limits.max_size = 2 * PART as u64,
        async |server| {
            let anna = Page::of(&server, &key_for(&server, "anna").await);
            let id = anna.begun("pages/anna/a").await;
            let mut tags = Vec::new();
            for number in 1..=3 {
                tags.push(anna.sent("pages/anna/a", &id, number, &[b'x'; PART]).await);
            }
            let beyond = anna.sign(&anna.part("pages/anna/a", &id, 4)).await;
            let complete = anna.sign(&anna.complete("pages/anna/a", &id, &tags).0).await;

            for refused in [beyond, complete] {
                assert_eq!(refused.status, 403);
                assert!(refused.text.contains("at most 32 bytes"), "{refused:?}");
                refused.assert_signs_nothing("too large");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_signed_again_and_the_record_is_complete() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let id = anna.begun("pages/anna/a").await;
        let tag = anna.sent("pages/anna/a", &id, 1, b"whole").await;
        let (complete, xml) = anna.complete("pages/anna/a", &id, &[tag]);
        assert_eq!(anna.send(&complete, xml.as_bytes()).await.status, 200);

        for _ in 0..2 {
            let again = anna.sign(&complete).await;
            assert_eq!(again.status, 200, "{again:?}");
        }
        let known = anna.recorded().await[0].clone();
        assert_eq!(
            (known["state"].as_str(), known["size"].as_u64()),
            (Some("complete"), Some(5))
        );
        let late = anna.sign(&anna.part("pages/anna/a", &id, 2)).await;
        late.assert_signs_nothing("a part of a finished upload");
        let over = anna.sign(&anna.begin("pages/anna/a")).await;
        over.assert_signs_nothing("a finished key again");
    })
    .await;
}

#[tokio::test]
async fn a_second_beginning_does_not_overwrite_what_the_first_has_finished_unnoticed() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let key = "pages/anna/a";
        let (first, second) = (anna.begun(key).await, anna.begun(key).await);
        let tag = anna.sent(key, &first, 1, b"whole").await;
        // One more, that the server has not heard of when it dropped the second for the first.
        let third = store_of(&server).begin(key).await;
        let (complete, xml) = anna.complete(key, &first, &[tag]);
        assert_eq!(anna.send(&complete, xml.as_bytes()).await.status, 200);

        for id in [&third, &second] {
            for written in [anna.part(key, id, 1), anna.complete(key, id, &[]).0] {
                let refused = anna.sign(&written).await;
                assert_eq!(refused.status, 403, "{refused:?}");
                refused.assert_signs_nothing("another of a finished key");
            }
            // The store says itself that it knows no such upload.
            let list = anna.write("GET", key, &format!("uploadId={id}"), EMPTY);
            assert_eq!(anna.send(&list, b"").await.status, 404);
        }

        assert_eq!(store_of(&server).get(key).await.body, b"whole");
        assert_eq!(anna.recorded().await[0]["state"], "complete");
        assert_eq!(anna.recorded().await[0]["size"], 5);
        assert_eq!(
            anna.sign(&complete).await.status,
            200,
            "its own end is signed again"
        );
    })
    .await;
}

#[tokio::test]
async fn parts_of_two_chunk_sizes_are_not_completed_and_the_same_key_begins_anew() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let key = "pages/anna/a";
        let id = anna.begun(key).await;
        let mut tags = Vec::new();
        for (number, size) in [(1, 2 * PART), (2, PART), (3, PART)] {
            tags.push(anna.sent(key, &id, number, &vec![b'x'; size]).await);
        }

        let refused = anna.sign(&anna.complete(key, &id, &tags).0).await;

        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.text.contains("part 2 has 16 bytes"), "{refused:?}");
        refused.assert_signs_nothing("a file of two cuts");
        let list = anna.write("GET", key, &format!("uploadId={id}"), EMPTY);
        assert_eq!(
            anna.send(&list, b"").await.status,
            404,
            "the client then starts over"
        );
        let again = anna.begun(key).await;
        anna.sent(key, &again, 1, b"x").await;
    })
    .await;
}

#[tokio::test]
async fn a_second_page_with_a_file_of_the_same_name_leaves_the_one_that_is_sent_alone() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let key = "pages/anna/a";
        let id = anna.begun(key).await;
        // It began as the first one did, and does not know yet that it is late.
        let late = anna.begun(key).await;
        let one = anna.sent(key, &id, 1, &[b'a'; PART]).await;

        for written in [
            anna.part(key, &late, 1),
            anna.begin(key),
            anna.begin(key).with("x-amz-meta-of", "another file"),
        ] {
            let refused = anna.sign(&written).await;
            assert_eq!(refused.status, 403, "{refused:?}");
            refused.assert_signs_nothing("another of the same name");
        }
        let refused = anna.sign(&anna.begin(key)).await;
        assert!(refused.text.contains("under way"), "{refused:?}");

        let two = anna.sent(key, &id, 2, b"b").await;
        let (complete, xml) = anna.complete(key, &id, &[one, two]);
        assert_eq!(anna.send(&complete, xml.as_bytes()).await.status, 200);
        assert_eq!(store_of(&server).get(key).await.body.len(), PART + 1);
    })
    .await;
}

#[tokio::test]
async fn two_minutes_after_its_last_part_an_upload_makes_way_for_another_of_the_same_name() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let key = "pages/anna/a";
        let id = anna.begun(key).await;
        anna.sent(key, &id, 1, &[b'a'; PART]).await;

        server.advance(TimeDelta::minutes(3));
        let again = anna.begun(key).await;
        anna.sent(key, &again, 1, &[b'b'; PART]).await;

        assert_eq!(anna.in_the_store().await, [again]);
    })
    .await;
}

#[tokio::test]
async fn several_beginnings_of_one_key_at_once_are_one_upload() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let begin = anna.begin("pages/anna/a");

        let signed = futures_util::future::join_all((0..8).map(|_| anna.sign(&begin))).await;

        for answer in &signed {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(anna.recorded().await.as_array().map(Vec::len), Some(1));
    })
    .await;
}

#[tokio::test]
async fn what_the_store_has_lost_it_says_itself_and_the_same_key_begins_anew() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);
        let id = anna.begun("pages/anna/a").await;
        let abort = store_of(&server)
            .ask("DELETE", "pages/anna/a")
            .query("uploadId", &id);
        assert_eq!(abort.send().await.status, 204);

        let list = anna.write(
            "GET",
            "pages/anna/a",
            &format!("part-number-marker=0&uploadId={id}"),
            EMPTY,
        );
        assert_eq!(
            anna.send(&list, b"").await.status,
            404,
            "the client then starts over"
        );
        let again = anna.begun("pages/anna/a").await;
        assert_ne!(again, id);
        anna.sent("pages/anna/a", &again, 1, b"x").await;
        assert_eq!(
            anna.recorded().await.as_array().map(Vec::len),
            Some(1),
            "one upload all the time"
        );
    })
    .await;
}
