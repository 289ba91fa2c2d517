//! The shape of answers: what the client takes for a signature, for a date, and for the end.

use crate::client::Page;
use crate::page::{KEY_ID, http, key_for, on_both, on_both_with, reply};

#[tokio::test]
async fn a_signature_is_bare_text_that_nothing_keeps() {
    on_both(async |server| {
        let anna = Page::of(&server, &key_for(&server, "anna").await);

        let signed = anna.sign(&anna.begin("pages/anna/a")).await;

        assert_eq!(signed.status, 200, "{signed:?}");
        assert_eq!(signed.text.len(), 64);
        assert!(
            signed
                .text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        assert!(signed.header("content-type").starts_with("text/plain"));
        assert_eq!(signed.header("cache-control"), "no-store");
    })
    .await;
}

#[tokio::test]
async fn the_clock_is_told_to_everybody_as_a_date() {
    on_both(async |server| {
        let told = reply(http().get(format!("{}/evaporate/time?requestTime=1", server.base))).await;

        assert_eq!(told.status, 200);
        assert_eq!(told.header("cache-control"), "no-store");
        assert!(told.header("content-type").starts_with("text/plain"));
        let time = chrono::DateTime::parse_from_rfc2822(&told.text).expect("a date");
        assert!((server.clock.now() - time.to_utc()).num_seconds().abs() <= 2);
    })
    .await;
}

#[tokio::test]
async fn the_settings_tell_what_the_page_needs() {
    on_both(async |server| {
        let url = format!("{}/evaporate/settings", server.base);
        let told = reply(
            http()
                .get(&url)
                .header("x-api-key", key_for(&server, "a@b").await),
        )
        .await;

        let told: serde_json::Value = serde_json::from_str(&told.text).expect("JSON");
        assert_eq!(told["prefix"], "pages/a_40b/");
        assert_eq!(told["aws_key"], KEY_ID);
        assert_eq!(told["bucket"], server.config.dev_s3.bucket);
        assert_eq!(told["awsRegion"], "us-east-1");
        assert_eq!(told["aws_url"], server.store);
        assert_eq!(told["cloudfront"], false);

        let visitor = reply(http().get(&url)).await;
        assert!(visitor.header("set-cookie").contains("muleteer_visitor="));
        assert!(visitor.text.contains("pages/visitor_3a"), "{visitor:?}");
    })
    .await;
}

#[tokio::test]
async fn nobody_is_refused_with_401_and_other_methods_with_405() {
    on_both(async |server| {
        let url = format!("{}/evaporate/sign?to_sign=x&datetime=y", server.base);
        let nobody = reply(http().get(&url)).await;
        assert_eq!(nobody.status, 401);
        nobody.assert_signs_nothing("nobody");
        assert_eq!(reply(http().post(&url)).await.status, 405);
        let by_parameter = reply(http().get(format!("{url}&api_key=wrong"))).await;
        assert_eq!(by_parameter.status, 401);
    })
    .await;
}

#[tokio::test]
async fn pages_of_listed_sites_may_ask_with_headers_and_cookies_and_no_others() {
    let site = "https://app.example.org";
    on_both_with(
        |config| config.cors.allowed_origins = vec![site.into()],
        async |server| {
            let url = format!("{}/evaporate/sign", server.base);
            let preflight = http()
                .request(reqwest::Method::OPTIONS, &url)
                .header("origin", site)
                .header("access-control-request-method", "GET")
                .header("access-control-request-headers", "x-own");
            let allowed = reply(preflight).await;
            assert_eq!(allowed.header("access-control-allow-origin"), site);
            assert_eq!(allowed.header("access-control-allow-credentials"), "true");
            assert!(allowed.header("access-control-allow-headers").contains("x-own"));

            let settings = format!("{}/evaporate/settings", server.base);
            let visitor = http()
                .get(&settings)
                .header("origin", site)
                .header("sec-fetch-site", "same-site");
            let visitor = reply(visitor).await;
            assert_eq!(visitor.status, 200, "{visitor:?}");
            let cookie = visitor.header("set-cookie").split(';').next().unwrap().to_owned();
            let ask = |origin: &str| {
                let request = http()
                    .get(&url)
                    .header("origin", origin)
                    .header("cookie", &cookie);
                reply(request.header("sec-fetch-site", "same-site"))
            };
            assert!(ask(site).await.text.contains("to_sign"), "the visitor is known");
            let other = ask("https://evil.example").await;
            assert_eq!(
                (other.status, other.header("access-control-allow-origin")),
                (403, "")
            );
        },
    )
    .await;
}
