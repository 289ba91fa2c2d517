//! Multipart uploads as every generation sends them, from the first request to the object.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{API_KEY, bytes, on_both, on_one_with, page, record, store_of};

#[tokio::test]
async fn three_parts_of_the_clients_own_cut_become_the_object_byte_for_byte() {
    on_both(async |server| {
        let page = page(&server);
        let file = bytes(25);

        let upload = page.begin("Straße & 日本.mp4").await;
        let mut tags = Vec::new();
        for (number, piece) in (1..).zip(file.chunks(10)) {
            tags.push((number, page.send(&upload, number, piece).await));
        }
        let named: Vec<_> = tags.iter().map(|(number, tag)| (*number, tag.as_str())).collect();
        let done = page.complete(&upload, &named).await.good();

        assert_eq!(done["key"], upload.key.as_str());
        assert_eq!(done["bucket"], "uploads");
        let location = done["location"].as_str().expect("a location");
        assert!(location.ends_with(&upload.key), "{location}");
        let object = store_of(&server).get(&upload.key).await;
        assert_eq!(object.body, file);
        assert_eq!(object.header("content-type"), Some("video/mp4"));
        let disposition = object.header("content-disposition").expect("a disposition");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        let record = record(&server, &upload.id).await;
        assert_eq!((record.size, record.plan().part_count()), (25, 3));
        assert_eq!(record.protocol, "uppy");
    })
    .await;
}

#[tokio::test]
async fn version_2_signs_in_batches() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;

        let batch = page
            .about(&upload, "GET", "{}/batch?partNumbers=1,2,10000", None)
            .await;
        let urls = batch.good()["presignedUrls"].clone();

        assert_eq!(urls.as_object().expect("an object").len(), 3);
        page.put(urls["2"].as_str().expect("a URL"), &bytes(10)).await;
        let listed = page.list(&upload).await.good();
        assert_eq!(listed[0]["PartNumber"], 2);
        for wrong in ["", "?partNumbers=0", "?partNumbers=1,x", "?partNumbers=10001"] {
            let refused = page
                .about(&upload, "GET", &format!("{{}}/batch{wrong}"), None)
                .await;
            refused.refusal(400, "invalid-request");
        }
    })
    .await;
}

#[tokio::test]
async fn numbers_in_a_list_are_numbers_and_signing_tells_no_short_expiry() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        page.send(&upload, 1, &bytes(10)).await;

        let listed = page.list(&upload).await.good();

        let tag = listed[0]["ETag"].as_str().expect("a tag");
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        assert_eq!(listed, json!([{ "PartNumber": 1, "ETag": tag, "Size": 10 }]));
        let signed = page.about(&upload, "GET", "{}/1", None).await.good();
        let expires = signed["expires"].as_i64();
        assert!(expires.is_none_or(|seconds| seconds >= 3590), "{signed}");
        assert!(
            signed["url"]
                .as_str()
                .expect("a URL")
                .contains("X-Amz-SignedHeaders=host&")
        );
    })
    .await;
}

#[tokio::test]
async fn quoted_unquoted_and_mixed_tags_complete_and_again_with_the_same_result() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        let two = page.send(&upload, 2, &bytes(4)).await;
        let bare = two.trim_matches('"').to_owned();

        let first = page.complete(&upload, &[(1, &one), (2, &bare)]).await.good();
        let entity = format!("&quot;{bare}&quot;");
        let again = page
            .complete(&upload, &[(1, one.trim_matches('"')), (2, &entity)])
            .await
            .good();

        assert_eq!(first, again);
        let listed = page.list(&upload).await.good();
        assert_eq!(listed.as_array().expect("a list").len(), 2);
        assert_eq!(listed[1], json!({ "PartNumber": 2, "ETag": two, "Size": 4 }));
    })
    .await;
}

#[tokio::test]
async fn parts_that_were_not_sent_or_are_not_what_the_client_sent_are_no_object() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.send(&upload, 3, &bytes(10)).await;

        let three = "\"of part three\"";
        page.complete(&upload, &[(1, &one), (3, three)])
            .await
            .refusal(409, "incomplete");
        page.complete(&upload, &[(1, &one), (2, "x")])
            .await
            .refusal(409, "incomplete");
        page.complete(&upload, &[(1, "0123")])
            .await
            .refusal(409, "part-conflict");
        assert_eq!(store_of(&server).get(&upload.key).await.status, 404);

        // Whoever names nothing has not sent the list of what it has.
        for nothing in [json!({}), json!({ "parts": [] })] {
            let refused = page.about(&upload, "POST", "{}/complete", Some(&nothing)).await;
            let message = refused.refusal(400, "invalid-request");
            assert!(message.starts_with("parts: "), "{message}");
        }
        let two = page.send(&upload, 2, &bytes(10)).await;
        let three = page.list(&upload).await.good()[2]["ETag"].clone();
        let three = three.as_str().expect("a tag").to_owned();
        page.complete(&upload, &[(1, &one), (2, &two), (3, &three)])
            .await
            .good();
        assert_eq!(store_of(&server).get(&upload.key).await.body.len(), 30);
    })
    .await;
}

#[tokio::test]
async fn parts_that_are_smaller_than_the_store_takes_are_the_clients_mistake_and_named() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(7)).await;
        let two = page.send(&upload, 2, &bytes(7)).await;

        let refused = page.complete(&upload, &[(1, &one), (2, &two)]).await;

        let message = refused.refusal(400, "invalid-request");
        assert_eq!(
            message,
            "parts: part 1 has 7 bytes; all but the last need at least 8"
        );
    })
    .await;
}

#[tokio::test]
async fn a_size_that_is_none_and_more_fields_than_a_request_can_have_are_refused_by_name() {
    on_both(async |server| {
        let page = page(&server);
        for size in [json!("1e20"), json!(1e20), json!(-1), json!("abc"), json!(1.5)] {
            let file = json!({ "filename": "a", "metadata": { "size": size } });
            let refused = page.ask("POST", "/s3/multipart", Some(&file)).await;
            let message = refused.refusal(400, "invalid-request");
            assert!(message.starts_with("metadata.size: "), "{message}");
        }
        let fields = |count: usize| {
            let fields = (0..count).map(|n| (format!("f{n}"), json!("x")));
            json!({ "filename": "a", "metadata": fields.collect::<serde_json::Map<_, _>>() })
        };
        let refused = page.ask("POST", "/s3/multipart", Some(&fields(33))).await;
        let message = refused.refusal(400, "invalid-request");
        assert_eq!(message, "metadata: has at most 32 fields, this one has 33");
        let upload = page.create(fields(32)).await;
        page.send(&upload, 1, &bytes(10)).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_announced_too_long_is_refused_before_any_of_it_is_sent() {
    on_one_with(
        |_| {},
        async |server| {
            let address = server.base.trim_start_matches("http://").to_owned();
            let mut stream = tokio::net::TcpStream::connect(&address)
                .await
                .expect("a connection");
            let head = format!(
                "POST /s3/multipart HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {API_KEY}\r\n\
                 Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.expect("the head is sent");

            let mut answer = vec![0; 1024];
            let read = stream.read(&mut answer).await.expect("an answer");
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();

            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_part_number_in_an_address_is_as_the_clients_write_it() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        for wrong in ["-1", "1e3", "abc", "+1", "01", "0", "10001", "1.0"] {
            let refused = page.about(&upload, "GET", &format!("{{}}/{wrong}"), None).await;
            let message = refused.refusal(400, "invalid-request");
            assert_eq!(
                message, "partNumber: must be a whole number from 1 to 10000",
                "{wrong}"
            );
        }
        page.about(&upload, "GET", "{}/10000", None).await.good();
    })
    .await;
}

#[tokio::test]
async fn metadata_with_numbers_and_other_letters_is_kept_and_too_much_is_refused() {
    on_both(async |server| {
        let page = page(&server);
        let metadata = json!({ "name": "日本.mp4", "n": 7, "ok": true, "nothing": null });
        let upload = page
            .create(json!({ "filename": "日本.mp4", "metadata": metadata }))
            .await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        page.complete(&upload, &[(1, &one)]).await.good();

        let object = store_of(&server).get(&upload.key).await;
        assert_eq!(object.header("x-amz-meta-n"), Some("7"));
        assert_eq!(object.header("x-amz-meta-ok"), Some("true"));
        assert_eq!(
            object.header("x-amz-meta-name"),
            Some("=?UTF-8?B?5pel5pysLm1wNA==?=")
        );
        assert_eq!(object.header("content-type"), Some("application/octet-stream"));

        for metadata in [json!({ "a": "x".repeat(2048) }), json!({ "a": "b\r\nc: d" })] {
            let file = json!({ "filename": "a", "metadata": metadata });
            let refused = page.ask("POST", "/s3/multipart", Some(&file)).await;
            assert!(refused.refusal(400, "invalid-request").starts_with("metadata: "));
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_never_leads_out_of_its_place() {
    on_both(async |server| {
        let page = page(&server);
        for name in ["../../etc/passwd", "a/../../b", "C:\\x\\y.txt", &"x/".repeat(400)] {
            let upload = page.begin(name).await;

            assert!(upload.key.starts_with("uploads/"), "{}", upload.key);
            assert!(
                !upload.key.contains("..") && !upload.key.contains('\\'),
                "{}",
                upload.key
            );
        }
        for file in [
            json!({}),
            json!({ "filename": "" }),
            json!({ "filename": "a\u{7}" }),
        ] {
            let refused = page.ask("POST", "/s3/multipart", Some(&file)).await;
            assert!(refused.refusal(400, "invalid-request").starts_with("filename: "));
        }
    })
    .await;
}

#[tokio::test]
async fn an_admin_finds_these_uploads_as_any_other() {
    on_both(async |server| {
        let page = page(&server);
        let upload = page.begin("clip.mp4").await;
        let one = page.send(&upload, 1, &bytes(10)).await;
        let query = format!("/api/v1/uploads?key={}", upload.key);

        let open = page.ask("GET", &query, None).await.json()["uploads"][0].clone();
        page.complete(&upload, &[(1, &one)]).await.good();
        let done = page.ask("GET", &query, None).await.json()["uploads"][0].clone();

        assert_eq!((&open["state"], &open["size"]), (&json!("open"), &json!(null)));
        assert_eq!((&done["state"], &done["size"]), (&json!("complete"), &json!(10)));
        assert_eq!(
            (&done["protocol"], &done["parts_recorded"]),
            (&json!("uppy"), &json!(1))
        );
    })
    .await;
}
