//! The plugin's part: what its generations send to the server and to the store.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::server::TestServer;

/// What stands between the fields of a form.
const BOUNDARY: &str = "the-boundary-of-the-tests";

/// An answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of a success.
    pub fn good(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        self.json()
    }

    /// The message of a refusal with this status and code, in the form that versions 2 to 5 read.
    pub fn refusal(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["error"], code, "{self:?}");
        assert!(!self.text.contains("X-Amz-Signature"), "{self:?}");
        body["message"].as_str().expect("a message").to_owned()
    }
}

/// An upload as the plugin remembers it.
#[derive(Debug, Clone)]
pub struct Remembered {
    pub key: String,
    pub id: String,
}

/// One page.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(_server: &TestServer, base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("an HTTP client"),
            base: base.to_owned(),
            key: None,
            headers: Vec::new(),
        }
    }

    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn at(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            let is_typed = self.headers.iter().any(|(name, _)| name == "content-type");
            if !is_typed {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.expect("a whole answer"),
        }
    }

    /// `POST /s3/multipart`
    pub async fn create(&self, file: Value) -> Remembered {
        let created = self.ask("POST", "/s3/multipart", Some(&file)).await.good();
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        assert_eq!(text("bucket"), "uploads");
        Remembered {
            key: text("key"),
            id: text("uploadId"),
        }
    }

    /// An upload of a file of that name.
    pub async fn begin(&self, name: &str) -> Remembered {
        self.create(json!({ "filename": name, "type": "video/mp4", "metadata": { "name": name } }))
            .await
    }

    /// A request about one upload; `{}` in the path stands for its id.
    pub async fn about(&self, upload: &Remembered, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let key = crate::s3_client::encode(&upload.key, false);
        let path = path.replace("{}", &upload.id);
        let joint = if path.contains('?') { '&' } else { '?' };
        self.ask(method, &format!("/s3/multipart/{path}{joint}key={key}"), body)
            .await
    }

    pub async fn list(&self, upload: &Remembered) -> Reply {
        self.about(upload, "GET", "{}", None).await
    }

    /// Signs and sends one part; the store's tag as the browser reads it, with its quotes.
    pub async fn send(&self, upload: &Remembered, number: u16, bytes: &[u8]) -> String {
        let signed = self
            .about(upload, "GET", &format!("{{}}/{number}"), None)
            .await
            .good();
        self.put(signed["url"].as_str().expect("a URL"), bytes).await
    }

    /// Sends bytes as the browser does: with no header at all.
    pub async fn put(&self, url: &str, bytes: &[u8]) -> String {
        let sent = self
            .http
            .put(url)
            .body(bytes.to_vec())
            .send()
            .await
            .expect("an answer");
        assert_eq!(sent.status(), 200, "{:?}", sent.text().await);
        let etag = sent.headers().get("etag").expect("an ETag");
        etag.to_str().expect("a text").to_owned()
    }

    pub async fn complete(&self, upload: &Remembered, parts: &[(u16, &str)]) -> Reply {
        let parts: Vec<Value> = parts
            .iter()
            .map(|(number, etag)| json!({ "PartNumber": number, "ETag": etag }))
            .collect();
        self.about(upload, "POST", "{}/complete", Some(&json!({ "parts": parts })))
            .await
    }

    pub async fn abort(&self, upload: &Remembered) -> Reply {
        self.about(upload, "DELETE", "{}", None).await
    }

    /// Posts a file with a form that the server signed, the file last.
    pub async fn post_form(&self, form: &Value, bytes: &[u8]) -> (u16, HeaderMap, String) {
        let mut body = Vec::new();
        let mut field = |head: String, value: &[u8]| {
            body.extend_from_slice(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        };
        for (name, value) in form["fields"].as_object().expect("fields") {
            field(
                format!("name=\"{name}\""),
                value.as_str().expect("a text").as_bytes(),
            );
        }
        field(
            "name=\"file\"; filename=\"blob\"\r\nContent-Type: text/plain".to_owned(),
            bytes,
        );
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let url = form["url"].as_str().expect("a URL");
        let answer = self
            .http
            .post(url)
            .header(
                "content-type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(body)
            .send()
            .await
            .expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.expect("a whole answer"))
    }

    /// `POST /s3/presign`
    pub async fn presign(&self, wanted: Value) -> Reply {
        self.ask("POST", "/s3/presign", Some(&wanted)).await
    }

    /// Sends what was presigned, with the headers that came with it.
    pub async fn send_presigned(
        &self,
        method: &str,
        signed: &Value,
        body: Vec<u8>,
    ) -> (u16, HeaderMap, String) {
        let url = signed["url"].as_str().expect("a URL");
        let mut request = self
            .http
            .request(method.parse().expect("a method"), url)
            .body(body);
        for (name, value) in signed["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().expect("a text"));
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.expect("a whole answer"))
    }
}
