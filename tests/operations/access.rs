//! Who may read metrics, and where.

use muleteer::config::Secret;

use super::around::key_for;
use super::server::{API_KEY, TestServer};
use super::{Api, TOKEN, plain};
use crate::exposition::Exposition;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its address").port()
}

fn reader(server: &TestServer) -> Api {
    Api::nobody(server).outside()
}

fn bearing(reader: &Api, token: &str) -> Api {
    reader.with("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn beside_everything_else_only_the_token_and_admins_read() {
    let server = plain(|_| {});
    let nobody = reader(&server);
    let upload_only = key_for(&server, "anna").await;

    nobody.get("/metrics").await.problem(401, "unauthenticated");
    bearing(&nobody, "a-token-for-scrapes-012345678")
        .get("/metrics")
        .await
        .problem(401, "unauthenticated");
    bearing(&nobody, "")
        .get("/metrics")
        .await
        .problem(401, "unauthenticated");
    bearing(&nobody, &upload_only)
        .get("/metrics")
        .await
        .problem(403, "forbidden");
    for admitted in [
        bearing(&nobody, TOKEN),
        bearing(&nobody, API_KEY),
        nobody.with("x-api-key", API_KEY),
    ] {
        let answer = admitted.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        Exposition::read(&answer.text());
    }
    bearing(&nobody, TOKEN)
        .send("POST", "/metrics", None)
        .await
        .problem(405, "method-not-allowed");
}

#[tokio::test]
async fn without_a_token_an_empty_one_opens_nothing() {
    let server = plain(|config| config.metrics.token = Secret::default());
    let nobody = reader(&server);
    for stranger in [nobody.clone(), bearing(&nobody, ""), bearing(&nobody, " ")] {
        stranger.get("/metrics").await.problem(401, "unauthenticated");
    }
    // Who may upload without any credential is no admin.
    let visitor = Api::nobody(&server)
        .get("/session")
        .await
        .cookie()
        .expect("a cookie");
    nobody
        .with("cookie", &visitor)
        .get("/metrics")
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn a_listener_of_their_own_serves_nothing_else_and_is_the_only_one() {
    let port = free_port();
    let server = plain(|config| {
        config.metrics.port = port;
        config.metrics.path = "/inner/figures".into();
        config.metrics.token = Secret::default();
    });
    let apart = Api::at(&format!("http://127.0.0.1:{port}")).outside();

    Exposition::read(&apart.get("/inner/figures").await.text());
    for path in ["/", "/metrics", "/api/v1/uploads", "/health"] {
        assert_eq!(apart.get(path).await.status, 404, "{path}");
    }
    let beside = bearing(&reader(&server), API_KEY);
    assert_eq!(beside.get("/inner/figures").await.status, 404);
}

#[tokio::test]
async fn a_listener_of_their_own_asks_for_the_token_where_there_is_one() {
    let port = free_port();
    let _server = plain(|config| config.metrics.port = port);
    let apart = Api::at(&format!("http://127.0.0.1:{port}")).outside();

    assert_eq!(apart.get("/metrics").await.status, 401);
    assert_eq!(bearing(&apart, TOKEN).get("/metrics").await.status, 200);
}

#[tokio::test]
async fn switched_off_there_are_none() {
    let server = plain(|config| config.metrics.enabled = false);
    let admin = reader(&server).with("x-api-key", API_KEY);
    assert_eq!(admin.get("/metrics").await.status, 404);
    Api::of(&server).upload("film.mp4", 40).await;
}
