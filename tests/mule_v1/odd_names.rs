//! File names as people give them, and as `escape()` writes them.

use crate::browser::Browser;
use crate::escape::{encode_uri_component, escape};
use crate::script::{ChosenFile, Ending, upload};
use crate::{CHUNK, assert_stored, closes_after, file_of, get, on_both, page_for};

#[tokio::test]
async fn names_with_spaces_signs_and_accents_are_found_again_after_a_refresh() {
    on_both(async |server| {
        for name in [
            "a b.mp4",
            "a+b.mp4",
            "a&b.mp4",
            "a=b.mp4",
            "100%.mp4",
            "%41.mp4",
            "café.mp4",
            "Ã©.mp4",
        ] {
            let (browser, page) = (Browser::same_origin(), page_for(&server));
            let file = ChosenFile {
                name: name.to_owned(),
                ..file_of(CHUNK * 4 + 1)
            };
            closes_after(&browser, 2);
            assert_eq!(upload(&browser, &page, &file).await, Ending::Closed, "{name}");
            let before = browser.parts_taken();
            browser.refresh();

            let ending = upload(&browser, &page, &file).await;

            let Ending::Complete(key) = ending else {
                panic!("{name}: {ending:?}")
            };
            assert_stored(&server, &key, &file).await;
            let after = browser.parts_taken();
            assert!(
                after.iter().all(|number| !before.contains(number)),
                "{name}: {before:?} then {after:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn names_beyond_latin_1_are_understood_though_browsers_refuse_to_send_them() {
    on_both(async |server| {
        let (browser, page) = (Browser::same_origin(), page_for(&server));
        for name in ["日本.bin", "🐴.bin", "naïve 日.bin"] {
            let file = ChosenFile {
                name: name.to_owned(),
                ..file_of(40)
            };
            let ending = upload(&browser, &page, &file).await;
            assert_eq!(
                ending,
                Ending::Stopped("the browser refuses the header".to_owned())
            );

            let query = |written: String| {
                format!("key=k&mime_type=a/b&filename={written}&filesize=40&last_modified=7")
            };
            let first = get(&server, "get_init_signature", &query(escape(name)))
                .await
                .json();
            let again = get(&server, "get_init_signature", &query(escape(name)))
                .await
                .json();
            assert_eq!(first["upload_id"], again["upload_id"], "{name}");
            let modern = get(&server, "get_init_signature", &query(encode_uri_component(name)))
                .await
                .json();
            assert_eq!(
                first["upload_id"], modern["upload_id"],
                "{name} in UTF-8 is the same name"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_type_with_a_plus_comes_through() {
    on_both(async |server| {
        let browser = Browser::same_origin();
        let page = crate::Settings {
            content_type: "image/svg+xml".to_owned(),
            ..page_for(&server)
        };

        let Ending::Complete(key) = upload(&browser, &page, &crate::clip()).await else {
            panic!("not complete")
        };

        let object = crate::store_of(&server).get(&key).await;
        assert_eq!(object.header("content-type"), Some("image/svg+xml"));
    })
    .await;
}
