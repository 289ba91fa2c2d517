//! An upload's page: the part map, the time line, what is missing and what to say.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::browser::{Browser, id};
use super::{PART, on_both};

#[tokio::test]
async fn the_page_compares_the_record_with_the_store_and_says_what_is_missing() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("clip.mp4", 6, &[1, 2, 4], &[1, 2]).await;
        // Somebody reports a part that never came.
        let path = format!("/uploads/{}/parts/6", id(&upload));
        browser.api("PUT", &path, json!({ "size": PART })).await;

        let page = browser.get(&format!("/admin/uploads/{}", id(&upload))).await;

        assert_eq!(page.status, 200);
        page.says("6 parts: 2 stored and recorded, 1 stored, not recorded, 2 missing, 1 recorded, but not in the store")
            .says("title=\"Part 3: missing, 16 B\"")
            .says("title=\"Part 6: recorded, but not in the store, 16 B\"")
            .says("3 parts (3, 5\u{2013}6)")
            .says("50 % of 96 B have arrived")
            .says(upload["support_code"].as_str().unwrap())
            .says("Parts 1\u{2013}4 were signed")
            .says("Began from")
            .says("127.0.0.1");
        assert_eq!(page.html.matches("<i class=\"is-missing\" title").count(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_the_store_has_lost_is_said_and_nothing_is_changed_by_looking() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("clip.mp4", 3, &[1], &[1]).await;
        let path = format!("/admin/uploads/{}", id(&upload));
        forget_multipart(&server, &upload).await;

        let page = browser.get(&path).await;

        assert_eq!(page.status, 200);
        page.says("knows no such multipart upload")
            .says("recorded, but not in the store");
        // Looking has changed nothing.
        page.says("is-open");
    })
    .await;
}

/// Drops the multipart upload at the store, behind the server's back.
async fn forget_multipart(server: &super::TestServer, upload: &Value) {
    let store = super::around::store_of(server);
    let ask = store.ask("DELETE", upload["key"].as_str().unwrap());
    let answer = ask
        .query("uploadId", upload["upload_id"].as_str().unwrap())
        .send()
        .await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn the_time_line_tells_of_pauses_errors_and_returns() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let wanted = json!({ "filename": "clip.mp4", "size": 4 * PART });
        let upload = browser.begin("clip.mp4", 4, &[1], &[1]).await;
        let own = format!("/uploads/{}", id(&upload));
        server.advance(TimeDelta::minutes(6));
        let again = browser.api("POST", "/uploads", wanted).await;
        assert_eq!(again["id"], upload["id"]);
        let refused = browser.api("POST", &format!("{own}/complete"), Value::Null).await;
        assert_eq!(refused["status"], 409);
        browser
            .api("PUT", &format!("{own}/parts/2"), json!({ "size": PART }))
            .await;

        let page = browser.get(&format!("/admin{own}")).await;

        page.says("Nothing was heard for 6 min")
            .says("The client came back")
            .says("A request was answered with \u{201c}incomplete\u{201d}")
            .says("POST /api/v1/uploads/{id}/complete")
            .says("1 part arrived: 1")
            .says("1 part arrived: 2");
        let at = |text: &str| page.html.find(text).unwrap();
        assert!(at("1 part arrived: 1") < at("Nothing was heard for"));
        assert!(at("Nothing was heard for") < at("The client came back"));
        server.advance(TimeDelta::minutes(7));
        let page = browser.get(&format!("/admin{own}")).await;
        page.says("Nothing has been heard for 7 min")
            .says("choose the same file again");
    })
    .await;
}

#[tokio::test]
async fn what_a_client_names_its_file_is_text_and_nothing_else() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let name = "<img src=x onerror=alert(1)>\"'&.png";
        let upload = browser.begin(name, 1, &[], &[]).await;

        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        for path in [
            "/admin".into(),
            format!("/admin?q={query}"),
            format!("/admin/uploads/{}", id(&upload)),
        ] {
            let page = browser.get(&path).await;
            page.says_not("<img")
                .says("&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#38;.png");
        }
        browser
            .get("/admin?q=%22%3E%3Cscript%3E")
            .await
            .says_not("<script>");
    })
    .await;
}

#[tokio::test]
async fn a_name_that_would_read_backwards_shows_what_turns_it() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("invoice-\u{202e}fdp.exe", 1, &[], &[]).await;

        for path in ["/admin".into(), format!("/admin/uploads/{}", id(&upload))] {
            let page = browser.get(&path).await;
            page.says("invoice-[U+202E]fdp.exe").says_not("\u{202e}");
        }
        // It is found by the name that it has.
        let found = browser.get("/admin?q=invoice-%E2%80%AEfdp").await;
        assert_eq!(found.ids(), [id(&upload)]);
    })
    .await;
}

#[tokio::test]
async fn owners_sweeps_and_strangers_ids() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        browser.begin("a.bin", 4, &[1, 2], &[1, 2]).await;
        browser.begin("b.bin", 1, &[], &[]).await;

        let owners = browser.get("/admin/owners").await;
        owners
            .says("<td data-label=\"Uploads\" class=\"number\">2</td>")
            .says("80 B")
            .says("32 B");
        let missing = browser
            .get("/admin/uploads/01900000000070008000000000000000")
            .await;
        assert_eq!(missing.status, 404);
        missing.says("There is no such thing");
        assert_eq!(browser.get("/admin/uploads/nonsense").await.status, 404);
        let sweeps = browser.get("/admin/sweeps").await;
        assert_eq!(sweeps.status, 200);
        sweeps.says("What the sweeper did");
    })
    .await;
}
