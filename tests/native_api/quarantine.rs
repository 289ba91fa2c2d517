//! A file is looked at before its upload is complete: nobody hears of it before the scanner has said so, and never if it has
//! said no.

use chrono::TimeDelta;
use muleteer::config::{BackendName, Config, OnReject, Secret};
use serde_json::{Value, json};

use super::api::{Api, all_parts, id, part_of};
use super::server::TestServer;
use super::webhook_receiver::{Answer, Receiver};
use super::webhooks::{assert_signed_with, telling};
use super::{PART, on_both_with, store_of};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub fn says(verdict: &str) -> Answer {
    Answer::Json(
        200,
        json!({ "verdict": verdict, "reason": "Found\u{7} a worm" }).to_string(),
    )
}

pub fn later() -> Answer {
    Answer::Json(202, "{}".into())
}

/// Settings with this scanner, for whose verdict clients do not wait.
pub fn scanned_by(scanner: &Receiver) -> impl Fn(&mut Config) {
    let url = scanner.url();
    move |config| {
        telling(config);
        config.hooks.pre_complete.url.clone_from(&url);
        config.hooks.pre_complete.secret = Secret::new(SECRET);
        config.hooks.pre_complete.wait_s = 0;
    }
}

/// As [`scanned_by`], where a client waits for what is said soon.
pub fn waiting_for(scanner: &Receiver) -> impl Fn(&mut Config) {
    let adjust = scanned_by(scanner);
    move |config| {
        adjust(config);
        config.hooks.pre_complete.wait_s = 30;
    }
}

impl Api {
    /// Begins an upload that reports there, and sends all of it.
    pub async fn sent(&self, name: &str, receiver: &Receiver) -> Value {
        let wanted = json!({ "filename": name, "size": PART + 1, "webhook_url": receiver.url() });
        let upload = self.post("/uploads", &wanted).await.expect(201);
        self.send_parts(&upload, all_parts(&upload)).await;
        upload
    }

    /// Says something of an upload with this token; the status.
    pub async fn judge(&self, upload: &Value, token: &str, verdict: &str) -> u16 {
        let scanner = self.bearing(&json!(token));
        let path = format!("/uploads/{}/verdict", id(upload));
        scanner
            .post(&path, &json!({ "verdict": verdict, "reason": "a worm" }))
            .await
            .status
    }
}

pub async fn object_status(server: &TestServer, upload: &Value) -> u16 {
    store_of(server)
        .get(upload["key"].as_str().expect("a key"))
        .await
        .status
}

/// While a scanner looks at it, an upload is not complete, in whatever way that is asked.
async fn says_that_it_waits(api: &Api, upload: &Value) {
    let waiting = api.complete(upload).await;
    assert_eq!(
        (waiting.status, waiting.json()["type"].as_str()),
        (503, Some("/problems/still-completing"))
    );
    assert_eq!(waiting.header("retry-after"), "1");
    let patient = api
        .with("prefer", "respond-async")
        .complete(upload)
        .await
        .expect(202);
    assert_eq!(
        (&patient["state"], &patient["scanning"]),
        (&json!("completing"), &json!(true))
    );
    let shown = api.show(upload).await;
    assert_eq!(
        (&shown["state"], &shown["scanning"], &shown["location"]),
        (&json!("completing"), &json!(true), &Value::Null)
    );
    assert_eq!(
        shown["parts"].as_array().map(Vec::len),
        Some(2),
        "nothing is to be sent again"
    );
}

/// A verdict is taken with the upload's own token, and then stands.
async fn takes_one_verdict(api: &Api, upload: &Value, other: &Value, token: &str) {
    assert_eq!(
        api.judge(other, token, "accept").await,
        401,
        "it is for another upload"
    );
    assert_eq!(api.judge(upload, "AAAA", "accept").await, 401);
    assert_eq!(api.judge(upload, token, "perhaps").await, 400);
    assert_eq!(api.judge(upload, token, "accept").await, 204);
    assert_eq!(
        api.judge(upload, token, "accept").await,
        204,
        "the same again does no harm"
    );
    assert_eq!(api.judge(upload, token, "reject").await, 409);
}

#[tokio::test]
async fn an_upload_is_complete_once_the_scanner_says_so_and_not_before() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        scanner.next_answers(&[later()]);
        let (api, application) = (Api::of(&server), Receiver::start().await);
        let upload = api.sent("a.bin", &application).await;

        says_that_it_waits(&api, &upload).await;

        let receipt = format!("/uploads/{}/receipt", id(&upload));
        assert_eq!(
            api.get(&receipt).await.status,
            409,
            "what is not complete has none"
        );

        let asked = scanner.wait_for(1).await.remove(0);
        assert_signed_with(SECRET, &asked);
        let question = asked.json();
        assert_eq!(
            (
                &question["event"],
                &question["upload_id"],
                &question["size"],
                &question["owner"]
            ),
            (
                &json!("upload.pre-complete"),
                &upload["id"],
                &json!(PART + 1),
                &json!("default")
            )
        );
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = question["url"].as_str().expect("a URL");
        let bytes = http.get(url).send().await.expect("an answer");
        let whole: Vec<u8> = [part_of(&upload, 1), part_of(&upload, 2)].concat();
        assert_eq!(bytes.bytes().await.expect("bytes"), whole);
        assert!(api.events().await.is_empty(), "nobody was told");

        let token = question["verdict_token"].as_str().expect("a token");
        let other = api.sent("b.bin", &application).await;
        takes_one_verdict(&api, &upload, &other, token).await;

        let done = api.complete(&upload).await.expect(200);
        assert_eq!(
            (&done["state"], &done["scanning"]),
            (&json!("complete"), &json!(false))
        );
        api.get(&receipt).await.expect(200);
        let told = application.wait_for(1).await.remove(0).json();
        assert_eq!(
            (&told["event"], &told["upload_id"]),
            (&json!("upload.complete"), &upload["id"])
        );
        assert_eq!(scanner.seen().len(), 1, "asked once");
    })
    .await;
}

#[tokio::test]
async fn what_the_scanner_rejects_is_removed_and_its_owner_is_told_why() {
    let scanner = Receiver::start().await;
    on_both_with(waiting_for(&scanner), async |server| {
        let (api, application) = (Api::of(&server), Receiver::start().await);
        scanner.next_answers(&[says("reject")]);
        let upload = api.sent("a.bin", &application).await;

        let refused = api.complete(&upload).await;

        assert_eq!(
            (refused.status, refused.json()["type"].as_str()),
            (422, Some("/problems/rejected"))
        );
        assert_eq!(
            refused.json()["detail"],
            "the file was not accepted: Found a worm"
        );
        assert_eq!(object_status(&server, &upload).await, 404);
        assert_eq!(api.show(&upload).await["state"], "failed");
        assert_eq!(api.complete(&upload).await.status, 422, "asked again, the same");
        let told = application.wait_for(1).await.remove(0).json();
        assert_eq!(
            (&told["event"], &told["upload_id"], &told["reason"]),
            (&json!("upload.rejected"), &upload["id"], &json!("Found a worm"))
        );
        assert_eq!(told.get("completed_at"), None);

        // A reason without measure is cut, and the verdict counts.
        let long = json!({ "verdict": "reject", "reason": "worm ".repeat(20_000) });
        scanner.next_answers(&[Answer::Json(200, long.to_string())]);
        let upload = api.sent("c.bin", &application).await;
        assert_eq!(api.complete(&upload).await.status, 422);
        let told = application.wait_for(2).await.remove(1).json();
        let reason = told["reason"].as_str().expect("a text");
        assert!(reason.starts_with("worm worm") && reason.len() <= 300, "{reason}");

        scanner.next_answers(&[says("accept")]);
        let fine = api.sent("b.bin", &application).await;
        api.complete(&fine).await.expect(200);
        assert_eq!(
            application.wait_for(3).await[2].json()["event"],
            "upload.complete"
        );
    })
    .await;
}

#[tokio::test]
async fn what_the_first_bytes_give_away_is_never_shown_to_a_scanner() {
    let scanner = Receiver::start().await;
    let adjust = waiting_for(&scanner);
    let strict = |config: &mut Config| {
        adjust(config);
        config.limits.types = vec!["image/*".into()];
    };
    on_both_with(strict, async |server| {
        scanner.forget();
        let api = Api::of(&server);
        let bytes = b"<!DOCTYPE html>".to_vec();
        let wanted = json!({ "filename": "a.png", "size": bytes.len(), "content_type": "image/png" });
        let upload = api.post("/uploads", &wanted).await.expect(201);
        for door in api.sign(&upload, all_parts(&upload)).await {
            assert_eq!(api.put_part(&door, bytes.clone()).await, 200);
        }

        api.complete(&upload).await.problem(415, "content-refused");

        assert_eq!(api.show(&upload).await["state"], "failed");
        assert_eq!(object_status(&server, &upload).await, 404);
        assert!(scanner.seen().is_empty(), "nobody was asked");
    })
    .await;
}

#[tokio::test]
async fn a_rejected_object_stays_where_the_operator_wants_to_see_it() {
    let scanner = Receiver::start().await;
    let adjust = waiting_for(&scanner);
    let keeping = |config: &mut Config| {
        adjust(config);
        config.hooks.pre_complete.rejected = OnReject::Keep;
    };
    on_both_with(keeping, async |server| {
        scanner.next_answers(&[says("reject")]);
        let api = Api::of(&server);
        let upload = api.sent("a.bin", &Receiver::start().await).await;

        assert_eq!(api.complete(&upload).await.status, 422);
        assert_eq!(object_status(&server, &upload).await, 200);
    })
    .await;
}

#[tokio::test]
async fn an_upload_in_quarantine_can_be_given_up_and_never_expires_unseen() {
    let scanner = Receiver::start().await;
    scanner.always(later());
    on_both_with(scanned_by(&scanner), async |server| {
        let api = Api::of(&server);
        let application = Receiver::start().await;
        let (given_up, kept) = (
            api.sent("a.bin", &application).await,
            api.sent("b.bin", &application).await,
        );
        for upload in [&given_up, &kept] {
            assert_eq!(api.complete(upload).await.status, 503);
        }

        assert_eq!(
            api.delete(&format!("/uploads/{}", id(&given_up))).await.status,
            204
        );
        assert_eq!(
            object_status(&server, &given_up).await,
            404,
            "nobody will ever ask for it"
        );

        server.advance(TimeDelta::days(60));
        muleteer::app::sweep(&super::around::beside(&server), server.clock.clone())
            .await
            .expect("a sweep");
        let shown = api.show(&kept).await;
        assert_eq!(
            (&shown["state"], &shown["scanning"]),
            (&json!("completing"), &json!(true))
        );
        assert_eq!(object_status(&server, &kept).await, 200);
        assert!(application.seen().is_empty());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_downloaded_that_nobody_has_looked_at() {
    let scanner = Receiver::start().await;
    scanner.always(later());
    let adjust = scanned_by(&scanner);
    let local = |config: &mut Config| {
        adjust(config);
        config.storage.backend = BackendName::Local;
        config.protocols.tus.downloads = true;
        config.storage.local.path = format!("{}/uploads", config.data_dir);
    };
    on_both_with(local, async |server| {
        scanner.forget();
        let api = Api::of(&server).outside().with("tus-resumable", "1.0.0");
        let begun = api
            .with("upload-length", "5")
            .raw("POST", "/files", Vec::new())
            .await;
        let at = begun.header("location").replace(&server.base, "");
        let last = api
            .with("upload-offset", "0")
            .with("content-type", "application/offset+octet-stream")
            .raw("PATCH", &at, b"hello".to_vec())
            .await;
        assert_eq!((last.status, last.header("retry-after")), (503, "1"));
        let stands = api.raw("HEAD", &at, Vec::new()).await;
        assert_eq!(
            (stands.status, stands.header("upload-offset")),
            (200, "5"),
            "all bytes are there"
        );

        assert!(!api.raw("GET", &at, Vec::new()).await.body.ends_with(b"hello"));

        // A storage that gives no addresses has its bytes sent with the question.
        let asked = scanner.wait_for(1).await.remove(0);
        assert_eq!(asked.body, "hello");
        let upload = json!({ "id": at.rsplit('/').next().expect("an id") });
        let facts = base64_json(asked.header("muleteer-upload"));
        let token = facts["verdict_token"].as_str().expect("a token").to_owned();
        assert_eq!(Api::of(&server).judge(&upload, &token, "accept").await, 204);
        assert_eq!(api.raw("GET", &at, Vec::new()).await.body, b"hello");
    })
    .await;
}

fn base64_json(text: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}
