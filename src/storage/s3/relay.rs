//! A bucket as the relay's storage: parts go on to the store as they arrive.
//!
//! Separate from [`S3Store`], which sends single requests: here they become what [`Storage`] promises. What S3 takes as
//! a part becomes one. Smaller parts ([`gather`](super::gather)) and appended bytes ([`append`](super::append)) wait
//! as small objects under a prefix of their own until there is enough for one; they are durable all the while, and
//! any instance can go on with them.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::S3Store;
use super::checks::is_mismatch;
use super::documents::ListedObject;
use super::held::Rooms;
use crate::clock::Clock;
use crate::domain::{
    Algorithm, Backend, Checksum, Cut, ObjectKey, PartLimits, PartNumber, StoredPart, Transfer, Upload,
    UploadId,
};
use crate::error::{Digested, Error, FieldError};
use crate::storage::{Body, ByteStream, Storage, StoredObject, Stray, is_partial_key};

/// Under it lie the small objects that are not yet parts: `<PIECES><upload id>/<name>`.
const PIECES: &str = ".muleteer/";

/// Small objects that are removed at once.
const DROPPED_AT_ONCE: usize = 16;

/// A bucket that is written by us.
#[derive(Clone)]
pub struct S3Relay {
    pub(super) store: Arc<S3Store>,
    pub(super) clock: Clock,
    /// Least bytes of every part but the last that the store takes.
    pub(super) least_part: u64,
    /// Memory for what is appended fast.
    pub(super) rooms: Rooms,
    limits: PartLimits,
}

impl S3Relay {
    /// The relay over `store`, which takes parts of at least `least_part` bytes; `limits` are those of our own parts.
    pub fn new(store: Arc<S3Store>, clock: Clock, least_part: u64, limits: PartLimits) -> Self {
        Self {
            store,
            clock,
            least_part,
            rooms: Rooms::default(),
            limits,
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The key of a small object of this upload.
    pub(super) fn piece_key(upload: &UploadId, name: &str) -> Result<ObjectKey, Error> {
        ObjectKey::path(&format!("{PIECES}{upload}/{name}")).map_err(|error| Error::internal(error.detail))
    }

    /// The small objects of this upload whose own names begin so, with these.
    pub(super) async fn pieces(
        &self,
        upload: &UploadId,
        begin: &str,
    ) -> Result<Vec<(String, ListedObject)>, Error> {
        let folder = format!("{PIECES}{upload}/");
        let listed = self
            .store
            .list_objects(&format!("{folder}{begin}"), self.now())
            .await?;
        let named = |object: ListedObject| {
            let name = object.key.strip_prefix(&folder)?.to_owned();
            Some((name, object))
        };
        Ok(listed.into_iter().filter_map(named).collect())
    }

    /// Drops all small objects of this upload.
    pub(super) async fn drop_pieces(&self, upload: &UploadId) -> Result<(), Error> {
        let keys: Vec<ObjectKey> = self
            .pieces(upload, "")
            .await?
            .iter()
            .map(|(name, _)| Self::piece_key(upload, name))
            .collect::<Result<_, _>>()?;
        stream::iter(keys)
            .map(Ok)
            .try_for_each_concurrent(DROPPED_AT_ONCE, async |key| {
                self.store.delete(&key, self.now()).await
            })
            .await
    }

    pub(super) fn multipart_id(upload: &Upload) -> Result<&str, Error> {
        upload.multipart_id.as_deref().ok_or(Error::Vanished)
    }
}

#[async_trait]
impl Storage for S3Relay {
    fn backend(&self) -> Backend {
        Backend::S3
    }

    fn limits(&self) -> PartLimits {
        self.limits
    }

    fn address(&self, key: &ObjectKey) -> String {
        format!("s3://{}/{key}", self.store.bucket())
    }

    fn check_key(&self, key: &ObjectKey) -> Result<(), FieldError> {
        if key.as_str().starts_with(PIECES) && !is_partial_key(key) {
            return Err(FieldError::new("filename", "the folder .muleteer is ours"));
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Error> {
        self.store.check(self.now()).await
    }

    async fn begin(&self, upload: &Upload) -> Result<Option<String>, Error> {
        // An empty file needs no multipart upload, and some stores take none without any bytes.
        if upload.known_size() == Some(0) {
            return Ok(None);
        }
        self.store.begin(upload, self.now()).await.map(Some)
    }

    async fn put(&self, upload: &Upload, number: PartNumber, body: Body) -> Result<StoredPart, Error> {
        let size = body
            .length()
            .ok_or_else(|| Error::internal("a part without its length"))?;
        let etag = if self.gathers(upload) {
            self.put_small(upload, number, body).await?
        } else {
            let multipart_id = Self::multipart_id(upload)?;
            // It may have been begun without checksums, and then its tag is all that the store tells of a part.
            let body = match upload.transfer {
                Transfer::Direct if body.sha256_beforehand().is_none() => body.also(Algorithm::Md5),
                _ => body,
            };
            self.store
                .send_part(&upload.key, multipart_id, number, body, self.now())
                .await?
        };
        Ok(StoredPart {
            number,
            size,
            etag,
            checksum: None,
        })
    }

    async fn append(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        self.append_bytes(upload, offset, body).await
    }

    async fn offset(&self, upload: &Upload) -> Result<u64, Error> {
        self.appended(upload).await.map(|appended| appended.end())
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<StoredPart>, Error> {
        let Some(multipart_id) = &upload.multipart_id else {
            return Ok(Vec::new());
        };
        let listed = self
            .store
            .list_parts(&upload.key, multipart_id, self.now())
            .await?;
        if self.gathers(upload) {
            self.gathered(upload).await
        } else {
            Ok(listed)
        }
    }

    async fn begin_checked(&self, upload: &Upload) -> Result<(Option<String>, Option<Algorithm>), Error> {
        if upload.known_size() == Some(0) {
            return Ok((None, None));
        }
        let (id, algorithm) = self.store.begin_checked(upload, self.now()).await?;
        Ok((Some(id), algorithm))
    }

    async fn finish(&self, upload: &Upload, parts: &[StoredPart]) -> Result<Option<String>, Error> {
        self.finish_checked(upload, parts, None).await
    }

    async fn finish_checked(
        &self,
        upload: &Upload,
        parts: &[StoredPart],
        whole: Option<&Checksum>,
    ) -> Result<Option<String>, Error> {
        let Some(multipart_id) = &upload.multipart_id else {
            return self.finish_empty(upload).await;
        };
        let joined;
        let parts = if self.gathers(upload) && !parts.is_empty() {
            joined = self.all_groups(upload).await?;
            &joined
        } else if parts.is_empty() {
            joined = self.all_appended(upload).await?;
            if joined.is_empty() {
                return self.finish_empty(upload).await;
            }
            &joined
        } else {
            parts
        };
        let (store, now) = (&self.store, self.now());
        let finished = match whole {
            Some(whole) => {
                store
                    .finish_checked(upload, multipart_id, parts, whole, now)
                    .await
            }
            None => store.finish(&upload.key, multipart_id, parts, now).await,
        };
        let etag = match finished {
            Err(Error::StoreRefused { code }) if whole.is_some() && is_mismatch(&code) => {
                return Err(Error::ChecksumMismatch {
                    what: Digested::Parts,
                });
            }
            finished => finished?,
        };
        self.clean_up_finished(upload).await;
        Ok(etag)
    }

    async fn join(&self, upload: &Upload, sources: &[Upload]) -> Result<Option<String>, Error> {
        self.join_all(upload, sources).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), Error> {
        if let Some(multipart_id) = &upload.multipart_id {
            self.store.abort(&upload.key, multipart_id, self.now()).await?;
        }
        if upload.cut == Cut::Browser {
            self.store.abort_others(&upload.key, None, self.now()).await?;
        }
        self.clean_up(upload).await
    }

    async fn find(&self, key: &ObjectKey) -> Result<Option<StoredObject>, Error> {
        self.store.head(key, self.now()).await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        self.store.fetch(key, range, self.now()).await
    }

    async fn remove(&self, key: &ObjectKey) -> Result<(), Error> {
        self.store.delete(key, self.now()).await
    }

    async fn strays(&self) -> Result<Vec<Stray>, Error> {
        let mut strays = Vec::new();
        for listed in self.store.list_uploads(None, self.now()).await? {
            if let Some(id) = UploadId::find_in(&listed.key) {
                strays.push(Stray {
                    upload: id,
                    place: listed.key,
                    multipart_id: Some(listed.upload_id),
                    last_active: listed.initiated,
                });
            }
        }
        for object in self.store.list_objects(PIECES, self.now()).await? {
            if let Some(id) = UploadId::find_in(&object.key) {
                strays.push(Stray {
                    upload: id,
                    place: object.key,
                    multipart_id: None,
                    last_active: object.last_modified,
                });
            }
        }
        Ok(strays)
    }

    async fn last_active(&self, stray: &Stray) -> Result<DateTime<Utc>, Error> {
        let Some(multipart_id) = &stray.multipart_id else {
            return Ok(stray.last_active);
        };
        let key = stray_key(stray)?;
        let last = match self.store.last_part_at(&key, multipart_id, self.now()).await {
            Err(Error::Vanished) => None,
            last => last?,
        };
        Ok(last.map_or(stray.last_active, |at| at.max(stray.last_active)))
    }

    async fn discard(&self, stray: &Stray) -> Result<(), Error> {
        let key = stray_key(stray)?;
        match &stray.multipart_id {
            Some(multipart_id) => self.store.abort(&key, multipart_id, self.now()).await,
            None => self.store.delete(&key, self.now()).await,
        }
    }
}

impl S3Relay {
    /// Makes an object of no bytes. Of an upload whose length was not known at first there is a multipart upload, of which
    /// no store makes such an object.
    pub(super) async fn finish_empty(&self, upload: &Upload) -> Result<Option<String>, Error> {
        let etag = self.store.put_empty(upload, self.now()).await?;
        if let Some(multipart_id) = &upload.multipart_id {
            self.store.abort(&upload.key, multipart_id, self.now()).await?;
            self.clean_up_finished(upload).await;
        }
        Ok(etag)
    }

    /// Drops small objects of which an object was made just now; that this fails harms nobody.
    pub(super) async fn clean_up_finished(&self, upload: &Upload) {
        if let Err(error) = self.clean_up(upload).await {
            tracing::warn!(upload = %upload.id, %error, "pieces of a finished upload stay for now");
        }
    }

    /// Drops small objects where there may be any: uploads straight from browsers never have some.
    async fn clean_up(&self, upload: &Upload) -> Result<(), Error> {
        match upload.transfer {
            Transfer::Direct => Ok(()),
            Transfer::Relay => self.drop_pieces(&upload.id).await,
        }
    }
}

fn stray_key(stray: &Stray) -> Result<ObjectKey, Error> {
    ObjectKey::path(&stray.place).map_err(|error| Error::internal(error.detail))
}
