//! Where the door is, and whether it is open.

use crate::browser::Browser;
use crate::script::{Ending, Settings, upload};
use crate::{ask, assert_stored, clip, get, on_both_with, page_for};

#[tokio::test]
async fn the_door_can_be_at_several_addresses_and_all_know_the_same_uploads() {
    on_both_with(
        |config| config.protocols.mule.paths = vec!["/aws".to_owned(), "/old/site/backend".to_owned()],
        async |server| {
            let (browser, file) = (Browser::same_origin(), clip());
            let at = |mount: &str| Settings {
                ajax_base: format!("{}{mount}", server.base),
                ..page_for(&server)
            };
            crate::closes_after(&browser, 1);
            assert_eq!(upload(&browser, &at("/aws"), &file).await, Ending::Closed);
            browser.refresh();

            let Ending::Complete(key) = upload(&browser, &at("/old/site/backend"), &file).await else {
                panic!("not complete")
            };

            assert_stored(&server, &key, &file).await;
            assert!(
                browser.parts_taken().len() < 3,
                "the other door's parts count here"
            );
            let gone = ask(&server, "GET", "/upload-backend/get_init_signature/", &[]).await;
            assert_eq!(
                gone.status, 404,
                "nothing is left at the address that was not named"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_closed_door_is_not_there() {
    on_both_with(
        |config| config.protocols.mule.enabled = false,
        async |server| {
            let reply = get(&server, "get_init_signature", &crate::init_query("k")).await;
            assert_eq!(reply.status, 404);
        },
    )
    .await;
}

#[tokio::test]
async fn without_sigv2_the_script_is_stopped_before_anything_is_begun() {
    on_both_with(
        |config| config.protocols.mule.signature_v2 = false,
        async |server| {
            let browser = Browser::same_origin();

            let Ending::Stopped(why) = upload(&browser, &page_for(&server), &clip()).await else {
                panic!("not stopped")
            };

            assert!(
                why.starts_with("get_init_signature: 403") && why.contains("protocols.mule.signature_v2"),
                "{why}"
            );
            let unfinished = crate::store_of(&server)
                .ask("GET", "")
                .query("uploads", "")
                .send()
                .await;
            assert!(unfinished.tags("UploadId").is_empty());
        },
    )
    .await;
}

#[tokio::test]
async fn sigv2_is_signed_with_the_key_that_is_set_apart_for_it() {
    on_both_with(
        |config| {
            config.protocols.mule.access_key_id = "apart".to_owned();
            config.protocols.mule.secret_access_key = muleteer::config::Secret::new("a-secret-of-its-own");
        },
        async |server| {
            let (key, id) = crate::begin(&server, crate::server::API_KEY).await;

            let signed = get(
                &server,
                "get_chunk_signature",
                &format!("chunk=1&upload_id={id}&key={key}"),
            )
            .await;

            let answer = crate::stumbling::put_part(&server, &key, &id, &signed.json(), crate::TYPE).await;
            assert_eq!(answer, 403, "the store's own key did not sign this");
        },
    )
    .await;
}
