//! A client of the chunk server's protocol that shows answers as they came.
//!
//! Separate from the tests, so that they read as what somebody does and what comes back.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::server::{API_KEY, TestServer};

/// Somebody who talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    headers: HeaderMap,
    http: reqwest::Client,
}

impl Client {
    /// The holder of the key that the settings name.
    pub fn of(server: &TestServer) -> Self {
        Self::nobody(server).with("x-api-key", API_KEY)
    }

    /// Somebody without any credential.
    pub fn nobody(server: &TestServer) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // A connection to a server that was restarted since is of no use.
            .pool_max_idle_per_host(0)
            .build()
            .expect("an HTTP client");
        Self {
            base: server.base.clone(),
            headers: HeaderMap::new(),
            http,
        }
    }

    /// The same with another header.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        let name: HeaderName = name.parse().expect("a header's name");
        other
            .headers
            .insert(name, HeaderValue::from_str(value).expect("a header's value"));
        other
    }

    /// The same without one.
    pub fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.headers.remove(name);
        other
    }

    /// Somebody with nothing but a token.
    pub fn bearing(&self, token: &str) -> Self {
        self.without("x-api-key")
            .with("authorization", &format!("Bearer {token}"))
    }

    /// A request with any bytes as its body.
    pub async fn raw(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base));
        let answer = request.headers(self.headers.clone()).body(body).send().await;
        Reply::of(answer.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.raw("GET", path, Vec::new()).await
    }

    /// `init` with this text as its JSON.
    pub async fn init_text(&self, text: &str) -> Reply {
        self.with("content-type", "application/json")
            .raw("POST", "/upload/init", text.to_owned())
            .await
    }

    /// `init` with this JSON.
    pub async fn init_with(&self, wanted: &Value) -> Reply {
        self.init_text(&wanted.to_string()).await
    }

    /// An upload that must begin.
    pub async fn init(&self, name: &str, size: u64) -> Upload {
        let wanted = json!({ "filename": name, "total_size": size });
        let reply = self.init_with(&wanted).await;
        Upload::new(size, reply.expect(200))
    }

    /// Sends these bytes as a part, with its token.
    pub async fn put(&self, upload: &Upload, part: usize, bytes: impl Into<reqwest::Body>) -> Reply {
        self.bearing(&upload.tokens[part])
            .raw("PUT", &upload.part_path(part), bytes)
            .await
    }

    /// Sends a part as it must be.
    pub async fn send(&self, upload: &Upload, part: usize) -> Value {
        self.put(upload, part, upload.part(part)).await.expect(200)
    }

    /// Sends all parts, some at once.
    pub async fn send_all(&self, upload: &Upload) {
        join_all((0..upload.tokens.len()).map(|part| self.send(upload, part))).await;
    }

    pub async fn status(&self, upload: &Upload) -> Reply {
        self.get(&upload.path("/status")).await
    }

    pub async fn complete(&self, upload: &Upload) -> Reply {
        self.raw("POST", &upload.path("/complete"), Vec::new()).await
    }

    pub async fn cancel(&self, upload: &Upload) -> Reply {
        self.raw("DELETE", &upload.path(""), Vec::new()).await
    }

    /// The final path of an upload that is whole.
    pub async fn finish(&self, upload: &Upload) -> String {
        let done = self.complete(upload).await.expect(200);
        done["final_path"].as_str().expect("a path").to_owned()
    }

    /// The states of an upload's parts, a letter for each: `u` for uploaded, `p` for pending.
    pub async fn part_states(&self, upload: &Upload) -> String {
        let status = self.status(upload).await.expect(200);
        let parts = status["parts"].as_array().expect("a list");
        let letters = parts
            .iter()
            .map(|part| &part["status"].as_str().expect("a status")[..1]);
        letters.collect()
    }
}

/// An upload as `init` told of it.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: String,
    pub size: u64,
    pub chunk: u64,
    pub tokens: Vec<String>,
    pub view: Value,
}

impl Upload {
    pub fn new(size: u64, view: Value) -> Self {
        let parts = view["parts"].as_array().expect("a list");
        let token = |part: &Value| part["token"].as_str().expect("a token").to_owned();
        Self {
            id: view["file_id"].as_str().expect("an id").to_owned(),
            size,
            chunk: view["chunk_size"].as_u64().expect("a size"),
            tokens: parts.iter().map(token).collect(),
            view,
        }
    }

    pub fn path(&self, end: &str) -> String {
        format!("/upload/{}{end}", self.id)
    }

    pub fn part_path(&self, part: usize) -> String {
        self.path(&format!("/part/{part}"))
    }

    /// The bytes of a part, as the announced grid cuts them.
    pub fn part(&self, part: usize) -> Vec<u8> {
        self.part_of_grid(part, self.chunk)
    }

    /// The bytes of a part, as a grid of `each` bytes cuts them.
    pub fn part_of_grid(&self, part: usize, each: u64) -> Vec<u8> {
        let from = (part as u64 * each).min(self.size);
        let to = (from + each).min(self.size);
        let place = |at: u64| usize::try_from(at).expect("a small file");
        self.whole()[place(from)..place(to)].to_vec()
    }

    /// The whole file.
    pub fn whole(&self) -> Vec<u8> {
        content(self.size)
    }
}

/// The first `size` bytes of the one file that all tests send. It repeats after a prime number of bytes, so that no
/// part looks like another.
pub fn content(size: u64) -> Vec<u8> {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let block = BLOCK.get_or_init(|| {
        let rounds = (0_u32..2048).flat_map(|round| Sha256::digest(round.to_be_bytes()));
        rounds.take(65_521).collect()
    });
    let size = usize::try_from(size).expect("a small file");
    let mut bytes = Vec::with_capacity(size + block.len());
    while bytes.len() < size {
        bytes.extend_from_slice(block);
    }
    bytes.truncate(size);
    bytes
}

/// The SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A JWT with this header and these claims, signed with a secret under HS256 whatever the header says.
pub fn forged(header: &Value, claims: &Value, secret: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The claims of a token.
pub fn claims_of(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("three pieces");
    let bytes = URL_SAFE_NO_PAD.decode(middle).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.bytes().await.expect("a whole answer").to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text());
        assert_eq!(self.header("cache-control"), "no-store", "answers hold tokens");
        self.json()
    }

    /// The error of an answer that must be one, in the protocol's shape and with this code.
    #[track_caller]
    pub fn error(&self, status: u16, code: &str) -> Value {
        let error = self.expect(status);
        check_error(&error, status);
        assert_eq!(error["code"], code, "{error}");
        error
    }
}

/// The shape of an error: what the SDK reads, and nothing else.
#[track_caller]
pub fn check_error(error: &Value, status: u16) {
    assert_eq!(error["status"], status, "{error}");
    assert!(
        error["error"].as_str().is_some_and(|text| !text.is_empty()),
        "{error}"
    );
    assert!(
        error["code"].as_str().is_some_and(|text| !text.is_empty()),
        "{error}"
    );
    let members = error.as_object().expect("an object").keys();
    let known = ["error", "status", "code", "details", "request_id"];
    assert!(error["request_id"].is_string(), "{error}");
    let strange: Vec<_> = members.filter(|name| !known.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?} in {error}");
}
