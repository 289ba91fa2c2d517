//! A small S3 client for tests: it signs by itself, can sign wrongly on purpose, and shows answers as they came.
//!
//! Separate from the product's own signing so that neither proves itself right. SigV4 presigned URLs and SigV2, as
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html> describe them.

mod s3_answer;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

pub use s3_answer::Answer;

/// Who signs.
#[derive(Debug, Clone)]
pub struct Signer {
    pub access_key_id: String,
    pub secret: String,
    pub token: Option<String>,
    pub region: String,
}

/// One server, one bucket, one signer.
#[derive(Debug, Clone)]
pub struct S3Client {
    pub endpoint: String,
    pub bucket: String,
    pub signer: Signer,
    http: reqwest::Client,
}

impl S3Client {
    pub fn new(endpoint: &str, bucket: &str, signer: Signer) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            endpoint: endpoint.to_owned(),
            bucket: bucket.to_owned(),
            signer,
            http,
        }
    }

    /// A request on an object, or on the bucket where `key` is empty. It lives ten minutes from now.
    pub fn ask(&self, method: &str, key: &str) -> Ask {
        Ask {
            client: self.clone(),
            method: method.to_owned(),
            path: format!(
                "/{}{}{}",
                self.bucket,
                if key.is_empty() { "" } else { "/" },
                encode(key, true)
            ),
            host: self.host().to_owned(),
            query: BTreeMap::new(),
            signed: BTreeMap::new(),
            unsigned: Vec::new(),
            body: Vec::new(),
            at: Utc::now(),
            lives_s: 600,
            key: key.to_owned(),
        }
    }

    /// Host and port as the `Host` header has them.
    pub fn host(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Begins an upload and returns its id.
    pub async fn begin(&self, key: &str) -> String {
        let answer = self.ask("POST", key).query("uploads", "").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.tag("UploadId").expect("an upload id")
    }

    /// Sends a part and returns its ETag with quotes.
    pub async fn part(&self, key: &str, upload: &str, number: u16, body: &[u8]) -> String {
        let answer = self.part_request(key, upload, number).body(body).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("etag").expect("an ETag").to_owned()
    }

    /// The request of a part, still without its body.
    pub fn part_request(&self, key: &str, upload: &str, number: u16) -> Ask {
        self.ask("PUT", key)
            .query("partNumber", &number.to_string())
            .query("uploadId", upload)
    }

    /// Asks for completion with those part numbers, each with its ETag.
    pub async fn complete(&self, key: &str, upload: &str, parts: &[(u16, &str)]) -> Answer {
        self.ask("POST", key)
            .query("uploadId", upload)
            .body(completion(parts).as_bytes())
            .send()
            .await
    }

    /// Lists the parts of an upload, one page.
    pub async fn parts(&self, key: &str, upload: &str) -> Answer {
        self.ask("GET", key).query("uploadId", upload).send().await
    }

    /// Puts an object in one piece.
    pub async fn put(&self, key: &str, body: &[u8]) -> Answer {
        self.ask("PUT", key).body(body).send().await
    }

    /// Reads an object.
    pub async fn get(&self, key: &str) -> Answer {
        self.ask("GET", key).send().await
    }
}

/// The document that completes an upload.
pub fn completion(parts: &[(u16, &str)]) -> String {
    let part = |(number, etag): &(u16, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let list = parts.iter().map(part).collect::<Vec<_>>().concat();
    format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>")
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Ask {
    client: S3Client,
    method: String,
    path: String,
    host: String,
    query: BTreeMap<String, String>,
    signed: BTreeMap<String, String>,
    unsigned: Vec<(String, String)>,
    body: Vec<u8>,
    at: DateTime<Utc>,
    lives_s: u64,
    key: String,
}

impl Ask {
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A header that is part of the signature.
    pub fn signed(mut self, name: &str, value: &str) -> Self {
        self.signed.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// A header that is not.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub fn signed_at(mut self, at: DateTime<Utc>) -> Self {
        self.at = at;
        self
    }

    pub fn lives_s(mut self, seconds: u64) -> Self {
        self.lives_s = seconds;
        self
    }

    /// Signs as somebody else.
    pub fn by(mut self, change: impl FnOnce(&mut Signer)) -> Self {
        change(&mut self.client.signer);
        self
    }

    /// Names the bucket in the host: `bucket.s3.localhost:PORT`.
    pub fn virtual_host(mut self) -> Self {
        let port = self.host.rsplit(':').next().unwrap_or_default().to_owned();
        self.host = format!("{}.s3.localhost:{port}", self.client.bucket);
        self.path = format!("/{}", encode(&self.key, true));
        self
    }

    /// Path and query of the presigned URL.
    pub fn target(&self) -> String {
        let signer = &self.client.signer;
        let (day, moment) = (self.at.format("%Y%m%d"), self.at.format("%Y%m%dT%H%M%SZ"));
        let scope = format!("{day}/{}/s3/aws4_request", signer.region);
        let mut headers = self.signed.clone();
        headers.insert("host".to_owned(), self.host.clone());
        let names = headers.keys().cloned().collect::<Vec<_>>().join(";");

        let mut query = self.query.clone();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{scope}", signer.access_key_id)),
            ("X-Amz-Date", moment.to_string()),
            ("X-Amz-Expires", self.lives_s.to_string()),
            ("X-Amz-SignedHeaders", names.clone()),
        ] {
            query.insert(name.to_owned(), value);
        }
        if let Some(token) = &signer.token {
            query.insert("X-Amz-Security-Token".to_owned(), token.clone());
        }
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
            .collect();
        let query = query.join("&");
        let lines = lines_of(headers.iter());
        let request = format!(
            "{}\n{}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD",
            self.method, self.path
        );
        let request = hex::encode(Sha256::digest(request));
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{request}");
        let mut key = sha256_mac(format!("AWS4{}", signer.secret).as_bytes(), &day.to_string());
        for step in [signer.region.as_str(), "s3", "aws4_request"] {
            key = sha256_mac(&key, step);
        }
        let signature = hex::encode(sha256_mac(&key, &text));
        format!("{}?{query}&X-Amz-Signature={signature}", self.path)
    }

    /// Sends it with a presigned URL.
    pub async fn send(self) -> Answer {
        let target = self.target();
        self.send_to(&target).await
    }

    /// Sends it to a path and query that may be anything.
    pub async fn send_to(self, target: &str) -> Answer {
        let method = self.method.parse().expect("a method");
        let mut request = self
            .client
            .http
            .request(method, format!("{}{target}", self.client.endpoint));
        if self.host != self.client.host() {
            request = request.header("host", &self.host);
        }
        for (name, value) in self
            .signed
            .iter()
            .chain(self.unsigned.iter().map(|(n, v)| (n, v)))
        {
            // The client writes this one by itself, from the body.
            if name != "content-length" {
                request = request.header(name, value);
            }
        }
        Answer::of(request.body(self.body).send().await.expect("an answer")).await
    }

    /// Sends it with a SigV2 header, dated by `x-amz-date` as a browser must.
    pub async fn send_v2(self) -> Answer {
        let date = self.at.format("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let ask = self.header("x-amz-date", &date);
        let text = ask.v2_text("");
        let mac = ask.v2_mac(&text);
        let authorization = format!("AWS {}:{mac}", ask.client.signer.access_key_id);
        let pairs: Vec<_> = ask
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value, false)))
            .collect();
        let target = format!("{}?{}", ask.path, pairs.join("&"));
        ask.header("authorization", &authorization).send_to(&target).await
    }

    /// Path and query of a SigV2 URL that ends at that second since 1970.
    pub fn target_v2(&self, expires: i64) -> String {
        let mac = self.v2_mac(&self.v2_text(&expires.to_string()));
        let id = &self.client.signer.access_key_id;
        format!(
            "{}?AWSAccessKeyId={id}&Expires={expires}&Signature={}",
            self.path,
            encode(&mac, false)
        )
    }

    fn v2_text(&self, date: &str) -> String {
        let header = |wanted: &str| {
            let found = self
                .unsigned
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let mut amz: Vec<_> = self
            .unsigned
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-"))
            .collect();
        amz.sort();
        let amz = lines_of(amz.into_iter().map(|(name, value)| (name, value)));
        let sub: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| {
                if value.is_empty() {
                    name.clone()
                } else {
                    format!("{name}={value}")
                }
            })
            .collect();
        let sub = if sub.is_empty() {
            String::new()
        } else {
            format!("?{}", sub.join("&"))
        };
        let (digest, kind) = (header("content-md5"), header("content-type"));
        format!(
            "{}\n{digest}\n{kind}\n{date}\n{amz}{}{sub}",
            self.method, self.path
        )
    }

    fn v2_mac(&self, text: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.client.signer.secret.as_bytes()).expect("any length");
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// The MD5 of bytes in quotes: the ETag of a part.
pub fn quoted_md5(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(bytes)))
}

/// Headers as both signatures want them, a line for each.
fn lines_of<'h>(headers: impl Iterator<Item = (&'h String, &'h String)>) -> String {
    headers
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect::<Vec<_>>()
        .concat()
}

fn sha256_mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Percent-encodes all but unreserved characters, and slashes where they separate.
pub fn encode(text: &str, keep_slashes: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            b'/' if keep_slashes => "/".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
