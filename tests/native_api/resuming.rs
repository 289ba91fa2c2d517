//! Going on with an upload: the store's own list counts, within one owner, on any instance.

use muleteer::config::Config;
use serde_json::{Value, json};

use super::api::{Api, all_parts, file, id, listed, part_of};
use super::{PART, beside, on_both, store_of};

async fn again(api: &Api, name: &str, size: u64) -> Value {
    api.post("/uploads", &file(name, size)).await.expect(200)
}

#[tokio::test]
async fn the_same_file_goes_on_with_what_the_store_holds_although_nothing_was_recorded() {
    on_both(async |server| {
        let api = Api::of(&server);
        let first = api.create("film.mp4", 5 * PART).await;
        api.send_parts(&first, json!([2, 4])).await;

        let resumed = again(&api, "film.mp4", 5 * PART).await;

        for field in ["id", "key", "upload_id", "part_size", "created_at"] {
            assert_eq!(resumed[field], first[field], "{field}");
        }
        assert_eq!(listed(&resumed), [2, 4]);
        let expected = super::s3_client::quoted_md5(&part_of(&first, 2));
        assert_eq!(resumed["parts"][0]["etag"], expected);
        assert_eq!(resumed["parts"][0]["size"], PART);
    })
    .await;
}

#[tokio::test]
async fn a_resume_sees_all_pages_of_a_long_list_of_parts() {
    on_both(async |server| {
        let api = Api::of(&server);
        let first = api.create("long.bin", 2_100 * PART).await;
        api.send_parts(&first, json!("1-1050,1052-2100")).await;

        let resumed = again(&api, "long.bin", 2_100 * PART).await;

        let expected: Vec<u64> = (1..=2_100).filter(|number| *number != 1_051).collect();
        assert_eq!(listed(&resumed), expected);
    })
    .await;
}

#[tokio::test]
async fn a_part_of_another_size_is_left_out_so_that_it_is_sent_again() {
    on_both(async |server| {
        let api = Api::of(&server);
        let first = api.create("film.mp4", 3 * PART).await;
        api.send_parts(&first, json!([1, 3])).await;
        let (key, multipart) = (
            first["key"].as_str().unwrap(),
            first["upload_id"].as_str().unwrap(),
        );
        store_of(&server).part(key, multipart, 2, b"another length").await;

        assert_eq!(listed(&again(&api, "film.mp4", 3 * PART).await), [1, 3]);
        assert_eq!(listed(&api.show(&first).await), [1, 3]);

        api.send_parts(&first, json!([2])).await;
        assert_eq!(listed(&api.show(&first).await), [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_want_to_resume_gets_a_new_upload() {
    on_both(async |server| {
        let api = Api::of(&server);
        let first = api.create("film.mp4", 20).await;

        let anew = json!({ "filename": "film.mp4", "size": 20, "resume": false });
        let second = api.post("/uploads", &anew).await.expect(201);

        assert_ne!(first["id"], second["id"]);
        assert_ne!(first["key"], second["key"]);
        assert_eq!(
            again(&api, "film.mp4", 20).await["id"],
            second["id"],
            "the newest goes on"
        );
    })
    .await;
}

#[tokio::test]
async fn another_file_never_goes_on_with_the_first() {
    on_both(async |server| {
        let api = Api::of(&server);
        let ask = |name: &str, size: u64, modified: u64, mark: Option<&str>| {
            json!({ "filename": name, "size": size, "last_modified": modified, "fingerprint": mark })
        };
        for other in [
            ask("a", 20, 1000, None),
            ask("b", 20, 1000, None),
            ask("a", 21, 1000, None),
            ask("a", 20, 1001, None),
            ask("a", 20, 1000, Some("m")),
            ask("a", 20, 1000, Some("n")),
            ask("a", 21, 1000, Some("m")),
        ] {
            api.post("/uploads", &other).await.expect(201);
        }
        // A mark of the client's own outlives another name and another time.
        api.post("/uploads", &ask("c", 20, 5000, Some("m"))).await.expect(200);
        let spelt = json!({ "filename": "a", "size": 20, "last_modified": "1970-01-01T01:00:01+01:00" });
        api.post("/uploads", &spelt).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn the_same_file_of_two_owners_never_meets() {
    on_both(async |server| {
        let (visitor, other) = (visitor(&server).await, visitor(&server).await);

        let first = visitor.create("film.mp4", 20).await;
        let second = other.create("film.mp4", 20).await;
        let third = Api::of(&server).create("film.mp4", 20).await;

        assert!(first["id"] != second["id"] && second["id"] != third["id"] && first["id"] != third["id"]);
        assert_eq!(again(&visitor, "film.mp4", 20).await["id"], first["id"]);
    })
    .await;
}

async fn visitor(server: &super::TestServer) -> Api {
    let nobody = Api::nobody(server);
    let cookie = nobody.get("/session").await.cookie().expect("a cookie");
    nobody.with("cookie", &cookie)
}

#[tokio::test]
async fn an_upload_that_vanished_from_the_store_begins_anew() {
    on_both(async |server| {
        let api = Api::of(&server);
        let first = api.create("film.mp4", 20).await;
        let (key, multipart) = (
            first["key"].as_str().unwrap(),
            first["upload_id"].as_str().unwrap(),
        );
        let dropped = store_of(&server)
            .ask("DELETE", key)
            .query("uploadId", multipart)
            .send()
            .await;
        assert_eq!(dropped.status, 204);

        let second = api.create("film.mp4", 20).await;

        assert_ne!(first["id"], second["id"]);
        assert_eq!(api.show(&first).await["state"], "failed");
        assert_eq!(api.show(&second).await["state"], "open");
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_vanished_is_named_so_when_it_is_completed() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("film.mp4", 20).await;
        let (key, multipart) = (
            upload["key"].as_str().unwrap(),
            upload["upload_id"].as_str().unwrap(),
        );
        store_of(&server)
            .ask("DELETE", key)
            .query("uploadId", multipart)
            .send()
            .await;

        api.complete(&upload).await.problem(410, "vanished");

        assert_eq!(
            api.complete(&upload).await.problem(409, "wrong-state")["state"],
            "failed"
        );
    })
    .await;
}

#[tokio::test]
async fn an_ended_upload_is_not_gone_on_with() {
    on_both(async |server| {
        let api = Api::of(&server);
        let complete = api.upload("a", 20).await;
        let aborted = api.create("b", 20).await;
        api.delete(&format!("/uploads/{}", id(&aborted)))
            .await
            .expect(204);

        assert_ne!(api.create("a", 20).await["id"], complete["id"]);
        assert_ne!(api.create("b", 20).await["id"], aborted["id"]);
    })
    .await;
}

#[tokio::test]
async fn two_instances_on_one_database_go_on_with_each_others_uploads() {
    on_both(async |first| {
        let second = beside(&first);
        let (here, there) = (Api::of(&first), Api::of(&second));

        let upload = here.create("film.mp4", 4 * PART).await;
        here.send_parts(&upload, json!([1])).await;
        let resumed = again(&there, "film.mp4", 4 * PART).await;
        assert_eq!(
            (resumed["id"].clone(), listed(&resumed)),
            (upload["id"].clone(), vec![1])
        );
        there.send_parts(&resumed, json!([2])).await;
        // The token that one gave opens the door of the other.
        let bearer = there.bearing(&upload["token"]);
        bearer.send_parts(&upload, json!([3, 4])).await;
        let recorded = json!({ "size": PART });
        bearer
            .put(&format!("/uploads/{}/parts/3", id(&upload)), &recorded)
            .await
            .expect(204);

        let done = there.complete(&upload).await.expect(200);

        assert_eq!(here.complete(&upload).await.expect(200)["etag"], done["etag"]);
        assert_eq!(here.show(&upload).await["state"], "complete");
    })
    .await;
}

#[tokio::test]
async fn a_crash_in_the_middle_loses_nothing() {
    on_both(async |server| {
        let upload = Api::of(&server).create("film.mp4", 3 * PART).await;
        Api::of(&server).send_parts(&upload, json!([1, 2])).await;

        let server = server.restart();
        let api = Api::of(&server);
        let resumed = again(&api, "film.mp4", 3 * PART).await;

        assert_eq!(
            (resumed["id"].clone(), listed(&resumed)),
            (upload["id"].clone(), vec![1, 2])
        );
        api.bearing(&upload["token"])
            .send_parts(&upload, json!([3]))
            .await;
        api.complete(&upload).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn the_part_size_of_the_beginning_holds_when_the_settings_change() {
    let Some(server) = super::start(super::Kind::Sqlite, |_: &mut Config| {}) else {
        return;
    };
    let upload = Api::of(&server).create("film.mp4", 100).await;
    let mut server = server;
    server.config.uploads.part_size = 50;
    let server = server.restart();

    let api = Api::of(&server);
    let resumed = again(&api, "film.mp4", 100).await;

    assert_eq!(resumed["part_size"], PART);
    api.send_parts(&resumed, all_parts(&upload)).await;
    api.complete(&resumed).await.expect(200);
}
