//! Traces reach a collector, within their callers' traces, without anything secret; and a collector that is away stops
//! nobody.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use super::PART;
use super::api::Api;
use super::collector::{Collector, Span};
use super::process::Place;

const KEY: &str = "a-very-secret-key-0123456789";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    span.attributes.get(name).map(String::as_str).unwrap_or_default()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, and all that a collector hears of it"
)]
async fn a_request_is_a_span_of_its_callers_trace_with_what_it_asked_of_the_store() {
    let (place, collector) = (Place::new(), Collector::start());
    let server = place.serve(&[
        ("API_KEY", KEY),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=one%20two"),
        ("OTEL_SERVICE_NAME", "uploads-eu"),
        ("MULETEER_LOG__FORMAT", "json"),
    ]);
    let api = Api::at(&server.base).with("x-api-key", KEY);
    let traced = api
        .with("traceparent", &format!("00-{TRACE}-{CALLER}-01"))
        .with("x-request-id", "asked-by-the-test");

    let upload = traced.create("hidden-name.mp4", PART).await;
    let signed = api.sign(&upload, json!("1")).await;
    traced
        .get("/uploads/nothing?token=hidden-word")
        .await
        .problem(404, "not-found");
    let pass = format!("/t/{}/s3/multipart", "hidden-pass".repeat(4));
    api.outside().post(&pass, &json!({})).await;
    // A parent that cannot be read, and one that asks not to be traced.
    api.with("traceparent", "00-nonsense").get("/session").await;
    api.send_parts(&upload, json!("1")).await;
    api.with("x-request-id", "the-last-one")
        .complete(&upload)
        .await
        .expect(200);
    let silent = format!("00-{}-{CALLER}-00", "1".repeat(32));
    api.with("traceparent", &silent).get("/session").await;
    let (_, log) = server.stop();

    let (spans, resource) = collector.spans();
    assert_eq!(resource["service.name"], "uploads-eu");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    let posts = named(&spans, "POST native");
    let create = posts
        .iter()
        .find(|span| span.trace == TRACE)
        .expect("the span of the first request");
    assert_eq!(create.parent, CALLER);
    for (name, value) in [
        ("muleteer.door", "native"),
        ("muleteer.request_id", "asked-by-the-test"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("url.path", "/api/v1/uploads"),
    ] {
        assert_eq!(attribute(create, name), value, "{create:?}");
    }
    let begun = named(&spans, "CreateMultipartUpload");
    assert_eq!(begun.len(), 1, "{spans:?}");
    assert_eq!((begun[0].trace.as_str(), &begun[0].parent), (TRACE, &create.id));
    assert!(
        spans
            .iter()
            .any(|span| span.name == "database" && span.parent == create.id)
    );
    let missed = named(&spans, "GET native");
    let missed: Vec<_> = missed.iter().filter(|span| span.trace == TRACE).collect();
    assert_eq!(missed.len(), 1, "{spans:?}");
    assert_eq!(attribute(missed[0], "http.response.status_code"), "404");
    assert_eq!(missed[0].status, 0, "what a client did wrong is no error of ours");
    assert!(
        posts
            .iter()
            .any(|span| span.trace != TRACE && span.parent.is_empty()),
        "{spans:?}"
    );
    assert!(
        named(&spans, "GET native")
            .iter()
            .any(|span| span.parent.is_empty())
    );
    assert!(spans.iter().all(|span| span.trace != "1".repeat(32)), "{spans:?}");
    assert!(
        spans.iter().any(|span| attribute(span, "muleteer.door") == "uppy"
            && attribute(span, "url.path") == "/t/\u{2026}/s3/multipart"),
        "{spans:?}"
    );

    let told: Vec<String> = collector
        .exports()
        .iter()
        .map(|export| String::from_utf8_lossy(&export.body).into_owned())
        .collect();
    let signature = signed[0]["url"]
        .as_str()
        .and_then(|url| url.rsplit('=').next())
        .expect("a signature");
    let token = upload["token"].as_str().expect("a token");
    for secret in [KEY, signature, token, "hidden"] {
        assert!(told.iter().all(|body| !body.contains(secret)), "{secret}");
    }
    for export in collector.exports() {
        assert_eq!(export.line, "POST /v1/traces HTTP/1.1");
        assert_eq!(export.headers["content-type"], "application/x-protobuf");
        assert_eq!(export.headers["x-scope"], "one two");
    }
    // Spans of traces are not for the log, whose own span is known in the tasks that a request leaves running.
    assert!(!log.contains("CreateMultipartUpload"), "{log}");
    let whole = log.lines().find(|line| line.contains("\"message\":\"complete\""));
    assert!(whole.is_some_and(|line| line.contains("the-last-one")), "{log}");
    let first = log
        .lines()
        .find(|line| line.contains("asked-by-the-test") && line.contains("\"request\""));
    assert!(first.is_some_and(|line| line.contains(TRACE)), "{log}");
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_stops_nobody() {
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hangs = format!("http://{}", hanging.local_addr().expect("its address"));
    for endpoint in ["http://127.0.0.1:1", hangs.as_str()] {
        let place = Place::new();
        let server = place.serve(&[("API_KEY", KEY), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        let api = Api::at(&server.base).with("x-api-key", KEY);
        for number in 0..20 {
            api.create(&format!("film-{number}.mp4"), PART).await;
        }
        server.signal("TERM");
        let (status, _, log) = server.ended(Duration::from_secs(30));
        assert!(status.success(), "{status}: {log}");
        assert!(log.contains("traces"), "the operator is told: {log}");
    }
}

#[test]
fn a_collector_that_cannot_be_one_stops_the_start() {
    let place = Place::new();
    for (endpoint, key) in [
        ("localhost:4318", "telemetry.endpoint"),
        ("http://user:hidden@localhost:4318", "telemetry.endpoint"),
    ] {
        let ended = place.run_with(
            &["serve", "--port", "0"],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)],
        );
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(key) && !said.contains("hidden"), "{said}");
    }
}
