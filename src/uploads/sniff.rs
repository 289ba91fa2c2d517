//! Sniff: a finished object's first bytes, held against what it may be.
//!
//! Separate from `domain::sniff` and `domain::content`, which know what bytes show and whether it may be: here they are
//! fetched, and what is refused is removed. It is separate from `outcome` too, because the same is asked of an object that
//! takes the place of one in quarantine.

use futures_util::StreamExt as _;

use super::Uploads;
use crate::domain::{SNIFFED, Upload};
use crate::error::Error;

impl Uploads {
    /// Looks at the first bytes of the object, where the rules say so. Of an upload that goes straight to the store nobody
    /// could before; so this is the last moment before it is announced, or handed to a scanner. What is refused is removed,
    /// and the upload has failed.
    ///
    /// # Errors
    /// [`Error::ContentRefused`]; [`Error::StoreRefused`] where we may not read it, and it is not announced.
    pub(super) async fn look_inside(&self, upload: &Upload) -> Result<(), Error> {
        let verdict = self.check_inside(upload).await;
        if let Err(error @ Error::ContentRefused { .. }) = &verdict {
            tracing::warn!(upload = %upload.id, key = %upload.key, %error, "an object is not what it may be, and is removed");
            self.reject(upload).await?;
        }
        verdict
    }

    /// The same, and nothing comes of it.
    ///
    /// # Errors
    /// As [`look_inside`](Self::look_inside).
    pub(super) async fn check_inside(&self, upload: &Upload) -> Result<(), Error> {
        let policy = self.policy_of(upload);
        if !policy.sniffs() || upload.size == 0 {
            return Ok(());
        }
        let range_end = upload.size.min(SNIFFED);
        let mut pieces = self
            .storage(upload)?
            .read(&upload.key, Some(0..range_end))
            .await?;
        let mut first = Vec::new();
        while let Some(piece) = pieces.next().await {
            first.extend_from_slice(&piece?);
            // A store that knows no ranges would go on with all of it.
            if first.len() as u64 >= range_end {
                break;
            }
        }
        // A share does not let go of a file's name while somebody has it open.
        drop(pieces);
        policy.check_content(&upload.content_type, &first)
    }
}
