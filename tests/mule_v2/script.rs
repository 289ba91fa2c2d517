//! A stand-in for mule-uploader's second generation, written from its description: the requests that it makes, signed in
//! the "browser" with the key that the server hands over, and its reactions to the answers that matter here.
//!
//! It gives up where the script would go round for ever. It reaches the store under AWS's own host name, as the script
//! does, which a browser's resolver would lead to the embedded one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::HOST;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::s3_client::completion;

/// Rounds after which "without limit" has been shown.
const FOR_EVER: usize = 12;

/// The page, and the file that the person chose on it.
#[derive(Debug, Clone)]
pub struct Page {
    /// Prefix of every call of the backend.
    pub ajax_base: String,
    /// Where the embedded store listens.
    pub store: String,
    pub chunk_size: usize,
    /// The page's own object, into which the script writes; without one nothing leaks.
    pub extra_params: Option<Vec<(String, String)>>,
    /// A key that the browser sends besides, as it would a cookie.
    pub api_key: String,
    /// The page is closed after so many parts.
    pub stop_after: usize,
    pub file_name: String,
    pub bytes: Vec<u8>,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// `on_complete`, with the object's key.
    Complete(String),
    /// An exception, a stall, or an endless loop.
    Stopped(String),
    /// The page was closed.
    Closed,
}

/// What happened on the way.
#[derive(Debug, Default)]
pub struct Record {
    /// Every query of `signing_key`.
    pub asked: Vec<String>,
    /// Every query of `chunk_loaded`.
    pub told: Vec<String>,
    /// Every part that the store took.
    pub sent: Vec<usize>,
    /// The last answer with a key.
    pub reply: Value,
}

/// What a reply holds, as far as the script needs it.
pub struct Grant {
    day: String,
    key: Vec<u8>,
    access_key: String,
    region: String,
    pub bucket: String,
    pub object: String,
}

impl Page {
    /// Uploads the file.
    pub async fn upload(&mut self) -> (Ending, Record) {
        let mut record = Record::default();
        let ending = self.run(&mut record).await;
        (ending.unwrap_or_else(|ending| ending), record)
    }

    async fn run(&mut self, record: &mut Record) -> Result<Ending, Ending> {
        let mut force = false;
        for _ in 0..FOR_EVER {
            let reply = self.ask_for_key(force, record).await?;
            let grant = Grant::of(&reply)?;
            let Some(upload_id) = reply["upload_id"].as_str().map(str::to_owned) else {
                return Err(stopped("would initiate by itself, and ask for a public object"));
            };
            record.reply = reply;
            let mut held = BTreeMap::new();
            // Forced, it goes straight to sending.
            if !force {
                match self.list(&grant, &upload_id).await {
                    (200, parts) => held = parts,
                    (404, _) => {
                        force = true;
                        continue;
                    }
                    (status, _) => return Err(stopped(&format!("list: {status}"))),
                }
            }
            for chunk in 0..self.bytes.len().div_ceil(self.chunk_size) {
                if held
                    .get(&(chunk + 1))
                    .is_some_and(|(_, size)| *size == self.chunk(chunk).len())
                {
                    continue;
                }
                if record.sent.len() >= self.stop_after {
                    return Ok(Ending::Closed);
                }
                let query = format!("partNumber={}&uploadId={upload_id}", chunk + 1);
                let (status, text) = self
                    .store("PUT", &grant, &query, self.chunk(chunk).to_vec())
                    .await;
                if status != 200 {
                    return Err(stopped(&format!("part {chunk} for ever: {status} {text}")));
                }
                record.sent.push(chunk + 1);
                self.tell(chunk, &grant.object, &upload_id, record).await;
            }
            match self.finish(&grant, &upload_id).await {
                200 => return Ok(Ending::Complete(grant.object)),
                _ => force = true,
            }
        }
        Err(stopped("begins anew without end"))
    }

    async fn finish(&self, grant: &Grant, upload_id: &str) -> u16 {
        let (_, held) = self.list(grant, upload_id).await;
        let parts: Vec<(u16, &str)> = held
            .iter()
            .map(|(number, (etag, _))| (u16::try_from(*number).expect("a number"), etag.as_str()))
            .collect();
        let body = completion(&parts).into_bytes();
        self.store("POST", grant, &format!("uploadId={upload_id}"), body)
            .await
            .0
    }

    async fn ask_for_key(&mut self, force: bool, record: &mut Record) -> Result<Value, Ending> {
        if let Some(extra) = self.extra_params.as_mut().filter(|_| force) {
            extra.push(("force".to_owned(), "true".to_owned()));
        }
        let mut query = self.query(&[]);
        if force && self.extra_params.is_none() {
            query += "&force=true";
        }
        record.asked.push(query.clone());
        let (status, text) = self.backend("signing_key", &query).await;
        serde_json::from_str(&text).map_err(|_| stopped(&format!("signing_key: {status} {text}")))
    }

    /// `chunk_loaded`, which counts from 0; what it says stays in the page's own object.
    async fn tell(&mut self, chunk: usize, key: &str, upload_id: &str, record: &mut Record) {
        let more = [
            ("chunk".to_owned(), chunk.to_string()),
            ("key".to_owned(), key.to_owned()),
            ("upload_id".to_owned(), upload_id.to_owned()),
        ];
        let query = match &mut self.extra_params {
            Some(extra) => {
                extra.retain(|(name, _)| more.iter().all(|(new, _)| new != name));
                extra.extend(more);
                self.query(&[])
            }
            None => self.query(&more),
        };
        record.told.push(query.clone());
        let (status, text) = self.backend("chunk_loaded", &query).await;
        assert_eq!((status, text.as_str()), (200, ""), "chunk_loaded {query}");
    }

    fn query(&self, more: &[(String, String)]) -> String {
        let own = [
            ("filename", self.file_name.clone()),
            ("filesize", self.bytes.len().to_string()),
            ("content_type", "video/mp4".to_owned()),
            ("last_modified", "1777975200000".to_owned()),
        ];
        let extra = self.extra_params.iter().flatten().cloned();
        let own = own.map(|(name, value)| (name.to_owned(), value));
        let all = extra.chain(own).chain(more.iter().cloned());
        all.map(|(name, value)| format!("{name}={}", encode_uri_component(&value)))
            .collect::<Vec<_>>()
            .join("&")
    }

    async fn backend(&self, action: &str, query: &str) -> (u16, String) {
        let request = http().get(format!("{}/{action}/?{query}", self.ajax_base));
        let answer = request
            .header("x-api-key", &self.api_key)
            .send()
            .await
            .expect("an answer");
        (
            answer.status().as_u16(),
            answer.text().await.expect("a whole answer"),
        )
    }

    fn chunk(&self, chunk: usize) -> &[u8] {
        let end = self.bytes.len().min((chunk + 1) * self.chunk_size);
        &self.bytes[chunk * self.chunk_size..end]
    }

    async fn list(&self, grant: &Grant, upload_id: &str) -> (u16, BTreeMap<usize, (String, usize)>) {
        let (status, text) = self
            .store("GET", grant, &format!("uploadId={upload_id}"), Vec::new())
            .await;
        let part = |text: &str| {
            let tag = |name: &str| {
                let (_, rest) = text.split_once(&format!("<{name}>"))?;
                Some(rest.split_once('<')?.0.replace("&quot;", "\""))
            };
            Some((
                tag("PartNumber")?.parse().ok()?,
                (tag("ETag")?, tag("Size")?.parse().ok()?),
            ))
        };
        (status, text.split("<Part>").skip(1).filter_map(part).collect())
    }

    async fn store(&self, method: &str, grant: &Grant, query: &str, body: Vec<u8>) -> (u16, String) {
        let host = format!("{}.s3.amazonaws.com", grant.bucket);
        let signed = grant.sign(method, &host, query, Utc::now());
        let url = format!("{}/{}?{signed}", self.store, grant.object);
        let method = method.parse().expect("a method");
        let request = http().request(method, url).header(HOST, host).body(body);
        let answer = request.send().await.expect("an answer");
        (
            answer.status().as_u16(),
            answer.text().await.expect("a whole answer"),
        )
    }
}

impl Grant {
    pub fn of(reply: &Value) -> Result<Self, Ending> {
        let member = |name: &str| {
            let text = reply[name].as_str().map(str::to_owned);
            text.ok_or_else(|| stopped(&format!("no {name} in {reply}")))
        };
        let date = member("date")?;
        assert!(date.ends_with('Z'), "{date}");
        Ok(Self {
            day: date[..10].replace('-', ""),
            key: hex::decode(member("signature")?).expect("hexadecimal"),
            access_key: member("access_key")?,
            region: member("region")?,
            bucket: member("bucket")?,
            object: member("key")?,
        })
    }

    /// The query with its signature. Id and key stand in it as they are, so only a safe alphabet will do.
    pub fn sign(&self, method: &str, host: &str, query: &str, now: DateTime<Utc>) -> String {
        let scope = format!("{}/{}/s3/aws4_request", self.day, self.region);
        let time = now.format("%Y%m%dT%H%M%SZ").to_string();
        let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
        pairs.extend([
            "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
            format!(
                "X-Amz-Credential={}%2F{}",
                self.access_key,
                scope.replace('/', "%2F")
            ),
            format!("X-Amz-Date={time}"),
            "X-Amz-Expires=86400".to_owned(),
            "X-Amz-SignedHeaders=host".to_owned(),
        ]);
        pairs.sort();
        let query = pairs.join("&");
        let canonical = format!(
            "{method}\n/{}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
            self.object
        );
        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let signature = hex::encode(mac.chain_update(text).finalize().into_bytes());
        format!("{query}&X-Amz-Signature={signature}")
    }
}

/// The query of part 1 as the script signs it at `now` with what a reply holds.
pub fn signed_part(reply: &Value, upload_id: &str, now: DateTime<Utc>) -> String {
    let grant = Grant::of(reply).expect("a whole reply");
    let host = format!("{}.s3.amazonaws.com", grant.bucket);
    grant.sign("PUT", &host, &format!("partNumber=1&uploadId={upload_id}"), now)
}

/// The status of any request under AWS's host name, signed with what a reply holds.
pub async fn try_out(page: &Page, reply: &Value, method: &str, query: &str) -> u16 {
    let grant = Grant::of(reply).expect("a whole reply");
    page.store(method, &grant, query, Vec::new()).await.0
}

/// JavaScript's `encodeURIComponent`.
fn encode_uri_component(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

fn stopped(why: &str) -> Ending {
    Ending::Stopped(why.to_owned())
}
