//! Webhooks: whoever is to be told of a completed upload is told, once, in words that can be checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use muleteer::config::{Config, Secret};
use serde_json::{Value, json};
use sha2::Sha256;

use super::api::{Api, all_parts, id};
use super::webhook_receiver::{Answer, Delivery, Receiver};
use super::{PART, beside, on_both, on_both_with};

/// 24 bytes in base64, as senders of webhooks hand them out.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Lets receivers on loopback be called, whose deliveries are signed.
pub fn telling(config: &mut Config) {
    config.hooks.allowed_hosts = vec!["127.0.0.0/8".into()];
    config.hooks.secret = Secret::new(SECRET);
}

impl Api {
    /// Begins an upload that reports to `url`, sends all of it and completes it.
    pub async fn upload_telling(&self, name: &str, size: u64, url: &str) -> Value {
        let wanted = json!({ "filename": name, "size": size, "webhook_url": url });
        let upload = self.post("/uploads", &wanted).await.expect(201);
        if size > 0 {
            self.send_parts(&upload, all_parts(&upload)).await;
        }
        self.complete(&upload).await.expect(200)
    }

    /// All events, newest first.
    pub async fn events(&self) -> Vec<Value> {
        let page = self.get("/webhooks?limit=200").await.expect(200);
        page["webhooks"].as_array().expect("a list").clone()
    }

    /// The one event, once it is as it should be.
    pub async fn event_once(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..400 {
            let events = self.events().await;
            assert_eq!(events.len(), 1, "{events:?}");
            if is_so(&events[0]) {
                return events[0].clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it never was: {:?}", self.events().await);
    }
}

fn assert_signed(delivery: &Delivery) {
    assert_signed_with(SECRET, delivery);
}

/// Checks a signature as a receiver does.
pub fn assert_signed_with(secret: &str, delivery: &Delivery) {
    let key = STANDARD.decode(&secret["whsec_".len()..]).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    let timestamp = delivery.header("webhook-timestamp");
    mac.update(format!("{}.{timestamp}.{}", delivery.id(), delivery.body).as_bytes());
    let given = delivery.header("webhook-signature");
    let given = given.strip_prefix("v1,").expect("version 1");
    let given = STANDARD.decode(given).expect("base64");
    mac.verify_slice(&given).expect("the signature holds");
}

#[tokio::test]
async fn a_completed_upload_is_told_of_once_and_the_signature_holds() {
    on_both_with(telling, async |server| {
        let (api, receiver) = (Api::of(&server), Receiver::start().await);

        let upload = api
            .upload_telling("Über uns.mp4", 2 * PART + 1, &receiver.url())
            .await;

        let delivery = receiver.wait_for(1).await.remove(0);
        assert_signed(&delivery);
        assert_eq!(delivery.line, "POST /hook?from=muleteer HTTP/1.1");
        assert_eq!(delivery.header("content-type"), "application/json");
        let agent = concat!("Muleteer/", env!("CARGO_PKG_VERSION"));
        assert_eq!(delivery.header("user-agent"), agent);
        let at = delivery.header("webhook-timestamp").parse().expect("seconds");
        let at = DateTime::<Utc>::from_timestamp(at, 0).expect("a time");
        assert!((Utc::now() - at).abs() < TimeDelta::seconds(30), "{at}");
        let told = delivery.json();
        assert_eq!(told["event"], "upload.complete");
        assert_eq!(told["upload_id"], upload["id"]);
        assert_eq!(told["file_id"].as_str().map(str::len), Some(36));
        assert_eq!(told["filename"], "Über uns.mp4");
        assert_eq!(told["total_size"], 2 * PART + 1);
        assert_eq!(told["storage_backend"], "s3");
        let (bucket, key) = (&upload["bucket"], upload["key"].as_str().expect("a key"));
        assert_eq!(
            told["final_path"],
            format!("s3://{}/{key}", bucket.as_str().expect("a bucket"))
        );
        assert_eq!(
            (&told["bucket"], &told["key"], &told["etag"]),
            (bucket, &upload["key"], &upload["etag"])
        );
        assert_eq!(
            (&told["owner"], &told["protocol"]),
            (&json!("default"), &json!("native"))
        );
        let completed = told["completed_at"].as_str().expect("a time");
        assert!(DateTime::parse_from_rfc3339(completed).is_ok(), "{completed}");

        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(
            (&event["id"], &event["attempts"]),
            (&json!(delivery.id()), &json!(1))
        );
        assert_eq!(
            (&event["last_status"], &event["last_error"]),
            (&json!(200), &Value::Null)
        );
        assert_eq!(
            (&event["upload_id"], &event["url"]),
            (&upload["id"], &json!(receiver.url()))
        );
        api.complete(&upload).await.expect(200);
        server.advance(TimeDelta::days(3));
        tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
        assert_eq!((receiver.seen().len(), api.events().await.len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn the_chunk_servers_clients_are_told_in_its_words() {
    on_both_with(telling, async |server| {
        let (api, receiver) = (Api::of(&server).outside(), Receiver::start().await);
        let wanted =
            json!({ "filename": "videos/2026/clip.mp4", "total_size": 0, "webhook_url": receiver.url() });
        let begun = api.post("/upload/init", &wanted).await.expect(200);
        let file = begun["file_id"].as_str().expect("an id");

        let done = api
            .post(&format!("/upload/{file}/complete"), &json!({}))
            .await
            .expect(200);

        let told = receiver.wait_for(1).await[0].json();
        for member in [
            "file_id",
            "filename",
            "total_size",
            "final_path",
            "storage_backend",
        ] {
            assert_eq!(told[member], done[member], "{member}");
        }
        assert_eq!(told["event"], "upload.complete");
    })
    .await;
}

#[tokio::test]
async fn whoever_asked_for_nothing_is_told_nothing_and_without_a_secret_nothing_is_signed() {
    let unsigned = |config: &mut Config| config.hooks.allowed_hosts = vec!["127.0.0.1".into()];
    on_both_with(unsigned, async |server| {
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        api.upload("silent.bin", PART).await;
        assert!(api.events().await.is_empty());

        api.upload_telling("told.bin", PART, &receiver.url()).await;

        let delivery = receiver.wait_for(1).await.remove(0);
        assert_eq!(delivery.header("webhook-signature"), "");
        assert!(delivery.id().starts_with("msg_"));
    })
    .await;
}

#[tokio::test]
async fn however_many_complete_at_once_there_is_one_event() {
    on_both_with(telling, async |server| {
        let other = beside(&server);
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        let wanted = json!({ "filename": "film.mp4", "size": 5 * PART, "webhook_url": receiver.url() });
        let upload = api.post("/uploads", &wanted).await.expect(201);
        api.send_parts(&upload, all_parts(&upload)).await;
        let apis = [api.clone(), Api::of(&other)];

        let answers = join_all((0..8).map(|n| apis[n % 2].complete(&upload))).await;

        for answer in answers {
            answer.expect(200);
        }
        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(event["upload_id"], upload["id"]);
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(receiver.seen().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_instances_share_the_events_and_send_none_twice() {
    on_both_with(telling, async |server| {
        let other = beside(&server);
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        receiver.always(Answer::Late(200, std::time::Duration::from_millis(20)));
        let apis = [api.clone(), Api::of(&other)];
        let url = receiver.url();

        join_all((0..30).map(|n| {
            let (api, url) = (apis[n % 2].clone(), url.clone());
            async move { api.upload_telling(&format!("{n}.bin"), 0, &url).await }
        }))
        .await;

        let mut ids: Vec<String> = receiver
            .wait_for(30)
            .await
            .iter()
            .map(|delivery| delivery.id().to_owned())
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(receiver.seen().len(), 30);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 30);
        assert!(api.events().await.iter().all(|event| event["attempts"] == 1));
    })
    .await;
}

#[tokio::test]
async fn addresses_that_may_not_be_called_are_refused_when_the_upload_begins() {
    on_both(async |server| {
        let api = Api::of(&server);
        for url in [
            "",
            "ftp://example.org/",
            "https://user:password@example.org/",
            "http://localhost:9/",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
        ] {
            let wanted = json!({ "filename": "a", "size": 0, "webhook_url": url });
            let refused = api.post("/uploads", &wanted).await.bad_fields();
            assert_eq!(refused, ["webhook_url"], "{url}");
            let wanted = json!({ "filename": "a", "total_size": 0, "webhook_url": url });
            let refused = api.outside().post("/upload/init", &wanted).await.expect(400);
            assert_eq!(refused["details"][0]["field"], "webhook_url", "{url}");
        }
        assert_eq!(api.get("/uploads").await.expect(200)["uploads"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_visitor_makes_us_call_nobody() {
    on_both_with(telling, async |server| {
        let visitor = Api::nobody(&server);
        let wanted = json!({ "filename": "a", "size": 0, "webhook_url": "https://example.org/" });

        visitor.post("/uploads", &wanted).await.problem(403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn events_are_listed_in_pages_by_state_and_for_admins_alone() {
    on_both_with(telling, async |server| {
        let (api, receiver) = (Api::of(&server), Receiver::start().await);
        receiver.always(Answer::Status(410));
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(api.upload_telling(&format!("{n}"), 0, &receiver.url()).await["id"].clone());
        }
        receiver.wait_for(5).await;
        while api.get("/webhooks?state=pending").await.expect(200)["webhooks"] != json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }

        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api
                .get(&format!("/webhooks?state=parked&limit=2&cursor={cursor}"))
                .await
                .expect(200);
            let events = page["webhooks"].as_array().expect("a list");
            assert!(events.len() <= 2);
            listed.extend(events.iter().map(|event| event["upload_id"].clone()));
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }

        made.reverse();
        assert_eq!(listed, made);
        assert_eq!(
            api.get("/webhooks?state=delivered").await.expect(200)["webhooks"],
            json!([])
        );
        let bad = api.get("/webhooks?state=x&limit=0&cursor=y").await.bad_fields();
        assert_eq!(bad, ["state", "cursor", "limit"]);
        let upload = api.create("mine", PART).await;
        let holder = api.bearing(&upload["token"]);
        let replay = format!("/webhooks/msg_{}/replay", id(&upload));
        api.post(&replay, &json!({})).await.problem(404, "not-found");
        for who in [&holder, &Api::nobody(&server)] {
            let refused = if std::ptr::eq(who, &raw const holder) {
                403
            } else {
                401
            };
            assert_eq!(who.get("/webhooks").await.status, refused);
            assert_eq!(who.post(&replay, &json!({})).await.status, refused);
        }
    })
    .await;
}
