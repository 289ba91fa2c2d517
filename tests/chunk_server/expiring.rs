//! Expiry: what has run out is gone at once, and its bytes with the next sweep; who goes on sending keeps it.

use chrono::{DateTime, TimeDelta, Utc};

use super::client::{Client, Upload};
use super::{MIB, everywhere, on_both, on_both_with};

async fn expires_at(client: &Client, upload: &Upload) -> DateTime<Utc> {
    let status = client.status(upload).await.expect(200);
    status["expires_at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time")
}

#[tokio::test]
async fn what_has_run_out_is_gone_at_once_and_its_bytes_with_the_sweep() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let (late, alive) = (client.init("a", 2 * MIB).await, client.init("b", MIB + 5).await);
        client.send(&late, 0).await;
        client.send(&alive, 0).await;
        let before = place.unfinished().await;
        // The first sweep of the server's own is over.
        place.sweep().await;

        place.run_out(&late);

        client.status(&late).await.error(404, "not_found");
        client.complete(&late).await.error(404, "not_found");
        client.put(&late, 1, late.part(1)).await.error(404, "not_found");
        client.cancel(&late).await.error(404, "not_found");
        assert_eq!(place.unfinished().await, before, "nothing is swept yet");
        let swept = place.sweep().await;
        assert_eq!((swept.expired, swept.completed, swept.strays), (1, 0, 0));
        let left = place.unfinished().await;
        assert!(left.len() < before.len() && !left.is_empty(), "{left:?}");
        client.status(&late).await.error(404, "not_found");
        client.send(&alive, 1).await;
        let path = client.finish(&alive).await;
        assert!(place.object(&path).await == Some(alive.whole()));
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn the_life_of_an_upload_is_what_the_settings_say() {
    on_both_with(
        |config| config.protocols.chunks.ttl_hours = 2,
        async |place| {
            let client = Client::of(&place);
            let upload = client.init("a", 5).await;
            place.advance(TimeDelta::minutes(119));
            client.status(&upload).await.expect(200);

            place.advance(TimeDelta::minutes(2));

            client.status(&upload).await.error(404, "not_found");
            client
                .put(&upload, 0, "hello")
                .await
                .error(401, "unauthenticated");
        },
    )
    .await;
}

#[tokio::test]
async fn sending_extends_the_life_and_looking_does_not() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 2 * MIB).await;
        let first = expires_at(&client, &upload).await;
        place.advance(TimeDelta::hours(20));
        assert_eq!(expires_at(&client, &upload).await, first);

        client.send(&upload, 0).await;

        let second = expires_at(&client, &upload).await;
        assert!(
            (second - first - TimeDelta::hours(20)).abs() < TimeDelta::minutes(1),
            "{first} {second}"
        );
        place.advance(TimeDelta::hours(20));
        let status = client.status(&upload).await.expect(200);
        let fresh = status["parts"][1]["token"].as_str().expect("a token");
        let path = upload.part_path(1);
        client
            .bearing(fresh)
            .raw("PUT", &path, upload.part(1))
            .await
            .expect(200);
        client.finish(&upload).await;
    })
    .await;
}

#[tokio::test]
async fn however_active_an_upload_does_not_live_for_ever() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 64 * MIB).await;
        let mut days = 0;
        let mut part = 0;
        while part < 64 {
            place.advance(TimeDelta::hours(23));
            let status = client.status(&upload).await;
            if status.status == 404 {
                break;
            }
            let token = status.expect(200)["parts"][part]["token"]
                .as_str()
                .expect("a token")
                .to_owned();
            let sent = client
                .bearing(&token)
                .raw("PUT", &upload.part_path(part), upload.part(part))
                .await;
            sent.expect(200);
            part += 1;
            days = part * 23 / 24;
        }
        assert!((25..45).contains(&days), "{days} days");
    })
    .await;
}

#[tokio::test]
async fn a_complete_upload_never_runs_out() {
    on_both(async |place| {
        let client = Client::of(&place);
        let upload = client.init("a", 5).await;
        client.send(&upload, 0).await;
        let done = client.complete(&upload).await.expect(200);

        place.advance(TimeDelta::days(100));
        place.sweep().await;

        assert_eq!(client.status(&upload).await.expect(200)["status"], "complete");
        assert_eq!(client.complete(&upload).await.expect(200), done);
        let path = done["final_path"].as_str().expect("a path");
        assert!(place.object(path).await == Some(upload.whole()));
    })
    .await;
}
