//! Bodies of files on their way through us: streamed to the store and back, never held whole.
//!
//! Separate from the store's other requests, because these cannot be asked again by themselves: their bytes have
//! passed, and only the client has them.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::answers::Answer;
use super::checks::{altered, is_mismatch};
use super::sending::lost;
use super::{S3Store, object_headers};
use crate::domain::{FileName, MediaType, ObjectKey, PartNumber};
use crate::error::Error;
use crate::signing::{Operation, Payload};
use crate::storage::{Body, ByteStream, Receipt};

/// A store that neither takes bytes nor answers for this long is away.
const SILENCE: Duration = Duration::from_secs(90);

impl S3Store {
    /// Sends one part as it arrives; gives its tag:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>.
    ///
    /// # Errors
    /// [`Error::Vanished`], [`Error::StoreRefused`], [`Error::Unavailable`]; for a body that did not end well, what
    /// that means.
    pub async fn send_part(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        number: PartNumber,
        body: Body,
        now: DateTime<Utc>,
    ) -> Result<String, Error> {
        let put = Operation::UploadPart {
            upload_id,
            part_number: number.get(),
            content_length: exact_length(&body)?,
        };
        let answer = self.stream(put, key, body, now).await?;
        Ok(answer.etag.unwrap_or_default())
    }

    /// Sends one whole object as it arrives.
    ///
    /// # Errors
    /// As [`send_part`](Self::send_part).
    pub async fn send_object(
        &self,
        key: &ObjectKey,
        body: Body,
        now: DateTime<Utc>,
    ) -> Result<String, Error> {
        let (kind, name) = (MediaType::default(), FileName::new("piece"));
        let disposition = name.map_or_else(|_| String::new(), |name| name.content_disposition());
        let put = Operation::PutObject {
            content_length: Some(exact_length(&body)?),
            headers: object_headers(&kind, &disposition, &[]),
        };
        let answer = self.stream(put, key, body, now).await?;
        Ok(answer.etag.unwrap_or_default())
    }

    async fn stream(
        &self,
        operation: Operation<'_>,
        key: &ObjectKey,
        body: Body,
        now: DateTime<Utc>,
    ) -> Result<Answer, Error> {
        let sum = body.sha256_beforehand().map(|sum| sum.to_string());
        // Where a body is not known beforehand the signature cannot cover it: then the answer tells whether it came.
        let (payload, body) = match &sum {
            Some(sum) => (Payload::Sha256Hex(sum), body),
            None => (Payload::Unsigned, self.watched(operation, body)),
        };
        let receipt = body.receipt();
        let credentials = self.credentials.current(now).await?;
        let request = self.request(operation, key.as_str(), now, payload, &credentials)?;
        let body = reqwest::Body::wrap_stream(body);
        let sent = async {
            let sent = unless_silent(request.body(body).send(), &receipt).await;
            // A body that failed makes the request fail; why it did says more than that the request did.
            if let Some(failure) = receipt.failure() {
                return Err(failure.into());
            }
            answer_of(sent?).await
        };
        let answer = self
            .observe(operation, |answer: &Answer| answer.status, sent)
            .await?;
        // The next try of whoever has the bytes finds the new credentials.
        let answer = self.unless_refused(answer, &credentials).await?;
        let answer = match answer.ok_or(Error::CredentialsExpired)?.success() {
            Err(Error::StoreRefused { code }) if is_mismatch(&code) => return Err(altered()),
            answer => answer?,
        };
        if let Err(error) = self.check_taken(&answer, &receipt) {
            self.void(operation, key, now).await;
            return Err(error);
        }
        Ok(answer)
    }

    /// Has nothing counted of what the store took in place of other bytes, until these are sent again: no part of this upload
    /// has no bytes, and a small object that is not there is missing.
    async fn void(&self, operation: Operation<'_>, key: &ObjectKey, now: DateTime<Utc>) {
        let voided = match operation {
            Operation::UploadPart {
                upload_id,
                part_number,
                ..
            } => {
                let nothing = Operation::UploadPart {
                    upload_id,
                    part_number,
                    content_length: 0,
                };
                let answer = self.send(nothing, key.as_str(), now, Bytes::new()).await;
                answer.and_then(Answer::success).map(drop)
            }
            _ => self.delete(key, now).await,
        };
        if let Err(error) = voided {
            tracing::warn!(%key, %error, "what the store got in place of other bytes stays for now");
        }
    }

    /// The bytes of an object, or a range of them:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::StoreRefused`], [`Error::Unavailable`].
    pub async fn fetch(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
        now: DateTime<Utc>,
    ) -> Result<ByteStream, Error> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(stream::empty().boxed());
        }
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let get = Operation::GetObject {
            range: range.as_deref(),
        };
        loop {
            let credentials = self.credentials.current(now).await?;
            let request = self.request(get, key.as_str(), now, Payload::Empty, &credentials)?;
            let receipt = Receipt::default();
            let sent = unless_silent(request.send(), &receipt);
            let status = |answer: &reqwest::Response| answer.status().as_u16();
            let response = self.observe(get, status, sent).await?;
            if response.status().is_success() {
                return Ok(unless_stuck(response.bytes_stream().map_err(lost).boxed()));
            }
            let answer = answer_of(response).await?;
            if let Some(answer) = self.unless_refused(answer, &credentials).await? {
                return match answer.success() {
                    Err(Error::Vanished) => Err(Error::NotFound("object")),
                    Err(error) => Err(error),
                    Ok(_) => Err(Error::internal("an answer that failed and did not")),
                };
            }
        }
    }
}

/// S3 must be told beforehand how long a body is.
fn exact_length(body: &Body) -> Result<u64, Error> {
    body.length()
        .ok_or_else(|| Error::internal("a body without its length"))
}

/// Waits for as long as anything moves.
async fn unless_silent(
    sending: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
    receipt: &Receipt,
) -> Result<reqwest::Response, Error> {
    tokio::pin!(sending);
    let mut passed = receipt.received();
    loop {
        match tokio::time::timeout(SILENCE, &mut sending).await {
            Ok(outcome) => return outcome.map_err(lost),
            Err(late) => {
                let now = receipt.received();
                if now == passed {
                    return Err(Error::unavailable("the store", late));
                }
                passed = now;
            }
        }
    }
}

/// The whole answer, unless the store stops in the middle of it.
async fn answer_of(response: reqwest::Response) -> Result<Answer, Error> {
    let read = tokio::time::timeout(SILENCE, Answer::of(response)).await;
    read.unwrap_or_else(|late| Err(Error::unavailable("the store", late)))
}

/// The pieces of an object for as long as they come: a store that stops in the middle would hold whoever reads for ever.
fn unless_stuck(pieces: ByteStream) -> ByteStream {
    let read = stream::unfold(Some(pieces), async |pieces: Option<ByteStream>| {
        let mut pieces = pieces?;
        match tokio::time::timeout(SILENCE, pieces.next()).await {
            Ok(next) => next.map(|piece| (piece, Some(pieces))),
            Err(late) => Some((Err(Error::unavailable("the store", late)), None)),
        }
    });
    read.boxed()
}
