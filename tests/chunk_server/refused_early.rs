//! Refusals before the body: at once, and so that a client that goes on sending still reads them.

use std::time::{Duration, Instant};

use super::client::{Client, check_error};
use super::place::Place;
use super::wire::{Wire, head, part_head};
use super::{MIB, everywhere, on_both};

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

/// A request for a part that is refused whatever its body is, with the status that it must get.
async fn hopeless(place: &Place) -> Vec<(u16, String)> {
    let client = Client::of(place);
    let (upload, gone) = (client.init("a", 3 * MIB).await, client.init("b", MIB).await);
    client.cancel(&gone).await.expect(200);
    let expect = "Expect: 100-continue";
    let length = format!("Content-Length: {MIB}");
    let long = format!("Content-Length: {}", 600 * MIB);
    let forged = ["Authorization: Bearer x", &length, expect];
    vec![
        (401, head("PUT", &upload.part_path(0), &forged)),
        (404, part_head(&gone, 0, &[&length, expect])),
        (413, part_head(&upload, 0, &[&long, expect])),
        (400, part_head(&upload, 0, &["Content-Length: 7", expect])),
    ]
}

#[tokio::test]
async fn who_asks_first_in_vain_is_told_so_before_anything_is_sent() {
    on_both(async |place| {
        for (status, head) in hopeless(&place).await {
            let mut wire = Wire::begin(&place, &head, &[]).await;

            let mut answer = wire.answer().await;
            if answer.status == 100 {
                answer = wire.answer().await;
            }

            assert_eq!(answer.status, status, "{head}{answer:?}");
            check_error(&answer.json(), status);
        }
    })
    .await;
}
