//! Creation: an address for bytes to come, or nothing at all.

use std::collections::HashSet;

use super::client::{content, location};
use super::raw_http::Connection;
use super::{everywhere, here, here_with};

#[tokio::test]
async fn new_01_a_creation_tells_the_address_of_an_upload_that_stands_at_0() {
    everywhere(async |place| {
        let client = place.client();

        let upload = client.create(5).await;

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(
            (looked.number("Upload-Offset"), looked.number("Upload-Length")),
            (0, 5)
        );
    })
    .await;
}

#[tokio::test]
async fn new_02_a_creation_needs_a_length_of_some_kind() {
    here(async |place| {
        place.client().post(&[]).await.expect(400);

        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn new_03_a_length_is_digits_alone() {
    here(async |place| {
        let client = place.client();
        for text in ["-1", "abc", "1.5", "", "0x10", "+5", "5 x", "5, 5", "1e3"] {
            client.post(&[("Upload-Length", text)]).await.expect(400);
        }
        let twice = [("Upload-Length", "5"), ("Upload-Length", "5")];
        client.post(&twice).await.expect(400);
        assert_eq!(place.unfinished().await, Vec::<String>::new());
        let zeros = client.create_with(&[("Upload-Length", "0007")]).await;
        assert_eq!(client.look(&zeros).await.number("Upload-Length"), 7);
    })
    .await;
}

#[tokio::test]
async fn new_04_a_length_that_nobody_can_count_is_too_large() {
    here(async |place| {
        for digits in ["9223372036854775808", "18446744073709551616", &"9".repeat(40)] {
            place
                .client()
                .post(&[("Upload-Length", digits)])
                .await
                .expect(413);
        }
    })
    .await;
}

#[tokio::test]
async fn new_05_and_new_06_the_limit_itself_is_taken_and_one_byte_more_is_not() {
    here_with(
        |config| config.protocols.tus.max_size = 100,
        async |place| {
            let client = place.client();

            let refused = client.post(&[("Upload-Length", "101")]).await.expect(413);

            assert_eq!(refused.field("Location"), None);
            assert_eq!(place.unfinished().await, Vec::<String>::new());
            client.create(100).await;
        },
    )
    .await;
}

#[tokio::test]
async fn new_07_and_new_08_an_empty_upload_is_whole_at_once_and_so_is_its_object() {
    everywhere(async |place| {
        let client = place.client();

        let made = client.post(&[("Upload-Length", "0")]).await.expect(201);

        assert_eq!(made.number("Upload-Offset"), 0);
        assert_eq!(
            made.field("Upload-Expires"),
            None,
            "what is finished does not expire"
        );
        let looked = client.look(&location(&made)).await.expect(200);
        assert_eq!(
            (looked.number("Upload-Offset"), looked.number("Upload-Length")),
            (0, 0)
        );
        assert_eq!(place.object(&location(&made)).await, Some(Vec::new()));
        let typed = [super::client::BYTES, ("Upload-Length", "0")];
        let upload = client.create_with(&typed).await;
        assert_eq!(place.object(&upload).await, Some(Vec::new()));
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn new_09_a_length_is_told_now_or_later_but_not_both() {
    here(async |place| {
        let both = [("Upload-Length", "5"), ("Upload-Defer-Length", "1")];

        place.client().post(&both).await.expect(400);
    })
    .await;
}

#[tokio::test]
async fn new_10_a_trailing_slash_changes_nothing() {
    here(async |place| {
        let client = place.client();
        for path in ["/files", "/files/"] {
            let made = client.ask("POST", path, &[("Upload-Length", "5")], b"").await;

            let upload = location(&made.expect(201));

            assert!(!upload.contains("//"), "{upload}");
            client.look(&format!("{upload}/")).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn new_11_ids_are_long_and_tell_nothing() {
    here(async |place| {
        let client = place.client();
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let upload = client
                .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", "filename c2VjcmV0")])
                .await;

            let id = upload.strip_prefix("/files/").expect("its mount");

            assert!(
                id.len() >= 16 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{id}"
            );
            // What differs from one to the next is more than can be tried.
            assert!(seen.insert(id[id.len() - 16..].to_owned()), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn new_12_the_address_is_a_path_or_follows_the_host() {
    here(async |place| {
        let made = place
            .client()
            .post(&[("Upload-Length", "5"), ("Host", "up.example:8080")])
            .await;
        assert!(location(&made).starts_with("/files/"), "{made:?}");
    })
    .await;
    here_with(
        |config| config.protocols.tus.location = muleteer::config::LocationStyle::Absolute,
        async |place| {
            let client = place.client();
            let asked = [("Upload-Length", "5"), ("Host", "up.example:8080")];
            let made = client.post(&asked).await.expect(201);
            assert!(
                location(&made).starts_with("http://up.example:8080/files/"),
                "{made:?}"
            );
            // Nobody else is believed.
            let told = [
                ("Upload-Length", "5"),
                ("Host", "up.example"),
                ("X-Forwarded-Host", "evil.example"),
                ("Forwarded", "host=evil.example;proto=https"),
            ];
            let made = client.post(&told).await.expect(201);
            assert!(
                location(&made).starts_with("http://up.example/files/"),
                "{made:?}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn new_13_behind_a_proxy_that_is_trusted_the_address_is_the_proxys() {
    let behind = |style| {
        move |config: &mut muleteer::config::Config| {
            config.server.trusted_proxies = vec!["127.0.0.1".into()];
            config.auth.anonymous = muleteer::config::Anonymous::On;
            config.protocols.tus.location = style;
        }
    };
    let told = [
        ("Upload-Length", "5"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "up.example"),
        ("X-Forwarded-Prefix", "/media"),
    ];
    here_with(behind(muleteer::config::LocationStyle::Relative), async |place| {
        let made = place.client().post(&told).await.expect(201);
        assert!(location(&made).starts_with("/media/files/"), "{made:?}");
    })
    .await;
    here_with(behind(muleteer::config::LocationStyle::Absolute), async |place| {
        let client = place.client();
        let made = client.post(&told).await.expect(201);
        assert!(
            location(&made).starts_with("https://up.example/media/files/"),
            "{made:?}"
        );
        let standard = [
            ("Upload-Length", "5"),
            (
                "Forwarded",
                "for=1.2.3.4;proto=https;host=\"a.example:8443\", host=b.example",
            ),
        ];
        let made = client.post(&standard).await.expect(201);
        assert!(
            location(&made).starts_with("https://a.example:8443/files/"),
            "{made:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_type_that_the_operator_does_not_take_is_refused_and_makes_nothing() {
    here_with(
        |config| config.limits.types = vec!["video/*".into()],
        async |place| {
            let client = place.client();
            let typed = |kind: &str| super::client::metadata(&[("filetype", kind.as_bytes())]);

            client
                .post(&[("Upload-Length", "5"), ("Upload-Metadata", &typed("image/png"))])
                .await
                .expect(415);

            assert_eq!(place.unfinished().await, Vec::<String>::new());
            client
                .create_with(&[("Upload-Length", "5"), ("Upload-Metadata", &typed("video/mp4"))])
                .await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_file_goes_from_creation_to_its_object() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(100_000));
        let named = super::client::metadata(&[("filename", b"clip.mp4"), ("filetype", b"video/mp4")]);
        let upload = client
            .create_with(&[("Upload-Length", "100000"), ("Upload-Metadata", &named)])
            .await;

        client.send(&upload, 0, &file[..60_000]).await;
        client.send(&upload, 60_000, &file[60_000..]).await;

        assert!(place.object(&upload).await == Some(file));
        let keys = place.finished().await;
        assert!(keys.len() == 1 && keys[0].ends_with("/clip.mp4"), "{keys:?}");
        assert!(place.is_clean().await);
    })
    .await;
}

#[tokio::test]
async fn patch_17_one_connection_takes_a_whole_upload() {
    here(async |place| {
        let client = place.client();
        let mut connection = Connection::to(&place.base).await;
        let version = super::client::VERSION;
        let make = client.head_of(
            "POST",
            "/files",
            &[version, ("Upload-Length", "5"), ("Content-Length", "0")],
        );
        connection.send(make).await;
        let upload = location(&connection.answer().await.expect(201));

        for (offset, bytes) in [("0", "hel"), ("3", "lo")] {
            let length = bytes.len().to_string();
            let fields = [
                version,
                super::client::BYTES,
                ("Upload-Offset", offset),
                ("Content-Length", &length),
            ];
            connection.send(client.head_of("PATCH", &upload, &fields)).await;
            connection.send(bytes).await;
            connection.answer().await.expect(204);
            connection.send(client.head_of("HEAD", &upload, &[version])).await;
            let looked = connection.answer_to_head().await.expect(200);
            assert!(looked.number("Upload-Offset") > 0);
        }
        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}
