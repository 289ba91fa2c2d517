//! Download: the bytes of a finished object, for protocols that offer them.

use std::ops::Range;

use super::Uploads;
use crate::domain::{Principal, State, Upload, UploadId};
use crate::error::Error;
use crate::storage::ByteStream;

impl Uploads {
    /// A complete upload, whose object can be read.
    ///
    /// # Errors
    /// [`Error::NotFound`] also for one that is not complete.
    pub async fn finished(&self, caller: &Principal, id: &UploadId) -> Result<Upload, Error> {
        let upload = self.find(caller, id).await?;
        if upload.state == State::Complete {
            Ok(upload)
        } else {
            Err(Error::NotFound("file"))
        }
    }

    /// The bytes of a finished object, or a range of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is gone from the storage, [`Error::Unavailable`], [`Error::StoreRefused`].
    pub async fn read(&self, upload: &Upload, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        self.storage(upload)?.read(&upload.key, range).await
    }
}
