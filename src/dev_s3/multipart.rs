//! Unfinished uploads: their parts, and the checks that turn them into an object.
//!
//! Separate from [`super::store`] because only here may things be incomplete. An upload that is refused completion
//! stays as it was, so that the client can send what is wrong again.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard};
use std::time::Duration;

use s3s::{S3Error, S3Result, s3_error};
use uuid::Uuid;

use super::layout::{Layout, Segment};
use super::parts_log::PartsLog;
use super::records::{Moment, ObjectHeaders, PartRecord, UploadRecord};
use super::store::{Store, lock, read, read_json, write};
use super::sums::{Algorithm, Coverage};

/// A part and the file that holds it.
#[derive(Debug, Clone)]
pub struct Part {
    /// What is known of it.
    pub record: PartRecord,
    /// Its bytes.
    pub segment: Arc<Segment>,
}

/// An unfinished upload.
#[derive(Debug)]
pub struct Upload {
    /// What is known of it.
    pub record: UploadRecord,
    parts: RwLock<BTreeMap<u16, Part>>,
    /// Held by whoever adds a part, completes or aborts; `None` once it is over. Apart from `parts`, so that a
    /// listing does not wait for the disk.
    pub(super) log: Mutex<Option<PartsLog>>,
}

impl Upload {
    /// The parts that came, by number; of a part that came twice the one that was finished last.
    pub fn parts(&self) -> RwLockReadGuard<'_, BTreeMap<u16, Part>> {
        read(&self.parts)
    }

    /// Adds a part for good. The record is written before the part can be seen.
    ///
    /// # Errors
    /// `NoSuchUpload` when the upload ended while the part was on its way.
    pub fn add(&self, part: Part) -> S3Result<()> {
        let mut log = lock(&self.log);
        log.as_mut()
            .ok_or_else(no_such_upload)?
            .append(&part.record)
            .map_err(S3Error::internal_error)?;
        part.segment.keep();
        if let Some(replaced) = write(&self.parts).insert(part.record.number, part) {
            replaced.segment.discard();
        }
        Ok(())
    }
}

/// The answer for every upload that is not there, whatever the reason.
pub fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn begin_upload(
        &self,
        bucket: String,
        key: String,
        headers: ObjectHeaders,
        checksum: Option<(Algorithm, Coverage)>,
    ) -> S3Result<Arc<Upload>> {
        self.with_bucket(&bucket, |_| ())?;
        // Version 7 begins with the time: uploads of one key list in the order in which they were begun.
        let id = Uuid::now_v7().simple().to_string();
        let record = UploadRecord {
            id,
            bucket,
            key,
            initiated: Moment::now(),
            headers,
            checksum,
        };
        let upload = self.write_upload(record).map_err(S3Error::internal_error)?;
        write(&self.uploads).insert(upload.record.id.clone(), upload.clone());
        Ok(upload)
    }

    fn write_upload(&self, record: UploadRecord) -> io::Result<Arc<Upload>> {
        let folder = self.layout.upload(&record.id);
        std::fs::create_dir(&folder)?;
        let (log, _) = PartsLog::open(&folder.join("parts.log"))?;
        self.save(&folder.join("upload.json"), &record)?;
        Ok(Arc::new(Upload {
            record,
            parts: RwLock::default(),
            log: Mutex::new(Some(log)),
        }))
    }

    /// The unfinished upload of that id.
    ///
    /// # Errors
    /// `NoSuchUpload`, also when it belongs to another key: the two look alike on purpose.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<Arc<Upload>> {
        read(&self.uploads)
            .get(id)
            .filter(|upload| upload.record.bucket == bucket && upload.record.key == key)
            .cloned()
            .ok_or_else(no_such_upload)
    }

    /// The unfinished uploads of a bucket, by key and then by age.
    pub fn uploads_of(&self, bucket: &str) -> Vec<Arc<Upload>> {
        let uploads = read(&self.uploads);
        let mut found: Vec<_> = uploads
            .values()
            .filter(|upload| upload.record.bucket == bucket)
            .cloned()
            .collect();
        found.sort_by(|a, b| (&a.record.key, &a.record.id).cmp(&(&b.record.key, &b.record.id)));
        found
    }

    /// Gives an upload up: its parts go.
    ///
    /// # Errors
    /// `NoSuchUpload` when it is over already.
    pub fn abort(&self, upload: &Upload) -> S3Result<()> {
        let mut log = lock(&upload.log);
        log.take().ok_or_else(no_such_upload)?;
        self.close(upload, &HashSet::new());
        Ok(())
    }

    /// Takes an ended upload away; its parts go, save the segments in `kept`. The caller holds `upload.log`.
    ///
    /// The record goes first: without it the rest of the folder is debris that the next start removes, and so a
    /// failure here is logged only.
    pub(super) fn close(&self, upload: &Upload, kept: &HashSet<Uuid>) {
        write(&self.uploads).remove(&upload.record.id);
        let folder = self.layout.upload(&upload.record.id);
        let removed =
            Layout::remove(&folder.join("upload.json")).and_then(|()| std::fs::remove_dir_all(&folder));
        if let Err(error) = removed {
            tracing::warn!(%error, upload_id = %upload.record.id, "an ended upload could not be removed");
        }
        let parts = std::mem::take(&mut *write(&upload.parts));
        for part in parts.values().filter(|part| !kept.contains(&part.record.segment)) {
            part.segment.discard();
        }
    }

    /// Aborts what was begun longer than `max_age` ago; returns how many uploads that were.
    pub fn abort_older_than(&self, max_age: Duration) -> usize {
        let rules = |bucket: &str| {
            let found = self.with_bucket(bucket, |bucket| bucket.record.lifecycle.clone());
            found.ok().flatten().unwrap_or_default()
        };
        let old: Vec<_> = read(&self.uploads)
            .values()
            .filter(|upload| {
                let (record, age) = (&upload.record, upload.record.initiated.age());
                age >= max_age
                    || rules(&record.bucket)
                        .iter()
                        .any(|rule| rule.drops(&record.key, age))
            })
            .cloned()
            .collect();
        old.iter().filter(|upload| self.abort(upload).is_ok()).count()
    }

    /// Reads the unfinished uploads and returns the segments that they use. What `is_finished` says is an object
    /// already, and what never got its record, is removed.
    pub(super) fn load_uploads(&self, is_finished: impl Fn(&str) -> bool) -> io::Result<HashSet<Uuid>> {
        let mut used = HashSet::new();
        for folder in self.layout.entries("uploads")? {
            let record_path = folder.join("upload.json");
            if !record_path.is_file() {
                std::fs::remove_dir_all(&folder)?;
                continue;
            }
            let record: UploadRecord = read_json(&record_path)?;
            if is_finished(&record.id) {
                std::fs::remove_dir_all(&folder)?;
                continue;
            }
            let (log, records) = PartsLog::open(&folder.join("parts.log"))?;
            let mut parts = BTreeMap::new();
            for record in records {
                // A replaced part's file is gone already, or becomes an orphan.
                if let Some(segment) = self.layout.existing_segment(record.segment) {
                    parts.insert(record.number, Part { record, segment });
                }
            }
            used.extend(parts.values().map(|part| part.record.segment));
            let id = record.id.clone();
            let upload = Upload {
                record,
                parts: RwLock::new(parts),
                log: Mutex::new(Some(log)),
            };
            write(&self.uploads).insert(id, Arc::new(upload));
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev_s3::store::Conditions;
    use crate::dev_s3::sums::Sums;
    use std::io::Write as _;
    use std::path::Path;

    fn open(folder: &Path) -> Store {
        let store = Store::open(folder, 1).expect("open");
        store.create_bucket("bucket").expect("bucket");
        store
    }

    fn begin(store: &Store) -> Arc<Upload> {
        store
            .begin_upload("bucket".into(), "key".into(), ObjectHeaders::default(), None)
            .expect("begin")
    }

    fn part(store: &Store, number: u16, bytes: &[u8]) -> Part {
        let (segment, mut file) = store.layout.new_segment().expect("segment");
        file.write_all(bytes).expect("write");
        let record = PartRecord {
            number,
            size: bytes.len() as u64,
            md5: format!("{number:032}"),
            sums: Sums::default(),
            segment: segment.id(),
            modified: Moment::now(),
        };
        Part {
            record,
            segment: Arc::new(segment),
        }
    }

    fn segments(store: &Store) -> usize {
        store.layout.entries("segments").expect("list").len()
    }

    #[test]
    fn parts_are_there_after_a_restart_and_the_later_of_two_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        let upload = begin(&store);
        upload.add(part(&store, 2, b"first")).expect("add");
        upload.add(part(&store, 1, b"one")).expect("add");
        upload.add(part(&store, 2, b"second, longer")).expect("add again");
        let id = upload.record.id.clone();
        drop((upload, store));

        let store = open(folder.path());
        let upload = store.upload("bucket", "key", &id).expect("still there");

        let sizes: Vec<_> = upload
            .parts()
            .values()
            .map(|part| (part.record.number, part.record.size))
            .collect();
        assert_eq!(sizes, [(1, 3), (2, 14)]);
        assert_eq!(segments(&store), 2);
    }

    #[test]
    fn a_part_that_comes_after_the_abort_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        let upload = begin(&store);
        let late = part(&store, 1, b"late");
        store.abort(&upload).expect("abort");

        let refused = upload.add(late);

        assert_eq!(
            refused.expect_err("it is over").code(),
            &s3s::S3ErrorCode::NoSuchUpload
        );
        assert_eq!(segments(&store), 0);
        assert!(store.layout.entries("uploads").expect("list").is_empty());
    }

    #[test]
    fn an_upload_without_its_record_is_debris_of_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        let upload = begin(&store);
        upload.add(part(&store, 1, b"one")).expect("add");
        let record = store.layout.upload(&upload.record.id).join("upload.json");
        drop((upload, store));
        std::fs::remove_file(record).expect("the abort got this far");

        let store = open(folder.path());

        assert_eq!(segments(&store), 0);
        assert!(store.layout.entries("uploads").expect("list").is_empty());
    }

    #[test]
    fn a_crash_between_the_object_and_the_end_of_its_upload_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        let upload = begin(&store);
        upload.add(part(&store, 1, b"one")).expect("add");
        upload.add(part(&store, 2, b"not wanted")).expect("add");
        let object = crate::dev_s3::complete::object_of(&upload, &[1], None);
        store.commit(object, &Conditions::default()).expect("commit");
        let id = upload.record.id.clone();
        drop((upload, store));

        let store = open(folder.path());

        assert_eq!(store.object("bucket", "key").expect("there").record.size, 3);
        assert!(store.upload("bucket", "key", &id).is_err());
        assert_eq!(store.made_by(&id).expect("known").record.key, "key");
        assert_eq!(segments(&store), 1);
    }

    #[test]
    fn uploads_past_their_age_are_aborted_and_younger_ones_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        begin(&store);

        assert_eq!(store.abort_older_than(Duration::from_hours(1)), 0);
        assert_eq!(store.abort_older_than(Duration::ZERO), 1);
        assert!(store.uploads_of("bucket").is_empty());
    }
}
