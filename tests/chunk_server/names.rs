//! Names and folders that clients choose: they arrive as they are, or are refused at once, and lead nowhere else.

use serde_json::json;

use super::client::{Client, Upload};
use super::place::Place;
use super::{everywhere, on_both};

/// Uploads a file of this name; where it ends up below the storage's root, and the name that `status` tells.
async fn upload(place: &Place, name: &str) -> (String, String) {
    let client = Client::of(place);
    let upload = client.init(name, 7).await;
    client.send(&upload, 0).await;
    let path = client.finish(&upload).await;
    assert!(place.object(&path).await == Some(upload.whole()), "{path}");
    let status = client.status(&upload).await.expect(200);
    assert_eq!(status["final_path"], path);
    let told = status["filename"].as_str().expect("a name").to_owned();
    assert!(path.ends_with(&format!("{}_{told}", upload.id)), "{path}");
    let key = path
        .strip_prefix(&place.root())
        .expect("below the root")
        .to_owned();
    assert!(place.finished().await.contains(&key), "{key}");
    (key.replace(&upload.id, "ID"), told)
}

#[tokio::test]
async fn a_name_keeps_its_folder_and_its_letters() {
    everywhere(async |place| {
        for (name, key, told) in [
            ("large-video.mp4", "files/ID_large-video.mp4", "large-video.mp4"),
            ("videos/2024/x.mp4", "videos/2024/ID_x.mp4", "x.mp4"),
            (
                "héllo wörld 漢.bin",
                "files/ID_héllo wörld 漢.bin",
                "héllo wörld 漢.bin",
            ),
            (
                "ordner é漢/a b+c&d%e#f.bin",
                "ordneré漢/ID_a b+c&d%e#f.bin",
                "a b+c&d%e#f.bin",
            ),
            ("my videos!/x", "myvideos/ID_x", "x"),
            ("/outer//inner/x", "outer/inner/ID_x", "x"),
            ("CON", "files/ID_CON", "CON"),
            ("..x..y", "files/ID_..x..y", "..x..y"),
            (
                "it's (1) [2] {3}, ~4; =5 @6 $7.bin",
                "files/ID_it's (1) [2] {3}, ~4; =5 @6 $7.bin",
                "it's (1) [2] {3}, ~4; =5 @6 $7.bin",
            ),
        ] {
            assert_eq!(
                upload(&place, name).await,
                (key.to_owned(), told.to_owned()),
                "{name}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_of_nothing_or_of_dots_becomes_unnamed() {
    everywhere(async |place| {
        for (name, key) in [
            ("", "files/ID_unnamed"),
            (".", "files/ID_unnamed"),
            ("..", "files/ID_unnamed"),
            ("....", "files/ID_unnamed"),
            ("videos/", "videos/ID_unnamed"),
            ("videos/..", "videos/ID_unnamed"),
        ] {
            assert_eq!(
                upload(&place, name).await,
                (key.to_owned(), "unnamed".to_owned()),
                "{name:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_leads_elsewhere_or_fits_nowhere_is_refused_at_once() {
    everywhere(async |place| {
        let client = Client::of(&place);
        for name in [
            "../x",
            "../../x/evil.txt",
            "a/../x",
            "a/../../x",
            "./x",
            "a/./x",
            "a/.. /x",
            ".muleteer/x",
            "a\\b",
            "..\\..\\x",
            "C:\\x",
            "a\0b",
            "a\0/b",
            "a\nb",
            "a\r\nX: y",
            "a\u{7f}",
            "a\u{85}b",
            "CON/x",
            "a/nul/x",
            "a/Com1.d/x",
            "a./x",
            &"n".repeat(300),
            &"漢".repeat(100),
            &"n".repeat(219),
            &format!("{}/x", "d".repeat(256)),
            &format!("{}x", "dddddddddd/".repeat(100)),
        ] {
            let wanted = json!({ "filename": name, "total_size": 7 });

            let refused = client.init_with(&wanted).await.error(400, "invalid_request");

            assert_eq!(refused["details"][0]["field"], "filename", "{name:?}: {refused}");
        }
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn the_longest_name_is_one_that_fits_with_its_id() {
    everywhere(async |place| {
        for name in ["n".repeat(218), "漢".repeat(72)] {
            assert_eq!(upload(&place, &name).await.1, name);
        }
    })
    .await;
}

#[tokio::test]
async fn one_folder_may_be_named_as_another_uploads_file_and_both_survive() {
    everywhere(async |place| {
        let client = Client::of(&place);
        let first = client.init("a", 7).await;
        client.send(&first, 0).await;
        let path = client.finish(&first).await;
        // The folder of the second is the first's whole key.
        let name = format!("files/{}_a/b", first.id);
        let second = client
            .init_with(&json!({ "filename": name, "total_size": 7 }))
            .await;

        if second.status == 200 {
            let second = Upload::new(7, second.json());
            client.send(&second, 0).await;
            let answer = client.complete(&second).await;
            assert!(answer.status == 200 || answer.status >= 400, "{}", answer.text());
        }

        assert!(place.object(&path).await == Some(first.whole()));
    })
    .await;
}

#[tokio::test]
async fn names_with_escapes_in_their_json_are_read_as_what_they_mean() {
    on_both(async |place| {
        let client = Client::of(&place);
        for text in [
            "\\u002e\\u002e/x",
            "a\\u0000b",
            "a\\u005cb",
            "a/\\u002e\\u002e\\u002fx",
        ] {
            let json = format!("{{\"filename\":\"{text}\",\"total_size\":7}}");
            client.init_text(&json).await.error(400, "invalid_request");
        }
        // Nothing is decoded twice: a per cent sign is a letter of a name.
        assert_eq!(upload(&place, "%2e%2e%2fx").await.0, "files/ID_%2e%2e%2fx");
    })
    .await;
}
