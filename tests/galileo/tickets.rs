//! Section 5: tickets, for clients that are given nothing but an address.

use chrono::TimeDelta;
use muleteer::config::Anonymous;
use serde_json::{Value, json};

use super::around::key_for;
use super::client::{Client, content};
use super::clients::OldClient;
use super::place::Place;
use super::server::TestServer;
use super::socket::Handshake;
use super::{here, on_both};

async fn ticket(place: &TestServer, wanted: &Value) -> Value {
    let client = Client::of(place).with("content-type", "application/json");
    let made = client.raw("POST", "/galileo/ticket", wanted.to_string()).await;
    assert_eq!(made.header("referrer-policy"), "no-referrer");
    made.expect(201)
}

fn path_of(ticket: &Value) -> String {
    ticket["path"].as_str().expect("a path").to_owned()
}

#[actix_web::test]
async fn a_ticket_lets_the_original_client_in_once() {
    on_both(async |place: Place| {
        let file = content(300_000);
        let made = ticket(&place, &json!({})).await;
        let url = made["url"].as_str().unwrap();
        assert_eq!(
            url,
            format!("{}{}", place.base.replace("http:", "ws:"), path_of(&made))
        );

        let told = OldClient::new("x", &file).send(&place, &path_of(&made)).await;

        assert!(told.success);
        assert_eq!(
            Handshake::new(&path_of(&made)).status(&place).await,
            401,
            "it was used"
        );
    })
    .await;
}

#[actix_web::test]
async fn of_many_that_show_one_ticket_at_once_one_gets_in() {
    on_both(async |place: Place| {
        let twin = place.twin();
        let path = path_of(&ticket(&place, &json!({})).await);
        let handshake = Handshake::new(&path);

        let here = (0..4).map(|_| handshake.status(&place));
        let there = (0..4).map(|_| handshake.status(&twin));
        let (here, there) = tokio::join!(
            futures_util::future::join_all(here),
            futures_util::future::join_all(there)
        );

        let admitted = here.iter().chain(&there).filter(|status| **status == 101).count();
        assert_eq!(admitted, 1, "{here:?} {there:?}");
    })
    .await;
}

#[actix_web::test]
async fn a_ticket_is_good_for_a_minute() {
    let place = here(|_| {});
    let path = path_of(&ticket(&place, &json!({})).await);

    place.advance(TimeDelta::seconds(61));

    assert_eq!(Handshake::new(&path).status(&place).await, 401);
}

#[actix_web::test]
async fn a_ticket_ends_with_the_key_that_made_it() {
    let place = here(|_| {});
    let key = key_for(&place, "anna").await;
    let path = async || {
        let made = reqwest::Client::builder().no_proxy().build().expect("a client");
        let made = made.post(format!("{}/galileo/ticket", place.base));
        let made = made.header("x-api-key", &key).send().await.expect("an answer");
        let made = made.text().await.expect("a whole answer");
        path_of(&serde_json::from_str(&made).expect("JSON"))
    };
    let (used, unused) = (path().await, path().await);
    assert_eq!(Handshake::new(&used).status(&place).await, 101);

    let db = muleteer::app::open_database(&place.config)
        .await
        .expect("the database opens");
    let keys = db.list_keys().await.expect("the database answers");
    assert!(
        db.revoke_key(&keys[0].id, place.clock.now())
            .await
            .expect("revoked")
    );
    db.close().await.expect("the database closes");

    assert_eq!(Handshake::new(&unused).status(&place).await, 401);
}

#[actix_web::test]
async fn a_ticket_is_bound_to_what_it_was_made_for() {
    let place = here(|config| {
        config.cors.allowed_origins = vec!["https://a.example".into(), "https://b.example".into()];
    });
    let open = async |wanted: Value, metadata: Value| {
        let path = path_of(&ticket(&place, &wanted).await);
        let mut socket = Handshake::new(&path).open(&place).await;
        socket.json(&metadata).await;
        socket.signal().await
    };
    let bound = json!({ "name": "a.bin", "size": 10 });

    assert_eq!(
        open(bound.clone(), json!({ "name": "a.bin", "size": 10 })).await["ready"],
        true
    );
    let other = open(bound.clone(), json!({ "name": "b.bin", "size": 10 })).await;
    assert_eq!(
        (&other["fatal"], &other["code"]),
        (&json!(true), &json!("forbidden"))
    );
    let larger = open(bound, json!({ "name": "a.bin", "size": 11 })).await;
    assert_eq!(
        (&larger["fatal"], &larger["code"]),
        (&json!(true), &json!("forbidden"))
    );

    let path = path_of(&ticket(&place, &json!({ "origin": "https://a.example" })).await);
    let from = |origin: &str| Handshake::new(&path).with("Origin", origin);
    assert_eq!(from("https://b.example").status(&place).await, 403);
    let path = path_of(&ticket(&place, &json!({ "origin": "https://a.example" })).await);
    let from = |origin: &str| Handshake::new(&path).with("Origin", origin);
    assert_eq!(from("https://a.example").status(&place).await, 101);

    // With the first message instead of the address it is no less bound.
    for (origin, code) in [("https://b.example", "forbidden"), ("https://a.example", "")] {
        let made = ticket(&place, &json!({ "origin": "https://a.example" })).await;
        let path = path_of(&made);
        let shown = path.split_once("ticket=").expect("a ticket").1;
        let handshake = Handshake::new("/galileo").with("Origin", origin);
        let mut socket = handshake
            .with("Sec-WebSocket-Protocol", "galileo.v2")
            .open(&place)
            .await;
        socket
            .json(&json!({ "name": "a.bin", "size": 10, "token": shown }))
            .await;
        let told = socket.signal().await;
        if code.is_empty() {
            assert_eq!(told["ready"], true, "{told}");
        } else {
            assert_eq!(
                (&told["fatal"], &told["code"]),
                (&json!(true), &json!(code)),
                "{told}"
            );
        }
    }
}

#[actix_web::test]
async fn who_may_not_upload_gets_no_ticket_and_other_methods_nothing() {
    let place = here(|config| config.auth.anonymous = Anonymous::Off);

    assert_eq!(
        Client::nobody(&place)
            .raw("POST", "/galileo/ticket", Vec::new())
            .await
            .status,
        401
    );
    assert_eq!(Client::of(&place).get("/galileo/ticket").await.status, 405);
    let strange = Client::of(&place).with("content-type", "application/json");
    for wanted in [
        "[]",
        r#"{"size": -1}"#,
        r#"{"origin": "nonsense"}"#,
        r#"{"colour": "red"}"#,
    ] {
        let answer = strange.raw("POST", "/galileo/ticket", wanted).await;
        assert_eq!(answer.status, 400, "{wanted}");
    }
}
