//! Who may ask: a visitor by cookie, the holder of a key also by a parameter, and nobody for another's upload.

use muleteer::config::Anonymous;

use crate::browser::Browser;
use crate::script::{Ending, Settings, upload};
use crate::server::API_KEY;
use crate::{
    ask, assert_stored, begin, clip, get_with, key_for, on_both, on_both_with, page_for, queries_about,
};

const ORIGIN: &str = "https://app.example.org";

#[tokio::test]
async fn anothers_upload_is_as_unknown_as_one_that_does_not_exist() {
    on_both(async |server| {
        let (anna, bert) = (key_for(&server, "anna").await, key_for(&server, "bert").await);
        let (key, id) = begin(&server, &anna).await;
        let (berts_key, _) = begin(&server, &bert).await;

        for (mine, what) in [(&key, "the pair"), (&berts_key, "the id with a key of one's own")] {
            for (action, query) in queries_about(mine, &id) {
                let reply = get_with(&server, action, &query, &bert).await;
                assert_eq!(reply.status, 404, "{action} on {what}: {reply:?}");
                reply.assert_stops_the_script(action);
                let nothing = get_with(&server, action, &query.replace(&id, "none"), &bert).await;
                assert_eq!(
                    reply.text, nothing.text,
                    "{action} tells nothing of the difference"
                );
            }
        }
        assert_eq!(
            get_with(
                &server,
                "get_list_signature",
                &format!("upload_id={id}&key={key}"),
                &anna
            )
            .await
            .status,
            200
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_credential_nothing_is_told_where_visitors_are_not_admitted() {
    on_both_with(
        |config| config.auth.anonymous = Anonymous::Off,
        async |server| {
            let (key, id) = begin(&server, API_KEY).await;
            let mut queries = vec![("get_init_signature", crate::init_query("k"))];
            queries.extend(queries_about(&key, &id));
            for (action, query) in queries {
                for query in [query.clone(), format!("{query}&api_key=wrong")] {
                    let reply = ask(&server, "GET", &format!("/upload-backend/{action}/?{query}"), &[]).await;
                    assert_eq!(reply.status, 401, "{action}: {reply:?}");
                    reply.assert_stops_the_script(action);
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_uploads_with_a_key_among_its_extra_parameters() {
    on_both_with(
        |config| config.cors.allowed_origins = vec![ORIGIN.to_owned()],
        async |server| {
            let (browser, file) = (Browser::on_page_of(ORIGIN), clip());
            let extra = [
                ("api_key", key_for(&server, "anna").await),
                ("album", "summer & sun+sea".to_owned()),
            ];
            let page = Settings {
                extra_params: extra.map(|(name, value)| (name.to_owned(), value)).into(),
                ..page_for(&server)
            };

            let Ending::Complete(key) = upload(&browser, &page, &file).await else {
                panic!("not complete")
            };

            assert_stored(&server, &key, &file).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_without_a_key_is_stopped_and_does_not_ask_for_ever() {
    on_both_with(
        |config| config.cors.allowed_origins = vec![ORIGIN.to_owned()],
        async |server| {
            let browser = Browser::on_page_of(ORIGIN);

            let Ending::Stopped(why) = upload(&browser, &page_for(&server), &clip()).await else {
                panic!("not stopped")
            };

            assert!(why.starts_with("get_init_signature: 403"), "{why}");
        },
    )
    .await;
}
