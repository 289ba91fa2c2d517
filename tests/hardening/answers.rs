//! No answer holds a secret, whatever was asked: every operation of the described API, every door, good and bad.

use muleteer::config::Secret;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::server::secrets::{assert_none_was_logged, forms, watch};
use super::server::{API_KEY, Kind, TestServer};

/// Doors that the description does not know, each with what is asked of it.
const DOORS: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/doctor"),
    ("GET", "/admin"),
    ("POST", "/admin/login"),
    ("GET", "/admin/uploads"),
    ("GET", "/health"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/api/openapi.json"),
    (
        "GET",
        "/upload-backend/get_init_signature/?key=a&filename=a&mime_type=b",
    ),
    ("GET", "/upload-backend/signing_key/"),
    ("POST", "/upload/init"),
    ("OPTIONS", "/files"),
    ("POST", "/files"),
    ("PATCH", "/files/none"),
    ("POST", "/chunk"),
    ("GET", "/galileo"),
    ("POST", "/galileo/ticket"),
    ("GET", "/evaporate/settings"),
    ("GET", "/evaporate/sign?to_sign=x&canonical_request=y&datetime=z"),
    ("GET", "/fineuploader/settings"),
    ("POST", "/fineuploader/signature"),
    ("POST", "/s3/multipart"),
    ("GET", "/s3/params?filename=a&type=b"),
    ("POST", "/s3/presign"),
    ("GET", "/s3/sts"),
    ("GET", "/nowhere"),
];

/// Which secret of these is in `bytes`.
fn find(bytes: &[u8], forms: &[(&'static str, Vec<u8>)]) -> Option<&'static str> {
    let mut forms = forms.iter();
    let found = forms.find(|(_, form)| memchr::memmem::find(bytes, form).is_some());
    found.map(|(name, _)| *name)
}

/// The bytes of an answer: status, fields, body.
async fn bytes_of(answer: Response) -> (u16, Vec<u8>) {
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    for (name, value) in answer.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    bytes.extend(answer.bytes().await.expect("a body"));
    (status, bytes)
}

/// The same request as a stranger, as the holder of a key, and as the holder of half of one.
fn callers(request: &RequestBuilder) -> Vec<RequestBuilder> {
    let copy = || request.try_clone().expect("its body is in memory");
    vec![
        copy(),
        copy().header("x-api-key", API_KEY),
        copy().header("x-api-key", &API_KEY[..10]),
        copy().bearer_auth(API_KEY),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of what is asked")]
#[tokio::test]
async fn nothing_that_is_asked_brings_a_secret_into_an_answer_or_a_log() {
    let server = TestServer::start(Kind::Sqlite, |config| {
        config.auth.secret = Secret::new("an-auth-secret-of-the-tests-0123456789");
        config.dev_s3.secret_access_key = Secret::new("a-store-secret-of-the-tests-0123456789");
        config.metrics.token = Secret::new("a-metrics-token-of-the-tests");
        config.hooks.secret = Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        config.telemetry.headers = Secret::new("authorization=a-header-of-the-tests");
        config.dev_s3.min_part_size = 8;
    });
    let server = server.expect("SQLite is never skipped");
    let secrets = forms(&server.config);
    assert_eq!(secrets.len(), 6 * 4, "six secrets, each in four forms");
    // A connection whose body was not read may end with its answer.
    let http = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client");

    // What goes well brings the most.
    let begin = http
        .post(format!("{}/api/v1/uploads", server.base))
        .header("x-api-key", API_KEY)
        .header("content-type", "application/json")
        .body(json!({"filename": "a.txt", "size": 5}).to_string());
    let begun = begin
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    let upload: Value = serde_json::from_slice(&begun).expect("JSON");
    let id = upload["id"].as_str().expect("an id").to_owned();

    let address = format!("{}/api/openapi.json", server.base);
    let text = http.get(address).send().await.expect("an answer").bytes().await;
    let document: Value = serde_json::from_slice(&text.expect("a body")).expect("JSON");
    let mut asked: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let Ok(method) = method.to_uppercase().parse::<reqwest::Method>() else {
                continue;
            };
            for place in [id.as_str(), "00000000000000000000000000000000"] {
                let path = path.replace("{id}", place).replace("{number}", "1");
                asked.push((method.to_string(), format!("/api/v1{path}")));
            }
        }
    }
    assert!(asked.len() > 20, "{asked:?}");
    asked.extend(
        DOORS
            .iter()
            .map(|(method, path)| ((*method).into(), (*path).into())),
    );

    let (mut good, mut bad) = (0, 0);
    for (method, path) in asked {
        for body in ["", "{}", "{\"parts\":[1],\"numbers\":[1]}", "\0nonsense"] {
            let request = http
                .request(
                    method.parse().expect("a method"),
                    format!("{}{path}", server.base),
                )
                .header("content-type", "application/json")
                .body(body);
            for request in callers(&request) {
                let (status, bytes) = bytes_of(request.send().await.expect("an answer")).await;
                if let Some(name) = find(&bytes, &secrets) {
                    panic!(
                        "{name} in the answer to {method} {path}: {}",
                        String::from_utf8_lossy(&bytes)
                    );
                }
                if status < 400 {
                    good += 1;
                } else {
                    bad += 1;
                }
            }
        }
    }
    assert!(good > 50 && bad > 50, "{good} went well, {bad} did not");
    drop(server);
    assert_none_was_logged();
}

#[test]
fn a_secret_in_a_log_line_is_found_in_every_form() {
    let mut config = muleteer::config::Config::default();
    config.auth.secret = Secret::new("only-for-this-test-0123456789abcdef");
    let secrets = forms(&config);
    for form in [
        "only-for-this-test-0123456789abcdef",
        &hex::encode("only-for-this-test-0123456789abcdef"),
    ] {
        let line = format!("INFO something happened secret={form} elsewhere");
        assert_eq!(find(line.as_bytes(), &secrets), Some("auth.secret"));
    }
    assert_eq!(find(b"INFO nothing", &secrets), None);
    watch(&config);
}
