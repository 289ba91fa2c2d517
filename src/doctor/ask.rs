//! One request to the store at a time, and all that its answer shows.
//!
//! Separate from the store that uploads go through: that one asks again and turns answers into our words, while a
//! diagnosis needs the first answer as it came, with its headers.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method};

use crate::clock::Clock;
use crate::signing::{BucketLocation, Credentials, Operation, Payload, SigningError, v4};

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bucket at one address, with the key that is tried.
#[derive(Clone)]
pub struct Ask {
    http: reqwest::Client,
    /// Where the bucket is.
    pub location: BucketLocation,
    credentials: Arc<Credentials>,
    clock: Clock,
    /// How far the store's clock is ahead of ours, once that is known to matter.
    pub ahead: TimeDelta,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The host name has no address.
    Dns,
    /// No secure connection.
    Tls,
    /// Refused, unroutable, too slow, or broken off.
    Silence,
    /// The request could not be signed at all.
    Unsigned,
}

/// No answer came.
#[derive(Debug)]
pub struct Trouble {
    /// The kind.
    pub cause: Cause,
    /// What the system says.
    pub detail: String,
}

impl Answer {
    /// Whether the store did it.
    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status) && self.code().is_empty()
    }

    /// The error code of S3; empty where there is none.
    pub fn code(&self) -> &str {
        self.element("Code").unwrap_or_default()
    }

    /// The text of the first element with that name, of an error document.
    pub fn element(&self, name: &str) -> Option<&str> {
        self.body.contains("<Error>").then_some(())?;
        super::rules::text_of(&self.body, name)
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it speaks of a refusal for want of rights.
    pub fn is_denied(&self) -> bool {
        self.code() == "AccessDenied" || (self.code().is_empty() && matches!(self.status, 401 | 403))
    }

    /// Status, code and message, for whoever reads the report.
    pub fn words(&self) -> String {
        let message = self.element("Message").unwrap_or_default();
        format!("{} {} {message}", self.status, self.code())
            .trim()
            .to_owned()
    }
}

impl Ask {
    /// A bucket to ask.
    ///
    /// # Errors
    /// Where the TLS roots of this machine cannot be read.
    pub fn new(
        location: BucketLocation,
        credentials: Arc<Credentials>,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: client(location.host())?,
            location,
            credentials,
            clock,
            ahead: TimeDelta::zero(),
        })
    }

    /// The same key at another address of the bucket.
    ///
    /// # Errors
    /// As [`Ask::new`].
    pub fn at(&self, location: BucketLocation) -> Result<Self, reqwest::Error> {
        let mut other = Self::new(location, self.credentials.clone(), self.clock.clone())?;
        other.ahead = self.ahead;
        Ok(other)
    }

    /// Now, as the store sees it.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.ahead
    }

    /// Now, as we see it.
    pub fn our_now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Sends a request of our own.
    ///
    /// # Errors
    /// [`Trouble`] where no answer came.
    pub async fn send(&self, operation: Operation<'_>, key: &str, body: Bytes) -> Result<Answer, Trouble> {
        let payload = if body.is_empty() {
            Payload::Empty
        } else {
            Payload::Bytes(&body)
        };
        let signed = v4::sign(
            operation,
            key,
            &self.location,
            &self.credentials,
            self.now(),
            payload,
        )
        .map_err(|error| unsigned(&error))?;
        let mut request = self.http.request(signed.method, &signed.url);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        if let Some(length) = signed.content_length {
            request = request.header(http::header::CONTENT_LENGTH, length);
        }
        read(request.timeout(PATIENCE).body(body)).await
    }

    /// Sends what a browser would with an URL of ours, from a page of that origin.
    ///
    /// # Errors
    /// [`Trouble`] where no answer came.
    pub async fn as_browser(
        &self,
        operation: Operation<'_>,
        key: &str,
        origin: &str,
        body: Bytes,
    ) -> Result<Answer, Trouble> {
        let life = Duration::from_mins(5);
        let signed = v4::presign(
            operation,
            key,
            &self.location,
            &self.credentials,
            self.now(),
            life,
        )
        .map_err(|error| unsigned(&error))?;
        let mut request = self.http.request(signed.method, &signed.url).timeout(PATIENCE);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        read(request.header(http::header::ORIGIN, origin).body(body)).await
    }

    /// Asks as a browser does before it sends `method` with these headers.
    ///
    /// # Errors
    /// [`Trouble`] where no answer came.
    pub async fn preflight(
        &self,
        key: &str,
        origin: &str,
        method: &str,
        headers: &str,
    ) -> Result<Answer, Trouble> {
        let mut request = self
            .http
            .request(Method::OPTIONS, self.location.url(key))
            .timeout(PATIENCE)
            .header(http::header::ORIGIN, origin)
            .header(http::header::ACCESS_CONTROL_REQUEST_METHOD, method);
        if !headers.is_empty() {
            request = request.header(http::header::ACCESS_CONTROL_REQUEST_HEADERS, headers);
        }
        read(request).await
    }
}

/// A client that follows nothing and asks no proxy for this machine's own loopback.
pub(super) fn client(host: &str) -> Result<reqwest::Client, reqwest::Error> {
    builder(host).build()
}

/// As [`client`], for what only HTTP/1.1 has: over TLS a server would choose HTTP/2, which knows no upgrade.
pub(super) fn client_http1(host: &str) -> Result<reqwest::Client, reqwest::Error> {
    builder(host).http1_only().build()
}

fn builder(host: &str) -> reqwest::ClientBuilder {
    let mut http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none());
    if crate::domain::is_loopback(host) {
        http = http.no_proxy();
    }
    http
}

/// Sends a request and reads its answer whole.
pub(super) async fn read(request: reqwest::RequestBuilder) -> Result<Answer, Trouble> {
    let response = request.send().await.map_err(trouble)?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.map_err(trouble)?,
    })
}

fn unsigned(error: &SigningError) -> Trouble {
    Trouble {
        cause: Cause::Unsigned,
        detail: error.to_string(),
    }
}

/// The client tells the kinds apart in words only, deep down.
pub(super) fn trouble(error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut deeper = error.source();
    while let Some(cause) = deeper {
        words = format!("{words}: {cause}");
        deeper = cause.source();
    }
    let low = words.to_lowercase();
    let any = |names: &[&str]| names.iter().any(|name| low.contains(name));
    let cause = if any(&["dns error", "failed to lookup"]) {
        Cause::Dns
    } else if any(&[
        "certificate",
        "tls",
        "handshake",
        "corrupt message",
        "invalidcontenttype",
    ]) {
        Cause::Tls
    } else {
        Cause::Silence
    };
    Trouble { cause, detail: words }
}
