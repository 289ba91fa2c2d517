//! Buckets and objects: what is there now, in memory for reading and in the directory for good.
//!
//! Separate from [`super::multipart`] because it knows finished things only. Everything here that writes blocks and
//! runs to its end once begun: call it through [`run`], so that a client that goes away cannot stop it half way.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3Result, s3_error};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cors::CorsRule;
use super::layout::{Layout, Segment};
use super::lifecycle::AbortRule;
use super::multipart::Upload;
use super::records::{BucketRecord, Moment, ObjectRecord};

/// A finished object and the files that hold it.
#[derive(Debug)]
pub struct Object {
    /// What is known of it.
    pub record: ObjectRecord,
    /// One for each of `record.parts`.
    pub segments: Vec<Arc<Segment>>,
}

/// A bucket and what it holds, by key.
#[derive(Debug)]
pub struct Bucket {
    /// What is known of it.
    pub record: BucketRecord,
    /// In the order that listings have: by the bytes of the key.
    pub objects: BTreeMap<String, Arc<Object>>,
}

/// `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// The object must be there and have this ETag.
    pub if_match: Option<ETagCondition>,
    /// With `*`: the object must not be there.
    pub if_none_match: Option<ETagCondition>,
}

/// Everything the server holds.
#[derive(Debug)]
pub struct Store {
    /// The directory.
    pub layout: Layout,
    /// The least size of all parts but the last.
    pub min_part_size: u64,
    pub(super) uploads: RwLock<BTreeMap<String, Arc<Upload>>>,
    buckets: RwLock<BTreeMap<String, Bucket>>,
    /// The key that each finished upload made, while its object is still there.
    finished: RwLock<HashMap<String, (String, String)>>,
    /// Held from the check of a condition until the object is in place. Apart from `buckets`, so that readers do
    /// not wait for the disk.
    commit: Mutex<()>,
}

impl Store {
    /// Reads the directory and removes what no record names.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`] for a record that cannot be read.
    pub fn open(root: &Path, min_part_size: u64) -> io::Result<Self> {
        let store = Self {
            layout: Layout::open(root)?,
            min_part_size,
            uploads: RwLock::default(),
            buckets: RwLock::default(),
            finished: RwLock::default(),
            commit: Mutex::default(),
        };
        store.load_buckets()?;
        let mut used = store.load_objects()?;
        used.extend(store.load_uploads(|id| read(&store.finished).contains_key(id))?);
        let orphans = store.layout.remove_orphans(|id| used.contains(&id))?;
        if orphans > 0 {
            tracing::info!(orphans, "removed what an interrupted run left behind");
        }
        Ok(store)
    }

    fn load_buckets(&self) -> io::Result<()> {
        let mut buckets = write(&self.buckets);
        for path in self.layout.entries("buckets")? {
            let record: BucketRecord = read_json(&path)?;
            buckets.insert(
                record.name.clone(),
                Bucket {
                    record,
                    objects: BTreeMap::new(),
                },
            );
        }
        Ok(())
    }

    fn load_objects(&self) -> io::Result<std::collections::HashSet<uuid::Uuid>> {
        let mut used = std::collections::HashSet::new();
        for path in self.layout.entries("objects")? {
            let record: ObjectRecord = read_json(&path)?;
            let segments: Option<Vec<_>> = record
                .parts
                .iter()
                .map(|part| self.layout.existing_segment(part.segment))
                .collect();
            let Some(segments) = segments else {
                tracing::warn!(key = %record.key, "an object lost some of its bytes and is left out");
                continue;
            };
            used.extend(record.parts.iter().map(|part| part.segment));
            self.insert(&Arc::new(Object { record, segments }));
        }
        Ok(used)
    }

    /// Puts a loaded or committed object in place; the one that was there before is discarded.
    fn insert(&self, object: &Arc<Object>) {
        let ObjectRecord {
            bucket,
            key,
            upload_id,
            ..
        } = &object.record;
        if let Some(id) = upload_id {
            write(&self.finished).insert(id.clone(), (bucket.clone(), key.clone()));
        }
        let mut buckets = write(&self.buckets);
        let Some(holder) = buckets.get_mut(bucket) else {
            return;
        };
        let before = holder.objects.insert(key.clone(), object.clone());
        drop(buckets);
        if let Some(before) = before {
            self.forget(&before);
        }
    }

    /// An object is gone: so are its bytes, once nobody reads them any longer.
    fn forget(&self, object: &Object) {
        if let Some(id) = &object.record.upload_id {
            write(&self.finished).remove(id);
        }
        object.segments.iter().for_each(|segment| segment.discard());
    }

    /// Makes a bucket; `false` when it was there.
    pub fn create_bucket(&self, name: &str) -> io::Result<bool> {
        let _commit = lock(&self.commit);
        if read(&self.buckets).contains_key(name) {
            return Ok(false);
        }
        let record = BucketRecord {
            name: name.to_owned(),
            created: Moment::now(),
            cors: None,
            lifecycle: None,
        };
        self.save(&self.layout.bucket(name), &record)?;
        write(&self.buckets).insert(
            name.to_owned(),
            Bucket {
                record,
                objects: BTreeMap::new(),
            },
        );
        Ok(true)
    }

    /// Reads a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn with_bucket<T>(&self, name: &str, look: impl FnOnce(&Bucket) -> T) -> S3Result<T> {
        read(&self.buckets)
            .get(name)
            .map(look)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> Vec<BucketRecord> {
        read(&self.buckets)
            .values()
            .map(|bucket| bucket.record.clone())
            .collect()
    }

    /// Stores or removes a bucket's CORS rules.
    pub fn set_cors(&self, name: &str, cors: Option<Vec<CorsRule>>) -> S3Result<()> {
        self.change_bucket(name, |record| record.cors = cors)
    }

    /// Stores or removes a bucket's lifecycle rules.
    pub fn set_lifecycle(&self, name: &str, rules: Option<Vec<AbortRule>>) -> S3Result<()> {
        self.change_bucket(name, |record| record.lifecycle = rules)
    }

    fn change_bucket(&self, name: &str, change: impl FnOnce(&mut BucketRecord)) -> S3Result<()> {
        let _commit = lock(&self.commit);
        let mut record = self.with_bucket(name, |bucket| bucket.record.clone())?;
        change(&mut record);
        self.save(&self.layout.bucket(name), &record)
            .map_err(S3Error::internal_error)?;
        if let Some(bucket) = write(&self.buckets).get_mut(name) {
            bucket.record = record;
        }
        Ok(())
    }

    /// The object under a key.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.with_bucket(bucket, |bucket| bucket.objects.get(key).cloned())?
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    /// Puts an object in place, if the conditions allow it at that very moment.
    ///
    /// # Errors
    /// `PreconditionFailed`, `NoSuchKey` (`If-Match` without an object), `NoSuchBucket`.
    pub fn commit(&self, object: Object, conditions: &Conditions) -> S3Result<Arc<Object>> {
        let _commit = lock(&self.commit);
        let ObjectRecord { bucket, key, .. } = &object.record;
        let current = self.with_bucket(bucket, |bucket| bucket.objects.get(key).cloned())?;
        check_conditions(conditions, current.as_deref())?;
        let path = self.layout.object(bucket, key);
        self.save(&path, &object.record)
            .map_err(S3Error::internal_error)?;
        object.segments.iter().for_each(|segment| segment.keep());
        let object = Arc::new(object);
        self.insert(&object);
        Ok(object)
    }

    /// Removes an object; that there is none is no error.
    pub fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let _commit = lock(&self.commit);
        if !self.with_bucket(bucket, |bucket| bucket.objects.contains_key(key))? {
            return Ok(());
        }
        Layout::remove(&self.layout.object(bucket, key)).map_err(S3Error::internal_error)?;
        let removed = write(&self.buckets)
            .get_mut(bucket)
            .and_then(|bucket| bucket.objects.remove(key));
        if let Some(removed) = removed {
            self.forget(&removed);
        }
        Ok(())
    }

    /// The object that a finished upload made, if it is still there.
    pub fn made_by(&self, upload_id: &str) -> Option<Arc<Object>> {
        let (bucket, key) = read(&self.finished).get(upload_id).cloned()?;
        self.object(&bucket, &key)
            .ok()
            .filter(|object| object.record.upload_id.as_deref() == Some(upload_id))
    }

    pub(super) fn save(&self, path: &Path, record: &impl Serialize) -> io::Result<()> {
        self.layout.write(path, &serde_json::to_vec(record)?)
    }
}

/// [Conditional writes](https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
fn check_conditions(conditions: &Conditions, current: Option<&Object>) -> S3Result<()> {
    let etag = current.map(|object| object.record.etag.as_str());
    let failed = || {
        s3_error!(
            PreconditionFailed,
            "At least one of the preconditions you specified did not hold"
        )
    };
    if let Some(condition) = &conditions.if_match {
        let etag = etag.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?;
        if !names(condition, etag) {
            return Err(failed());
        }
    }
    if let (Some(condition), Some(etag)) = (&conditions.if_none_match, etag)
        && names(condition, etag)
    {
        return Err(failed());
    }
    Ok(())
}

/// Whether the condition means that ETag.
pub fn names(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

/// Runs blocking work to its end, even when the request that asked for it is dropped meanwhile.
///
/// # Errors
/// Those of `work`; `InternalError` when it panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> S3Result<T> + Send + 'static) -> S3Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(S3Error::internal_error)?
}

/// A record of the directory.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let unreadable = |error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} cannot be read: {error}", path.display()),
        )
    };
    serde_json::from_slice(&fs::read(path)?).map_err(unreadable)
}

/// Locks whatever a panicking thread may have left behind: the maps are changed in single steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
