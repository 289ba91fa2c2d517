//! Whose a session is.

use muleteer::config::Anonymous;

use super::client::{Client, error, id_of};
use super::time_line::{assert_tells, assert_tells_nothing, page_of_upload};
use super::{here, here_with};

#[tokio::test]
async fn a_session_is_its_owners_alone() {
    here(async |place| {
        let anna = Client::with_key(&place, &place.new_key("anna", "upload").await);
        let ben = Client::with_key(&place, &place.new_key("ben", "upload").await);
        let session = anna.start(3).await;

        error(&ben.put(&session, 0, b"abc").await, 404, "not_found");
        error(&ben.look(&session).await, 404, "not_found");
        error(&ben.cancel(&session).await, 404, "not_found");

        anna.put(&session, 0, b"abc").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn without_a_key_nothing_goes_where_visitors_are_not_admitted() {
    here_with(
        |config| config.auth.anonymous = Anonymous::Off,
        async |place| {
            let client = Client::of(&place);
            let session = client.start(3).await;
            let nobody = Client::nobody(&place);
            error(
                &nobody.start_with(r#"{"bytes": 1, "name": "a"}"#).await,
                401,
                "unauthenticated",
            );
            error(&nobody.put(&session, 0, b"abc").await, 401, "unauthenticated");
            let wrong = Client::with_key(&place, "wrong");
            error(&wrong.put(&session, 0, b"abc").await, 401, "unauthenticated");
        },
    )
    .await;
}

#[tokio::test]
async fn a_visitors_session_is_whose_who_knows_it() {
    here_with(
        |config| config.auth.anonymous = Anonymous::On,
        async |place| {
            let session = Client::nobody(&place).start(3).await;
            Client::nobody(&place).put(&session, 0, b"abc").await.expect(200);
        },
    )
    .await;
}

#[tokio::test]
async fn what_an_owner_is_refused_is_in_the_sessions_time_line_and_what_others_are_is_not() {
    here(async |place| {
        let anna = Client::with_key(&place, &place.new_key("anna", "upload").await);
        let ben = Client::with_key(&place, &place.new_key("ben", "upload").await);
        let session = anna.start(10).await;
        let id = id_of(&session);
        let time_line = async || page_of_upload(&place.base, id.as_str()).await;

        error(&ben.put(&session, 7, b"abc").await, 404, "not_found");
        assert_tells_nothing(&time_line().await);
        error(&anna.put(&session, 7, b"abc").await, 400, "offset");

        assert_tells(&time_line().await, "mismatching-upload-offset", "PUT /chunk");
    })
    .await;
}
