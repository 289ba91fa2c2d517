//! Logging in and out: who gets in, how long, and whose forms count.

use chrono::TimeDelta;
use muleteer::domain::Owner;
use muleteer::identity::{Scopes, create_key};

use super::around::key_for;
use super::browser::Browser;
use super::server::{API_KEY, TestServer};
use super::{on_both, on_both_with};

const PAGES: [&str; 5] = [
    "/admin",
    "/admin/owners",
    "/admin/webhooks",
    "/admin/sweeps",
    "/admin/uploads/01900000000070008000000000000000",
];

#[tokio::test]
async fn an_admin_key_opens_a_session_that_no_script_and_no_other_site_gets_hold_of() {
    on_both(async |server| {
        let browser = Browser::at(&server);
        for path in PAGES {
            let page = browser.get(path).await;
            let way_back = url::form_urlencoded::byte_serialize(path.as_bytes()).collect::<String>();
            assert_eq!(page.location(), format!("/admin/login?next={way_back}"));
            assert_eq!(page.status, 303);
        }

        let page = browser.log_in(API_KEY).await;

        assert_eq!((page.status.as_u16(), page.location()), (303, "/admin"));
        let cookie = page.cookie("muleteer_admin").unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/admin", "Max-Age=43200"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "{cookie}");
        assert!(!cookie.contains(API_KEY));
        let list = browser.get("/admin").await;
        assert_eq!(list.status, 200);
        for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "same-origin")] {
            assert_eq!(list.headers[name], value);
        }
        let policy = list.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        list.says("default")
            .says_not("<script>")
            .says_not(" style=")
            .says_not("onclick");
    })
    .await;
}

#[tokio::test]
async fn behind_https_the_cookies_are_kept_to_it() {
    let adjust =
        |config: &mut muleteer::config::Config| config.server.public_url = "https://a.example".into();
    on_both_with(adjust, async |server| {
        let browser = Browser::at(&server);
        let form = browser.get("/admin/login").await;
        let session = browser.log_in(API_KEY).await;
        for cookie in [
            form.cookie("muleteer_admin_form"),
            session.cookie("muleteer_admin"),
        ] {
            assert!(cookie.unwrap().contains("Secure"));
        }
    })
    .await;
}

#[tokio::test]
async fn no_other_key_gets_in() {
    on_both(async |server| {
        let browser = Browser::at(&server);
        let uploader = key_for(&server, "anna").await;
        for (key, status, words) in [
            ("mule_wrong", 401, "not known here"),
            ("", 401, "not known here"),
            (uploader.as_str(), 403, "without the scope admin"),
        ] {
            let page = browser.log_in(key).await;
            assert_eq!(page.status, status);
            page.says(words);
            assert!(page.cookie("muleteer_admin").is_none());
        }
        assert_eq!(browser.get("/admin").await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_by_log_out_by_time_and_with_its_key() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let stolen = Browser::at(&server);
        let cookie = browser
            .log_in(API_KEY)
            .await
            .cookie("muleteer_admin")
            .unwrap()
            .to_owned();
        let stolen = stolen.with("cookie", cookie.split(';').next().unwrap());
        assert_eq!(stolen.get("/admin").await.status, 200);

        let page = browser.act("/admin", "/admin/logout", &[]).await;

        assert_eq!((page.status.as_u16(), page.location()), (303, "/admin/login"));
        assert_eq!(
            stolen.get("/admin").await.status,
            303,
            "the cookie is worth nothing any more"
        );
        let late = Browser::logged_in(&server).await;
        server.advance(TimeDelta::hours(12));
        assert_eq!(late.get("/admin").await.status, 303);

        let (key, revoke) = own_key(&server).await;
        let browser = Browser::at(&server);
        browser.log_in(&key).await;
        let page = browser.get("/admin").await;
        assert_eq!(page.status, 200);
        let token = page.token();
        revoke.await;
        assert_eq!(browser.get("/admin").await.status, 303);
        let page = browser
            .send(
                "/admin/uploads/01900000000070008000000000000000/abort",
                &[("token", &token), ("sure", "yes")],
            )
            .await;
        assert_eq!(page.status, 303);
    })
    .await;
}

/// An admin key in the database, and what revokes it.
async fn own_key(server: &TestServer) -> (String, impl Future<Output = ()>) {
    let db = muleteer::app::open_database(&server.config).await.unwrap();
    let now = server.clock.now();
    let scopes = Scopes {
        upload: false,
        admin: true,
    };
    let key = create_key(&db, &Owner::named("root").unwrap(), scopes, now)
        .await
        .unwrap();
    (key, async move {
        let id = db.list_keys().await.unwrap().pop().unwrap().id;
        assert!(db.revoke_key(&id, now).await.unwrap());
    })
}

#[tokio::test]
async fn whoever_guesses_is_told_to_wait_and_others_are_not() {
    let adjust =
        |config: &mut muleteer::config::Config| config.server.trusted_proxies = vec!["127.0.0.1".into()];
    on_both_with(adjust, async |server| {
        let from = |address: &str| Browser::at(&server).with("x-forwarded-for", address);
        let guesser = from("6.6.6.6");
        for _ in 0..5 {
            assert_eq!(guesser.log_in("mule_wrong").await.status, 401);
        }

        let page = guesser.log_in(API_KEY).await;

        assert_eq!(page.status, 429);
        let wait: i64 = page.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        // What it puts in front of what the proxy saw is no way around.
        assert_eq!(from("7.7.7.7, 6.6.6.6").log_in(API_KEY).await.status, 429);
        assert_eq!(from("1.2.3.4").log_in(API_KEY).await.status, 303);
        server.advance(TimeDelta::seconds(wait));
        assert_eq!(guesser.log_in(API_KEY).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_form_counts_only_if_our_page_sent_it() {
    on_both(async |server| {
        let browser = Browser::logged_in(&server).await;
        let upload = browser.begin("a.bin", 2, &[], &[]).await;
        let page = format!("/admin/uploads/{}", super::browser::id(&upload));
        let abort = format!("{page}/abort");
        let token = browser.get(&page).await.token();
        let other = Browser::logged_in(&server).await.get(&page).await.token();

        for fields in [
            vec![("sure", "yes")],
            vec![("sure", "yes"), ("token", "")],
            vec![("sure", "yes"), ("token", other.as_str())],
        ] {
            browser
                .send(&abort, &fields)
                .await
                .says("this form is not of a page");
        }
        let mut foreign = browser;
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            foreign.fields = vec![(name, value.to_owned())];
            let answer = foreign.send(&abort, &[("sure", "yes"), ("token", &token)]).await;
            assert_eq!(answer.status, 403, "{name}: {value}");
            answer.says("another site");
            let answer = foreign
                .send("/admin/login", &[("key", API_KEY), ("token", &token)])
                .await;
            assert_eq!(answer.status, 403);
        }
        foreign.fields = vec![
            ("sec-fetch-site", "same-origin".into()),
            ("origin", "null".into()),
        ];
        foreign.get(&page).await.says("is-open");
        assert_eq!(
            foreign.send(&abort, &[("token", &token)]).await.status,
            400,
            "nobody has said that they are sure"
        );
        assert_eq!(
            foreign
                .send(&abort, &[("sure", "yes"), ("token", &token)])
                .await
                .status,
            303
        );
        foreign.get(&page).await.says("is-aborted");
    })
    .await;
}

#[tokio::test]
async fn a_link_from_another_site_leads_to_the_page_all_the_same() {
    on_both(async |server| {
        let mut browser = Browser::at(&server);
        // A strict cookie does not come along with it.
        browser.fields = vec![("sec-fetch-site", "cross-site".into())];
        let page = browser.get("/admin?q=x").await;
        assert_eq!(page.status, 200);
        page.says("http-equiv=\"refresh\"");
        browser.fields = vec![("sec-fetch-site", "same-origin".into())];
        assert_eq!(
            browser.get("/admin?q=x").await.location(),
            "/admin/login?next=%2Fadmin%3Fq%3Dx"
        );
    })
    .await;
}
