//! `104 (Upload Resumption Supported)`: what a client is told while its content is still on the way.
//!
//! Separate from the answers, because these go out beside the request: none is waited for, and a client that reads none
//! of them loses nothing but its way back. How they reach the wire: `web::interim`.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::version::{NUMBER, Version};
use crate::uploads::Receipt;
use crate::web::interim::Interim;

const STATUS: u16 = 104;
const REASON: &str = "Upload Resumption Supported";

/// Progress is told at most this often...
const EVERY: Duration = Duration::from_secs(1);

/// ...unless at least so many bytes were kept since.
const STEP: u64 = 8 << 20;

/// Tells one request's client of its upload before the final answer.
pub(super) struct Herald {
    interim: Interim,
    version: HeaderValue,
}

impl Herald {
    /// `None` where no 104 may be sent: to a request that names no version, whatever its upload was made in, to a version
    /// that none goes to, or over HTTP/1.0.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        let version = Version::told(request.headers()).filter(|version| version.is_announced)?;
        let number = version.number?;
        Some(Self {
            interim: Interim::of(request)?,
            version: HeaderValue::from(number),
        })
    }

    /// There is an upload now, at this address.
    pub(super) fn made(&self, location: HeaderValue, limits: Option<HeaderValue>) {
        let mut headers = vec![(LOCATION, location)];
        headers.extend(limits.map(|limits| (HeaderName::from_static("upload-limit"), limits)));
        self.send(headers);
    }

    fn send(&self, mut headers: Vec<(HeaderName, HeaderValue)>) {
        headers.push((HeaderName::from_static(NUMBER), self.version.clone()));
        self.interim.send(STATUS, REASON, &headers);
    }

    /// Tells where the upload stands, for as long as the outcome lives: bytes that count whatever happens, as the
    /// storage says to `receipt`; it stands at `from` already.
    pub(super) fn follow(self, from: u64, receipt: &Receipt) -> Following {
        let mut kept = receipt.kept();
        let task = tokio::spawn(async move {
            let (mut told, mut at) = (from, Instant::now());
            while kept.changed().await.is_ok() {
                let is_due = |offset: u64, told| offset >= told + STEP || at.elapsed() >= EVERY;
                while !is_due(*kept.borrow_and_update(), told) {
                    tokio::select! {
                        changed = kept.changed() => if changed.is_err() { return },
                        () = tokio::time::sleep_until(at + EVERY) => {}
                    }
                }
                let offset = *kept.borrow_and_update();
                if offset > told {
                    (told, at) = (offset, Instant::now());
                    self.send(vec![(
                        HeaderName::from_static("upload-offset"),
                        HeaderValue::from(offset),
                    )]);
                }
            }
        });
        Following(task)
    }
}

/// Ends the telling when it is dropped.
pub(super) struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}
