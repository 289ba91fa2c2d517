//! A body on its way in: from the connection to a synced segment, hashed as it passes, never held whole.
//!
//! Separate because memory, speed and the checks of content meet here: bytes are gathered into batches, and while
//! one batch is hashed and written on a blocking thread, the next comes in.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::StreamingBlob;
use s3s::stream::ByteStream as _;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};
use tokio::task::JoinHandle;

use super::layout::Segment;
use super::store::Store;
use super::sums::{self, Algorithm, Sums};

/// The most bytes of one part or one object sent in one piece: 5 GiB.
pub const MAX_SIZE: u64 = 5 << 30;
/// Bytes gathered before a blocking thread is asked to work on them.
const BATCH: usize = 1 << 20;

/// What the client claims of a body, and what else is to be calculated.
#[derive(Debug, Default)]
pub struct Claims {
    /// `Content-MD5`.
    pub md5: Option<String>,
    /// Checksums in headers.
    pub sums: Sums,
    /// Checksums that follow the body, or that the upload asks for.
    pub calculate: BTreeSet<Algorithm>,
    /// Where those that follow will be found.
    pub trailers: Option<TrailingHeaders>,
}

/// A body that is whole, verified and on the disk. Its segment is not kept yet.
#[derive(Debug)]
pub struct Received {
    /// Where the bytes lie.
    pub segment: Arc<Segment>,
    /// In bytes.
    pub size: u64,
    /// In hexadecimal.
    pub md5: String,
    /// Everything that was claimed or asked for.
    pub sums: Sums,
}

/// Takes a body in.
///
/// # Errors
/// `MissingContentLength`, `EntityTooLarge`, `IncompleteBody`, `BadDigest`, `InvalidDigest`,
/// `XAmzContentSHA256Mismatch`. Nothing stays of a body that was refused or cut off.
pub async fn receive(store: &Arc<Store>, body: StreamingBlob, claims: Claims) -> S3Result<Received> {
    let length = body.remaining_length().exact().ok_or_else(|| {
        s3_error!(
            MissingContentLength,
            "You must provide the Content-Length HTTP header."
        )
    })? as u64;
    receive_exactly(store, body, length, claims).await
}

/// Takes a body of this many bytes in.
///
/// # Errors
/// As [`receive`].
pub async fn receive_exactly(
    store: &Arc<Store>,
    mut body: StreamingBlob,
    length: u64,
    claims: Claims,
) -> S3Result<Received> {
    if length > MAX_SIZE {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed size."
        ));
    }
    let claimed_md5 = claims.md5.as_deref().map(decode_md5).transpose()?;
    let mut algorithms = claims.calculate;
    algorithms.extend(claims.sums.algorithms());

    let hasher = sums::hasher(&algorithms);
    let shared = store.clone();
    let mut writer: JoinHandle<io::Result<Writer>> =
        tokio::task::spawn_blocking(move || Writer::create(&shared, hasher));
    loop {
        let batch = next_batch(&mut body).await?;
        let ready = finished(writer).await?;
        if batch.is_empty() {
            writer = tokio::task::spawn_blocking(move || Ok(ready));
            break;
        }
        writer = tokio::task::spawn_blocking(move || ready.write(&batch));
    }
    let writer = finished(writer).await?;
    if writer.size != length {
        return Err(incomplete());
    }
    let mut claimed = claims.sums;
    if let Some(trailers) = claims.trailers {
        let after = trailers.read(Sums::from_headers).unwrap_or_default();
        for algorithm in algorithms {
            claimed.put(algorithm, after.get(algorithm).map(str::to_owned));
        }
    }
    let shared = store.clone();
    super::store::run(move || {
        let received = writer.digest();
        verify(&received, claimed_md5.as_deref(), &claimed)?;
        received.finish(&shared).map_err(S3Error::internal_error)
    })
    .await
}

/// The next bytes of the body, about [`BATCH`] of them; none at its end.
async fn next_batch(body: &mut StreamingBlob) -> S3Result<Vec<Bytes>> {
    let mut batch = Vec::new();
    let mut size = 0;
    while size < BATCH {
        match body.next().await {
            Some(Ok(bytes)) => {
                size += bytes.len();
                batch.push(bytes);
            }
            Some(Err(error)) => return Err(broken_body(&error)),
            None => break,
        }
    }
    Ok(batch)
}

async fn finished(writer: JoinHandle<io::Result<Writer>>) -> S3Result<Writer> {
    writer
        .await
        .map_err(S3Error::internal_error)?
        .map_err(S3Error::internal_error)
}

/// What a stream's failure means. The types of these errors are private to `s3s`, their texts are all there is.
fn broken_body(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut error = S3Error::with_message(code, message);
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "The signature of a chunk does not match.")
    } else {
        incomplete()
    }
}

fn incomplete() -> S3Error {
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header."
    )
}

fn decode_md5(text: &str) -> S3Result<Vec<u8>> {
    let raw = STANDARD.decode(text).ok().filter(|raw| raw.len() == 16);
    raw.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
}

fn verify(received: &Digested, md5: Option<&[u8]>, claimed: &Sums) -> S3Result<()> {
    if md5.is_some_and(|claimed| claimed != received.md5) {
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ));
    }
    match claimed.first_difference(&received.sums) {
        None => Ok(()),
        Some(algorithm) => Err(s3_error!(
            BadDigest,
            "The {} you specified did not match what we received.",
            algorithm.name()
        )),
    }
}

/// A segment being written. It moves to a blocking thread and back with each batch.
struct Writer {
    segment: Segment,
    file: File,
    md5: Md5,
    sums: ChecksumHasher,
    size: u64,
}

impl Writer {
    fn create(store: &Store, sums: ChecksumHasher) -> io::Result<Self> {
        let (segment, file) = store.layout.new_segment()?;
        Ok(Self {
            segment,
            file,
            md5: Md5::new(),
            sums,
            size: 0,
        })
    }

    fn write(mut self, batch: &[Bytes]) -> io::Result<Self> {
        for bytes in batch {
            self.file.write_all(bytes)?;
            self.md5.update(bytes);
            self.sums.update(bytes);
            self.size += bytes.len() as u64;
        }
        Ok(self)
    }

    fn digest(self) -> Digested {
        let Self {
            segment,
            file,
            md5,
            sums,
            size,
        } = self;
        Digested {
            segment,
            file,
            md5: md5.finalize().to_vec(),
            sums: sums::from_hasher(sums),
            size,
        }
    }
}

/// A segment that is whole and not synced yet.
struct Digested {
    segment: Segment,
    file: File,
    md5: Vec<u8>,
    sums: Sums,
    size: u64,
}

impl Digested {
    fn finish(self, store: &Store) -> io::Result<Received> {
        self.file.sync_all()?;
        store.layout.sync_segments()?;
        Ok(Received {
            segment: Arc::new(self.segment),
            size: self.size,
            md5: hex::encode(self.md5),
            sums: self.sums,
        })
    }
}
