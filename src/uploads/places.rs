//! Places: where an upload's bytes are, and where those of a new one go.
//!
//! Separate from the verbs, because that is a question of the settings: there may be a bucket, a folder or a share, or one of
//! these beside a bucket; and what was begun in a place stays there, whether or not that is still at hand.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CHECK_PATIENCE, Check, Uploads};
use crate::domain::{Backend, NewUpload, PartLimits, Transfer, Upload};
use crate::error::Error;
use crate::storage::{S3Store, Storage};

/// A bucket, for browsers and for us.
#[derive(Clone)]
pub struct Bucket {
    /// As browsers send to it with our signatures.
    pub store: Arc<S3Store>,
    /// As we do, with bytes that pass through us.
    pub storage: Arc<dyn Storage>,
}

impl Uploads {
    /// How bytes travel of which a client would sign each part.
    pub fn transfer(&self) -> Transfer {
        match self.0.bucket {
            Some(_) => Transfer::Direct,
            None => Transfer::Relay,
        }
    }

    /// A new upload on the way that there is: without a bucket, through us.
    pub(super) fn on_its_way(&self, mut new: NewUpload) -> NewUpload {
        // Nobody but us writes into a folder, so who would cut the file themselves is refused for want of a bucket.
        if new.wishes.cut.is_ours() && self.transfer() == Transfer::Relay {
            new.transfer = Transfer::Relay;
        }
        new
    }

    /// Where new uploads go whose bytes travel like this.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for signatures where there is no bucket.
    pub(super) fn place_for(&self, transfer: Transfer) -> Result<&Arc<dyn Storage>, Error> {
        match transfer {
            Transfer::Direct => self.bucket(),
            Transfer::Relay => Ok(&self.0.relay),
        }
    }

    /// The limits of parts where new uploads go whose bytes travel like this.
    pub(super) fn limits_of(&self, transfer: Transfer) -> PartLimits {
        match transfer {
            Transfer::Direct => self.0.policy.parts,
            Transfer::Relay => self.0.relay.limits(),
        }
    }

    /// The bucket, as browsers send to it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is none.
    pub(super) fn store(&self) -> Result<&Arc<S3Store>, Error> {
        self.0
            .bucket
            .as_ref()
            .map(|bucket| &bucket.store)
            .ok_or_else(no_bucket)
    }

    /// The bucket, as we send to it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is none.
    pub(super) fn bucket(&self) -> Result<&Arc<dyn Storage>, Error> {
        self.0
            .bucket
            .as_ref()
            .map(|bucket| &bucket.storage)
            .ok_or_else(no_bucket)
    }

    /// Whether this is the bucket that we sign for.
    pub(super) fn is_our_bucket(&self, name: &str) -> bool {
        self.0
            .bucket
            .as_ref()
            .is_some_and(|bucket| bucket.store.bucket() == name)
    }

    /// The bucket of what is stored there; a folder and a share have none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no bucket.
    pub(super) fn bucket_of(&self, backend: Backend) -> Result<String, Error> {
        match backend {
            Backend::S3 => Ok(self.store()?.bucket().to_owned()),
            Backend::Local | Backend::Smb => Ok(String::new()),
        }
    }

    /// The finished object's address: as browsers reach it in the bucket, as people name it elsewhere.
    pub fn location(&self, upload: &Upload) -> String {
        match (upload.storage, &self.0.bucket) {
            (Backend::S3, Some(bucket)) => bucket.store.public_url(&upload.key),
            _ => self.address(upload),
        }
    }

    /// The finished object's address in its storage, such as `s3://bucket/key`; it ends in the key.
    pub fn address(&self, upload: &Upload) -> String {
        self.storage(upload)
            .map_or_else(|_| upload.key.to_string(), |storage| storage.address(&upload.key))
    }

    /// Where uploads go whose bytes pass through us.
    pub fn relay_backend(&self) -> Backend {
        self.0.relay.backend()
    }

    /// Most bytes that one file may have whose bytes pass through us.
    pub fn relay_max_size(&self) -> u64 {
        self.0.policy.max_size.min(self.0.relay.limits().max_file_size())
    }

    /// What that place takes as parts.
    pub fn relay_limits(&self) -> PartLimits {
        self.0.relay.limits()
    }

    /// The storage that has this upload's bytes.
    pub(super) fn storage(&self, upload: &Upload) -> Result<&dyn Storage, Error> {
        let relay = &self.0.relay;
        match (upload.storage, &self.0.bucket) {
            (Backend::S3, Some(bucket)) => Ok(bucket.storage.as_ref()),
            (other, _) if other == relay.backend() => Ok(relay.as_ref()),
            (other, _) => Err(Error::unavailable(
                "the storage of this upload",
                format!("the upload is on {other}, which the settings no longer name"),
            )),
        }
    }

    /// Where browsers send parts to, as `scheme://host[:port]`; `None` where they send all to us.
    pub fn store_origin(&self) -> Option<String> {
        self.0.bucket.as_ref().map(|bucket| bucket.store.public_origin())
    }

    /// How long what we sign for the bucket is good; not at all, where there is none.
    pub(super) fn url_lifetime(&self) -> Duration {
        let bucket = self.0.bucket.as_ref();
        bucket.map_or(Duration::ZERO, |bucket| bucket.store.url_lifetime())
    }

    /// The same of what brings a whole object in one request.
    pub(super) fn whole_lifetime(&self) -> Duration {
        let bucket = self.0.bucket.as_ref();
        bucket.map_or(Duration::ZERO, |bucket| bucket.store.whole_lifetime())
    }

    /// Whether database and store answer, and how long each took; asked at once, so that one which hangs does not hide
    /// the other. Without a bucket the storage is what is asked.
    pub async fn check(&self) -> [Check; 2] {
        let database = in_time("database", "the database", self.0.db.ping());
        let store = in_time("store", "the store", self.check_store());
        tokio::join!(database, store).into()
    }

    async fn check_store(&self) -> Result<(), Error> {
        match &self.0.bucket {
            Some(bucket) => bucket.store.check(self.now()).await,
            None if self.is_storage_healthy().await => Ok(()),
            None => Err(Error::unavailable(
                "the storage",
                "see the log's lines about the storage",
            )),
        }
    }
}

fn no_bucket() -> Error {
    Error::unavailable(
        "a bucket",
        "storage.backend is set and s3.bucket is not: all files pass through us",
    )
}

/// The outcome of a check, or that `what` does not answer.
async fn in_time(
    name: &'static str,
    what: &'static str,
    check: impl Future<Output = Result<(), Error>>,
) -> Check {
    let began = Instant::now();
    let outcome = tokio::time::timeout(CHECK_PATIENCE, check).await;
    Check {
        name,
        outcome: outcome.unwrap_or_else(|late| Err(Error::unavailable(what, late))),
        took: began.elapsed(),
    }
}
