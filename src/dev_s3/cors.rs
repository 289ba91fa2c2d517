//! CORS: which pages may read an answer, and the preflight that asks before.
//!
//! Separate, and outside of `s3s`, because the headers belong on every answer, above all on errors: a page that
//! cannot read a 403 takes it for a broken network. `s3s` stores a bucket's rules through us but applies none.
//! The rules are those of <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
/// How long a browser may remember a preflight where no rule says so, in seconds.
const DEFAULT_MAX_AGE_S: i32 = 600;
/// What a page may do where a bucket has no rules of its own.
const ALL_METHODS: &str = "GET, HEAD, PUT, POST, DELETE";

/// One rule of a bucket, as `PutBucketCors` stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRule {
    /// The rule's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// Methods in capitals.
    pub allowed_methods: Vec<String>,
    /// Request headers, each with at most one `*`.
    #[serde(default)]
    pub allowed_headers: Vec<String>,
    /// Headers of the answer that a page may read.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// How long a preflight may be remembered, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<i32>,
}

impl CorsRule {
    fn allows(&self, origin: &str, method: &str, headers: &[&str]) -> bool {
        self.allowed_origins
            .iter()
            .any(|allowed| matches(allowed, origin))
            && self.allowed_methods.iter().any(|allowed| allowed == method)
            && headers.iter().all(|header| {
                let header = header.to_ascii_lowercase();
                self.allowed_headers
                    .iter()
                    .any(|allowed| matches(&allowed.to_ascii_lowercase(), &header))
            })
    }

    /// Credentials go with a named origin only, as the browser would refuse them with `*`.
    fn admit(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        if self.allowed_origins.iter().any(|allowed| allowed == "*") {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        put(
            answer,
            ACCESS_CONTROL_ALLOW_METHODS,
            &self.allowed_methods.join(", "),
        );
        put(
            answer,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            &self.expose_headers.join(", "),
        );
    }
}

/// Whether `text` is what `pattern` says; its first `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            text.len() >= head.len() + tail.len() && text.starts_with(head) && text.ends_with(tail)
        }
    }
}

/// Adds what lets the asking page read the answer; nothing for other clients and for origins without a rule.
/// `rules` are the bucket's own, or `None` where every origin is welcome.
pub fn decorate(rules: Option<&[CorsRule]>, request: &HeaderMap, method: &str, answer: &mut HeaderMap) {
    let Some(origin) = request.get(ORIGIN) else { return };
    answer.append(VARY, HeaderValue::from_static("Origin"));
    match rules {
        None => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = readable_headers(answer);
            put(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
        }
        Some(rules) => {
            let text = origin.to_str().unwrap_or_default();
            if let Some(rule) = rules.iter().find(|rule| rule.allows(text, method, &[])) {
                rule.admit(origin, answer);
            }
        }
    }
}

/// `ETag` always, so that a page sees the same list for each part, and whatever of S3's own the answer has.
fn readable_headers(answer: &HeaderMap) -> String {
    let mut names = vec![
        "etag",
        "location",
        "content-range",
        "accept-ranges",
        "last-modified",
    ];
    names.extend(
        answer
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| name.starts_with("x-amz-")),
    );
    names.join(", ")
}

/// Answers an `OPTIONS` request.
///
/// # Errors
/// The status and the reason: 400 for a request that is no preflight, 403 for one that no rule allows.
pub fn preflight(
    rules: Option<&[CorsRule]>,
    request: &HeaderMap,
) -> Result<HeaderMap, (StatusCode, &'static str)> {
    let no_preflight = (
        StatusCode::BAD_REQUEST,
        "A preflight needs Origin and Access-Control-Request-Method.",
    );
    let origin = request.get(ORIGIN).ok_or(no_preflight)?;
    let method = request
        .get(ACCESS_CONTROL_REQUEST_METHOD)
        .and_then(|value| value.to_str().ok());
    let method = method.ok_or(no_preflight)?;
    let asked = request
        .get(ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|value| value.to_str().ok());
    let headers = asked.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    let headers: Vec<&str> = headers.filter(|name| !name.is_empty()).collect();

    let mut answer = HeaderMap::new();
    let max_age_s = match rules {
        None => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            put(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, ALL_METHODS);
            DEFAULT_MAX_AGE_S
        }
        Some(rules) => {
            let text = origin.to_str().unwrap_or_default();
            let rule = rules
                .iter()
                .find(|rule| rule.allows(text, method, &headers))
                .ok_or((
                    StatusCode::FORBIDDEN,
                    "This CORS request is not allowed: no rule matches its origin, method and headers.",
                ))?;
            rule.admit(origin, &mut answer);
            rule.max_age_s.unwrap_or(DEFAULT_MAX_AGE_S)
        }
    };
    put(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, &headers.join(", "));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age_s));
    answer.insert(
        VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    );
    if request.contains_key(REQUEST_PRIVATE_NETWORK) {
        answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Sets a header, unless there is nothing to say or it cannot be said in a header.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str) -> CorsRule {
        CorsRule {
            id: None,
            allowed_origins: vec![origin.to_owned()],
            allowed_methods: vec!["PUT".to_owned()],
            allowed_headers: vec!["x-amz-*".to_owned(), "Content-Type".to_owned()],
            expose_headers: vec!["ETag".to_owned()],
            max_age_s: Some(7),
        }
    }

    fn asking(origin: &'static str, method: &'static str, headers: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (ORIGIN, HeaderValue::from_static(origin)),
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static(method)),
            (ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(headers)),
        ])
    }

    #[test]
    fn without_rules_every_origin_is_mirrored_and_every_header_allowed() {
        let answer =
            preflight(None, &asking("http://page.test", "PUT", "x-odd, content-md5")).expect("allowed");

        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "http://page.test");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "x-odd, content-md5");
        assert!(!answer.contains_key(ALLOW_PRIVATE_NETWORK));
    }

    #[test]
    fn a_preflight_from_a_public_page_to_this_private_server_is_told_that_it_may() {
        let mut request = asking("http://page.test", "PUT", "");
        request.insert(REQUEST_PRIVATE_NETWORK, HeaderValue::from_static("true"));

        let answer = preflight(None, &request).expect("allowed");

        assert_eq!(answer[ALLOW_PRIVATE_NETWORK], "true");
    }

    #[test]
    fn a_rule_must_match_in_origin_method_and_each_header() {
        let rules = [rule("https://*.page.test")];
        let ask = |origin, method, headers| preflight(Some(&rules), &asking(origin, method, headers));

        let allowed = ask(
            "https://a.page.test",
            "PUT",
            "content-type, X-Amz-Checksum-Crc32c",
        )
        .expect("allowed");
        assert_eq!(allowed[ACCESS_CONTROL_MAX_AGE], "7");
        assert_eq!(allowed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.page.test");
        assert_eq!(allowed[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        for refused in [
            ask("https://page.test", "PUT", ""),
            ask("https://a.page.test", "DELETE", ""),
            ask("https://a.page.test", "PUT", "content-md5"),
        ] {
            assert_eq!(refused.expect_err("no rule").0, StatusCode::FORBIDDEN);
        }
    }

    #[test]
    fn an_answer_to_an_origin_without_a_rule_gets_no_headers() {
        let mut answer = HeaderMap::new();

        decorate(
            Some(&[rule("http://page.test")]),
            &asking("http://other.test", "PUT", ""),
            "PUT",
            &mut answer,
        );

        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(answer[VARY], "Origin");
    }

    #[test]
    fn an_open_bucket_exposes_the_etag_and_what_s3_added() {
        let mut answer = HeaderMap::new();
        answer.insert("x-amz-request-id", HeaderValue::from_static("1"));

        decorate(None, &asking("http://page.test", "PUT", ""), "PUT", &mut answer);

        let exposed = answer[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text");
        assert!(
            exposed.contains("etag") && exposed.contains("x-amz-request-id"),
            "{exposed}"
        );
    }
}
