//! Refusals before the body: at once, and so that a client that goes on sending still reads them.

use std::time::{Duration, Instant};

use muleteer::config::Config;

use super::client::{Client, check_error};
use super::place::Place;
use super::server::API_KEY;
use super::wire::{Wire, head, part_head};
use super::{MIB, everywhere, on_both, on_both_with};

const FIRST: usize = 64 << 10;

#[tokio::test]
async fn a_part_without_a_token_is_refused_before_its_body() {
    on_both(async |place| {
        let upload = Client::of(&place).init("a", 40 * MIB).await;
        let length = format!("Content-Length: {MIB}");
        for first in [0, 1000, FIRST] {
            for credential in ["X-Nothing: 1", "Authorization: Bearer x"] {
                let head = head("PUT", &upload.part_path(0), &[credential, &length]);
                let began = Instant::now();
                let mut wire = Wire::begin(&place, &head, &vec![7; first]).await;

                let answer = wire.answer().await;

                assert_eq!(answer.status, 401, "{answer:?}");
                check_error(&answer.json(), 401);
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_reads_the_refusal_and_no_reset() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 3 * MIB).await;
        client.send(&upload, 1).await;
        let length = format!("Content-Length: {MIB}");
        let long = format!("Content-Length: {}", 600 * MIB);
        let cases = [
            (
                401,
                head("PUT", &upload.part_path(0), &["Authorization: Bearer x", &length]),
            ),
            (
                401,
                head("PUT", &upload.part_path(0), &["Transfer-Encoding: chunked"]),
            ),
            (413, part_head(&upload, 0, &[&long])),
            (
                400,
                part_head(&upload, 0, &[&format!("Content-Length: {}", MIB + 7)]),
            ),
        ];
        for (status, head) in cases {
            let mut wire = Wire::begin(&place, &head, &[]).await;
            // The answer is there before the first byte is; a client that only reads at the end must find it yet.
            let body = vec![b'7'; 1 << 20];
            let body = if head.contains("chunked") {
                [b"100000\r\n".as_slice(), &body].concat()
            } else {
                body
            };
            wire.send_on(&body).await;

            let answer = wire.answer().await;

            assert_eq!(answer.status, status, "{head}{answer:?}");
            check_error(&answer.json(), status);
        }
        assert_eq!(client.part_states(&upload).await, "pup");
    })
    .await;
}

#[tokio::test]
async fn who_asks_first_is_told_to_go_on() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", MIB).await;
        let head = part_head(
            &upload,
            0,
            &[&format!("Content-Length: {MIB}"), "Expect: 100-continue"],
        );
        let mut wire = Wire::begin(&place, &head, &[]).await;
        assert_eq!(wire.answer().await.status, 100);

        wire.send(&upload.part(0)).await;

        let answer = wire.answer().await;
        assert_eq!(
            (answer.status, answer.json()["uploaded_parts"].as_u64()),
            (200, Some(1))
        );
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

#[tokio::test]
async fn who_asks_first_may_go_on_with_the_same_connection_and_need_not_wait() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 3 * MIB).await;
        let length = format!("Content-Length: {MIB}");
        let asking = |part| part_head(&upload, part, &[&length, "Expect: 100-continue"]);
        let mut wire = Wire::begin(&place, &asking(0), &[]).await;
        assert_eq!(wire.answer().await.status, 100);
        wire.send(&upload.part(0)).await;
        assert_eq!(wire.answer().await.status, 200);

        // The body may be in time to spare us the 100, or not.
        wire.send(&[asking(1).as_bytes(), &upload.part(1)].concat()).await;
        let mut answer = wire.answer().await;
        if answer.status == 100 {
            answer = wire.answer().await;
        }
        assert_eq!(answer.status, 200, "{answer:?}");

        // An expectation that nobody knows is none.
        wire.send(part_head(&upload, 2, &[&length, "Expect: the-unexpected"]).as_bytes())
            .await;
        wire.send(&upload.part(2)).await;
        assert_eq!(wire.answer().await.status, 200);
        let path = client.finish(&upload).await;
        assert!(place.object(&path).await == Some(upload.whole()));
    })
    .await;
}

/// A request for a part that is refused whatever its body is, with the status that it must get.
async fn hopeless(place: &Place) -> Vec<(u16, String)> {
    let client = Client::of(place);
    let (upload, gone) = (client.init("a", 3 * MIB).await, client.init("b", MIB).await);
    client.cancel(&gone).await.expect(200);
    let expect = "Expect: 100-continue\r\nOrigin: http://page.test";
    let length = format!("Content-Length: {MIB}");
    let long = format!("Content-Length: {}", 600 * MIB);
    let forged = ["Authorization: Bearer x", &length, expect];
    let chunked = ["Authorization: Bearer x", "Transfer-Encoding: chunked", expect];
    vec![
        (401, head("PUT", &upload.part_path(0), &forged)),
        (401, head("PUT", &upload.part_path(0), &chunked)),
        (
            401,
            head("POST", "/upload/init", &["Content-Length: 500", expect]),
        ),
        (404, head("PUT", "/upload", &[&length, expect])),
        (405, head("PUT", "/upload/init", &[&length, expect])),
        (404, part_head(&gone, 0, &[&length, expect])),
        (413, part_head(&upload, 0, &[&long, expect])),
        (400, part_head(&upload, 0, &["Content-Length: 500", expect])),
    ]
}

#[tokio::test]
async fn who_asks_first_in_vain_is_told_so_and_never_to_go_on() {
    let page = |config: &mut Config| config.cors.allowed_origins = vec!["http://page.test".to_owned()];
    on_both_with(page, async |place| {
        for (status, head) in hopeless(&place).await {
            let mut wire = Wire::begin(&place, &head, &[]).await;

            let answer = wire.answer().await;

            assert_eq!(answer.status, status, "{head}{answer:?}");
            check_error(&answer.json(), status);
            for header in [
                "connection: close",
                "x-request-id: ",
                "x-content-type-options: nosniff",
                "access-control-allow-origin: http://page.test",
            ] {
                assert!(answer.head.contains(header), "{header}: {answer:?}");
            }
            assert_eq!(wire.rest().await, "", "{head}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_refusal_is_no_request() {
    on_both(async |place| {
        let client = Client::of(&place);
        let kept = client.init("kept", MIB).await;
        let key = format!("X-API-Key: {API_KEY}");
        let smuggled = head("DELETE", &kept.path(""), &[&key]);
        for (_, head) in hopeless(&place).await {
            // Within the body that was announced: what comes behind it is a request by right.
            let begin = if head.contains("chunked") { "1000\r\n" } else { "" };
            let body = format!("{begin}{smuggled}");
            for waits in [true, false] {
                let mut wire = Wire::to(&place).await;
                if waits {
                    wire.send(head.as_bytes()).await;
                } else {
                    wire.send(format!("{head}{body}").as_bytes()).await;
                }

                let answer = wire.answer().await;
                if waits {
                    wire.send(body.as_bytes()).await;
                }

                assert!((400..500).contains(&answer.status), "{answer:?}");
                assert_eq!(wire.rest().await, "", "{head}");
            }
        }
        client.status(&kept).await.expect(200);
    })
    .await;
}
