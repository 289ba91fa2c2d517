//! What OPTIONS tells: RUFH-01 to 03.

use super::{here, here_with};

/// The members of `Upload-Limit` by their keys; all must be integers.
pub fn limits(text: &str) -> std::collections::BTreeMap<String, u64> {
    text.split(", ")
        .filter_map(|member| member.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.parse().unwrap_or_else(|_| panic!("{text}"))))
        .collect()
}

#[tokio::test]
async fn rufh_01_options_tells_limits_and_what_can_be_appended() {
    here_with(
        |config| {
            config.protocols.tus.max_size = 123_456;
            config.protocols.tus.ttl_hours = 2;
        },
        async |place| {
            for client in [
                place.client(),
                place.speaking(8),
                place.client().without("X-API-Key"),
            ] {
                for path in ["/files", "/files/"] {
                    let told = client.ask("OPTIONS", path, &[], b"").await.last;
                    assert!(matches!(told.status, 200 | 204), "{told:?}");
                    let limits = limits(&told.header("upload-limit"));
                    assert_eq!(limits["max-size"], 123_456);
                    assert_eq!(limits["min-size"], 0);
                    assert_eq!(limits["max-age"], 7200);
                    let patches = told.header("accept-patch");
                    assert!(patches.contains("application/partial-upload"), "{told:?}");
                }
            }
        },
    )
    .await;
}

#[tokio::test]
async fn rufh_02_limits_have_defined_keys_and_the_age_by_the_versions_own() {
    here(async |place| {
        for version in [None, Some(6), Some(7), Some(8), Some(9), Some(10), Some(99)] {
            let client = version.map_or_else(|| place.client(), |version| place.speaking(version));
            let told = client.ask("OPTIONS", "/files", &[], b"").await.last;
            let keys: Vec<String> = limits(&told.header("upload-limit")).into_keys().collect();
            let age = if version == Some(6) { "expires" } else { "max-age" };
            let mut expected = vec![age, "max-size", "min-size"];
            expected.sort_unstable();
            assert_eq!(keys, expected, "{version:?}");
        }
        // The field does not exist yet.
        let told = place.speaking(5).ask("OPTIONS", "/files", &[], b"").await.last;
        assert_eq!(told.field("upload-limit"), None);
    })
    .await;
}

#[tokio::test]
async fn rufh_02_a_limit_is_never_more_than_a_field_can_hold() {
    here_with(
        |config| config.limits.max_size = u64::MAX,
        async |place| {
            let told = place.client().ask("OPTIONS", "/files", &[], b"").await.last;
            let size = limits(&told.header("upload-limit"))["max-size"];
            assert!(size <= 999_999_999_999_999, "{size}");
        },
    )
    .await;
}

#[tokio::test]
async fn rufh_03_pages_of_other_sites_may_send_and_see_every_field() {
    here_with(
        |config| config.cors.allowed_origins = vec!["https://page.test".to_owned()],
        async |place| {
            let wanted = "upload-complete,upload-incomplete,upload-offset,upload-length,\
                          upload-draft-interop-version,content-disposition,content-type,content-digest,\
                          repr-digest,want-repr-digest";
            let preflight = [
                ("Origin", "https://page.test"),
                ("Access-Control-Request-Method", "PATCH"),
                ("Access-Control-Request-Headers", wanted),
            ];
            let allowed = place
                .client()
                .ask("OPTIONS", "/files", &preflight, b"")
                .await
                .last;
            assert!(matches!(allowed.status, 200 | 204), "{allowed:?}");
            let fields = allowed.header("access-control-allow-headers").to_lowercase();
            for name in wanted.split(',') {
                assert!(
                    fields.split(',').any(|own| own.trim() == name),
                    "{name}: {fields}"
                );
            }

            let page = place.speaking(6).with("Origin", "https://page.test");
            for answer in [
                page.create(false, b"abc").await.last,
                page.look("/files/unknown").await,
            ] {
                let exposed = answer.header("access-control-expose-headers").to_lowercase();
                for name in [
                    "location",
                    "upload-offset",
                    "upload-complete",
                    "upload-incomplete",
                    "upload-length",
                    "upload-limit",
                    "repr-digest",
                ] {
                    assert!(
                        exposed.split(',').any(|own| own.trim() == name),
                        "{name}: {answer:?}"
                    );
                }
            }
        },
    )
    .await;
}
