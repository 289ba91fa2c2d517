//! What pages of Evaporate and Fine Uploader have in common: requests to the store that they write themselves, have signed
//! by the server, and send.
//!
//! It builds texts as those clients do, and nothing of it is taken from the program under test.

use chrono::{DateTime, Utc};
use muleteer::config::{Config, Secret};
use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::around;
pub use crate::around::{key_for, store_of};
use crate::server::TestServer;

/// What the page knows of the store's key, and what it does not.
pub const KEY_ID: &str = "the-pages-key";
const STORE_SECRET: &str = "the-store-of-the-tests";

/// Least bytes of a part in these tests.
pub const PART: usize = 16;

/// Runs one test on SQLite and on Postgres.
pub async fn on_both(test: impl AsyncFn(TestServer)) {
    on_both_with(|_| {}, test).await;
}

/// Runs one test on SQLite and on Postgres, with other settings.
pub async fn on_both_with(adjust: impl Fn(&mut Config), test: impl AsyncFn(TestServer)) {
    let start = |kind| {
        TestServer::start(kind, |config| {
            KEY_ID.clone_into(&mut config.dev_s3.access_key_id);
            config.dev_s3.secret_access_key = Secret::new(STORE_SECRET);
            config.dev_s3.min_part_size = PART as u64;
            config.uploads.part_size = PART as u64;
            adjust(config);
        })
    };
    around::on_both(start, test).await;
}

/// The SHA-256 of nothing.
pub const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Asserts that nothing was signed: no signature of either version is in it.
    pub fn assert_signs_nothing(&self, what: &str) {
        let signs = |word: &str| {
            let is_v4 = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_v4 || (word.len() == 28 && word.ends_with('='))
        };
        let words = self
            .text
            .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)));
        assert!(!words.into_iter().any(signs), "{what}: {self:?}");
        assert!((400..500).contains(&self.status), "{what}: {self:?}");
    }
}

/// One request to the store, as a page writes it in SigV4.
#[derive(Debug, Clone)]
pub struct Written {
    pub method: &'static str,
    /// As it is signed; what is sent has the bucket in it.
    pub path: String,
    /// Sorted, encoded, each with an equals sign.
    pub query: String,
    /// Sorted, in lower case, host and date among them.
    pub headers: Vec<(String, String)>,
    pub payload: String,
    pub date: String,
    pub region: String,
}

impl Written {
    /// A request with the headers that every one has.
    pub fn new(
        method: &'static str,
        host: &str,
        path: &str,
        query: &str,
        payload: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let date = v4_date(now);
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![
                ("host".into(), host.to_owned()),
                ("x-amz-date".into(), date.clone()),
            ],
            payload: payload.to_owned(),
            date,
            region: "us-east-1".into(),
        }
    }

    /// With another header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self.headers.sort();
        self
    }

    pub fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.join(";")
    }

    pub fn canonical(&self) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let headers = headers.concat();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            self.path,
            self.query,
            self.signed_headers(),
            self.payload
        )
    }

    pub fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", &self.date[..8], self.region)
    }

    /// The string to sign with `last` as its last line or lines.
    pub fn to_sign(&self, last: &str) -> String {
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{last}", self.date, self.scope())
    }

    /// Sends it to `url` with a signature, as a browser does: the host is the real one, and the hash of the body is told.
    pub async fn send(&self, url: &str, key_id: &str, signature: &str, body: Vec<u8>) -> Reply {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={key_id}/{}, SignedHeaders={}, Signature={signature}",
            self.scope(),
            self.signed_headers()
        );
        let mut request = http()
            .request(
                self.method.parse().expect("a method"),
                format!("{url}?{}", self.query),
            )
            .header("authorization", authorization)
            .header("x-amz-content-sha256", &self.payload);
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, _)| !["host", "x-amz-content-sha256"].contains(&name.as_str()))
        {
            request = request.header(name, value);
        }
        reply(request.body(body)).await
    }
}

/// The SHA-256 of something in hex digits.
pub fn hash_of(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The body with which parts are joined, first part first.
pub fn joining(tags: &[String]) -> String {
    let parts: Vec<String> = (1..)
        .zip(tags)
        .map(|(number, tag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"))
        .collect();
    format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        parts.concat()
    )
}

pub fn v4_date(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

pub fn v2_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("a whole answer"),
    }
}

/// The text of an element of the store's answer.
pub fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split('<').next().unwrap_or_default()
}
