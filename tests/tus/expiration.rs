//! Expiration: a promise to keep what is unfinished until then, and not for ever.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::client::{content, id_of};
use super::raw_http::Answer;
use super::{everywhere, here, here_with};

/// The time in `Upload-Expires`, which must be written as HTTP writes it.
#[track_caller]
fn expiry(answer: &Answer) -> DateTime<Utc> {
    let text = answer.header("Upload-Expires");
    let time = DateTime::parse_from_rfc2822(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert_eq!(time.format("%a, %d %b %Y %H:%M:%S GMT").to_string(), text);
    time.to_utc()
}

#[tokio::test]
async fn exp_01_to_exp_03_every_answer_about_an_unfinished_upload_tells_until_when() {
    here_with(
        |config| config.protocols.tus.ttl_hours = 2,
        async |place| {
            let (client, file) = (place.client(), content(10));
            let made = client.post(&[("Upload-Length", "10")]).await.expect(201);
            let at_first = expiry(&made);
            let lives = at_first - place.clock.now();
            assert!(
                lives > TimeDelta::minutes(119) && lives <= TimeDelta::hours(2),
                "{lives}"
            );
            let upload = super::client::location(&made);
            assert_eq!(expiry(&client.look(&upload).await), at_first);

            place.advance(TimeDelta::minutes(30));
            let patched = client.patch(&upload, 0, &file[..4]).await.expect(204);

            assert!(
                expiry(&patched) >= at_first + TimeDelta::minutes(29),
                "who goes on sending keeps it"
            );
            assert!(
                expiry(&client.look(&upload).await) >= expiry(&patched),
                "never earlier"
            );
            let last = client.patch(&upload, 4, &file[4..]).await.expect(204);
            assert_eq!(
                last.field("Upload-Expires"),
                None,
                "what is finished does not expire"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn exp_04_what_has_run_out_is_gone_at_once_and_its_bytes_with_the_sweep() {
    here(async |place| {
        let client = place.client();
        let (late, done) = (client.create(10).await, client.create(5).await);
        let part = client
            .create_with(&[("Upload-Concat", "partial"), ("Upload-Length", "5")])
            .await;
        client.send(&late, 0, &content(4)).await;
        client.send(&done, 0, b"hello").await;
        client.send(&part, 0, b"hello").await;

        place.advance(TimeDelta::hours(25));

        for upload in [&late, &part] {
            client.look(upload).await.expect(404);
            client.patch(upload, 4, b"x").await.expect(404);
            client.delete(upload).await.expect(404);
        }
        assert_eq!(client.offset(&done).await, 5);
        assert!(!place.unfinished().await.is_empty());
        place.sweep().await;
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        client.look(&late).await.expect(404);
        assert_eq!(place.object(&done).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}

#[tokio::test]
async fn exp_04_what_is_being_sent_does_not_run_out_meanwhile() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(900_000));
        let upload = client.create(file.len()).await;
        let mut sending = client.begin_patch(&upload, 0, file.len(), &file[..300_000]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        place.run_out(&id_of(&upload));

        place.sweep().await;

        sending.send(&file[300_000..]).await;
        sending.answer().await.expect(204);
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}
