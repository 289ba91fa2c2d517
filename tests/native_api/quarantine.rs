//! A file is looked at before its upload is complete: nobody hears of it before the scanner has said so, and never if it has
//! said no.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use muleteer::config::{BackendName, Config, OnReject, Secret};
use muleteer::db::Database;
use muleteer::domain::UploadId;
use serde_json::{Value, json};

use super::api::{Api, all_parts, id, part_of};
use super::icap_server::{INFECTED, IcapServer};
use super::server::TestServer;
use super::webhook_receiver::{Answer, Receiver};
use super::webhooks::{assert_signed_with, telling};
use super::{PART, beside, on_both_with, store_of};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn says(verdict: &str) -> Answer {
    Answer::Json(
        200,
        json!({ "verdict": verdict, "reason": "Found\u{7} a worm" }).to_string(),
    )
}

fn later() -> Answer {
    Answer::Json(202, "{}".into())
}

/// Settings with this scanner, for whose verdict clients do not wait.
fn scanned_by(scanner: &Receiver) -> impl Fn(&mut Config) {
    let url = scanner.url();
    move |config| {
        telling(config);
        config.hooks.pre_complete.url.clone_from(&url);
        config.hooks.pre_complete.secret = Secret::new(SECRET);
        config.hooks.pre_complete.wait_s = 0;
    }
}

/// As [`scanned_by`], where a client waits for what is said soon.
fn waiting_for(scanner: &Receiver) -> impl Fn(&mut Config) {
    let adjust = scanned_by(scanner);
    move |config| {
        adjust(config);
        config.hooks.pre_complete.wait_s = 30;
    }
}

impl Api {
    /// Begins an upload that reports there, and sends all of it.
    async fn sent(&self, name: &str, receiver: &Receiver) -> Value {
        let wanted = json!({ "filename": name, "size": PART + 1, "webhook_url": receiver.url() });
        let upload = self.post("/uploads", &wanted).await.expect(201);
        self.send_parts(&upload, all_parts(&upload)).await;
        upload
    }

    /// Says something of an upload with this token; the status.
    async fn judge(&self, upload: &Value, token: &str, verdict: &str) -> u16 {
        let scanner = self.bearing(&json!(token));
        let path = format!("/uploads/{}/verdict", id(upload));
        scanner
            .post(&path, &json!({ "verdict": verdict, "reason": "a worm" }))
            .await
            .status
    }

    /// Completes an upload, as often as it takes.
    async fn complete_at_last(&self, upload: &Value) -> Value {
        for _ in 0..400 {
            let reply = self.complete(upload).await;
            if reply.status != 503 {
                return reply.expect(200);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never complete: {}", self.show(upload).await);
    }
}

async fn object_status(server: &TestServer, upload: &Value) -> u16 {
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

        scanner.next_answers(&[says("accept")]);
        let fine = api.sent("b.bin", &application).await;
        api.complete(&fine).await.expect(200);
        assert_eq!(
            application.wait_for(2).await[1].json()["event"],
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
async fn a_scanner_that_is_down_holds_uploads_up_and_loses_none() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        scanner.next_answers(&[
            Answer::Status(500),
            Answer::HangUp,
            Answer::Json(200, "{}".into()),
        ]);
        let (api, application) = (Api::of(&server), Receiver::start().await);
        let upload = api.sent("a.bin", &application).await;
        assert_eq!(api.complete(&upload).await.status, 503);

        scanner.always(says("accept"));
        for tries in 1..=3 {
            scanner.wait_for(tries).await;
            assert_eq!(api.complete(&upload).await.status, 503, "{tries}");
            // Longer than any of these pauses, and not so long that the store finds our requests too far from its own time.
            server.advance(TimeDelta::seconds(10));
        }

        api.complete_at_last(&upload).await;
        application.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_between_the_last_byte_and_the_verdict_loses_nothing() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        scanner.next_answers(&[Answer::Silence]);
        let application = Receiver::start().await;
        let api = Api::of(&server);
        let upload = api.sent("a.bin", &application).await;
        assert_eq!(api.complete(&upload).await.status, 503);
        scanner.wait_for(1).await;

        let server = server.restart();
        scanner.always(says("accept"));
        // Nobody renews the claim of whoever was asked for it before.
        server.advance(TimeDelta::seconds(31));

        api.complete_at_last(&upload).await;
        assert_eq!(scanner.seen().len(), 2);
        application.wait_for(1).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_instances_one_has_each_file_looked_at() {
    let scanner = Receiver::start().await;
    scanner.always(says("accept"));
    on_both_with(waiting_for(&scanner), async |server| {
        scanner.forget();
        let other = beside(&server);
        let (one, two) = (Api::of(&server), Api::of(&other));
        let application = Receiver::start().await;
        let uploads = join_all((0..6).map(|n| {
            let (one, application) = (&one, &application);
            async move { one.sent(&format!("{n}.bin"), application).await }
        }))
        .await;

        let completed = uploads.iter().zip([&one, &two].into_iter().cycle());
        let completed = join_all(completed.map(|(upload, api)| api.complete(upload))).await;

        assert!(completed.iter().all(|reply| reply.status == 200), "{completed:?}");
        assert_eq!(scanner.seen().len(), 6);
        assert_eq!(application.wait_for(6).await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_verdict_on_an_object_that_was_replaced_meanwhile_is_none_on_the_other() {
    let scanner = Receiver::start().await;
    on_both_with(scanned_by(&scanner), async |server| {
        scanner.forget();
        let said = |verdict: &str| json!({ "verdict": verdict, "reason": "a worm" }).to_string();
        scanner.next_answers(&[
            Answer::LateJson(Duration::from_millis(1500), said("accept")),
            Answer::LateJson(Duration::from_secs(4), said("reject")),
        ]);
        let (api, application) = (Api::of(&server), Receiver::start().await);
        let upload = api.sent("a.bin", &application).await;
        api.complete(&upload).await.problem(503, "still-completing");
        scanner.wait_for(1).await;

        // As where a client sends another object with a signature that is still good, and asks for its upload then.
        let (store, key) = (store_of(&server), upload["key"].as_str().expect("a key"));
        assert_eq!(store.put(key, b"a worm, not the file").await.status, 200);
        let tag = store.ask("HEAD", key).send().await;
        let tag = tag.header("etag").expect("a tag").to_owned();
        let db = Database::open(&server.config.database_url(), 1).await;
        let db = db.expect("the database");
        let its_id = UploadId::parse(id(&upload)).expect("an id");
        db.begin_scan(&its_id, Some(tag), server.clock.now())
            .await
            .expect("written down");
        db.close().await.expect("closed");

        scanner.wait_for(2).await;
        let mut state = api.show(&upload).await["state"].clone();
        for _ in 0..400 {
            if state != "completing" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            state = api.show(&upload).await["state"].clone();
        }
        assert_eq!(state, "failed", "the other was rejected");
        assert_eq!(object_status(&server, &upload).await, 404);
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

/// Sends bytes with a presigned request; the status.
async fn send_presigned(signed: &Value, bytes: Vec<u8>) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = http.put(signed["url"].as_str().expect("a URL")).body(bytes);
    for (name, value) in signed["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().expect("text"));
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn an_object_that_takes_anothers_place_is_held_against_the_largest_size_too() {
    let scanner = Receiver::start().await;
    scanner.always(later());
    let adjust = |config: &mut Config| {
        scanned_by(&scanner)(config);
        config.protocols.uppy.presign = true;
        config.limits.max_size = 8;
    };
    on_both_with(adjust, async |server| {
        scanner.forget();
        let api = Api::of(&server);
        let wanted = json!({ "method": "PUT", "key": "a.bin" });
        let put = api.outside().post("/s3/presign", &wanted).await.expect(200);
        assert_eq!(send_presigned(&put, vec![b'x'; 5]).await, 200);
        server.advance(TimeDelta::minutes(3));
        muleteer::app::sweep(&super::around::beside(&server), server.clock.clone())
            .await
            .expect("a sweep");
        let asked = scanner.wait_for(1).await.remove(0).json();
        let upload = api.get("/uploads").await.expect(200)["uploads"][0].clone();
        assert_eq!(upload["id"], asked["upload_id"]);

        // The signature is still good, and bounds no size.
        assert_eq!(send_presigned(&put, vec![b'x'; 9]).await, 200);
        let token = asked["verdict_token"].as_str().expect("a token");
        assert_eq!(api.judge(&upload, token, "accept").await, 204);

        assert_eq!(api.show(&upload).await["state"], "failed");
        assert_eq!(object_status(&server, &upload).await, 404);
    })
    .await;
}

#[tokio::test]
async fn a_scanner_that_speaks_icap_is_shown_every_byte() {
    let scanner = IcapServer::start().await;
    for backend in [BackendName::S3, BackendName::Local] {
        let adjust = |config: &mut Config| {
            config.storage.backend = backend;
            config.protocols.tus.downloads = true;
            config.storage.local.path = format!("{}/uploads", config.data_dir);
            config.hooks.pre_complete.url.clone_from(&scanner.url);
            config.hooks.pre_complete.wait_s = 30;
        };
        on_both_with(adjust, async |server| {
            let api = Api::of(&server).outside().with("tus-resumable", "1.0.0");
            let clean: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
            for file in [&b""[..], b"abc", b"abcd", b"abcde", &clean] {
                let before = scanner.seen().len();
                let length = file.len().to_string();
                let api = api
                    .with("upload-length", &length)
                    .with("content-type", "application/offset+octet-stream");
                let sent = api.raw("POST", "/files", file.to_vec()).await;
                assert_eq!(sent.status, 201, "{length}: {}", sent.text());
                let seen = scanner.seen();
                assert_eq!(seen.len(), before + 1, "{length}");
                assert_eq!(seen[before].body, file);
                assert!(seen[before].heads.contains(&format!("Content-Length: {length}")));
                let file_at = sent.header("location").replace(&server.base, "");
                assert_eq!(api.raw("GET", &file_at, Vec::new()).await.body, file, "{length}");
            }

            let mut worm = clean.clone();
            worm.extend_from_slice(INFECTED);
            let length = worm.len().to_string();
            let sending = api
                .with("upload-length", &length)
                .with("content-type", "application/offset+octet-stream");
            let sent = sending.raw("POST", "/files", worm).await;
            assert_eq!(sent.status, 422, "{}", sent.text());
            assert!(sent.text().contains("Test-Signature"), "{}", sent.text());
            let uploads = Api::of(&server).get("/uploads?state=failed").await.expect(200);
            assert_eq!(uploads["uploads"].as_array().map(Vec::len), Some(1));
            let there = api.get(&format!("/files/{}", id(&uploads["uploads"][0]))).await;
            assert!((400..500).contains(&there.status), "{}", there.status);
        })
        .await;
    }
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
