//! A call to an address of the operator's: signed as a webhook is, answered in time and within a size, or not at all.
//!
//! Separate from `delivery`, which goes to addresses that clients name: here no guard stands between, connections are kept,
//! and the answer is read.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, RequestBuilder, Response, Url};

use super::delivery::USER_AGENT;
use super::signature::Signer;
use crate::clock::Clock;
use crate::config::Secret;
use crate::domain::{EventId, signing_key};
use crate::error::Error;
use crate::uploads::ByteStream;

/// Most bytes of an answer: a long text in one is for its reader to cut, and no reason to ask again.
const MOST_OF_AN_ANSWER: usize = 1 << 20;

/// Longest wait for a connection.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(5);

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    /// Nothing, where there is too much of it.
    pub(super) body: Vec<u8>,
}

/// Calls one address.
pub(super) struct Line {
    http: Client,
    url: Url,
    signer: Option<Signer>,
    clock: Clock,
    patience: Duration,
}

impl Line {
    /// A line to `url`, on which nothing takes longer than `patience`. Without a secret nothing is signed.
    ///
    /// # Errors
    /// [`Error::Internal`] for settings that their check would have refused, or where the TLS roots of this machine cannot
    /// be read.
    pub(super) fn new(url: &str, secret: &Secret, patience: Duration, clock: Clock) -> Result<Self, Error> {
        let signer = match secret.expose() {
            "" => None,
            secret => Some(Signer::new(&signing_key(secret).map_err(Error::internal)?)?),
        };
        let http = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(patience)
            .connect_timeout(PATIENCE_TO_CONNECT.min(patience))
            // What is asked here is for nobody else's ears, and an answer from elsewhere is none.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            http,
            url: Url::parse(url).map_err(Error::internal)?,
            signer,
            clock,
            patience,
        })
    }

    /// Sends `text`, which is JSON.
    ///
    /// # Errors
    /// Why there is no answer, in words for the log.
    pub(super) async fn post(&self, text: String) -> Result<Reply, String> {
        let request = self.signed(&text);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.send(request.body(text)).await
    }

    /// Sends the bytes of a file, with what there is to say of it in a field; the signature is over that, `text`.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub(super) async fn post_bytes(
        &self,
        text: &str,
        field: &str,
        size: u64,
        bytes: ByteStream,
    ) -> Result<Reply, String> {
        let request = self
            .signed(text)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(CONTENT_LENGTH, size)
            .header("muleteer-upload", field);
        self.send(request.body(Body::wrap_stream(bytes))).await
    }

    /// A request whose signature is over `text`.
    fn signed(&self, text: &str) -> RequestBuilder {
        let now = self.clock.now();
        let (id, timestamp) = (EventId::generate(now), now.timestamp());
        let mut request = self
            .http
            .post(self.url.clone())
            .header("webhook-id", id.as_str())
            .header("webhook-timestamp", timestamp);
        if let Some(signer) = &self.signer {
            request = request.header("webhook-signature", signer.sign(&id, timestamp, text));
        }
        request
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, String> {
        let mut answer = request.send().await.map_err(|error| self.explain(&error))?;
        let status = answer.status().as_u16();
        let body = self.read(&mut answer).await?;
        Ok(Reply { status, body })
    }

    async fn read(&self, answer: &mut Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.explain(&error))? {
            if body.len() + piece.len() > MOST_OF_AN_ANSWER {
                // It is an answer, and may well refuse; only nobody can say so.
                tracing::warn!(
                    limit = MOST_OF_AN_ANSWER,
                    "an answer of the application is too long, and is not read"
                );
                return Ok(Vec::new());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn explain(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            format!("no answer within {} s", self.patience.as_secs())
        } else if error.is_connect() {
            "no connection could be made".to_owned()
        } else {
            "the connection broke before the answer".to_owned()
        }
    }
}
