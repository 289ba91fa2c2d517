//! The native API's way through us, for a browser that cannot reach the store: into the same multipart upload.

use serde_json::{Value, json};

use super::client::{Client, Reply, content, sha256};
use super::place::{Place, id_of, store_of};
use super::{Backend, Kind, MIB};

/// Bytes of a part.
const PART: usize = 16;

/// Runs a test on both databases with the bucket as storage: direct uploads go nowhere else.
async fn on_the_bucket(test: impl AsyncFn(Place)) {
    for database in [Kind::Sqlite, Kind::Postgres] {
        super::on(database, Backend::S3, |_| {}, &test).await;
    }
}

async fn create(client: &Client, size: usize) -> Value {
    let json = client.with("content-type", "application/json");
    let wanted = json!({ "filename": "film.mp4", "size": size });
    let reply = json.raw("POST", "/api/v1/uploads", wanted.to_string()).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn path(upload: &Value, end: &str) -> String {
    format!("/api/v1/uploads/{}{end}", upload["id"].as_str().expect("an id"))
}

async fn put(client: &Client, upload: &Value, number: u64, bytes: &[u8]) -> Reply {
    let path = path(upload, &format!("/parts/{number}/content"));
    client.raw("PUT", &path, bytes.to_vec()).await
}

async fn post(client: &Client, upload: &Value, end: &str, body: &Value) -> Reply {
    let json = client.with("content-type", "application/json");
    json.raw("POST", &path(upload, end), body.to_string()).await
}

/// Status and problem type of an answer.
fn problem(reply: &Reply) -> (u16, String) {
    let kind = reply.json()["type"].as_str().expect("a type").to_owned();
    (reply.status, kind.trim_start_matches("/problems/").to_owned())
}

/// Sizes of the parts that the store lists, by number.
async fn listed(place: &Place, upload: &Value) -> Vec<(u64, u64)> {
    let (key, id) = (
        upload["key"].as_str().expect("a key"),
        upload["upload_id"].as_str().expect("an id"),
    );
    let answer = store_of(place).parts(key, id).await;
    let numbers = |tag: &str| {
        answer
            .tags(tag)
            .into_iter()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    numbers("PartNumber").zip(numbers("Size")).collect()
}

#[tokio::test]
async fn a_part_through_us_and_a_part_straight_to_the_store_are_of_one_upload() {
    on_the_bucket(async |place| {
        let client = Client::of(&place);
        let upload = create(&client, 2 * PART + 5).await;
        let bytes = content((2 * PART + 5) as u64);

        let through = put(&client, &upload, 2, &bytes[PART..2 * PART]).await.expect(200);

        assert_eq!(through["number"], 2, "{through}");
        assert_eq!(listed(&place, &upload).await, [(2, PART as u64)]);
        let signed = post(&client, &upload, "/signatures", &json!({ "parts": "1" }))
            .await
            .json();
        let url = signed["signatures"][0]["url"].as_str().expect("a URL");
        let sent = reqwest::Client::builder().no_proxy().build().expect("a client");
        let sent = sent
            .put(url)
            .body(bytes[..PART].to_vec())
            .send()
            .await
            .expect("an answer");
        assert_eq!(sent.status(), 200);
        put(&client, &upload, 3, &bytes[2 * PART..]).await.expect(200);
        assert_eq!(listed(&place, &upload).await.len(), 3);
        let done = post(&client, &upload, "/complete", &json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let key = upload["key"].as_str().expect("a key");
        assert_eq!(store_of(&place).get(key).await.body, bytes);
        let late = put(&client, &upload, 1, &bytes[..PART]).await;
        assert_eq!(problem(&late), (409, "wrong-state".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_part_through_us_is_refused_and_nothing_is_stored() {
    on_the_bucket(async |place| {
        let client = Client::of(&place);
        let upload = create(&client, 2 * PART + 5).await;
        let right = content(PART as u64);
        for size in [0, 1, PART - 1, PART + 1, 2 * PART] {
            let reply = put(&client, &upload, 1, &vec![7; size]).await;
            assert_eq!(problem(&reply), (400, "wrong-size".to_owned()), "{size}");
        }
        let claiming = client.with("x-checksum-sha256", &sha256(b"other"));
        assert_eq!(
            problem(&put(&claiming, &upload, 1, &right).await),
            (409, "checksum-mismatch".to_owned())
        );
        let unreadable = client.with("content-digest", "sha-256=x");
        assert_eq!(
            problem(&put(&unreadable, &upload, 1, &right).await),
            (400, "invalid-request".to_owned())
        );
        for number in [0, 4, 10_001] {
            let reply = put(&client, &upload, number, &right).await;
            assert_eq!(problem(&reply), (404, "not-found".to_owned()), "{number}");
        }
        let stranger = place.key("ben", "upload").await;
        assert_eq!(
            problem(&put(&stranger, &upload, 1, &right).await),
            (404, "not-found".to_owned())
        );
        let nobody = Client::nobody(&place);
        assert_eq!(
            problem(&put(&nobody, &upload, 1, &right).await),
            (401, "unauthenticated".to_owned())
        );
        assert_eq!(listed(&place, &upload).await, []);
        let honest = client.with("x-checksum-sha256", &sha256(&right));
        put(&honest, &upload, 1, &right).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn an_uploads_own_token_sends_parts_through_us() {
    on_the_bucket(async |place| {
        let client = Client::of(&place);
        let (upload, other) = (create(&client, PART).await, create(&client, PART + 1).await);
        let bearer = client.bearing(upload["token"].as_str().expect("a token"));

        put(&bearer, &upload, 1, &content(PART as u64)).await.expect(200);

        let foreign = put(&bearer, &other, 1, &content(PART as u64)).await;
        assert_eq!(problem(&foreign), (404, "not-found".to_owned()));
        assert_eq!(listed(&place, &upload).await, [(1, PART as u64)]);
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_was_given_up_takes_nothing_through_us() {
    on_the_bucket(async |place| {
        let client = Client::of(&place);
        let upload = create(&client, PART).await;
        assert_eq!(
            client.raw("DELETE", &path(&upload, ""), Vec::new()).await.status,
            204
        );

        let late = put(&client, &upload, 1, &content(PART as u64)).await;

        assert_eq!(problem(&late), (409, "wrong-state".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn an_upload_of_the_chunk_server_is_signed_for_and_recorded_by_nobody_else() {
    on_the_bucket(async |place| {
        let client = Client::of(&place);
        let upload = client.init("film.mp4", 2 * MIB).await;
        let native = json!({ "id": id_of(&upload).to_string() });

        let signed = post(&client, &native, "/signatures", &json!({ "parts": "1" })).await;
        let record = json!({ "parts": [{ "number": 1, "size": MIB, "etag": "\"x\"" }] });
        let recorded = post(&client, &native, "/parts", &record).await;

        assert_eq!(problem(&signed), (403, "forbidden".to_owned()));
        assert_eq!(problem(&recorded), (403, "forbidden".to_owned()));
        assert_eq!(client.part_states(&upload).await, "pp");
        // The same file by the native API is another upload.
        let json = client.with("content-type", "application/json");
        let wanted = json!({ "filename": "film.mp4", "size": 2 * MIB }).to_string();
        let created = json.raw("POST", "/api/v1/uploads", wanted).await;
        assert_eq!(created.status, 201, "{}", created.text());
        assert_ne!(created.json()["id"], native["id"]);
        client.send_all(&upload).await;
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}
