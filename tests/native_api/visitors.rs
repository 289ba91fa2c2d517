//! Visitors without any credential: known by a signed cookie, from our own pages alone, and only where admitted.

use muleteer::config::{Anonymous, Config};
use serde_json::json;

use super::api::{Api, file, id};
use super::{TestServer, on_both, on_both_with};

/// A visitor whom nobody has seen before, with a cookie.
pub async fn visitor(server: &TestServer) -> Api {
    let nobody = Api::nobody(server);
    let cookie = nobody.get("/session").await.cookie().expect("a cookie");
    nobody.with("cookie", &cookie)
}

#[tokio::test]
async fn a_newcomer_gets_a_cookie_that_scripts_and_other_sites_never_see() {
    on_both(async |server| {
        let nobody = Api::nobody(&server);
        for reply in [
            nobody.get("/session").await,
            nobody.post("/uploads", &file("a", 1)).await,
        ] {
            let cookie = reply.header("set-cookie").to_owned();
            for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
                assert!(cookie.contains(attribute), "{attribute} in {cookie:?}");
            }
            // Over plain HTTP on loopback a Secure cookie would be lost.
            assert!(!cookie.contains("Secure"), "{cookie}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_visitor_is_known_again_and_gets_no_second_cookie() {
    on_both(async |server| {
        let anna = visitor(&server).await;
        let upload = anna.create("film.mp4", 20).await;

        let session = anna.get("/session").await;

        assert_eq!(session.cookie(), None);
        let view = session.expect(200);
        assert_eq!(
            (view["kind"].clone(), view["scopes"].clone()),
            (json!("anonymous"), json!(["upload"]))
        );
        assert_eq!(anna.show(&upload).await["id"], upload["id"]);
        // Another instance on the same database knows them too, and so does this one after a restart.
        let other = super::beside(&server);
        assert_eq!(anna.moved_to(&other.base).show(&upload).await["id"], upload["id"]);
        drop(other);
        let server = server.restart();
        assert_eq!(
            anna.moved_to(&server.base).show(&upload).await["id"],
            upload["id"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_forged_cookie_is_worth_nothing() {
    on_both(async |server| {
        let anna = visitor(&server).await;
        let upload = anna.create("film.mp4", 20).await;
        let genuine = Api::nobody(&server)
            .get("/session")
            .await
            .cookie()
            .expect("a cookie");
        let (name, value) = genuine.split_once('=').expect("a pair");
        let mut turned = value.to_owned().into_bytes();
        let middle = turned.len() / 2;
        // Digits, of which none means the same as another in a different case.
        turned[middle] = if turned[middle] == b'0' { b'1' } else { b'0' };
        let owner = Api::of(&server).get("/uploads").await.expect(200)["uploads"][0]["owner"].clone();
        let owner = owner
            .as_str()
            .expect("an owner")
            .trim_start_matches("visitor:")
            .to_owned();
        for forged in [
            String::from_utf8(turned).expect("text"),
            owner.clone(),
            format!("{owner}."),
            String::new(),
            "x".repeat(3000),
        ] {
            let forger = Api::nobody(&server).with("cookie", &format!("{name}={forged}"));

            forger
                .get(&format!("/uploads/{}", id(&upload)))
                .await
                .problem(401, "unauthenticated");

            let newcomer = forger.get("/session").await;
            assert!(newcomer.cookie().is_some(), "a forger is a newcomer");
            let listed = forger.get("/uploads").await.expect(200);
            assert_eq!(listed["uploads"], json!([]), "{forged}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_a_visitors_cookie() {
    on_both(async |server| {
        let anna = visitor(&server).await;
        let upload = anna.create("film.mp4", 20).await;
        let path = format!("/uploads/{}", id(&upload));
        for site in ["cross-site", "same-site", "nonsense"] {
            let elsewhere = anna.with("sec-fetch-site", site);
            elsewhere
                .post("/uploads", &file("b", 1))
                .await
                .problem(403, "forbidden");
            elsewhere.get(&path).await.problem(403, "forbidden");
            elsewhere.get("/uploads").await.problem(403, "forbidden");
            elsewhere.delete(&path).await.problem(403, "forbidden");
            elsewhere
                .post(&format!("{path}/complete"), &json!({}))
                .await
                .problem(403, "forbidden");
            let newcomer = Api::nobody(&server).with("sec-fetch-site", site);
            let refused = newcomer.post("/uploads", &file("b", 1)).await;
            refused.problem(403, "forbidden");
            assert_eq!(refused.cookie(), None);
            let session = newcomer.get("/session").await;
            assert_eq!(
                (session.cookie(), session.expect(200)["kind"].clone()),
                (None, json!("none"))
            );
        }
        for site in ["same-origin", "none"] {
            anna.with("sec-fetch-site", site).get(&path).await.expect(200);
        }
        // A key or a token does not come along by itself, so it counts from anywhere.
        let bearer = anna
            .bearing(&upload["token"])
            .with("sec-fetch-site", "cross-site");
        bearer.get(&path).await.expect(200);
        Api::of(&server)
            .with("sec-fetch-site", "cross-site")
            .get(&path)
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn where_visitors_are_not_admitted_a_credential_is_asked_for() {
    let off = |config: &mut Config| config.auth.anonymous = Anonymous::Off;
    let beyond = |config: &mut Config| config.server.address = "0.0.0.0".into();
    // Behind a proxy a loopback address says nothing about who can reach us.
    let proxied = |config: &mut Config| config.server.public_url = "https://up.example.org".into();
    for adjust in [off as fn(&mut Config), beyond, proxied] {
        on_both_with(adjust, async |server| {
            let base = server.base.replace("0.0.0.0", "127.0.0.1");
            let nobody = Api::at(&base);
            let refused = nobody.post("/uploads", &file("a", 1)).await;
            refused.problem(401, "unauthenticated");
            assert_eq!(refused.cookie(), None);
            assert!(!refused.header("www-authenticate").is_empty());
            nobody.get("/uploads").await.problem(401, "unauthenticated");
            let session = nobody.get("/session").await;
            let view = session.expect(200);
            assert_eq!(
                (view["kind"].clone(), view["anonymous_allowed"].clone()),
                (json!("none"), json!(false))
            );
            assert_eq!((session.cookie(), view["owner"].clone()), (None, json!(null)));
            nobody.outside().get("/").await.expect_page();
            nobody
                .with("x-api-key", super::server::API_KEY)
                .create("a", 1)
                .await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_cookie_from_before_is_not_taken_once_visitors_are_not_admitted() {
    on_both(async |mut server| {
        let anna = visitor(&server).await;
        let upload = anna.create("film.mp4", 20).await;

        server.config.auth.anonymous = Anonymous::Off;
        let server = server.restart();

        let path = format!("/uploads/{}", id(&upload));
        anna.moved_to(&server.base)
            .get(&path)
            .await
            .problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn behind_https_the_cookie_is_kept_to_it() {
    on_both_with(
        |config| {
            config.server.public_url = "https://up.example.org".into();
            config.auth.anonymous = Anonymous::On;
        },
        async |server| {
            let cookie = Api::nobody(&server).get("/session").await;
            assert!(cookie.header("set-cookie").contains("; Secure"));
        },
    )
    .await;
    let trusting = |config: &mut Config| {
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
        config.auth.anonymous = Anonymous::On;
    };
    on_both_with(trusting, async |server| {
        let proxied = Api::nobody(&server).with("x-forwarded-proto", "https");
        assert!(
            proxied
                .get("/session")
                .await
                .header("set-cookie")
                .contains("; Secure")
        );
    })
    .await;
    on_both(async |server| {
        // Anybody can say so; only a proxy that we trust is believed.
        let stranger = Api::nobody(&server).with("x-forwarded-proto", "https");
        assert!(
            !stranger
                .get("/session")
                .await
                .header("set-cookie")
                .contains("Secure")
        );
    })
    .await;
}
