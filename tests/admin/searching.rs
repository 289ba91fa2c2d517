//! The search: each field finds its upload and no other.

use chrono::TimeDelta;

use super::browser::{Browser, Page, id};
use super::{on_both, on_both_with};

#[tokio::test]
async fn an_upload_is_found_by_everything_that_somebody_may_know_of_it() {
    let adjust =
        |config: &mut muleteer::config::Config| config.server.trusted_proxies = vec!["127.0.0.1".into()];
    on_both_with(adjust, async |server| {
        let mut browser = Browser::logged_in(&server).await;
        browser.fields = vec![("x-forwarded-for", "203.0.113.9".into())];
        let wanted = browser.begin("Über uns & mehr.mp4", 3, &[], &[]).await;
        browser.fields = vec![("x-forwarded-for", "2001:db8::9".into())];
        let other = browser.begin("other.bin", 2, &[], &[]).await;
        let text = |field: &str| wanted[field].as_str().unwrap().to_owned();
        let code = text("support_code");
        assert_eq!(code.len(), 9, "{code}");

        for (kind, q) in [
            ("name", "Über".to_owned()),
            ("exact", "Über uns & mehr.mp4".into()),
            ("code", code.clone()),
            ("code", code.to_lowercase().replace('-', "")),
            ("address", "203.0.113.9".into()),
            ("size", "48".into()),
            ("size", "0.05 kB".into()),
            ("size", "0,05 KiB".into()),
            ("key", text("key")),
            ("key", format!("s3://uploads/{}", text("key"))),
            ("upload", text("upload_id")),
            ("", text("id")),
            ("", code.clone()),
            ("", "Über uns".into()),
            ("", "203.0.113.9".into()),
            ("", "48".into()),
            ("", "48 B".into()),
            ("", "0.05 KiB".into()),
            ("", text("key")),
            ("", format!("s3://uploads/{}", text("key"))),
            ("code", code.replace('-', "\u{2013}")),
            ("", text("upload_id")),
        ] {
            let found = browser.get(&address(&[("in", kind), ("q", &q)])).await;
            assert_eq!(found.ids(), [id(&wanted)], "{kind}: {q}");
        }
        let by_owner = browser.get(&address(&[("in", "owner"), ("q", "default")])).await;
        assert_eq!(by_owner.ids(), [id(&other), id(&wanted)]);
        browser
            .get(&address(&[("in", "owner"), ("q", "nobody")]))
            .await
            .says("No upload is like that");
        // What is missed only by its case says what counts.
        browser
            .get(&address(&[("q", "OTHER.bin")]))
            .await
            .says("upper and lower case count");
        for (kind, q) in [("address", "300.1"), ("size", "big"), ("code", "ABC")] {
            let page = browser.get(&address(&[("in", kind), ("q", q)])).await;
            page.says("role=\"alert\"");
            assert!(page.ids().is_empty());
        }
        for q in ["\0", "%", "' OR 1=1", "99999999999999999999"] {
            let page = browser.get(&address(&[("q", q)])).await;
            assert_eq!((page.status.as_u16(), page.ids().len()), (200, 0), "{q:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn filters_narrow_by_state_protocol_and_age_alone_and_together() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let old = browser.begin("a.bin", 0, &[], &[]).await;
        let address_of_old = format!("/uploads/{}", id(&old));
        browser
            .api("DELETE", &address_of_old, serde_json::Value::Null)
            .await;
        server.advance(TimeDelta::hours(30));
        let browser = Browser::logged_in(&server).await;
        let new = browser.begin("a2.bin", 0, &[], &[]).await;
        let (old, new) = (id(&old), id(&new));

        for (filters, expected) in [
            (vec![("state", "open")], vec![&new]),
            (vec![("state", "aborted")], vec![&old]),
            (vec![("state", "failed")], vec![]),
            (vec![("protocol", "native")], vec![&new, &old]),
            (vec![("protocol", "tus")], vec![]),
            (vec![("age", "1d")], vec![&new]),
            (vec![("age", "older-1d")], vec![&old]),
            (
                vec![
                    ("protocol", "native"),
                    ("state", "open"),
                    ("age", "1d"),
                    ("q", "a"),
                ],
                vec![&new],
            ),
            (
                vec![
                    ("state", "open"),
                    ("q", "default"),
                    ("in", "owner"),
                    ("protocol", "native"),
                ],
                vec![&new],
            ),
            (
                vec![
                    ("state", "open"),
                    ("q", "default"),
                    ("in", "owner"),
                    ("protocol", "tus"),
                ],
                vec![],
            ),
        ] {
            let page = browser.get(&address(&filters)).await;
            let expected: Vec<String> = expected.into_iter().cloned().collect();
            assert_eq!(page.ids(), expected, "{filters:?}");
        }
        browser
            .get("/admin")
            .await
            .says("<option value=\"native\"")
            .says_not("<option value=\"tus\"");
        assert!(browser.get("/admin?state=new").await.ids().is_empty());
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_and_miss_none_whatever_is_searched() {
    on_both_with(
        |_| {},
        async |server| {
            let browser = Browser::logged_in(&server).await;
            let mut made = Vec::new();
            for n in 0..120 {
                // The name finds some, the owner all: pages of "anything" are of several look-ups.
                let name = if n % 3 == 0 { "default.bin" } else { "x.bin" };
                let upload = browser
                    .api(
                        "POST",
                        "/uploads",
                        serde_json::json!({ "filename": name, "size": 1 + n, "resume": false }),
                    )
                    .await;
                made.insert(0, id(&upload));
            }
            for first in [
                "/admin",
                "/admin?q=default",
                "/admin?q=default&in=owner&protocol=native&state=open",
            ] {
                let mut page = browser.get(first).await;
                assert_eq!(link(&page, "prev"), None, "{first}");
                let mut there = vec![page.ids()];
                while let Some(path) = link(&page, "next") {
                    page = browser.get(&path).await;
                    there.push(page.ids());
                }
                assert_eq!(there.concat(), made, "{first}");
                assert!(there.iter().all(|ids| ids.len() <= 50));

                let mut back = vec![page.ids()];
                while let Some(path) = link(&page, "prev") {
                    assert_eq!(
                        path.contains("state=open"),
                        first.contains("state=open"),
                        "{path}"
                    );
                    page = browser.get(&path).await;
                    back.insert(0, page.ids());
                }
                assert_eq!(back, there, "{first}");
            }
            // Where nothing is newer by now, the newest are shown.
            let beyond = browser.get(&format!("/admin?after={}", made[0])).await;
            assert_eq!((beyond.ids(), link(&beyond, "prev")), (made[..50].to_vec(), None));
            browser
                .get("/admin?after=x")
                .await
                .says("after: must be the cursor of a page");
        },
    )
    .await;
}

/// Where a page leads on, or back.
fn link(page: &Page, rel: &str) -> Option<String> {
    let (_, rest) = page.html.split_once(&format!("rel=\"{rel}\" href=\""))?;
    let (path, _) = rest.split_once('"')?;
    Some(path.replace("&#38;", "&").replace("&amp;", "&"))
}

fn address(fields: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!("/admin?{query}")
}
