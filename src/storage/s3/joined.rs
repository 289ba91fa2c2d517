//! Parts that are made of objects, read again, and of what is still in memory.
//!
//! Separate, because all ways to make parts of objects end here. What is sent is signed with its SHA-256, so that the store takes
//! these bytes or none: a part that it had taken wrongly would count, whatever became of us before we knew. Where the
//! digest was not made as the bytes came, all is read twice, once for it.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::relay::S3Relay;
use super::sending::PAUSES;
use crate::domain::{Algorithm, Checksum, ObjectKey, PartNumber, Sha256Sum, Upload};
use crate::error::Error;
use crate::storage::{Body, BodyError, Expectation};

/// Bytes on their way into a part.
pub(super) type Pieces = stream::BoxStream<'static, Result<Bytes, BodyError>>;

/// What comes behind the small objects of a part.
#[derive(Clone, Default)]
pub(super) struct Ending {
    /// The bytes.
    pub(super) held: Vec<Bytes>,
    /// The digest of the part, where it was made as its bytes came.
    pub(super) sum: Option<Sha256Sum>,
}

impl S3Relay {
    /// Sends a part of the bytes of these objects and what comes behind them, `length` bytes in all.
    ///
    /// # Errors
    /// [`Error::Unavailable`] also where an object cannot be read, and what the store says.
    pub(super) async fn send_joined(
        &self,
        upload: &Upload,
        number: PartNumber,
        keys: Vec<ObjectKey>,
        ending: Ending,
        length: u64,
    ) -> Result<(), Error> {
        let read = || self.read_all(keys.clone(), ending.held.clone());
        self.send_read(upload, number, read, ending.sum, length)
            .await
            .map(drop)
    }

    /// Sends a part of the `length` bytes that `read` gives each time that it is called; gives its tag. Where their digest
    /// is not known it is called once more for that at each try: what was read wrongly must not be signed again.
    ///
    /// # Errors
    /// As [`send_joined`](Self::send_joined).
    pub(super) async fn send_read(
        &self,
        upload: &Upload,
        number: PartNumber,
        read: impl Fn() -> Pieces,
        sum: Option<Sha256Sum>,
        length: u64,
    ) -> Result<String, Error> {
        let multipart_id = Self::multipart_id(upload)?;
        let body = || Body::new(read(), Expectation::unhashed(length));
        let send = async || {
            let sum = match sum {
                Some(sum) => sum,
                None => sum_of(body()).await?,
            };
            let body = body().summed(sum);
            self.store
                .send_part(&upload.key, multipart_id, number, body, self.now())
                .await
        };
        let mut pauses = PAUSES.into_iter();
        loop {
            match (send().await.map_err(unread), pauses.next()) {
                (Err(Error::Unavailable { .. }), Some(pause)) => tokio::time::sleep(pause).await,
                (sent, _) => return sent,
            }
        }
    }

    fn read_all(&self, keys: Vec<ObjectKey>, held: Vec<Bytes>) -> Pieces {
        let this = self.clone();
        let read = stream::iter(keys)
            .then(move |key| {
                let this = this.clone();
                async move { this.stretch(&key, None).await }
            })
            .flatten();
        read.chain(stream::iter(held.into_iter().map(Ok))).boxed()
    }

    /// The bytes of an object, or a range of them, as pieces of a body.
    pub(super) async fn stretch(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Pieces {
        match self.store.fetch(key, range, self.now()).await {
            Ok(bytes) => bytes.map_err(|_| BodyError::Cut).boxed(),
            Err(_) => stream::iter([Err(BodyError::Cut)]).boxed(),
        }
    }
}

async fn sum_of(body: Body) -> Result<Sha256Sum, Error> {
    let mut body = body.also(Algorithm::Sha256);
    while let Some(piece) = body.next().await {
        piece?;
    }
    let sums = body.receipt().sums();
    let sum = sums.get(Algorithm::Sha256);
    sum.and_then(Checksum::sha256)
        .ok_or_else(|| Error::internal("a body that ended well has no digest"))
}

/// What failed was reading back what is stored already, and no request of a client.
fn unread(error: Error) -> Error {
    match error {
        Error::Interrupted | Error::WrongSize { .. } => {
            Error::unavailable("the store", "what a part is made of cannot be read back")
        }
        other => other,
    }
}
