//! A start where a folder or a share is all there is: the doors that need a bucket are closed, and what was begun in one is told.
//!
//! Separate from the putting together, because nothing of it is needed where there is a bucket.

use super::explain;
use crate::config::Config;
use crate::db::Database;
use crate::domain::Backend;

/// Closes the doors that can only sign for a bucket, where there is none, and says so.
pub(super) fn close_doors(config: &mut Config) {
    let closed = config.close_bucket_doors();
    if !closed.is_empty() {
        tracing::info!(
            "all files pass through the server into storage.backend, as s3.bucket is not set; what can only sign for a bucket is \
             closed: {}",
            closed.join(", ")
        );
    }
}

/// Tells of unfinished uploads that are in a bucket which is no longer there for us: that of settings of an earlier day, or of
/// the embedded S3.
pub(super) async fn tell_of_the_left(config: &Config, db: &Database) -> anyhow::Result<()> {
    if !config.takes_all_through_us() {
        return Ok(());
    }
    let left = db.count_unfinished_in(Backend::S3).await.map_err(explain)?;
    if left > 0 {
        tracing::warn!(
            left,
            "unfinished uploads are in a bucket that the settings no longer name, or in the embedded S3, and cannot go on; set \
             s3.bucket, or storage.backend = \"s3\" for the embedded one, until they have ended, or let them expire"
        );
    }
    Ok(())
}
