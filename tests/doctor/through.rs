//! The way to us through a real nginx, as it is by default and as it should be.

use serde_json::Value;

use super::commands::{findings, json};
use super::nginx::{Nginx, free_address};
use super::process::Place;

const KEY: &str = "a-key-for-the-doctor-0123456789";

/// What nginx needs to let uploads through.
const RIGHT: &str = "client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1; proxy_set_header Host \
                     $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

fn found(place: &Place, server: &str, key: &str) -> (Option<i32>, Vec<String>) {
    let (status, findings) = told(place, server, key);
    (status, findings.into_iter().map(|(name, _)| name).collect())
}

/// How the doctor ends, with the names and fixes of what it finds.
fn told(place: &Place, server: &str, key: &str) -> (Option<i32>, Vec<(String, String)>) {
    let output = place.run_with(
        &["doctor", "--json", "--server", server],
        &[("MULETEER_API_KEY", key)],
    );
    (output.status.code(), findings(&json(&output)))
}

#[test]
fn an_nginx_as_it_is_by_default_is_told_each_of_its_faults_and_one_that_is_right_none() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let default = Nginx::start(place.path(), &server.base, "");
    let right = Nginx::start(place.path(), &server.base, RIGHT);

    assert_eq!(
        found(&place, &server.base, KEY),
        (Some(0), Vec::new()),
        "without a proxy"
    );
    assert_eq!(
        found(&place, &right.base, KEY),
        (Some(0), Vec::new()),
        "as it should be"
    );
    let (status, names) = found(&place, &default.base, KEY);
    assert_eq!(status, Some(1));
    assert_eq!(
        names,
        ["proxy-buffers-requests", "proxy-body-limit", "proxy-no-websocket"]
    );
}

#[test]
fn a_wrong_key_and_an_address_that_is_not_ours_are_named() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let astray = Nginx::start(place.path(), &format!("{}/elsewhere/", server.base), RIGHT);

    let of = |base: &str, key| found(&place, base, key).1;

    assert_eq!(
        of(&server.base, "a-key-of-nobody-0123456789"),
        ["server-key-refused"]
    );
    assert_eq!(of(&astray.base, KEY), ["server-not-muleteer"]);
    assert_eq!(of("http://127.0.0.1:9", KEY), ["server-unreachable"]);
}

/// What is open at a server.
async fn open_uploads(server: &str) -> Vec<Value> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let list = http.get(format!("{server}/api/v1/uploads?state=open"));
    let answer = list.header("x-api-key", KEY).send().await.expect("an answer");
    let text = answer.text().await.expect("its text");
    let page: Value = serde_json::from_str(&text).expect("JSON");
    page["uploads"].as_array().expect("a list").clone()
}

// The server is another process, so this thread may wait for the program.
#[tokio::test]
async fn a_path_that_new_uploads_are_not_told_and_options_that_the_proxy_answers_are_named() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let below = Nginx::at("/up/", place.path(), &format!("{}/", server.base), RIGHT);
    let deaf = format!("{RIGHT} if ($request_method = OPTIONS) {{ return 204; }}");
    let deaf = Nginx::start(place.path(), &server.base, &deaf);
    let nameless = format!("{RIGHT} proxy_hide_header Location;");
    let nameless = Nginx::start(place.path(), &server.base, &nameless);

    let of = |base: &str| found(&place, base, KEY).1;

    assert_eq!(of(&format!("{}/up", below.base)), ["proxy-location"]);
    assert_eq!(of(&nameless.base), ["proxy-drops-headers"]);
    let left = open_uploads(&server.base).await;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(of(&deaf.base), ["proxy-drops-headers"]);
}

#[test]
fn a_server_below_a_path_that_is_told_so_as_the_finding_says_has_none() {
    let place = Place::new();
    let address = free_address();
    let outside = format!("http://{address}/up");
    let unaware = place.serve(&[("API_KEY", KEY)]);
    let before = Nginx::on(
        address,
        "/up/",
        place.path(),
        &format!("{}/", unaware.base),
        RIGHT,
    );

    let (_, findings) = told(&place, &outside, KEY);

    let [(name, fix)] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!(name, "proxy-location");
    assert!(
        fix.contains(&format!("server.public_url = \"{outside}\"")),
        "{fix}"
    );
    drop((before, unaware));
    let aware = place.serve(&[
        ("API_KEY", KEY),
        ("MULETEER_SERVER__PUBLIC_URL", outside.as_str()),
    ]);
    let _before = Nginx::on(address, "/up/", place.path(), &format!("{}/", aware.base), RIGHT);
    assert_eq!(found(&place, &outside, KEY), (Some(0), Vec::new()));
}
