//! A part that goes straight to the store, to the address that the server signed.

use std::collections::HashSet;

use reqwest::Method;
use reqwest::header::ETAG;
use serde_json::json;
use tokio::sync::Mutex;

use super::claims::Sums;
use super::native::Session;
use super::remote::{self, put_slice};
use super::signatures::{Signatures, WINDOW};
use super::trouble::{Kind, Trouble, kind_of};

/// Codes of the store's 4xx answers that are about the connection, not about the request.
const PASSING_CODES: &[&str] = &[
    "RequestTimeout",
    "SlowDown",
    "IncompleteBody",
    "TooManyRequests",
    "BadDigest",
    "InvalidDigest",
];
/// As much of a refusal as is read.
const LONGEST_REFUSAL: usize = 8 * 1024;

/// The addresses of one upload's parts.
#[derive(Debug, Default)]
pub struct Direct {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    signatures: Signatures,
    /// Parts whose address was refused, and signed anew once.
    refused: HashSet<u64>,
}

impl Direct {
    /// Another upload begins: what was signed is for the one before.
    pub async fn forget(&self) {
        *self.held.lock().await = Held::default();
    }

    /// Sends one part, once; its tag.
    ///
    /// # Errors
    /// What the store, or the way to it, had against it.
    pub async fn send(
        &self,
        session: &Session<'_>,
        number: u64,
        sums: Option<&Sums>,
    ) -> Result<Option<String>, Trouble> {
        let job = session.job;
        let header = session.header_of(sums);
        let is_signed = session.checksum.as_ref().is_some_and(|checksum| checksum.signed);
        let url = if let Some((_, value)) = header.filter(|_| is_signed) {
            signed_with(session, number, value).await?
        } else {
            // One worker asks for all: the others wait here, and find theirs.
            let mut held = self.held.lock().await;
            let next = || session.next(WINDOW - 1);
            held.signatures
                .take(number, next, (job.remote, &session.url), job.meter)
                .await?
        };
        let slice = job
            .source
            .slice(session.start_of(number), session.length_of(number));
        let mut request = job.remote.without_key(Method::PUT, &url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = put_slice(request, &slice, "the store", |bytes| {
            job.meter.moved(number, bytes);
        })
        .await?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            self.held.lock().await.signatures.spend(number);
            let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
            return Ok(tag.map(str::to_owned));
        }
        let retry_after = remote::retry_after(answer.headers());
        let text = answer.bytes().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST_REFUSAL)]);
        Err(Trouble {
            retry_after,
            ..self.refusal(number, status, &text).await
        })
    }

    async fn refusal(&self, number: u64, status: u16, text: &str) -> Trouble {
        let code = element(text, "Code").unwrap_or_default();
        let told = match (code, element(text, "Message").unwrap_or_default()) {
            ("", _) => format!("status {status}"),
            (code, "") => code.to_owned(),
            (code, words) => format!("{code}: {words}"),
        };
        if kind_of(status) == Kind::Passing || PASSING_CODES.contains(&code) {
            let message = format!("the store cannot take part {number} at the moment ({told})");
            return Trouble::new(Kind::Passing, "store-error", message);
        }
        if status == 404 {
            let message = format!("the store no longer knows this upload ({told})");
            return Trouble::new(Kind::Vanished, "vanished", message);
        }
        let mut held = self.held.lock().await;
        held.signatures.refuse(number);
        // An address that died on the way looks like any other refusal: it is signed anew once.
        let kind = if held.refused.insert(number) {
            Kind::Passing
        } else {
            Kind::Final
        };
        Trouble::new(
            kind,
            "store-refused",
            format!("the store refuses part {number} ({told})"),
        )
    }
}

/// The address of one part, signed with its checksum.
async fn signed_with(session: &Session<'_>, number: u64, checksum: &str) -> Result<String, Trouble> {
    let job = session.job;
    let url = format!("{}/signatures", session.url);
    let body = json!({ "parts": [number], "checksums": { number.to_string(): checksum } });
    let answer = job
        .remote
        .call(&Method::POST, &url, Some(&body), job.meter)
        .await?;
    let signed = answer.body["signatures"][0]["url"].as_str().map(str::to_owned);
    signed.ok_or_else(|| {
        let message = format!("the server did not sign part {number}");
        Trouble::new(Kind::Final, "bad-answer", message)
    })
}

/// The text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    Some(after.split_once('<')?.0)
}
