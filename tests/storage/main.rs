//! The storages that the relay writes to, for real: one suite that each of them passes, and what is special to one.
//!
//! A backend joins the suite with one line of [`conformance!`]; what it has to bring is a [`Place`].

#[macro_use]
mod conformance;

mod files;
mod local;
mod s3;
#[path = "../support/s3_client.rs"]
#[expect(dead_code, reason = "other tests ask for more")]
mod s3_client;
mod s3_traffic;
#[cfg(feature = "smb")]
mod smb;

use async_trait::async_trait;
use muleteer::storage::Storage;

/// An empty place that bytes can be stored in; it goes with its value.
#[async_trait]
trait Place: Send + Sync {
    /// A new instance of the storage over this place, as after a restart or in another process.
    async fn open(&self) -> Box<dyn Storage>;

    /// Whether the storage itself refuses to replace an object. Where it cannot, keys that are never used twice have
    /// to do.
    fn keeps_what_is_there(&self) -> bool {
        true
    }

    /// Least bytes of what the storage itself takes as a part; only a store has such a limit.
    fn least_part(&self) -> u64 {
        64 << 10
    }

    /// Whether a name may have every letter.
    fn takes_every_letter(&self) -> bool {
        true
    }
}

conformance! {
    in_a_folder => local::Folder::new();
    in_a_folder_without_sync => local::Folder::without_sync();
    in_a_folder_with_temp => local::Folder::with_temp();
    in_the_embedded_s3 => s3::Bucket::embedded();
    in_a_bucket_outside => s3::Bucket::outside();
}

conformance! { of appending:
    in_the_embedded_s3_with_small_parts => s3::Bucket::with_small_parts();
}

#[cfg(feature = "smb")]
conformance! {
    on_a_share => smb::Folder::new();
    on_a_share_without_sync => smb::Folder::without_sync();
}
