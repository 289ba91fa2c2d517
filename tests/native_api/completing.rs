//! Completing: nothing is joined that is not whole, and whatever happens, the answer can be had again.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::api::{Api, all_parts, id, part_of};
use super::s3_client::quoted_md5;
use super::{PART, TestServer, on_both, store_of};

fn key(upload: &Value) -> &str {
    upload["key"].as_str().expect("a key")
}

/// The bytes that the object must have.
fn whole(upload: &Value) -> Vec<u8> {
    let count = upload["part_count"].as_u64().expect("a count");
    (1..=count).flat_map(|number| part_of(upload, number)).collect()
}

async fn has_object(server: &TestServer, upload: &Value) -> bool {
    store_of(server).ask("HEAD", key(upload)).send().await.status == 200
}

#[tokio::test]
async fn a_whole_upload_becomes_its_object_with_type_and_name() {
    on_both(async |server| {
        let api = Api::of(&server);
        let wanted =
            json!({ "filename": "Über \"uns\".mp4", "size": 3 * PART + 5, "content_type": "video/mp4" });
        let upload = api.post("/uploads", &wanted).await.expect(201);
        api.send_parts(&upload, all_parts(&upload)).await;

        let done = api.complete(&upload).await.expect(200);

        assert_eq!(
            (done["state"].clone(), done["size"].clone()),
            (json!("complete"), json!(3 * PART + 5))
        );
        assert_eq!(done["key"], upload["key"]);
        let location = format!("{}/uploads/{}", server.store, key(&upload));
        assert_eq!(done["location"], location);
        let object = store_of(&server).get(key(&upload)).await;
        assert_eq!(object.body, whole(&upload));
        assert_eq!(object.header("content-type"), Some("video/mp4"));
        let disposition = object.header("content-disposition").expect("a name");
        assert!(disposition.starts_with("attachment;"), "{disposition}");
        assert!(
            disposition.ends_with("filename*=UTF-8''%C3%9Cber%20%22uns%22.mp4"),
            "{disposition}"
        );
        assert_eq!(object.header("etag"), done["etag"].as_str());
        assert!(
            done["etag"].as_str().is_some_and(|tag| tag.ends_with("-4\"")),
            "{}",
            done["etag"]
        );
    })
    .await;
}

#[tokio::test]
async fn files_of_every_awkward_size_arrive() {
    on_both(async |server| {
        let api = Api::of(&server);
        for size in [0, 1, PART, PART + 1, 2 * PART, 1_001 * PART] {
            let upload = api.create(&format!("{size}.bin"), size).await;
            if size > 0 {
                api.send_parts(&upload, all_parts(&upload)).await;
            }

            let done = api.complete(&upload).await.expect(200);

            let object = store_of(&server).get(key(&done)).await;
            assert_eq!(object.header("etag"), done["etag"].as_str(), "{size} bytes");
            assert_eq!(
                (object.status, object.body),
                (200, whole(&upload)),
                "{size} bytes"
            );
        }
        let empty = api.upload_empty("other.bin").await;
        assert_eq!(empty["etag"], quoted_md5(b""));
    })
    .await;
}

impl Api {
    async fn upload_empty(&self, name: &str) -> Value {
        let wanted = json!({ "filename": name, "size": 0, "content_type": "text/plain" });
        let upload = self.post("/uploads", &wanted).await.expect(201);
        self.complete(&upload).await.expect(200)
    }
}

#[tokio::test]
async fn an_empty_object_has_type_and_name_too() {
    on_both(async |server| {
        let done = Api::of(&server).upload_empty("leer.txt").await;

        let object = store_of(&server).get(key(&done)).await;

        assert_eq!(object.header("content-type"), Some("text/plain"));
        assert!(
            object
                .header("content-disposition")
                .is_some_and(|text| text.contains("leer.txt"))
        );
    })
    .await;
}

#[tokio::test]
async fn gaps_and_wrong_sizes_are_named_and_can_be_mended() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 5 * PART).await;
        api.send_parts(&upload, json!([1, 4])).await;
        let multipart = upload["upload_id"].as_str().expect("an id");
        let store = store_of(&server);
        store.part(key(&upload), multipart, 2, b"nine more").await;
        store.part(key(&upload), multipart, 7, b"surplus").await;

        let problem = api.complete(&upload).await.problem(409, "incomplete");

        assert_eq!(
            problem["defects"],
            json!([
                { "problem": "wrong-size", "number": 2, "expected": PART, "actual": 9 },
                { "problem": "missing", "number": 3 },
                { "problem": "missing", "number": 5 },
                { "problem": "surplus", "number": 7 },
            ])
        );
        assert_eq!(problem["total"], 4);
        assert!(!has_object(&server, &upload).await);
        assert_eq!(api.show(&upload).await["state"], "open");
        api.send_parts(&upload, json!([2, 3, 5])).await;
        let still = api.complete(&upload).await.problem(409, "incomplete");
        assert_eq!(still["defects"], json!([{ "problem": "surplus", "number": 7 }]));
    })
    .await;
}

#[tokio::test]
async fn thousands_of_gaps_are_counted_and_a_hundred_named() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("long.bin", 5_000 * PART).await;

        let problem = api.complete(&upload).await.problem(409, "incomplete");

        assert_eq!(problem["total"], 5_000);
        assert_eq!(problem["defects"].as_array().map(Vec::len), Some(100));
        assert!(problem["detail"].as_str().is_some_and(|text| text.len() < 500));
    })
    .await;
}

#[tokio::test]
async fn asked_again_the_answer_is_the_same() {
    on_both(async |server| {
        let api = Api::of(&server);
        let done = api.upload("film.mp4", 3 * PART).await;

        let server = server.restart();
        let api = Api::of(&server);
        for again in [api.complete(&done).await.expect(200), api.show(&done).await] {
            for field in [
                "id",
                "state",
                "key",
                "size",
                "etag",
                "location",
                "expires_at",
                "parts",
            ] {
                assert_eq!(again[field], done[field], "{field}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn many_who_complete_at_once_get_one_result() {
    on_both(async |server| {
        let other = super::beside(&server);
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 50 * PART).await;
        api.send_parts(&upload, all_parts(&upload)).await;
        let apis = [api, Api::of(&other)];

        let answers = join_all((0..12).map(|n| apis[n % 2].complete(&upload))).await;

        let first = answers[0].expect(200);
        for answer in &answers {
            let answer = answer.expect(200);
            assert_eq!(
                (&answer["etag"], &answer["state"]),
                (&first["etag"], &json!("complete"))
            );
        }
        assert_eq!(store_of(&server).get(key(&upload)).await.body, whole(&upload));
    })
    .await;
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_found_out_from_the_object() {
    on_both(async |server| {
        let api = Api::of(&server);
        for ask in ["complete", "show", "create"] {
            let upload = api.create(ask, 2 * PART).await;
            api.send_parts(&upload, all_parts(&upload)).await;
            let (one, two) = (quoted_md5(&part_of(&upload, 1)), quoted_md5(&part_of(&upload, 2)));
            let multipart = upload["upload_id"].as_str().expect("an id");
            let parts = [(1, one.as_str()), (2, two.as_str())];
            let joined = store_of(&server).complete(key(&upload), multipart, &parts).await;
            assert_eq!(joined.status, 200, "{joined:?}");

            let found = match ask {
                "complete" => api.complete(&upload).await.expect(200),
                "show" => api.show(&upload).await,
                _ => api
                    .post("/uploads", &super::api::file(ask, 2 * PART))
                    .await
                    .expect(200),
            };

            assert_eq!(found["id"], upload["id"]);
            assert_eq!(found["state"], "complete");
            assert_eq!(found["etag"].as_str(), joined.tag("ETag").as_deref());
            assert!(found["location"].is_string());
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_not_completed() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", PART).await;
        api.delete(&format!("/uploads/{}", id(&upload))).await.expect(204);

        let problem = api.complete(&upload).await.problem(409, "wrong-state");

        assert_eq!(problem["state"], "aborted");
        assert!(!has_object(&server, &upload).await);
    })
    .await;
}
