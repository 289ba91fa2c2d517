//! Bytes on their way to a storage: counted, hashed and held against what was announced, while they pass.
//!
//! Separate from the storages, so that none of them can count or verify another way. A body that is not what it was
//! announced to be never ends well: its last piece is held back until the length and the digest are right, so a
//! storage that has taken a whole body has taken the right one.

mod receipt;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};

pub use self::receipt::{BodyError, Receipt};
use crate::domain::{Algorithm, Checksum, Checksums, Hasher, Sha256Sum};

/// What a body must be.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Exactly this many bytes; `None` takes as many as come, up to `most`.
    pub length: Option<u64>,
    /// At most this many bytes.
    pub most: u64,
    /// With this digest.
    pub checksum: Option<Checksum>,
    /// That all of it counts or nothing, also without a digest or a length.
    pub is_whole: bool,
    /// Whether its receipt is to tell its SHA-256; where it need not, no time is spent on it.
    pub tells_sha256: bool,
}

impl Expectation {
    /// Exactly `length` bytes, with a digest where one is claimed; what it was is told.
    pub fn exactly(length: u64, sha256: Option<Sha256Sum>) -> Self {
        Self {
            length: Some(length),
            most: length,
            checksum: sha256.map(Checksum::from),
            is_whole: true,
            tells_sha256: true,
        }
    }

    /// Exactly `length` bytes of our own, of which nobody wants to know the digest.
    pub(crate) fn unhashed(length: u64) -> Self {
        Self {
            length: Some(length),
            ..Self::at_most(length)
        }
    }

    /// At most `most` bytes.
    pub fn at_most(most: u64) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// With this digest, if there is one.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Option<Checksum>) -> Self {
        self.checksum = checksum;
        self
    }
}

/// A stream of bytes that checks itself.
pub struct Body {
    inner: BoxStream<'static, Result<Bytes, BodyError>>,
    expected: Expectation,
    received: u64,
    sha256: Option<Sha256>,
    /// For the digest that was claimed.
    hasher: Option<Hasher>,
    /// For those that are to be told besides.
    others: Vec<(Algorithm, Hasher)>,
    /// The last piece that came: it is passed on once it is known whether it was the last of all. Of a body that counts
    /// byte by byte none is held.
    held: Option<Bytes>,
    has_ended: bool,
    receipt: Receipt,
    /// The SHA-256 that its sender has made of it before.
    beforehand: Option<Sha256Sum>,
}

impl Body {
    /// A body from pieces as they come; an error ends it.
    pub fn new(
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        expected: Expectation,
    ) -> Self {
        let claimed = expected.checksum.as_ref().map(Checksum::algorithm);
        Self {
            inner: pieces.boxed(),
            received: 0,
            // One that is claimed is made for that.
            sha256: (expected.tells_sha256 && claimed != Some(Algorithm::Sha256)).then(Sha256::new),
            hasher: claimed.map(Hasher::new),
            others: Vec::new(),
            expected,
            held: None,
            has_ended: false,
            receipt: Receipt::default(),
            beforehand: None,
        }
    }

    /// Tells of itself through this receipt, which somebody holds already.
    #[must_use]
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = receipt;
        self
    }

    /// Has its receipt tell this checksum of it too; before the first piece is taken.
    #[must_use]
    pub fn also(mut self, algorithm: Algorithm) -> Self {
        if self.others.iter().all(|(other, _)| *other != algorithm) {
            self.others.push((algorithm, Hasher::new(algorithm)));
        }
        self
    }

    /// A body of bytes that are all there.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let (length, sum) = (bytes.len() as u64, Sha256Sum::of([&bytes]));
        let pieces = futures_util::stream::iter([Ok(bytes)]);
        Self::new(pieces, Expectation::exactly(length, None)).summed(sum)
    }

    /// With the SHA-256 that its bytes have: whoever made it need not have it made again, and a store can be told it before
    /// the first byte.
    #[must_use]
    pub fn summed(mut self, sum: Sha256Sum) -> Self {
        self.beforehand = Some(sum);
        self
    }

    /// The SHA-256 that its bytes must have, where it is known beforehand.
    pub fn sha256_beforehand(&self) -> Option<Sha256Sum> {
        let claimed = self.expected.checksum.as_ref();
        self.beforehand.or_else(|| claimed.and_then(Checksum::sha256))
    }

    /// The exact length, where it is known beforehand.
    pub fn length(&self) -> Option<u64> {
        self.expected.length
    }

    /// Whether every byte counts that came, also where it ends too soon: neither a length nor a digest was announced
    /// that only the whole could have.
    pub fn counts_byte_by_byte(&self) -> bool {
        self.expected.length.is_none() && self.expected.checksum.is_none() && !self.expected.is_whole
    }

    /// What tells of it later, whoever has the body by then.
    pub fn receipt(&self) -> Receipt {
        self.receipt.clone()
    }

    fn fail(&mut self, failure: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.has_ended = true;
        if self.counts_byte_by_byte() {
            self.tell_sums();
        }
        self.receipt
            .set(|outcome| outcome.failure = Some(failure.clone()));
        Poll::Ready(Some(Err(failure)))
    }

    /// The end has come: says whether it is the right one.
    fn verdict(&mut self) -> Result<(), BodyError> {
        if let Some(expected) = self.expected.length.filter(|length| *length != self.received) {
            return Err(BodyError::TooShort {
                expected,
                actual: self.received,
            });
        }
        let claimed = self.hasher.take().map(Hasher::finish);
        if claimed != self.expected.checksum {
            return Err(BodyError::Mismatch);
        }
        let own = self.sha256.take();
        let own = own.map(|hash| Sha256Sum::new(hash.finalize().into()));
        let claimed = claimed.filter(|_| self.expected.tells_sha256);
        let sum = own.or_else(|| claimed.as_ref().and_then(Checksum::sha256));
        self.receipt.set(|outcome| outcome.sha256 = sum);
        self.tell_sums();
        Ok(())
    }

    fn tell_sums(&mut self) {
        let mut sums = Checksums::default();
        for (_, hasher) in self.others.drain(..) {
            sums.put(hasher.finish());
        }
        self.receipt.set(|outcome| outcome.sums = sums);
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.has_ended {
                return Poll::Ready(None);
            }
            match self.inner.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {}
                Poll::Ready(Some(Ok(piece))) => {
                    self.received += piece.len() as u64;
                    if self.received > self.expected.most {
                        let expected = self.expected.most;
                        return self.fail(BodyError::TooLong { expected });
                    }
                    if let Some(sha256) = &mut self.sha256 {
                        sha256.update(&piece);
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&piece);
                    }
                    for (_, hasher) in &mut self.others {
                        hasher.update(&piece);
                    }
                    let received = self.received;
                    self.receipt.set(|outcome| outcome.received = received);
                    // Nothing that is still to come could make it count for nothing.
                    if self.counts_byte_by_byte() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    if let Some(before) = self.held.replace(piece) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Poll::Ready(Some(Err(failure))) => {
                    return self.fail(failure);
                }
                Poll::Ready(None) => {
                    if let Err(failure) = self.verdict() {
                        return self.fail(failure);
                    }
                    self.has_ended = true;
                    return Poll::Ready(self.held.take().map(Ok));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn drain(mut body: Body) -> (Vec<u8>, Option<BodyError>) {
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(failure) => return (bytes, Some(failure)),
            }
        }
        (bytes, None)
    }

    fn pieces(texts: &[&'static str]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
        let pieces: Vec<_> = texts
            .iter()
            .map(|text| Ok(Bytes::from_static(text.as_bytes())))
            .collect();
        futures_util::stream::iter(pieces)
    }

    #[tokio::test]
    async fn a_right_body_passes_whole_and_its_digest_is_told() {
        let body = Body::new(pieces(&["ab", "", "c"]), Expectation::exactly(3, None));
        let receipt = body.receipt();

        assert_eq!(drain(body).await, (b"abc".to_vec(), None));
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(receipt.sha256().unwrap().to_string(), sum);
        assert_eq!(receipt.received(), 3);
    }

    #[tokio::test]
    async fn a_wrong_body_never_passes_whole() {
        let claim = Some(Sha256Sum::new([7; 32]));
        for (texts, expected, failure) in [
            (
                vec!["ab"],
                Expectation::exactly(3, None),
                BodyError::TooShort {
                    expected: 3,
                    actual: 2,
                },
            ),
            (
                vec!["ab", "cd"],
                Expectation::exactly(3, None),
                BodyError::TooLong { expected: 3 },
            ),
            (
                vec!["ab", "c"],
                Expectation::exactly(3, claim),
                BodyError::Mismatch,
            ),
        ] {
            let body = Body::new(pieces(&texts), expected);
            let receipt = body.receipt();

            let (passed, failed) = drain(body).await;

            assert!(passed.len() < 3, "{passed:?}");
            assert_eq!(failed, Some(failure.clone()));
            assert_eq!(receipt.failure(), Some(failure));
            assert_eq!(receipt.sha256(), None);
        }
    }

    #[tokio::test]
    async fn what_counts_byte_by_byte_is_not_held_back() {
        let pending = pieces(&["ab"]).chain(futures_util::stream::pending());
        let mut body = Body::new(pending, Expectation::at_most(9));

        assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"ab"))));
    }

    #[tokio::test]
    async fn what_came_before_a_cut_counts_where_no_length_was_announced() {
        let cut = || pieces(&["ab", "c"]).chain(futures_util::stream::iter([Err(BodyError::Cut)]));

        let open = drain(Body::new(cut(), Expectation::at_most(9))).await;
        let exact = drain(Body::new(cut(), Expectation::exactly(4, None))).await;

        assert_eq!(open, (b"abc".to_vec(), Some(BodyError::Cut)));
        assert_eq!(exact, (b"ab".to_vec(), Some(BodyError::Cut)));
    }
}
