//! A client of the native API that shows answers as they came.
//!
//! Separate from the tests, so that they read as what somebody does and what comes back.

use futures_util::{StreamExt as _, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::server::{API_KEY, TestServer};

/// Somebody who talks to one server.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    prefix: &'static str,
    headers: HeaderMap,
    http: reqwest::Client,
}

impl Api {
    /// The holder of the key that the settings name: owner `default`, both scopes.
    pub fn of(server: &TestServer) -> Self {
        Self::nobody(server).with("x-api-key", API_KEY)
    }

    /// Somebody without any credential.
    pub fn nobody(server: &TestServer) -> Self {
        Self::at(&server.base)
    }

    /// Somebody without any credential, at a server's address.
    pub fn at(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // A connection to a server that was restarted since is of no use.
            .pool_max_idle_per_host(0)
            .build()
            .expect("an HTTP client");
        Self {
            base: base.to_owned(),
            prefix: "/api/v1",
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

    /// Somebody with nothing but an upload's token.
    pub fn bearing(&self, token: &Value) -> Self {
        let mut other = self.clone();
        other.headers.remove("x-api-key");
        other.headers.remove("cookie");
        let token = token.as_str().expect("a token");
        other.with("authorization", &format!("Bearer {token}"))
    }

    /// The same person, at another server.
    pub fn moved_to(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The same person, at addresses outside of the API.
    pub fn outside(&self) -> Self {
        Self {
            prefix: "",
            ..self.clone()
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None).await
    }

    /// A request with a JSON body or none.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        match body {
            Some(body) => {
                let text = body.to_string().into_bytes();
                self.with("content-type", "application/json")
                    .raw(method, path, text)
                    .await
            }
            None => self.raw(method, path, Vec::new()).await,
        }
    }

    /// A request with any bytes as its body.
    pub async fn raw(&self, method: &str, path: &str, body: Vec<u8>) -> Reply {
        let method = method.parse().expect("a method");
        let request = self
            .http
            .request(method, format!("{}{}{path}", self.base, self.prefix));
        Reply::of(
            request
                .headers(self.headers.clone())
                .body(body)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    }

    /// A request that may bring no answer at all.
    pub async fn try_raw(&self, method: &str, path: &str, body: Vec<u8>) -> Option<Reply> {
        let method = method.parse().expect("a method");
        let request = self
            .http
            .request(method, format!("{}{}{path}", self.base, self.prefix));
        let sent = request.headers(self.headers.clone()).body(body).send().await;
        Some(Reply::of(sent.ok()?).await)
    }

    /// Begins an upload that must be new.
    pub async fn create(&self, name: &str, size: u64) -> Value {
        self.post("/uploads", &file(name, size)).await.expect(201)
    }

    /// Signs parts in the full format.
    pub async fn sign(&self, upload: &Value, parts: Value) -> Vec<Value> {
        let path = format!("/uploads/{}/signatures", id(upload));
        let answer = self.post(&path, &json!({ "parts": parts })).await.expect(200);
        answer["signatures"].as_array().expect("a list").clone()
    }

    /// Sends parts straight to the store through signed URLs, and tells our server nothing about it.
    pub async fn send_parts(&self, upload: &Value, parts: Value) {
        let signed = self.sign(upload, parts).await;
        let sent = stream::iter(signed.into_iter().map(|door| async move {
            let number = door["number"].as_u64().expect("a number");
            let status = self.put_part(&door, part_of(upload, number)).await;
            assert_eq!(status, 200, "part {number}");
        }));
        sent.buffer_unordered(8).collect::<Vec<()>>().await;
    }

    /// PUTs bytes through one signed door; the status.
    pub async fn put_part(&self, door: &Value, bytes: Vec<u8>) -> u16 {
        let request = self.http.put(door["url"].as_str().expect("a URL")).body(bytes);
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Begins an upload, sends all of it and completes it.
    pub async fn upload(&self, name: &str, size: u64) -> Value {
        let upload = self.create(name, size).await;
        self.send_parts(&upload, all_parts(&upload)).await;
        self.complete(&upload).await.expect(200)
    }

    pub async fn complete(&self, upload: &Value) -> Reply {
        self.post(&format!("/uploads/{}/complete", id(upload)), &json!({}))
            .await
    }

    /// The upload as it is now.
    pub async fn show(&self, upload: &Value) -> Value {
        self.get(&format!("/uploads/{}", id(upload))).await.expect(200)
    }
}

/// What a client says of a file.
pub fn file(name: &str, size: u64) -> Value {
    json!({ "filename": name, "size": size })
}

pub fn id(upload: &Value) -> &str {
    upload["id"].as_str().expect("an id")
}

/// All of an upload's parts, as text.
pub fn all_parts(upload: &Value) -> Value {
    json!(format!("1-{}", upload["part_count"]))
}

/// The bytes of one part, of the length that the upload's plan says.
pub fn part_of(upload: &Value, number: u64) -> Vec<u8> {
    let (size, part_size) = (number_in(upload, "size"), number_in(upload, "part_size"));
    let len = part_size.min(size - (number - 1) * part_size);
    vec![u8::try_from(number % 251).expect("below 251"); usize::try_from(len).expect("a short part")]
}

pub fn number_in(object: &Value, name: &str) -> u64 {
    object[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {object}"))
}

/// The numbers of the parts that an answer lists.
pub fn listed(upload: &Value) -> Vec<u64> {
    let parts = upload["parts"].as_array().expect("a list");
    parts.iter().map(|part| number_in(part, "number")).collect()
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
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The JSON of an answer that must have this status; `null` for an empty one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The problem document of an answer that must be one, whole and of this type.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let document = self.expect(status);
        assert_eq!(document["type"], format!("/problems/{slug}"), "{document}");
        assert_eq!(document["status"], status);
        assert!(
            document["title"].is_string() && document["detail"].is_string(),
            "{document}"
        );
        assert_eq!(document["request_id"], self.header("x-request-id"));
        assert_eq!(self.header("cache-control"), "no-store");
        document
    }

    /// The text of an answer that must be a page.
    #[track_caller]
    pub fn expect_page(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        self.text()
    }

    /// The fields that a document of the type `invalid-request` names.
    #[track_caller]
    pub fn bad_fields(&self) -> Vec<String> {
        let document = self.problem(400, "invalid-request");
        let errors = document["errors"].as_array().expect("a list of fields");
        let names = errors.iter().map(|error| {
            assert!(
                error["detail"].as_str().is_some_and(|text| !text.is_empty()),
                "{document}"
            );
            error["field"].as_str().expect("a field").to_owned()
        });
        names.collect()
    }

    /// The visitor's cookie that the answer sets, as `name=value`.
    pub fn cookie(&self) -> Option<String> {
        let value = self.headers.get("set-cookie")?.to_str().ok()?;
        value.split(';').next().map(str::to_owned)
    }
}
