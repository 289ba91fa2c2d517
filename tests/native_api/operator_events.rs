//! The operator's own receiver hears of what it wants to hear of, of every upload.

use muleteer::config::Config;
use muleteer::domain::UploadId;
use serde_json::{Value, json};

use super::api::{Api, all_parts, id};
use super::around::leave_since;
use super::webhook_receiver::Receiver;
use super::webhooks::telling;
use super::{PART, on_both_with};

const ALL: [&str; 7] = [
    "upload.created",
    "upload.complete",
    "upload.replaced",
    "upload.rejected",
    "upload.aborted",
    "upload.expired",
    "upload.failed",
];

fn telling_of(kinds: &[&str], operator: &Receiver) -> impl Fn(&mut Config) {
    let (url, kinds) = (
        operator.url(),
        kinds.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    move |config| {
        // Loopback is not on the list of allowed hosts: the operator's own word is enough.
        config.hooks.url.clone_from(&url);
        config.hooks.events.clone_from(&kinds);
    }
}

/// What came about an upload, each once, in order of the ids.
fn told_of(operator: &Receiver, upload: &str) -> Vec<Value> {
    let mut seen = operator.seen();
    seen.sort_by(|one, other| one.id().cmp(other.id()));
    let all = seen.iter().map(super::webhook_receiver::Delivery::json);
    all.filter(|told| told["upload_id"] == upload).collect()
}

#[tokio::test]
async fn each_change_of_each_upload_is_told_once() {
    let operator = Receiver::start().await;
    on_both_with(telling_of(&ALL, &operator), async |server| {
        operator.forget();
        let api = Api::of(&server);
        let complete = api.upload("a.bin", PART).await;
        let aborted = api.create("b.bin", PART).await;
        assert_eq!(
            api.delete(&format!("/uploads/{}", id(&aborted))).await.status,
            204
        );
        let expired = api.create("c.bin", PART).await;
        let now = server.clock.now();
        let upload = UploadId::parse(id(&expired)).expect("an id");
        leave_since(
            &server.config,
            &upload,
            now - chrono::TimeDelta::days(60),
            now - chrono::TimeDelta::days(1),
        );
        muleteer::app::sweep(&super::around::beside(&server), server.clock.clone())
            .await
            .expect("a sweep");
        // A file of another digest than was claimed fails by itself.
        let page = api
            .outside()
            .with("tus-resumable", "1.0.0")
            .with("upload-length", "5");
        let begun = page.raw("POST", "/files", Vec::new()).await;
        assert_eq!(begun.status, 201);

        operator.wait_for(7).await;
        for (upload, ends) in [
            (&complete, "upload.complete"),
            (&aborted, "upload.aborted"),
            (&expired, "upload.expired"),
        ] {
            let told = told_of(&operator, id(upload));
            let kinds: Vec<&Value> = told.iter().map(|told| &told["event"]).collect();
            assert_eq!(kinds, [&json!("upload.created"), &json!(ends)]);
            assert_eq!(told[1]["key"], upload["key"]);
            assert!(
                told[0]["at"].is_string() && told[0].get("completed_at").is_none(),
                "{}",
                told[0]
            );
        }
        let tus = operator
            .seen()
            .iter()
            .map(super::webhook_receiver::Delivery::json)
            .find(|told| told["protocol"] == "tus");
        assert_eq!(tus.expect("tus's own")["event"], "upload.created");
        assert_eq!(operator.seen().len(), 7);
    })
    .await;
}

#[tokio::test]
async fn only_what_is_chosen_is_told_and_an_uploads_own_receiver_hears_as_before() {
    let operator = Receiver::start().await;
    let adjust = telling_of(&["upload.complete"], &operator);
    let both = |config: &mut Config| {
        telling(config);
        adjust(config);
    };
    on_both_with(both, async |server| {
        operator.forget();
        let (api, own) = (Api::of(&server), Receiver::start().await);
        let dropped = api.create("x.bin", PART).await;
        assert_eq!(
            api.delete(&format!("/uploads/{}", id(&dropped))).await.status,
            204
        );

        let upload = api.upload_telling("a.bin", PART, &own.url()).await;
        api.upload("b.bin", PART).await;

        let told = own.wait_for(1).await.remove(0);
        operator.wait_for(2).await;
        let twin = operator
            .seen()
            .into_iter()
            .find(|seen| seen.json()["upload_id"] == upload["id"]);
        let twin = twin.expect("the operator hears of it too");
        assert_eq!(twin.body, told.body);
        assert_ne!(twin.id(), told.id(), "two deliveries, two ids");
        assert_eq!(own.seen().len(), 1);

        // Whoever names the operator's own address makes it no double.
        let same = json!({ "filename": "c.bin", "size": PART, "webhook_url": operator.url() });
        let same = api.post("/uploads", &same).await.expect(201);
        api.send_parts(&same, all_parts(&same)).await;
        api.complete(&same).await.expect(200);
        operator.wait_for(3).await;
        let events = api.events().await;
        assert_eq!(
            events
                .iter()
                .filter(|event| event["upload_id"] == same["id"])
                .count(),
            1
        );
    })
    .await;
}
