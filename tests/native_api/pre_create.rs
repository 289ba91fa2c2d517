//! The application is asked before an upload begins, whatever protocol it comes by: it may refuse and name.

use muleteer::config::{Config, OnSilence, Secret};
use serde_json::{Value, json};

use super::api::Api;
use super::around::on_both as on_both_started;
use super::doors::{DOORS, begin_by, of_image, open_all};
use super::server::TestServer;
use super::socket::Handshake;
use super::webhook_receiver::{Answer, Receiver, nobody};
use super::webhooks::assert_signed_with;
use super::{PART, start, store_of};

/// Signs questions; webhooks have none here.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs one test on both databases, with an application that takes everything until it is told otherwise.
pub async fn asking(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer, &Receiver)) {
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

pub fn says(answer: &Value) -> Answer {
    Answer::Json(200, answer.to_string())
}

/// Multipart uploads that the store knows.
pub async fn reserved(server: &TestServer) -> usize {
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
