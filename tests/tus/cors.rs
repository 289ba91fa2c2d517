//! CORS: what a browser must be told before it lets a page of another site go on, and before it lets it read.

use std::collections::BTreeSet;

use super::client::{BYTES, Client, VERSION};
use super::place::Place;
use super::raw_http::Answer;
use super::{here, here_with};

const SITE: &str = "https://app.example.org";
const ORIGIN: (&str, &str) = ("Origin", SITE);

async fn with_site(test: impl AsyncFn(Place, Client)) {
    here_with(
        |config| config.cors.allowed_origins = vec!["https://other.example.org".into(), SITE.into()],
        async |place| {
            let client = place.client();
            test(place, client).await;
        },
    )
    .await;
}

async fn preflight(client: &Client, path: &str, origin: &str, method: &str) -> Answer {
    let fields = [
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
        (
            "Access-Control-Request-Headers",
            "tus-resumable, upload-length, x-own",
        ),
    ];
    client.raw("OPTIONS", path, &fields, b"").await
}

/// The members of a list field, in lower case.
fn list(answer: &Answer, name: &str) -> BTreeSet<String> {
    answer
        .header(name)
        .split(',')
        .map(|member| member.trim().to_ascii_lowercase())
        .collect()
}

#[track_caller]
fn assert_has(list: &BTreeSet<String>, wanted: &[&str]) {
    for name in wanted {
        assert!(
            list.contains(&name.to_ascii_lowercase()),
            "{name} is missing in {list:?}"
        );
    }
}

#[tokio::test]
async fn cors_01_and_cors_02_a_preflight_is_told_all_methods_and_fields() {
    with_site(async |_place, client| {
        for (path, method) in [
            ("/files", "POST"),
            ("/files/", "POST"),
            ("/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6", "PATCH"),
            ("/upload", "POST"),
            ("/upload/0199f0a1b2c37d4e8f90a1b2c3d4e5f6", "DELETE"),
        ] {
            let answer = preflight(&client, path, SITE, method).await.expect(204);

            assert_eq!(answer.header("Access-Control-Allow-Origin"), SITE);
            assert_eq!(answer.header("Access-Control-Max-Age"), "86400");
            assert_has(
                &list(&answer, "Access-Control-Allow-Methods"),
                &["POST", "HEAD", "PATCH", "DELETE", "GET", "OPTIONS"],
            );
            assert_has(
                &list(&answer, "Access-Control-Allow-Headers"),
                &[
                    "Authorization",
                    "Content-Type",
                    "Tus-Resumable",
                    "Upload-Length",
                    "Upload-Offset",
                    "Upload-Metadata",
                    "Upload-Defer-Length",
                    "Upload-Concat",
                    "Upload-Checksum",
                    "X-HTTP-Method-Override",
                    "X-Requested-With",
                    "X-Request-ID",
                    "X-API-Key",
                    "Origin",
                    "Upload-Complete",
                    "Upload-Incomplete",
                    "Upload-Draft-Interop-Version",
                    "Repr-Digest",
                    "x-own",
                ],
            );
            assert_has(&list(&answer, "Vary"), &["Origin"]);
            // One answer serves discovery as well.
            assert_eq!(answer.header("Tus-Version"), "1.0.0");
            assert_eq!(answer.field("Access-Control-Allow-Credentials"), None);
        }
    })
    .await;
}

#[tokio::test]
async fn cors_03_and_cors_04_every_answer_can_be_read_and_errors_too() {
    with_site(async |place, client| {
        let upload = client.create(5).await;
        let asked = [VERSION, ORIGIN];
        let wrong = [VERSION, ORIGIN, BYTES, ("Upload-Offset", "3")];
        for (answer, status) in [
            (
                client
                    .raw("POST", "/files", &[VERSION, ORIGIN, ("Upload-Length", "5")], b"")
                    .await,
                201,
            ),
            (client.raw("HEAD", &upload, &asked, b"").await, 200),
            (client.raw("PATCH", &upload, &wrong, b"x").await, 409),
            (client.raw("HEAD", "/files/unknown", &asked, b"").await, 404),
            (client.raw("HEAD", "/files/unknown/deep", &asked, b"").await, 404),
            (client.raw("GET", &upload, &asked, b"").await, 405),
            (client.raw("POST", "/files", &[ORIGIN], b"").await, 412),
            (
                client
                    .raw("POST", "/files", &[ORIGIN, ("Tus-Resumable", "0.2.2")], b"")
                    .await,
                412,
            ),
            (
                client
                    .raw("HEAD", &upload, &[VERSION, ORIGIN, ("X-API-Key", "wrong")], b"")
                    .await,
                401,
            ),
            (client.raw("OPTIONS", "/files", &[ORIGIN], b"").await, 204),
        ] {
            let answer = answer.expect(status);
            assert_eq!(answer.header("Access-Control-Allow-Origin"), SITE);
            assert_has(&list(&answer, "Vary"), &["Origin"]);
            assert_has(
                &list(&answer, "Access-Control-Expose-Headers"),
                &[
                    "Location",
                    "Upload-Offset",
                    "Upload-Length",
                    "Upload-Metadata",
                    "Upload-Defer-Length",
                    "Upload-Concat",
                    "Upload-Expires",
                    "Tus-Version",
                    "Tus-Resumable",
                    "Tus-Max-Size",
                    "Tus-Extension",
                    "Tus-Checksum-Algorithm",
                    "Upload-Complete",
                    "Upload-Limit",
                    "Upload-Draft-Interop-Version",
                    "Upload-Incomplete",
                    "Repr-Digest",
                ],
            );
        }
        drop(place);
    })
    .await;
}

#[tokio::test]
async fn cors_05_a_site_that_is_not_allowed_is_told_nothing() {
    with_site(async |_place, client| {
        let upload = client.create(5).await;
        for site in [
            "https://evil.example",
            "null",
            "https://app.example.org.evil.example",
        ] {
            for path in ["/files", upload.as_str(), "/upload"] {
                let refused = preflight(&client, path, site, "POST").await.expect(403);
                assert_eq!(refused.field("Access-Control-Allow-Origin"), None);
                assert_eq!(refused.field("Access-Control-Allow-Methods"), None);
                assert_has(&list(&refused, "Vary"), &["Origin"]);
            }
            let looked = client
                .raw("HEAD", &upload, &[VERSION, ("Origin", site)], b"")
                .await;
            assert_eq!(looked.field("Access-Control-Allow-Origin"), None);
            assert_has(&list(&looked, "Vary"), &["Origin"]);
        }
    })
    .await;
    here(async |place| {
        let refused = preflight(&place.client(), "/files", SITE, "POST")
            .await
            .expect(403);
        assert_eq!(refused.field("Access-Control-Allow-Origin"), None);
    })
    .await;
}

#[tokio::test]
async fn cors_06_a_preflight_needs_no_credential_and_all_sites_can_be_allowed() {
    here_with(
        |config| {
            config.cors.allowed_origins = vec!["*".into()];
            config.auth.anonymous = muleteer::config::Anonymous::Off;
        },
        async |place| {
            let client = place.client();

            let answer = preflight(&client, "/files", SITE, "POST").await.expect(204);

            assert_eq!(answer.header("Access-Control-Allow-Origin"), SITE);
            let refused = client
                .ask("POST", "/files", &[ORIGIN, ("Upload-Length", "5")], b"")
                .await;
            assert_eq!(refused.expect(401).header("Access-Control-Allow-Origin"), SITE);
        },
    )
    .await;
}

#[tokio::test]
async fn preflights_of_other_addresses_are_answered_as_before() {
    with_site(async |_place, client| {
        let mut connection = client.connect().await;
        for path in ["/api/v1/uploads", "/upload/init", "/upload/x/part/1"] {
            let fields = [ORIGIN, ("Access-Control-Request-Method", "PUT")];
            connection.send(client.head_of("OPTIONS", path, &fields)).await;

            let answer = connection.answer().await.expect(204);

            assert_eq!(answer.header("Access-Control-Allow-Origin"), SITE);
            assert_has(&list(&answer, "Access-Control-Allow-Methods"), &["PUT"]);
        }
    })
    .await;
}
