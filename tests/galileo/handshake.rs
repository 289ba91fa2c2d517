//! Section 4: what is refused before there is a connection.

use super::here;
use super::socket::Handshake;

#[actix_web::test]
async fn what_is_no_handshake_is_refused_with_its_status() {
    let place = here(|_| {});
    let right = || Handshake::new("/galileo");

    for (status, handshake) in [
        (101, right()),
        (
            101,
            right()
                .with("Connection", "keep-alive, Upgrade")
                .with("Upgrade", "WebSocket"),
        ),
        (426, right().with("Sec-WebSocket-Version", "8")),
        (426, right().without("Sec-WebSocket-Version")),
        (400, right().without("Sec-WebSocket-Key")),
        (400, right().with("Sec-WebSocket-Key", "short")),
        (426, right().without("Upgrade")),
        (426, right().without("Connection")),
    ] {
        assert_eq!(handshake.status(&place).await, status, "{handshake:?}");
    }
    let (_, head) = right()
        .with("Sec-WebSocket-Version", "8")
        .ask(&place)
        .await
        .unwrap_err();
    assert!(
        head.to_ascii_lowercase().contains("sec-websocket-version: 13"),
        "{head}"
    );
}

#[actix_web::test]
async fn only_pages_of_our_own_or_of_a_listed_site_may_connect() {
    let place = here(|config| {
        config.cors.allowed_origins = vec!["https://app.example.org".into()];
    });
    let own = place.base.clone();
    let port = own.rsplit(':').next().unwrap().to_owned();

    for (status, origin) in [
        (101, own.as_str()),
        (101, "https://app.example.org"),
        (403, "http://app.example.org"),
        (403, "https://app.example.org:8443"),
        (403, "https://app.example.org.evil.example"),
        (403, "https://evil-app.example.org"),
        (403, "null"),
        (403, "file://"),
        (403, ""),
        (403, "http://127.0.0.1"),
        (403, &format!("http://127.0.0.1.evil.example:{port}")),
        (403, &format!("http://localhost:{port}")),
        (403, &own.replace("http:", "https:")),
    ] {
        let handshake = Handshake::new("/galileo").with("Origin", origin);
        assert_eq!(handshake.status(&place).await, status, "{origin}");
    }
    // Nobody but a trusted proxy may say that we are called something else.
    let forwarded = Handshake::new("/galileo")
        .with("Origin", "https://evil.example")
        .with("X-Forwarded-Host", "evil.example")
        .with("X-Forwarded-Proto", "https");
    assert_eq!(forwarded.status(&place).await, 403);
}

#[actix_web::test]
async fn behind_a_proxy_our_own_pages_are_those_of_the_public_address() {
    let place = here(|config| config.server.public_url = "https://files.example.org".into());
    let with_key = |origin: &str| {
        Handshake::new("/galileo")
            .with("X-API-Key", super::server::API_KEY)
            .with("Origin", origin)
    };

    assert_eq!(with_key("https://files.example.org").status(&place).await, 101);
    assert_eq!(with_key(&place.base).status(&place).await, 403);
}

#[actix_web::test]
async fn a_door_that_is_closed_is_none() {
    let place = here(|config| config.protocols.galileo.enabled = false);

    assert_eq!(Handshake::new("/galileo").status(&place).await, 404);
    assert_ne!(Handshake::new("/upload").status(&place).await, 101);
}
