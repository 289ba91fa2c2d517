//! What browsers are told for their own protection, on every page and every other answer.

use super::server::{Kind, TestServer};

/// Every page, and something of everything else.
const ADDRESSES: &[(&str, bool)] = &[
    ("/", true),
    ("/doctor", true),
    ("/docs/", true),
    ("/mule/demo", true),
    ("/galileo/demo", true),
    ("/admin", true),
    ("/admin/login", true),
    ("/problems/busy", true),
    ("/api/openapi.json", false),
    ("/api/v1/session", false),
    ("/api/v1/uploads", false),
    ("/health", false),
    ("/metrics", false),
    ("/files", false),
    ("/nowhere", false),
];

#[tokio::test]
async fn every_answer_protects_the_browser_and_every_page_names_what_it_loads() {
    let server = TestServer::start(Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (address, is_page) in ADDRESSES {
        let answer = http
            .get(format!("{}{address}", server.base))
            .send()
            .await
            .expect("an answer");
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map_or("", |value| value.to_str().expect("text")).to_owned()
        };
        assert_eq!(
            header("content-type").starts_with("text/html"),
            *is_page,
            "{address}: {} {}",
            answer.status(),
            header("content-type")
        );
        for (name, expected) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            // No TLS, no promise of it.
            ("strict-transport-security", ""),
        ] {
            assert_eq!(header(name), expected, "{address}: {name}");
        }
        assert!(
            ["no-referrer", "same-origin"].contains(&header("referrer-policy").as_str()),
            "{address}: {}",
            header("referrer-policy")
        );
        assert!(header("permissions-policy").contains("camera=()"), "{address}");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{address}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe-eval"), "{address}: {policy}");
        // The API's reference alone sets styles of its own.
        let has_own_styles = policy.contains("unsafe-inline");
        assert_eq!(has_own_styles, *address == "/docs/", "{address}: {policy}");
    }
}

#[tokio::test]
async fn https_is_kept_to_where_a_proxy_has_it_and_its_word_counts() {
    for (public_url, trusted, told, expected) in [
        ("https://upload.example.org", false, None, true),
        ("", true, Some("https"), true),
        ("", true, Some("http"), false),
        ("", true, None, false),
        ("", false, Some("https"), false),
    ] {
        let server = TestServer::start(Kind::Sqlite, |config| {
            config.server.public_url = public_url.into();
            config.server.hsts_max_age_s = 600;
            if trusted {
                config.server.trusted_proxies = vec!["127.0.0.1".into()];
            }
        });
        let server = server.expect("SQLite is never skipped");
        let mut request = reqwest::Client::new().get(format!("{}/health/live", server.base));
        if let Some(scheme) = told {
            request = request.header("x-forwarded-proto", scheme);
        }
        let answer = request.send().await.expect("an answer");
        let told_of = answer.headers().get("strict-transport-security");
        assert_eq!(
            told_of.map(|value| value.to_str().expect("text")),
            expected.then_some("max-age=600"),
            "{public_url:?} {trusted} {told:?}"
        );
    }
}
