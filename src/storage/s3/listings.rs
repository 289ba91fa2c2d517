//! What lies in the bucket: objects by prefix, and the multipart uploads under way.
//!
//! Separate from the store's other requests, because these answer in pages, and stores differ in how they page: some
//! leave markers out, so the next page is asked for behind the last entry of the one before.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::S3Store;
use super::documents::{ListedObject, ListedUpload};
use crate::domain::ObjectKey;
use crate::error::Error;
use crate::signing::Operation;

/// Most pages that are read of one listing: a million entries.
const MAX_PAGES: usize = 1000;

impl S3Store {
    /// All objects whose key begins so, by key.
    pub async fn list_objects(&self, prefix: &str, now: DateTime<Utc>) -> Result<Vec<ListedObject>, Error> {
        let mut all: Vec<ListedObject> = Vec::new();
        for _ in 0..MAX_PAGES {
            let last = all.last().map(|object| object.key.clone());
            let list = Operation::ListObjects {
                prefix,
                start_after: last.as_deref(),
            };
            let (page, more) = self.send(list, "", now, Bytes::new()).await?.objects()?;
            let moved_on = page
                .last()
                .is_some_and(|object| Some(&object.key) != last.as_ref());
            all.extend(page);
            if !more || !moved_on {
                break;
            }
        }
        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        all.dedup_by(|a, b| a.key == b.key);
        Ok(all)
    }

    /// The store's ids of all multipart uploads under way for this key.
    pub async fn multipart_ids(&self, key: &ObjectKey, now: DateTime<Utc>) -> Result<Vec<String>, Error> {
        let listed = self.list_uploads(Some(key.as_str()), now).await?;
        let own = listed.into_iter().filter(|upload| upload.key == key.as_str());
        Ok(own.map(|upload| upload.upload_id).collect())
    }

    /// All multipart uploads under way in the bucket whose key begins so.
    pub async fn list_uploads(
        &self,
        prefix: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ListedUpload>, Error> {
        let mut all: Vec<ListedUpload> = Vec::new();
        for _ in 0..MAX_PAGES {
            let last = all.last().cloned();
            let list = Operation::ListMultipartUploads {
                prefix,
                key_marker: last.as_ref().map(|upload| upload.key.as_str()),
                upload_id_marker: last.as_ref().map(|upload| upload.upload_id.as_str()),
                max_uploads: None,
            };
            let (page, more) = self.send(list, "", now, Bytes::new()).await?.uploads()?;
            let before = all.len();
            for upload in page {
                let is_known = all
                    .iter()
                    .rev()
                    .take(2000)
                    .any(|known| known.upload_id == upload.upload_id);
                if !is_known {
                    all.push(upload);
                }
            }
            if !more || all.len() == before {
                break;
            }
        }
        Ok(all)
    }

    /// When the youngest part of a multipart upload was written; `None` where it has none.
    ///
    /// # Errors
    /// [`Error::Vanished`] for an upload that the store does not know.
    pub async fn last_part_at(
        &self,
        key: &ObjectKey,
        upload_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let (mut youngest, mut marker) = (None, None);
        loop {
            let list = Operation::ListParts {
                upload_id,
                marker,
                max_parts: None,
            };
            let answer = self.send(list, key.as_str(), now, Bytes::new()).await?;
            let (on_page, next) = answer.last_part_at()?;
            youngest = youngest.max(on_page);
            // A store that says the same place again would be asked for ever.
            if next <= marker {
                return Ok(youngest);
            }
            marker = next;
        }
    }

    /// Removes an object; one that is not there is fine:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>.
    pub async fn delete(&self, key: &ObjectKey, now: DateTime<Utc>) -> Result<(), Error> {
        let delete = Operation::DeleteObject;
        match self
            .send(delete, key.as_str(), now, Bytes::new())
            .await?
            .success()
        {
            Ok(_) | Err(Error::Vanished) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
