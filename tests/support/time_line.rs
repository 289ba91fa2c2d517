//! An upload's page as an admin sees it: logs in as a browser does, and reads what it says.
//!
//! Separate from the admin pages' own tests, since what a protocol's client was refused is told by that protocol's.

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;

use super::server::API_KEY;

/// The page of the upload with this id, at the server with this address.
pub async fn page_of_upload(base: &str, id: &str) -> String {
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("an HTTP client");
    let form = http
        .get(format!("{base}/admin/login"))
        .send()
        .await
        .expect("a form");
    let before = cookies_of(form.headers());
    let html = form.text().await.expect("a whole form");
    let (_, rest) = html.split_once("name=\"token\" value=\"").expect("a token");
    let (token, _) = rest.split_once('"').expect("a whole token");
    let filled = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", token), ("next", "/admin"), ("key", API_KEY)])
        .finish();
    let let_in = http
        .post(format!("{base}/admin/login"))
        .header(COOKIE, before)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(filled)
        .send()
        .await
        .expect("an answer");
    assert_eq!(let_in.status(), 303, "an admin is let in");
    let page = http
        .get(format!("{base}/admin/uploads/{id}"))
        .header(COOKIE, cookies_of(let_in.headers()))
        .send()
        .await
        .expect("a page");
    assert_eq!(page.status(), 200, "the upload has a page");
    page.text().await.expect("a whole page")
}

/// Asserts that the page tells of a request at this door that was answered with this kind of problem.
#[track_caller]
pub fn assert_tells(page: &str, problem: &str, door: &str) {
    let told = format!("A request was answered with \u{201c}{problem}\u{201d}");
    assert!(page.contains(&told), "{told} is not in {page}");
    assert!(page.contains(door), "{door} is not in {page}");
}

/// Asserts that the page tells of no request that was refused.
#[track_caller]
pub fn assert_tells_nothing(page: &str) {
    assert!(!page.contains("A request was answered with"), "{page}");
}

fn cookies_of(headers: &HeaderMap) -> String {
    let pairs = headers.get_all(SET_COOKIE).iter().map(|value| {
        let text = value.to_str().expect("a cookie is text");
        text.split(';').next().unwrap_or_default()
    });
    // One without a value is taken away.
    let is_kept = |pair: &&str| pair.split_once('=').is_some_and(|(_, value)| !value.is_empty());
    pairs.filter(is_kept).collect::<Vec<_>>().join("; ")
}
