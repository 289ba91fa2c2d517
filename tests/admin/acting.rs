//! What an admin does to an upload, and what its log says of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::browser::{Browser, id};
use super::{PART, on_both};

#[tokio::test]
async fn an_upload_is_completed_by_hand_once_nothing_is_missing() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("clip.mp4", 2, &[1], &[1]).await;
        let page = format!("/admin/uploads/{}", id(&upload));
        let complete = format!("{page}/complete");

        let early = browser.act(&page, &complete, &[]).await;
        assert_eq!(early.status, 409);
        early.says("The upload is not whole");
        browser
            .get(&page)
            .await
            .says("is-open")
            .says("An admin asked to complete it");

        send_part(&browser, &upload, 2).await;
        browser.get(&page).await.says("All bytes are there");
        let done = browser.act(&page, &complete, &[]).await;

        assert_eq!(
            (done.status.as_u16(), done.location()),
            (303, format!("{page}?done=completed").as_str())
        );
        let after = browser.get(&page).await;
        after
            .says("is-complete")
            .says("Completion was begun")
            .says("The file is whole")
            .says_not("/abort\"");
        assert_eq!(
            browser
                .api("GET", &format!("/uploads/{}", id(&upload)), Value::Null)
                .await["state"],
            "complete"
        );
        let again = browser
            .act("/admin", &format!("{page}/abort"), &[("sure", "yes")])
            .await;
        assert_eq!(again.status, 409, "what is complete is not aborted");
    })
    .await;
}

async fn send_part(browser: &Browser, upload: &Value, number: u64) {
    let path = format!("/uploads/{}/signatures", id(upload));
    let signed = browser.api("POST", &path, json!({ "parts": [number] })).await;
    let url = signed["signatures"][0]["url"].as_str().unwrap();
    let put = reqwest::Client::builder().no_proxy().build().unwrap().put(url);
    assert_eq!(
        put.body(vec![7; usize::try_from(PART).unwrap()])
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn an_extended_upload_lives_longer_and_no_sign_of_life_shortens_that() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("clip.mp4", 2, &[], &[]).await;
        let own = format!("/uploads/{}", id(&upload));
        let page = format!("/admin{own}");
        for hours in ["0", "721", "x", "", "-1"] {
            let refused = browser
                .act(&page, &format!("{page}/extend"), &[("hours", hours)])
                .await;
            assert_eq!(refused.status, 400, "{hours}");
            refused.says("hours: must be 1 to 720");
        }
        let now = server.clock.now();

        let done = browser
            .act(&page, &format!("{page}/extend"), &[("hours", "700")])
            .await;

        assert_eq!(done.status, 303);
        browser
            .get(&page)
            .await
            .says("An admin lets it live until")
            .says("<span class=\"who\">default</span>");
        server.advance(TimeDelta::minutes(5));
        browser
            .api("PUT", &format!("{own}/parts/1"), json!({ "size": PART }))
            .await;
        browser.api("GET", &own, Value::Null).await;
        assert!(expires(&browser, &own).await >= now + TimeDelta::hours(700));
        // Less is no order to take it away, and neither the answer nor the time line says that it were.
        let until = expires(&browser, &own).await;
        let told = format!(
            "An admin lets it live until {}",
            until.format("%Y-%m-%d %H:%M UTC")
        );
        let less = browser
            .act(&page, &format!("{page}/extend"), &[("hours", "1")])
            .await;
        assert_eq!(less.location(), format!("{page}?done=unchanged"));
        let shown = browser.get(less.location()).await;
        shown.says("It already lives longer");
        assert_eq!(shown.html.matches(&told).count(), 2);
        assert!(expires(&browser, &own).await >= now + TimeDelta::hours(700));
        // What an address claims to be done is said only where the state bears it out.
        browser
            .get(&format!("{page}?done=aborted"))
            .await
            .says_not("It was given up");
        let aborted = browser
            .act(&page, &format!("{page}/abort"), &[("sure", "yes")])
            .await;
        browser.get(aborted.location()).await.says("It was given up");
        let late = browser
            .act("/admin", &format!("{page}/extend"), &[("hours", "1")])
            .await;
        assert_eq!(late.status, 409);
        browser
            .get(&page)
            .await
            .says("An admin asked to abort it")
            .says("Aborted");
    })
    .await;
}

async fn expires(browser: &Browser, path: &str) -> DateTime<Utc> {
    let upload = browser.api("GET", path, Value::Null).await;
    upload["expires_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn webhooks_are_listed_by_state_and_sent_again() {
    let adjust =
        |config: &mut muleteer::config::Config| config.hooks.allowed_hosts = vec!["127.0.0.0/8".into()];
    super::on_both_with(adjust, async |server| {
        let browser = Browser::logged_in(&server).await;
        // Nobody listens there.
        let wanted = json!({ "filename": "a.bin", "size": 0, "webhook_url": "http://127.0.0.1:9/hook" });
        let upload = browser.api("POST", "/uploads", wanted).await;
        browser
            .api("POST", &format!("/uploads/{}/complete", id(&upload)), Value::Null)
            .await;
        let list = browser.get("/admin/webhooks").await;
        list.says("http://127.0.0.1:9/hook")
            .says("is-pending")
            .says_not("Send again");
        browser
            .get("/admin/webhooks?state=parked")
            .await
            .says("There are none");
        browser
            .get(&format!("/admin/uploads/{}", id(&upload)))
            .await
            .says("Webhook waits to be delivered");
        let event = browser.api("GET", "/webhooks", Value::Null).await["webhooks"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        park(&server, &event);
        browser
            .get("/admin/webhooks?state=parked")
            .await
            .says("Send again");

        let done = browser
            .act("/admin/webhooks", &format!("/admin/webhooks/{event}/replay"), &[])
            .await;

        assert_eq!(done.status, 303);
        browser
            .get("/admin/webhooks")
            .await
            .says("is-pending")
            .says_not("next just now");
        let odd = browser.get("/admin/webhooks?state=odd").await;
        assert_eq!(odd.status, 400);
        odd.says("state: must be a state of the list");
    })
    .await;
}

/// Has the event given up, as after many days.
fn park(server: &super::TestServer, event: &str) {
    let sql = format!("UPDATE webhook_events SET state = 'parked' WHERE id = '{event}'");
    super::around::by_hand(&server.config, &sql);
}
