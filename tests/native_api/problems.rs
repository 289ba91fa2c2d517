//! Problem documents: everything that goes wrong is told in one shape, and every type has a page.

use super::api::{Api, id};
use super::on_both;

/// Every type that the API answers with.
const TYPES: [&str; 16] = [
    "invalid-request",
    "too-large",
    "body-stalled",
    "body-too-large",
    "type-refused",
    "not-found",
    "method-not-allowed",
    "unauthenticated",
    "forbidden",
    "wrong-state",
    "incomplete",
    "vanished",
    "store-refused",
    "busy",
    "unavailable",
    "internal",
];

#[tokio::test]
async fn every_type_has_a_page_at_its_address() {
    on_both(async |server| {
        let browser = Api::nobody(&server).outside();
        for slug in TYPES {
            let page = browser.get(&format!("/problems/{slug}")).await.expect_page();
            assert!(page.contains(slug), "{slug}");
        }
        browser
            .get("/problems/none-of-ours")
            .await
            .problem(404, "not-found");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_none_is_told_as_a_problem() {
    on_both(async |server| {
        let api = Api::of(&server);
        for path in [
            "",
            "/",
            "/upload",
            "/uploads/",
            "/session/x",
            "/uploads/x/y",
            "/uploads/x/parts/1/2",
        ] {
            api.get(path).await.problem(404, "not-found");
        }
        for path in [
            "/nothing",
            "/static/nothing.js",
            "/static/../Cargo.toml",
            "/api",
            "/api/v2/uploads",
            "/%ff",
            "//",
        ] {
            api.outside().get(path).await.problem(404, "not-found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_told_with_those_that_it_takes() {
    on_both(async |server| {
        let api = Api::of(&server);
        let upload = api.create("a", 1).await;
        let one = format!("/uploads/{}", id(&upload));
        for (method, path, allowed) in [
            ("PUT", "/uploads".to_owned(), "GET, POST"),
            ("DELETE", "/uploads".to_owned(), "GET, POST"),
            ("POST", "/session".to_owned(), "GET"),
            ("PUT", one.clone(), "GET, DELETE"),
            ("PATCH", one.clone(), "GET, DELETE"),
            ("GET", format!("{one}/signatures"), "POST"),
            ("GET", format!("{one}/complete"), "POST"),
            ("GET", format!("{one}/parts"), "POST"),
            ("DELETE", format!("{one}/parts/1"), "PUT"),
        ] {
            let refused = api.send(method, &path, None).await;
            refused.problem(405, "method-not-allowed");
            assert_eq!(
                sorted(refused.header("allow")),
                sorted(allowed),
                "{method} {path}"
            );
        }
        for path in [
            "/",
            "/health",
            "/health/ready",
            "/problems/internal",
            "/static/uploader.css",
        ] {
            let refused = api.outside().send("POST", path, None).await;
            refused.problem(405, "method-not-allowed");
            assert!(refused.header("allow").contains("GET"), "{path}");
        }
    })
    .await;
}

fn sorted(methods: &str) -> Vec<&str> {
    let mut list: Vec<&str> = methods
        .split(',')
        .map(str::trim)
        .filter(|method| *method != "HEAD")
        .collect();
    list.sort_unstable();
    list
}

#[tokio::test]
async fn nothing_is_refused_before_the_reason_is_known_to_be_the_callers_to_hear() {
    on_both(async |server| {
        // Who is not known hears nothing of what is wrong with an upload that may be somebody else's.
        let upload = Api::of(&server).create("a", 100).await;
        let stranger = Api::nobody(&server);
        for (path, body) in [
            ("signatures", "{\"parts\":\"999\"}"),
            ("parts", "{}"),
            ("complete", ""),
        ] {
            let path = format!("/uploads/{}/{path}", id(&upload));
            let refused = stranger.raw("POST", &path, body.into()).await;
            refused.problem(401, "unauthenticated");
        }
    })
    .await;
}
