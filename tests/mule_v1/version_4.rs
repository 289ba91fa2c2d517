//! The six actions with `signature_version=4`: whole presigned requests beside `signature` and `date`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::server::TestServer;
use crate::{CHUNK, assert_stored, clip, get, init_query, on_both, on_both_with, queries_about};

/// Asks an action for SigV4.
async fn ask(server: &TestServer, action: &str, query: &str) -> Value {
    let reply = get(server, action, &format!("{query}&signature_version=4")).await;
    assert_eq!(reply.status, 200, "{action}: {reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

/// Sends what an action signed; status and text.
async fn send(signed: &Value, body: &[u8]) -> (u16, String) {
    let member = |name: &str| {
        let text = signed[name].as_str().filter(|text| !text.is_empty());
        text.unwrap_or_else(|| panic!("no {name} in {signed}"))
    };
    let expires_at: DateTime<Utc> = member("expires_at").parse().expect("a time");
    assert!(expires_at > Utc::now(), "{signed}");
    let url = member("url");
    assert!(
        url.contains(member("signature")) && url.contains(member("date")),
        "{signed}"
    );
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client");
    let mut request = http.request(member("method").parse().expect("a method"), url);
    for (name, value) in signed["headers"].as_object().expect("headers") {
        request = request.header(name, value.as_str().expect("a text"));
    }
    let response = request.body(body.to_vec()).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.text().await.expect("a whole answer"))
}

/// Begins an upload of `clip()`: key, upload id, and the whole answer.
async fn begun(server: &TestServer) -> (String, String, Value) {
    let init = ask(server, "get_init_signature", &init_query("k")).await;
    let member = |name: &str| init[name].as_str().expect("a text").to_owned();
    (member("key"), member("upload_id"), init)
}

/// The document that completes what a list names.
fn completion(list: &str) -> String {
    let of = |part: &str, name: &str| {
        let (_, rest) = part.split_once(&format!("<{name}>")).expect("the element");
        rest.split('<').next().unwrap_or_default().to_owned()
    };
    let mut xml = String::from("<CompleteMultipartUpload>");
    for part in list.split("<Part>").skip(1) {
        let (number, etag) = (of(part, "PartNumber"), of(part, "ETag"));
        xml.extend([
            "<Part><PartNumber>",
            &number,
            "</PartNumber><ETag>",
            &etag,
            "</ETag></Part>",
        ]);
    }
    xml + "</CompleteMultipartUpload>"
}

#[tokio::test]
async fn each_of_the_six_answers_a_request_that_works() {
    on_both(async |server| {
        let (key, id, init) = begun(&server).await;
        let (file, size) = (clip(), usize::try_from(CHUNK).unwrap());
        assert_eq!(init["chunks"], serde_json::json!([]));
        let (status, list) = send(&init, b"").await;
        assert_eq!(
            status, 200,
            "what we begin with lists the parts of the upload: {list}"
        );

        let all = ask(&server, "get_all_signatures", &queries_about(&key, &id)[0].1).await;
        assert_eq!(
            send(&all["chunk_signatures"]["2"], &file.bytes[size..2 * size])
                .await
                .0,
            200
        );
        assert_eq!(
            send(&all["chunk_signatures"]["3"], &file.bytes[2 * size..])
                .await
                .0,
            200
        );
        assert_eq!(send(&all["list_signature"], b"").await.0, 200);
        let first = ask(
            &server,
            "get_chunk_signature",
            &format!("chunk=1&upload_id={id}&key={key}"),
        )
        .await;
        assert_eq!(send(&first, &file.bytes[..size]).await.0, 200);

        let query = format!("upload_id={id}&key={key}");
        let (_, list) = send(&ask(&server, "get_list_signature", &query).await, b"").await;
        let xml = completion(&list);
        let (status, answer) = send(&ask(&server, "get_end_signature", &query).await, xml.as_bytes()).await;
        assert_eq!(status, 200, "{answer}");
        assert_stored(&server, &key, &file).await;
        assert_eq!(get(&server, "upload_finished", &query).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn what_is_signed_together_is_counted_together_and_the_older_signature_is_no_way_around() {
    on_both_with(
        |config| config.limits.rates.signatures_per_owner = 2,
        async |server| {
            // One signature of the two in a minute; then six at once, which take all of one.
            let (key, id, _) = begun(&server).await;
            let [(_, all), (_, one), ..] = queries_about(&key, &id);
            let all = format!("{all}&signature_version=4");
            let refused = get(&server, "get_all_signatures", &all).await;
            assert_eq!(refused.status, 429, "{refused:?}");
            refused.assert_stops_the_script("too fast");
            let told = refused.header("retry-after").and_then(|text| text.parse().ok());
            let seconds: i64 = told.expect("seconds");

            server.advance(TimeDelta::seconds(seconds));

            let given = get(&server, "get_all_signatures", &all).await;
            assert_eq!(given.status, 200, "{given:?}");
            let refused = get(&server, "get_chunk_signature", &one).await;
            assert_eq!(refused.status, 429, "{refused:?}");
            assert!(refused.header("retry-after").is_some(), "{refused:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn the_delete_request_aborts_the_upload_in_the_store() {
    on_both(async |server| {
        let (key, id, _) = begun(&server).await;
        let query = format!("upload_id={id}&key={key}");

        let (status, _) = send(&ask(&server, "get_delete_signature", &query).await, b"").await;

        assert_eq!(status, 204);
        let list = crate::store_of(&server).parts(&key, &id).await;
        assert_eq!(list.outcome(), "404 NoSuchUpload");
    })
    .await;
}

#[tokio::test]
async fn a_part_of_another_length_is_refused_by_the_store() {
    on_both(async |server| {
        let (key, id, _) = begun(&server).await;
        let signed = ask(
            &server,
            "get_chunk_signature",
            &format!("chunk=1&upload_id={id}&key={key}"),
        )
        .await;

        assert_eq!(send(&signed, &[7; 15]).await.0, 403);
        assert_eq!(send(&signed, &[7; 17]).await.0, 403);
        assert_eq!(send(&signed, &[7; 16]).await.0, 200);
    })
    .await;
}

/// Their URLs live long enough to be handed out at once, and one request is better than a thousand.
#[tokio::test]
async fn all_parts_that_are_missing_are_signed_at_once() {
    on_both(async |server| {
        let query = "key=k&mime_type=a/b&filename=long.bin&filesize=16005&last_modified=1";
        let init = ask(&server, "get_init_signature", query).await;
        let (key, id) = (init["key"].as_str().unwrap(), init["upload_id"].as_str().unwrap());

        let query = format!("key={key}&mime_type=a/b&num_chunks=1001&upload_id={id}");
        let all = ask(&server, "get_all_signatures", &query).await;

        let chunks = all["chunk_signatures"].as_object().unwrap();
        assert_eq!(chunks.len(), 1001);
        assert_eq!(send(&chunks["1001"], &[1; 5]).await.0, 200);
        assert_eq!(
            send(&all["end_signature"], b"<CompleteMultipartUpload/>").await.0,
            400,
            "signed well, said badly"
        );
        assert_eq!(send(&all["delete_signature"], b"").await.0, 204);
    })
    .await;
}

#[tokio::test]
async fn it_needs_no_sigv2_at_all_and_takes_keys_as_modern_pages_encode_them() {
    on_both_with(
        |config| config.protocols.mule.signature_v2 = false,
        async |server| {
            let (key, id, _) = begun(&server).await;
            let encoded = crate::escape::encode_uri_component(&key);

            let signed = ask(
                &server,
                "get_chunk_signature",
                &format!("chunk=1&upload_id={id}&key={encoded}"),
            )
            .await;

            assert_eq!(send(&signed, &clip().bytes[..16]).await.0, 200);
            let refused = get(
                &server,
                "get_chunk_signature",
                &format!("chunk=1&upload_id={id}&key={key}"),
            )
            .await;
            refused.assert_stops_the_script("SigV2 where it is off");
            assert_eq!(refused.status, 403);
        },
    )
    .await;
}
