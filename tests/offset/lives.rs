//! How long sessions live, and how they end.

use chrono::TimeDelta;

use super::around::by_hand;
use super::client::{Client, at, error, id_of, standing};
use super::{everywhere, here, here_with};

#[tokio::test]
async fn every_chunk_starts_the_time_anew() {
    here(async |place| {
        let client = Client::of(&place);
        let session = client.start(3).await;
        place.advance(TimeDelta::minutes(50));
        let look = client.look(&session).await.expect(200).json();
        assert_eq!(look["expires"], "600");
        let stored = client.put(&session, 0, b"a").await.expect(201).json();
        assert_eq!(stored["expires"], "3600");
        place.advance(TimeDelta::minutes(59));
        client.put(&session, 1, b"b").await.expect(201);
        place.advance(TimeDelta::minutes(61));

        for answer in [
            client.put(&session, 2, b"c").await,
            client.look(&session).await,
            client.cancel(&session).await,
        ] {
            error(&answer, 404, "not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn the_life_of_a_session_is_a_setting() {
    here_with(
        |config| config.protocols.offset.expires = 7200,
        async |place| {
            let client = Client::of(&place);
            let answer = client
                .start_with(r#"{"bytes": 1, "name": "a"}"#)
                .await
                .expect(202)
                .json();
            assert_eq!(answer["expires"], "7200");
        },
    )
    .await;
}

#[tokio::test]
async fn what_ran_out_is_swept_with_its_bytes() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;
        place.run_out(&id_of(&session));

        error(&client.put(&session, 5, b"x").await, 404, "not_found");
        place.sweep().await;

        assert!(place.is_clean().await);
        assert!(place.finished().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_session_is_gone_with_its_bytes_and_a_finished_file_stays() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;

        assert_eq!(client.cancel(&session).await.status, 204);

        error(&client.put(&session, 5, b"x").await, 404, "not_found");
        error(&client.cancel(&session).await, 404, "not_found");
        assert!(place.is_clean().await);
        let done = client.start(1).await;
        client.put(&done, 0, b"x").await.expect(200);
        error(&client.cancel(&done).await, 409, "wrong_state");
        assert_eq!(place.object_of(&id_of(&done)).await.unwrap(), b"x");
    })
    .await;
}

#[tokio::test]
async fn a_session_can_be_looked_at() {
    here(async |place| {
        let client = Client::of(&place);
        let session = client.start(10).await;
        client.send(&session, 0, b"abcde").await;

        let look = client.look(&session).await.expect(200);

        let json = look.json();
        assert_eq!(
            (standing(&json), &json["bytes"], &json["name"]),
            (5, &10.into(), &"a file.bin".into())
        );
        assert_eq!(look.header("upload-offset"), "5");
        let path = format!("/chunk?upload_id={session}");
        let head = client.ask("HEAD", &path, &[], b"").await.expect(200);
        assert_eq!(head.header("upload-offset"), "5");
        error(&client.ask("GET", "/chunk", &[], b"").await, 404, "not_found");
        for name in [
            "x",
            "../..",
            "%00",
            "01a2144f-9200-48f1-a742-99260d53a5a2",
            &"9".repeat(5000),
        ] {
            error(
                &client
                    .ask("GET", &format!("/chunk?session_id={name}"), &[], b"")
                    .await,
                404,
                "not_found",
            );
            error(
                &client.ask("PUT", &at(name, 0), &[], b"x").await,
                404,
                "not_found",
            );
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_told_that_all_is_there_has_the_file() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let session = client.start(3).await;
        client.send(&session, 0, b"ab").await;
        let id = id_of(&session);
        // As a program leaves it that is killed when it has the last byte, and has not put the file together.
        by_hand(
            &place.config,
            &format!("UPDATE uploads SET size = 2 WHERE id = '{id}'"),
        );

        let told = error(&client.put(&session, 0, b"ab").await, 400, "offset");

        assert_eq!(standing(&told), 2);
        assert_eq!(place.object_of(&id).await.as_deref(), Some(&b"ab"[..]));
    })
    .await;
}
