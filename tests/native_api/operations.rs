//! What an operator relies on: health, headers, the log, an orderly stop.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};
use muleteer::config::Secret;
use serde_json::{Value, json};

use super::api::{Api, file};
use super::process::Place;
use super::{PART, on_both, on_both_with};

#[tokio::test]
async fn health_says_that_it_lives_and_that_it_is_ready() {
    on_both(async |server| {
        let anybody = Api::nobody(&server).outside();

        let alive = anybody.get("/health").await;
        let ready = anybody.get("/health/ready").await;

        assert_eq!(alive.expect(200)["status"], "OK");
        assert_eq!(alive.expect(200)["storage"]["status"], "healthy");
        assert_eq!(anybody.get("/health/live").await.expect(200)["status"], "OK");
        let told = ready.expect(200);
        for (name, value) in [("status", "ready"), ("database", "ok"), ("store", "ok")] {
            assert_eq!(told[name], value, "{told}");
        }
        assert!(
            told["ms"]["database"].is_u64() && told["ms"]["store"].is_u64(),
            "{told}"
        );
        assert_eq!(told["embedded_store"], true);
        assert_eq!(ready.header("cache-control"), "no-store");
        assert_eq!(anybody.send("HEAD", "/health", None).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn without_the_store_it_lives_but_is_not_ready() {
    let gone = |config: &mut muleteer::config::Config| {
        config.s3.bucket = "uploads".into();
        config.s3.endpoint = "http://127.0.0.1:1".into();
        config.s3.access_key_id = "somebody".into();
        config.s3.secret_access_key = Secret::new("something");
        config.s3.min_part_size = 8;
    };
    on_both_with(gone, async |server| {
        let anybody = Api::nobody(&server).outside();
        anybody.get("/health/live").await.expect(200);
        let degraded = anybody.get("/health").await;
        assert_eq!(degraded.expect(503)["status"], "DEGRADED");
        assert_eq!(degraded.expect(503)["storage"]["status"], "unavailable");

        let began = Instant::now();
        let refused = anybody.get("/health/ready").await;

        assert!(began.elapsed() < Duration::from_secs(10));
        let problem = refused.problem(503, "unavailable");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.contains("the store")),
            "{problem}"
        );
        assert!(
            !refused.text().contains("127.0.0.1"),
            "no cause leaves: {}",
            refused.text()
        );
        let begun = Api::of(&server).post("/uploads", &file("a", 1)).await;
        begun.problem(503, "unavailable");
        assert_eq!(begun.header("retry-after"), "1");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_takes_requests_and_never_answers_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("its address"));
    let hangs = |config: &mut muleteer::config::Config| {
        config.s3.bucket = "uploads".into();
        config.s3.endpoint.clone_from(&endpoint);
        config.s3.access_key_id = "somebody".into();
        config.s3.secret_access_key = Secret::new("something");
        config.s3.min_part_size = 8;
    };
    let Some(server) = super::start(super::Kind::Sqlite, hangs) else {
        return;
    };

    let began = Instant::now();
    let refused = Api::nobody(&server).outside().get("/health/ready").await;

    refused.problem(503, "unavailable");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_the_database_it_lives_but_is_not_ready() {
    let Some(server) = super::start(super::Kind::Postgres, |_| {}) else {
        return;
    };
    let anybody = Api::nobody(&server).outside();
    anybody.get("/health/ready").await.expect(200);

    let url = server.config.database_url();
    let (address, name) = url.rsplit_once('/').expect("a database");
    let name = name.split('?').next().expect("a name");
    let mut admin = PgConnection::establish(&format!("{address}/postgres")).expect("the administrator");
    admin
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .expect("it is gone");

    let problem = anybody.get("/health/ready").await.problem(503, "unavailable");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|text| text.contains("the database")),
        "{problem}"
    );
    anybody.get("/health").await.expect(200);
    Api::of(&server)
        .post("/uploads", &file("a", 1))
        .await
        .problem(503, "unavailable");
}

#[tokio::test]
async fn every_answer_has_its_id_and_the_headers_that_protect_browsers() {
    on_both(async |server| {
        let api = Api::of(&server);
        let site = api.outside();
        let upload = api.create("a", 20).await;
        let one = format!("/api/v1/uploads/{}", upload["id"].as_str().expect("an id"));
        let mut ids = BTreeSet::new();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/docs"),
            ("GET", "/docs/"),
            ("GET", "/api/openapi.json"),
            ("GET", "/health"),
            ("GET", "/static/uploader.js"),
            ("GET", "/problems/internal"),
            ("GET", "/nothing"),
            ("GET", "/%ff"),
            ("PUT", "/"),
            ("GET", "/api/v1/session"),
            ("POST", "/api/v1/uploads"),
            ("GET", one.as_str()),
            ("POST", "/upload-backend/get_init_signature/"),
            ("DELETE", one.as_str()),
            ("OPTIONS", "/api/v1/uploads"),
        ] {
            let reply = site.send(method, path, None).await;
            for (header, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(reply.header(header), value, "{method} {path}");
            }
            let policy = reply.header("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path}"
            );
            let id = reply.header("x-request-id");
            assert!(
                id.len() == 32 && ids.insert(id.to_owned()),
                "{method} {path}: {id:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_allowed_sites_may_call_with_a_key_and_no_others() {
    let site = "https://app.example.org";
    on_both_with(
        |config| config.cors.allowed_origins = vec![site.into()],
        async |server| {
            let api = Api::of(&server).with("sec-fetch-site", "cross-site");
            let preflight = Api::nobody(&server)
                .with("origin", site)
                .with("access-control-request-method", "PUT")
                .with(
                    "access-control-request-headers",
                    "content-type,x-api-key,authorization",
                );
            let allowed = preflight.send("OPTIONS", "/uploads/x/parts/1", None).await;
            assert!(matches!(allowed.status, 200 | 204));
            assert_eq!(allowed.header("access-control-allow-origin"), site);
            let headers = allowed
                .header("access-control-allow-headers")
                .to_ascii_lowercase();
            assert!(
                headers.contains("x-api-key") && headers.contains("authorization"),
                "{headers}"
            );
            assert_eq!(
                allowed.header("access-control-allow-credentials"),
                "",
                "no cookies"
            );

            let made = api.with("origin", site).post("/uploads", &file("a", 1)).await;
            made.expect(201);
            assert_eq!(made.header("access-control-allow-origin"), site);
            let exposed = made.header("access-control-expose-headers").to_ascii_lowercase();
            assert!(
                exposed.contains("retry-after") && exposed.contains("x-request-id"),
                "{exposed}"
            );
            let refused = api.with("origin", site).get("/uploads/x").await;
            refused.problem(404, "not-found");
            assert_eq!(
                refused.header("access-control-allow-origin"),
                site,
                "errors can be read too"
            );

            let stranger = preflight.with("origin", "https://evil.example");
            let denied = stranger.send("OPTIONS", "/uploads", None).await;
            assert_eq!(denied.header("access-control-allow-origin"), "");
        },
    )
    .await;
    on_both(async |server| {
        let answer = Api::of(&server).with("origin", site).get("/session").await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    })
    .await;
}

#[tokio::test]
async fn the_log_has_one_line_a_request_without_any_secret() {
    let place = Place::new();
    let key = "a-very-secret-key-0123456789";
    let server = place.serve(&[("MULETEER_LOG__FORMAT", "json"), ("API_KEY", key)]);
    let api = Api::at(&server.base).with("x-api-key", key);
    let upload = api.create("film.mp4", PART).await;
    let token = upload["token"].as_str().expect("a token").to_owned();
    let signed = api.sign(&upload, json!("1")).await;
    let signature = signed[0]["url"]
        .as_str()
        .and_then(|url| url.rsplit('=').next())
        .expect("a signature")
        .to_owned();
    let mut ids = BTreeSet::new();
    for path in [
        "/uploads?filename=hidden-word",
        "/session",
        "/nothing?token=hidden-word",
    ] {
        let reply = api.bearing(&upload["token"]).get(path).await;
        ids.insert(reply.header("x-request-id").to_owned());
    }
    let cookie = Api::at(&server.base)
        .get("/session")
        .await
        .cookie()
        .expect("a cookie");

    let (_, log) = server.stop();

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let requests: Vec<&Value> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests.len(), 6, "{log}");
    for request in &requests {
        assert!(
            request["request_id"].is_string() && request["ms"].is_u64(),
            "{request}"
        );
        assert!(
            request["status"].is_u64() && request["method"].is_string(),
            "{request}"
        );
        assert_eq!(request["peer"], "127.0.0.1");
    }
    let logged = |id: &String| {
        requests
            .iter()
            .filter(|line| line["request_id"] == id.as_str())
            .count()
    };
    assert!(ids.iter().all(|id| logged(id) == 1));
    let cookie = cookie.split_once('=').expect("a pair").1.to_owned();
    for secret in [key, &token, &signature, &cookie, "hidden-word"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_stop_lets_a_running_request_finish_and_takes_no_new_ones() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let server = place.serve(&[("API_KEY", "a-very-secret-key-0123456789")]);
        let address = server.base.trim_start_matches("http://").to_owned();
        // One that has only just started might not have taken the connection by the time that it stops.
        let mut first = TcpStream::connect(&address).expect("a connection");
        let alive = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        first.write_all(alive.as_bytes()).expect("sent");
        first.read_to_string(&mut String::new()).expect("an answer");
        let body = file("film.mp4", 20).to_string();
        let mut running = TcpStream::connect(&address).expect("a connection");
        let head = format!(
            "POST /api/v1/uploads HTTP/1.1\r\nHost: {address}\r\nX-API-Key: a-very-secret-key-0123456789\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        running.write_all(head.as_bytes()).expect("sent");
        running.write_all(&body.as_bytes()[..5]).expect("sent");
        // Idle connections, as browsers keep them, do not hold it up.
        let idle = TcpStream::connect(&address).expect("a connection");
        tokio::time::sleep(Duration::from_millis(300)).await;

        server.signal(signal);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(TcpStream::connect(&address).is_err(), "no new connections");
        running.write_all(&body.as_bytes()[5..]).expect("sent");

        let mut answer = String::new();
        running.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        let (status, _, log) = server.ended(Duration::from_secs(15));
        assert!(status.success(), "{signal}: {status} {log}");
        drop(idle);
    }
}
