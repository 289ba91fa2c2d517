//! The application is asked before an upload begins, whatever protocol it comes by: it may refuse, name and narrow.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use muleteer::config::{Config, OnSilence, Secret};
use serde_json::{Value, json};

use super::api::{Api, file, id};
use super::around::on_both as on_both_started;
use super::doors::{DOORS, begin_by, of_image, open_all};
use super::issuer::{self, sign};
use super::server::TestServer;
use super::socket::Handshake;
use super::webhook_receiver::{Answer, Receiver, nobody};
use super::webhooks::assert_signed_with;
use super::{PART, start, store_of};

/// Signs questions; webhooks have none here.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs one test on both databases, with an application that takes everything until it is told otherwise.
async fn asking(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer, &Receiver)) {
    let application = Receiver::start().await;
    let started = |kind| {
        start(kind, |config| {
            config.hooks.pre_create.url = application.url();
            config.hooks.pre_create.secret = Secret::new(SECRET);
            open_all(config);
            adjust(config);
        })
    };
    application.always(says(&json!({})));
    on_both_started(started, async |server| {
        application.forget();
        test(server, &application).await;
    })
    .await;
}

fn says(answer: &Value) -> Answer {
    Answer::Json(200, answer.to_string())
}

/// Multipart uploads that the store knows.
async fn reserved(server: &TestServer) -> usize {
    let listed = store_of(server).ask("GET", "").query("uploads", "").send().await;
    listed.text().matches("<UploadId>").count()
}

#[tokio::test]
async fn an_upload_by_any_protocol_is_asked_about_once_and_can_be_refused_in_its_own_words() {
    asking(
        |_| {},
        async |server, application| {
            for (n, door) in DOORS.into_iter().enumerate() {
                let refusal = json!({ "refuse": { "message": "Your plan is\r\nused up", "status": 402 } });
                application.next_answers(&[says(&refusal)]);

                let refused = begin_by(door, &server).await;

                let asked = application.seen();
                assert_eq!(asked.len(), n + 1, "{door}: {}", refused.text());
                let question = asked[n].json();
                let protocol = match door {
                    "fine uploader" => "fine-uploader",
                    "mule" => "mule-v1",
                    door => door.split(' ').next().expect("a word"),
                };
                assert_eq!(question["protocol"], protocol, "{door}");
                assert_eq!(
                    (&question["event"], &question["owner"]),
                    (&json!("upload.pre-create"), &json!("default"))
                );
                assert_signed_with(SECRET, &asked[n]);
                let status = if door == "evaporate" { 403 } else { 402 };
                assert_eq!(refused.status, status, "{door}: {}", refused.text());
                assert!(
                    refused.text().contains("Your plan is used up"),
                    "{door}: {}",
                    refused.text()
                );
            }
            let begun = Api::of(&server).get("/uploads").await.expect(200);
            assert_eq!(begun["uploads"], json!([]), "nothing is on record");
            assert_eq!(reserved(&server).await, 0, "nothing is reserved at the store");

            application.forget();
            for (n, door) in DOORS.into_iter().enumerate() {
                let begun = begin_by(door, &server).await;
                assert!((200..300).contains(&begun.status), "{door}: {}", begun.text());
                assert_eq!(application.seen().len(), n + 1, "{door}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_file_over_a_websocket_is_refused_with_the_applications_words() {
    asking(
        |_| {},
        async |server, application| {
            application.next_answers(&[Answer::Json(
                422,
                json!({ "detail": "Not on Sundays" }).to_string(),
            )]);
            let key = super::server::API_KEY;
            let mut socket = Handshake::new("/galileo")
                .with("X-API-Key", key)
                .open(&server)
                .await;

            socket.json(&json!({ "name": "a.png", "size": 32 })).await;

            let signal = socket.signal().await;
            assert_eq!(
                (&signal["error"], &signal["code"]),
                (&json!("Not on Sundays"), &json!("refused"))
            );
            assert_eq!(application.seen()[0].json()["protocol"], "galileo");
        },
    )
    .await;
}

#[tokio::test]
async fn the_application_names_the_object_and_adds_to_what_is_known_of_it() {
    asking(|_| {}, async |server, application| {
        let api = Api::of(&server);
        let answer = json!({
            "key": "albums/7/ß.png", "filename": "sunset.png", "metadata": { "user": "42", "album": null },
        });
        application.next_answers(&[says(&answer)]);

        let upload = api.post("/uploads", &of_image("IMG_1.png")).await.expect(201);

        let asked = application.seen()[0].json();
        assert_eq!(
            (&asked["filename"], &asked["size"], &asked["content_type"], &asked["metadata"]),
            (&json!("IMG_1.png"), &json!(2 * PART), &json!("image/png"), &json!({ "album": "7" }))
        );
        assert_eq!(
            (&asked["key"], &asked["role"], &asked["transfer"], &asked["part_size"], &asked["address"]),
            (&Value::Null, &json!("whole"), &json!("direct"), &json!(PART), &json!("127.0.0.1"))
        );
        assert_eq!(upload["key"], "albums/7/ß.png");
        assert_eq!((&upload["filename"], &upload["metadata"]), (&json!("sunset.png"), &json!({ "user": "42" })));

        let again = api.post("/uploads", &of_image("IMG_1.png")).await.expect(200);
        assert_eq!(again["id"], upload["id"], "its client finds it by the name that it knows");
        assert_eq!(application.seen().len(), 1, "and nobody is asked about what goes on");

        // Another file under the same key would overwrite this one.
        application.next_answers(&[says(&answer)]);
        let taken = api.post("/uploads", &of_image("IMG_2.png")).await;
        assert_eq!((taken.status, taken.json()["type"].as_str()), (409, Some("/problems/key-taken")));

        api.send_parts(&upload, super::api::all_parts(&upload)).await;
        api.complete(&upload).await.expect(200);
        application.next_answers(&[says(&answer)]);
        assert_eq!(api.post("/uploads", &of_image("IMG_3.png")).await.status, 409, "an object has it");
    })
    .await;
}

#[tokio::test]
async fn what_the_application_narrows_holds_from_then_on() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            let narrow = |bounds: Value| application.next_answers(&[says(&json!({ "bounds": bounds }))]);

            narrow(json!({ "max_size": PART }));
            let large = api.post("/uploads", &of_image("a.png")).await;
            assert_eq!((large.status, &large.json()["limit"]), (413, &json!(PART)));
            narrow(json!({ "types": ["video/*"] }));
            assert_eq!(api.post("/uploads", &of_image("b.png")).await.status, 415);
            narrow(json!({ "max_size": 2 * PART, "types": ["image/*"] }));
            api.post("/uploads", &of_image("c.png")).await.expect(201);

            // A client that cuts the file itself is held to it when all is there.
            narrow(json!({ "max_size": PART }));
            let page = api.outside();
            let wanted = json!({ "filename": "d.bin", "type": "application/octet-stream", "metadata": {} });
            let begun = page.post("/s3/multipart", &wanted).await.expect(200);
            let (key, upload) = (
                begun["key"].as_str().expect("a key"),
                begun["uploadId"].as_str().expect("an id"),
            );
            let door = page
                .get(&format!("/s3/multipart/{upload}/1?key={key}"))
                .await
                .expect(200);
            assert_eq!(page.put_part(&door, vec![1; 24]).await, 200);
            let listed = page
                .get(&format!("/s3/multipart/{upload}?key={key}"))
                .await
                .expect(200);
            let etag = &listed[0]["ETag"];
            let parts = json!({ "parts": [{ "PartNumber": 1, "ETag": etag }] });
            let ended = page
                .post(&format!("/s3/multipart/{upload}/complete?key={key}"), &parts)
                .await;
            assert_eq!(ended.status, 413, "{}", ended.text());
        },
    )
    .await;
}

#[tokio::test]
async fn no_signing_key_is_given_for_what_is_narrowed() {
    const KEY: &str = "/upload-backend/signing_key/?filename=clip.mp4&filesize=40&content_type=video%2Fmp4\
                       &last_modified=1777975200000";
    let with_keys = |config: &mut Config| {
        "NARROWKEYID000000000".clone_into(&mut config.protocols.mule.signing_key.access_key_id);
        config.protocols.mule.signing_key.secret_access_key = Secret::new("the-secret-of-the-narrow-key");
        config.auth.jwt.secret = Secret::new(issuer::SECRET);
    };
    asking(with_keys, async |server, application| {
        let api = Api::of(&server).outside();
        application.next_answers(&[says(&json!({ "bounds": { "max_size": 100 } }))]);

        let by_the_application = api.get(KEY).await;
        let by_their_token = of_tenant(&server).outside().get(KEY).await;

        for refused in [by_the_application, by_their_token] {
            assert_eq!(refused.status, 403, "{}", refused.text());
            assert!(refused.text().contains("limits of its own"), "{}", refused.text());
        }
        let other = KEY.replace("clip.mp4", "other.mp4");
        assert_eq!(api.get(&other).await.status, 200);
    })
    .await;
}

/// Somebody whose token says that all of theirs lies in `tenants/7/`.
fn of_tenant(server: &TestServer) -> Api {
    let claims = json!({
        "sub": "anna",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
        "muleteer": { "key_prefix": "tenants/7/" },
    });
    let token = sign(Algorithm::HS256, issuer::SECRET, None, &claims);
    Api::nobody(server).with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn a_key_lies_where_its_callers_token_and_the_answer_want_it() {
    let with_tokens = |config: &mut Config| config.auth.jwt.secret = Secret::new(issuer::SECRET);
    asking(with_tokens, async |server, application| {
        let anna = of_tenant(&server);
        let begin = async |name: &str, answer: Value| {
            application.next_answers(&[says(&answer)]);
            anna.post("/uploads", &of_image(name)).await
        };
        let albums = json!({ "key_prefix": "albums/" });

        for (n, answer) in [
            json!({ "key": "albums/a.png" }),
            json!({ "key": "tenants/70/a.png" }),
            json!({ "key": "tenants/7/a.png", "bounds": albums }),
            json!({ "key": "albums/a.png", "bounds": albums }),
        ]
        .into_iter()
        .enumerate()
        {
            let refused = begin(&format!("{n}.png"), answer.clone()).await;
            assert_eq!(refused.status, 503, "{answer}: {}", refused.text());
        }
        assert_eq!(reserved(&server).await, 0);

        let exact = json!({ "key": "tenants/7/albums/a.png", "bounds": albums });
        let named = begin("a.png", exact.clone()).await.expect(201);
        assert_eq!(named["key"], exact["key"]);
        let asked = application.seen().last().expect("a question").json();
        assert_eq!(asked["key_prefix"], "tenants/7/");
        let again = anna.post("/uploads", &of_image("a.png")).await.expect(200);
        assert_eq!(again["id"], named["id"], "and it is found where it lies");
        let placed = begin("b.png", json!({ "bounds": albums })).await.expect(201);
        let key = placed["key"].as_str().expect("a key");
        assert!(key.starts_with("tenants/7/albums/uploads/"), "{key}");

        // A key that a client has chosen is for the client to hear of.
        application.next_answers(&[says(&json!({ "bounds": albums }))]);
        let refused = begin_by("evaporate", &server).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.text().contains("albums/"), "{}", refused.text());
    })
    .await;
}

#[tokio::test]
async fn what_the_application_lets_an_owner_have_open_holds_before_anything_is_reserved() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            api.create("a.bin", PART).await;
            let reserved_before = reserved(&server).await;
            let narrow = |bounds: Value| application.next_answers(&[says(&json!({ "bounds": bounds }))]);

            for (what, limit) in [("open_uploads", 1), ("open_bytes", 2 * PART - 1)] {
                narrow(json!({ what: limit }));
                let refused = api.post("/uploads", &file("b.bin", PART)).await;
                let problem = refused.problem(429, "quota-reached");
                assert_eq!(
                    (&problem["what"], &problem["limit"]),
                    (&json!(what), &json!(limit))
                );
            }
            assert_eq!(reserved(&server).await, reserved_before);

            // It was this upload's alone.
            api.create("b.bin", PART).await;
        },
    )
    .await;
}

#[tokio::test]
async fn how_often_is_narrowed_by_the_application_too() {
    asking(
        |_| {},
        async |server, application| {
            let api = Api::of(&server);
            let rates = json!({ "creations_per_minute": 2, "signatures_per_minute": 3 });
            application.always(says(&json!({ "bounds": rates })));
            let upload = api.create("a.bin", 4 * PART).await;
            api.create("b.bin", PART).await;
            let reserved_before = reserved(&server).await;

            let refused = api.post("/uploads", &file("c.bin", PART)).await;

            refused.problem(429, "too-fast");
            assert_eq!(refused.header("retry-after"), "30");
            assert_eq!(reserved(&server).await, reserved_before);
            let signatures = format!("/uploads/{}/signatures", id(&upload));
            let sign = async |parts: &str| api.post(&signatures, &json!({ "parts": parts })).await;
            sign("1-3").await.expect(200);
            let refused = sign("4").await;
            refused.problem(429, "too-fast");
            assert_eq!(refused.header("retry-after"), "20");
            // What the application says of others holds for those alone.
            application.always(says(&json!({})));
            api.create("c.bin", PART).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_chose_its_key_keeps_it_and_what_it_said() {
    asking(
        |_| {},
        async |server, application| {
            let answer =
                json!({ "key": "elsewhere/x", "metadata": { "user": "42" }, "bounds": { "max_size": 99 } });
            application.always(says(&answer));

            for _ in 0..2 {
                assert_eq!(begin_by("evaporate", &server).await.status, 200);
            }

            let asked = application.seen();
            assert_eq!(asked.len(), 1, "the second goes on with the first");
            assert_eq!(asked[0].json()["key"], "pages/default/a.png");
            assert_eq!(
                asked[0].json()["size"],
                Value::Null,
                "such a client tells no size"
            );
            let listed = Api::of(&server).get("/uploads").await.expect(200);
            let upload = Api::of(&server).show(&listed["uploads"][0]).await;
            assert_eq!(
                (&upload["key"], &upload["metadata"]),
                (&json!("pages/default/a.png"), &json!({}))
            );
            application.always(says(&json!({})));
        },
    )
    .await;
}

/// Nobody looks for the fault in the database or the store.
fn says_who_is_silent(problem: &Value) {
    let title = problem["title"].as_str().expect("a title");
    assert!(!title.contains("database") && !title.contains("store"), "{title}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("the application does not answer"), "{detail}");
}

#[tokio::test]
async fn an_application_that_does_not_answer_well_lets_nothing_begin_and_is_then_left_alone() {
    asking(
        |config| config.hooks.pre_create.timeout_s = 1,
        async |server, application| {
            let api = Api::of(&server);
            let bad = [
                Answer::Status(500),
                Answer::Json(429, json!({ "message": "Slow down" }).to_string()),
                Answer::Redirect(application.url()),
                Answer::Endless(500),
                Answer::Silence,
            ];
            for (n, answer) in bad.iter().enumerate() {
                application.next_answers(std::slice::from_ref(answer));
                let refused = api.post("/uploads", &of_image("a.png")).await;
                assert_eq!(refused.status, 503, "{answer:?}: {}", refused.text());
                assert_eq!(
                    (refused.header("retry-after"), refused.json()["type"].as_str()),
                    ("1", Some("/problems/unavailable"))
                );
                says_who_is_silent(&refused.json());
                assert_eq!(application.seen().len(), n + 1, "{answer:?}");
            }

            let refused = api.post("/uploads", &of_image("a.png")).await;

            assert_eq!(refused.status, 503);
            assert_eq!(
                application.seen().len(),
                bad.len(),
                "five failures in a row: nobody asks for a while"
            );
            assert_eq!(reserved(&server).await, 0);
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_none_even_where_silence_would_do() {
    asking(
        |config| config.hooks.pre_create.fail = OnSilence::Open,
        async |server, application| {
            let api = Api::of(&server);
            for answer in [
                json!([]),
                json!("ok"),
                json!({ "maxsize": 1 }),
                json!({ "key": 5 }),
                json!({ "bounds": "x" }),
                json!({ "bounds": [] }),
                json!({ "bounds": { "max_parts": 0 } }),
                json!({ "refuse": true }),
                json!({ "refuse": "no" }),
                json!({ "refuse": { "message": "no", "status": "402" } }),
                json!({ "key": "../x" }),
                json!({ "filename": "" }),
                json!({ "metadata": { "": "x" } }),
                json!({ "bounds": { "key_prefix": "../" } }),
                json!({ "bounds": { "types": ["image"] } }),
                json!({ "key": "albums/x", "bounds": { "key_prefix": "others/" } }),
            ] {
                application.next_answers(&[says(&answer)]);
                assert_eq!(
                    api.post("/uploads", &of_image("a.png")).await.status,
                    503,
                    "{answer}"
                );
            }

            application.next_answers(&[Answer::Endless(200)]);
            let refused = api.post("/uploads", &of_image("a.png")).await;
            assert_eq!(refused.status, 503, "{}", refused.text());
            assert_eq!(reserved(&server).await, 0);

            // What asks for patience is no answer, whatever it says.
            for (n, answer) in [
                Answer::HangUp,
                Answer::Json(429, json!({ "message": "Slow down" }).to_string()),
                Answer::Json(408, json!({ "detail": "Too late" }).to_string()),
                Answer::Status(503),
            ]
            .into_iter()
            .enumerate()
            {
                application.next_answers(&[answer]);
                let name = format!("{n}.png");
                api.post("/uploads", &of_image(&name)).await.expect(201);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn an_application_that_is_not_there_stops_nobody_where_the_operator_says_so() {
    let address = nobody().await;
    let started = |kind| {
        start(kind, |config| {
            config.hooks.pre_create.url = format!("http://{address}/");
            config.hooks.pre_create.fail = OnSilence::Open;
        })
    };
    on_both_started(started, async |server| {
        let api = Api::of(&server);
        for n in 0..7 {
            api.create(&format!("{n}.bin"), PART).await;
        }
    })
    .await;
}
