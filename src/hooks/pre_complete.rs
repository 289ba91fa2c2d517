//! The application looks at a whole file before its upload is complete: the question, and what its answers mean
//! (`docs/hooks.md`).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::call::{Line, Reply};
use super::pre_create::cleaned;
use crate::clock::Clock;
use crate::config::{PreCompleteConfig, Secret};
use crate::domain::{Opinion, UploadId, read_object, signing_key};
use crate::error::Error;
use crate::uploads::{Scanner, Source, Subject};

/// What a rejection is called that says nothing.
const NO_REASON: &str = "it was not accepted";

/// An application that is asked by HTTP.
pub(super) struct HttpScanner {
    line: Line,
    /// Makes the tokens for what is said later; `None` where nothing can be.
    tokens: Option<Hmac<Sha256>>,
}

/// What is sent.
#[derive(Serialize)]
struct Asking<'a> {
    event: &'static str,
    upload_id: &'a str,
    owner: &'a str,
    protocol: &'a str,
    filename: &'a str,
    size: u64,
    content_type: &'a str,
    metadata: &'a BTreeMap<String, String>,
    bucket: &'a str,
    key: &'a str,
    etag: Option<&'a str>,
    address: &'a str,
    /// Where the bytes are; without it they are the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    /// What a verdict that comes later brings along.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict_token: Option<String>,
}

/// What an answer says.
#[derive(Debug, Deserialize)]
struct Said {
    verdict: Verdict,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accept,
    Reject,
}

impl HttpScanner {
    /// Who is asked by these settings; `secret` is the one to use.
    ///
    /// # Errors
    /// As [`Line::new`].
    pub(super) fn new(settings: &PreCompleteConfig, secret: &Secret, clock: Clock) -> Result<Self, Error> {
        let tokens = match secret.expose() {
            "" => None,
            secret => {
                let key = signing_key(secret).map_err(Error::internal)?;
                Some(Hmac::new_from_slice(&key).map_err(Error::internal)?)
            }
        };
        let patience = Duration::from_secs(settings.timeout_s);
        Ok(Self {
            line: Line::new(&settings.url, secret, patience, clock)?,
            tokens,
        })
    }

    /// The token's bytes before they are encoded: of one object of one upload, and for nothing else.
    fn mac(&self, id: &UploadId, etag: Option<&str>) -> Option<Hmac<Sha256>> {
        let mut mac = self.tokens.clone()?;
        for piece in ["verdict\0", id.as_str(), "\0", etag.unwrap_or_default()] {
            mac.update(piece.as_bytes());
        }
        Some(mac)
    }
}

#[async_trait]
impl Scanner for HttpScanner {
    fn fetches(&self) -> bool {
        true
    }

    async fn scan(&self, subject: Subject<'_>) -> Result<Option<Opinion>, Error> {
        let upload = subject.upload;
        let token = self.mac(&upload.id, subject.etag);
        let token = token.map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        let can_say_later = token.is_some();
        let asking = Asking {
            event: "upload.pre-complete",
            upload_id: upload.id.as_str(),
            owner: upload.owner.as_str(),
            protocol: &upload.protocol,
            filename: upload.filename.as_str(),
            size: upload.size,
            content_type: upload.content_type.as_str(),
            metadata: &upload.metadata,
            bucket: &upload.bucket,
            key: upload.key.as_str(),
            etag: subject.etag,
            address: &subject.address,
            url: match &subject.source {
                Source::Url(url) => Some(url),
                Source::Bytes(_) => None,
            },
            verdict_token: token,
        };
        let text = serde_json::to_string(&asking).map_err(Error::internal)?;
        let reply = match subject.source {
            Source::Url(_) => self.line.post(text).await,
            Source::Bytes(bytes) => {
                self.line
                    .post_bytes(&text, &STANDARD.encode(&text), upload.size, bytes)
                    .await
            }
        };
        reply
            .and_then(|reply| read(&reply, can_say_later))
            .map_err(|reason| Error::unavailable("the scanner", reason))
    }

    fn is_token(&self, id: &UploadId, etag: Option<&str>, token: &str) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        self.mac(id, etag)
            .is_some_and(|mac| mac.verify_slice(&given).is_ok())
    }
}

/// A rejection in the scanner's own words.
pub(super) fn rejected(reason: &str) -> Opinion {
    let reason = cleaned(reason);
    let reason = if reason.is_empty() {
        NO_REASON.to_owned()
    } else {
        reason
    };
    Opinion::Reject { reason }
}

fn read(reply: &Reply, can_say_later: bool) -> Result<Option<Opinion>, String> {
    match reply.status {
        202 if can_say_later => Ok(None),
        202 => Err("it wants to say later, and without hooks.pre_complete.secret it cannot".to_owned()),
        200 => {
            let said: Said =
                read_object(&reply.body).map_err(|error| format!("its answer cannot be used: {error}"))?;
            Ok(Some(match said.verdict {
                Verdict::Accept => Opinion::Accept,
                Verdict::Reject => rejected(&said.reason),
            }))
        }
        status => Err(format!("answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Option<Opinion>, String> {
        let body = body.as_bytes().to_vec();
        read(&Reply { status, body }, true)
    }

    #[test]
    fn only_a_verdict_is_one() {
        assert_eq!(answer(200, r#"{"verdict":"accept"}"#), Ok(Some(Opinion::Accept)));
        let no = |reason: &str| {
            Ok(Some(Opinion::Reject {
                reason: reason.to_owned(),
            }))
        };
        assert_eq!(answer(200, r#"{"verdict":"reject","reason":"a\nb"}"#), no("a b"));
        assert_eq!(answer(200, r#"{"verdict":"reject"}"#), no(NO_REASON));
        assert_eq!(answer(202, ""), Ok(None));
        for (status, body) in [
            (200, ""),
            (200, "{}"),
            (200, r#"{"verdict":"fine"}"#),
            (200, r#"["accept"]"#),
            (204, ""),
            (403, r#"{"verdict":"reject"}"#),
        ] {
            assert!(answer(status, body).is_err(), "{status} {body}");
        }
        let nothing = Reply {
            status: 202,
            body: Vec::new(),
        };
        assert!(read(&nothing, false).is_err());
    }
}
