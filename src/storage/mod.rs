//! Where bytes end up.
//!
//! Separate from the verbs, so that what a store can and cannot do is known in one place. [`Storage`] is what the
//! relay needs of one, whichever it is; [`S3Store`] besides signs for browsers, which no other can.
//!
//! Every backend passes the same tests (`tests/storage/conformance/`).

mod body;
mod credentials;
mod journal;
mod local;
mod measured;
pub(crate) mod s3;
#[cfg(feature = "smb")]
mod smb;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

pub use body::{Body, BodyError, Expectation, Receipt};
pub use credentials::CredentialSource;
pub use local::{LocalSettings, LocalStore};
pub use measured::Measured;
pub use s3::{Binds, S3Relay, S3Store, StoreSettings, StsSettings, is_signed};
#[cfg(feature = "smb")]
pub use smb::{SmbSettings, SmbStore};

use crate::domain::{
    Algorithm, Backend, Checksum, ObjectKey, PartLimits, PartNumber, StoredPart, Upload, UploadId,
};
use crate::error::{Error, FieldError};

/// The bytes of a finished object, piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// Whether a key is that of a [partial](Upload::is_partial) upload, `.muleteer/<its id>/whole`, where only
/// [`Storage::join`] may put something. Of all keys in a storage's own folder it is the only one that an upload may have.
fn is_partial_key(key: &ObjectKey) -> bool {
    let mut segments = key.segments();
    let [folder, id, name] = std::array::from_fn(|_| segments.next().unwrap_or_default());
    folder == ".muleteer" && name == "whole" && segments.next().is_none() && UploadId::parse(id).is_ok()
}

/// An object as its storage shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Bytes.
    pub size: u64,
    /// The storage's tag.
    pub etag: Option<String>,
}

/// Something unfinished that lies in a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The upload that it is of, by the name that it has in the storage.
    pub upload: UploadId,
    /// The storage's own name of it.
    pub place: String,
    /// The storage's id of a multipart upload, where it is one.
    pub multipart_id: Option<String>,
    /// When anything last happened to it.
    pub last_active: DateTime<Utc>,
}

/// A place for objects that we write ourselves, in parts or by appending.
///
/// An upload is sent in one of two ways, and never in both: numbered parts of [`Upload::plan`] in any order and at
/// once ([`put`](Self::put)), or bytes at the end of what is there ([`append`](Self::append)). The caller sees to it
/// that no two requests send the same part, or append to the same upload, at once.
///
/// What a method has acknowledged survives a kill of this process at any moment, and, unless the operator switched
/// that off, a power cut. What it has not acknowledged does not count, whatever may lie in the storage.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Which kind it is.
    fn backend(&self) -> Backend;

    /// Sizes of the parts that it takes.
    fn limits(&self) -> PartLimits;

    /// An object's address for people and logs, such as `s3://bucket/key` or `./uploads/files/x`; it ends in the key.
    fn address(&self, key: &ObjectKey) -> String;

    /// Whether an object may have this key here.
    ///
    /// # Errors
    /// [`FieldError`] on `filename`, with what is wrong.
    fn check_key(&self, key: &ObjectKey) -> Result<(), FieldError>;

    /// Asks whether it can be used.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::StoreRefused`].
    async fn check(&self) -> Result<(), Error>;

    /// Reserves a place for the upload's bytes; gives the storage's own id of it, which becomes
    /// [`Upload::multipart_id`].
    ///
    /// # Errors
    /// [`Error::NoSpace`] where the bytes cannot fit, [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn begin(&self, upload: &Upload) -> Result<Option<String>, Error>;

    /// As [`begin`](Self::begin), and has the storage make checksums of the parts where it can; gives also the checksum
    /// that whoever sends a part to it should send along, if it looks at any.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    async fn begin_checked(&self, upload: &Upload) -> Result<(Option<String>, Option<Algorithm>), Error> {
        Ok((self.begin(upload).await?, None))
    }

    /// Stores one part of [`Upload::plan`], of exactly [`Body::length`] bytes. A part that is sent again is
    /// replaced. A body that does not end well leaves what was there.
    ///
    /// # Errors
    /// [`Error::Interrupted`], [`Error::WrongSize`], [`Error::ChecksumMismatch`], [`Error::Superseded`] for a body
    /// that did not end well ([`BodyError`] becomes them), [`Error::Vanished`] where the storage lost the upload,
    /// [`Error::NoSpace`], [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn put(&self, upload: &Upload, number: PartNumber, body: Body) -> Result<StoredPart, Error>;

    /// Appends bytes at `offset`, which is where the upload stands; gives the offset afterwards. As they become safe, it
    /// [says so](Receipt::keep) to the body's receipt. Of calls with a lower [fence](crate::domain::Appending::fence)
    /// nothing counts that comes late.
    ///
    /// Of a body that [counts byte by byte](Body::counts_byte_by_byte) what came before a failure is kept, and the new
    /// offset is an answer like any other: the body's [`Receipt`] tells of the failure. Of any other body all is kept or
    /// nothing.
    ///
    /// # Errors
    /// [`Error::OffsetMismatch`] where the upload stands elsewhere, and as [`put`](Self::put).
    async fn append(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error>;

    /// Where an upload stands that is appended to: the bytes that are stored.
    ///
    /// # Errors
    /// [`Error::Vanished`], [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn offset(&self, upload: &Upload) -> Result<u64, Error>;

    /// The parts that are stored, ascending, of whatever size.
    ///
    /// # Errors
    /// [`Error::Vanished`] for an upload that the storage does not know, also once it is finished or given up.
    async fn parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error>;

    /// Makes the object of what is stored, under [`Upload::key`]; gives its tag where there is one. An object that
    /// has that key already is never overwritten. `parts` is what [`parts`](Self::parts) said, all of it; it is empty
    /// for an upload that was appended to, whose [`size`](Upload::size) is known by now.
    ///
    /// # Errors
    /// [`Error::Vanished`] also when an earlier call has made the object already; [`Error::OffsetMismatch`] where fewer
    /// or more bytes were appended than the upload has; [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn finish(&self, upload: &Upload, parts: &[StoredPart]) -> Result<Option<String>, Error>;

    /// As [`finish`](Self::finish), where the whole is known to have the checksum `whole` and the upload was
    /// [begun with](Self::begin_checked) its algorithm; storages that make none of their own take no notice of it.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`] of the parts where the storage saw that it has other bytes, and made nothing of them;
    /// and of the file where it made an object of them; and as [`finish`](Self::finish).
    async fn finish_checked(
        &self,
        upload: &Upload,
        parts: &[StoredPart],
        whole: Option<&Checksum>,
    ) -> Result<Option<String>, Error> {
        let _ = whole;
        self.finish(upload, parts).await
    }

    /// Makes the object of `upload`, under [`Upload::key`], of the bytes of `sources` in this order, without sending
    /// them anew where the storage can copy them itself; gives its tag where there is one. The sources are
    /// [partial](Upload::is_partial) uploads of this storage to which all their bytes were appended; one may stand among
    /// them twice, and all stay as they are. Asked again after a failure at any point, it begins anew.
    ///
    /// # Errors
    /// [`Error::Vanished`] where the storage lost `upload` or an earlier call has made the object already;
    /// [`Error::NotFound`] (`"part"`) where it lost a source; [`Error::OffsetMismatch`] for a source that is not whole;
    /// [`Error::NoSpace`], [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn join(&self, upload: &Upload, sources: &[Upload]) -> Result<Option<String>, Error>;

    /// Drops everything that is stored of an unfinished upload, also what was made of a partial one for
    /// [`join`](Self::join); one that the storage does not know is fine.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn abort(&self, upload: &Upload) -> Result<(), Error>;

    /// The object under `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn find(&self, key: &ObjectKey) -> Result<Option<StoredObject>, Error>;

    /// The bytes of a finished object, or a range of them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ByteStream, Error>;

    /// Removes a finished object; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn remove(&self, key: &ObjectKey) -> Result<(), Error>;

    /// Everything unfinished that lies here and bears one of our ids.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn strays(&self) -> Result<Vec<Stray>, Error>;

    /// When anything last happened to something unfinished, asked more closely than [`strays`](Self::strays) could
    /// for each.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn last_active(&self, stray: &Stray) -> Result<DateTime<Utc>, Error> {
        Ok(stray.last_active)
    }

    /// Drops something unfinished.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StoreRefused`].
    async fn discard(&self, stray: &Stray) -> Result<(), Error>;
}
