//! One object made of several uploads, mostly without their bytes passing through us.
//!
//! Separate from the relay's plain way. A store copies from finished objects alone, so each source becomes one first,
//! under a key of its own that nobody else knows, and stays one until it is given up. Which part is copied and which is
//! sent is the [plan](super::join_plan)'s to say. It follows from the sources' sizes alone: whoever begins anew sends the
//! same parts again.

use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::join_plan::{JoinPart, Stretch, join_plan};
use super::relay::S3Relay;
use crate::domain::{MAX_PART_SIZE, MAX_PARTS, PartNumber, StoredPart, Upload};
use crate::error::Error;
use crate::signing::{Operation, copy_source};

/// Parts that are made at once, and sources that become objects at once.
const AT_ONCE: usize = 4;

impl S3Relay {
    /// Makes one object of several uploads; see [`Storage::join`](crate::storage::Storage::join).
    pub(super) async fn join_all(
        &self,
        upload: &Upload,
        sources: &[Upload],
    ) -> Result<Option<String>, Error> {
        if upload.multipart_id.is_some() {
            // First of all: once the object is made, the sources may be gone, and rightly so.
            self.ask_for(upload).await?;
        }
        let distinct = sources
            .iter()
            .enumerate()
            .filter(|(index, source)| sources[..*index].iter().all(|earlier| earlier.id != source.id));
        stream::iter(distinct.map(|(_, source)| Ok(source)))
            .try_for_each_concurrent(AT_ONCE, async |source| self.make_whole(source).await)
            .await?;
        let sizes: Vec<u64> = sources.iter().map(|source| source.size).collect();
        let total: u64 = sizes.iter().sum();
        if total == 0 {
            return self.finish_empty(upload).await;
        }
        let plan = join_plan(&sizes, self.least_part, MAX_PART_SIZE).ok_or(Error::TooLarge {
            limit: MAX_PART_SIZE * u64::from(MAX_PARTS),
            size: total,
        })?;
        let parts: Vec<StoredPart> = stream::iter((1u64..).zip(plan))
            .map(|(number, part)| self.make_part(upload, sources, number, part))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let etag = self
            .store
            .finish(&upload.key, Self::multipart_id(upload)?, &parts, self.now())
            .await?;
        self.clean_up_finished(upload).await;
        Ok(etag)
    }

    /// Whether the store still knows this multipart upload.
    ///
    /// # Errors
    /// [`Error::Vanished`] where it does not.
    async fn ask_for(&self, upload: &Upload) -> Result<(), Error> {
        let multipart_id = Self::multipart_id(upload)?;
        self.store
            .last_part_at(&upload.key, multipart_id, self.now())
            .await
            .map(drop)
    }

    /// Makes an object of a partial upload, unless it is one already.
    async fn make_whole(&self, source: &Upload) -> Result<(), Error> {
        let is_there = async || {
            let found = self.store.head(&source.key, self.now()).await?;
            Ok::<_, Error>(found.is_some_and(|object| object.size == source.size))
        };
        let Some(multipart_id) = &source.multipart_id else {
            // Without one it was begun empty, and stayed so.
            return Ok(());
        };
        if source.size > 0 && is_there().await? {
            return Ok(());
        }
        let made = async {
            let parts = self.all_appended(source).await?;
            if source.size == 0 {
                return Ok(());
            }
            self.store
                .finish(&source.key, multipart_id, &parts, self.now())
                .await
                .map(drop)
        };
        match made.await {
            // Another object is being made with it at the same time, or it is lost.
            Err(Error::Vanished) if is_there().await? => Ok(()),
            Err(Error::Vanished) => Err(Error::NotFound("part")),
            made => made,
        }
    }

    async fn make_part(
        &self,
        upload: &Upload,
        sources: &[Upload],
        number: u64,
        part: JoinPart,
    ) -> Result<StoredPart, Error> {
        let number = PartNumber::new(number, "part")?;
        let (size, etag) = match part {
            JoinPart::Copied(stretch) => (stretch.size(), self.copy(upload, sources, number, &stretch).await),
            JoinPart::Sent(stretches) => (
                stretches.iter().map(Stretch::size).sum(),
                self.send_stretches(upload, sources, number, stretches).await,
            ),
        };
        match etag {
            Ok(etag) => Ok(StoredPart {
                number,
                size,
                etag,
                checksum: None,
            }),
            // A store may have the same word for a lost upload and for a lost source.
            Err(Error::Vanished) => {
                self.ask_for(upload).await?;
                Err(Error::NotFound("part"))
            }
            Err(error) => Err(error),
        }
    }

    async fn copy(
        &self,
        upload: &Upload,
        sources: &[Upload],
        number: PartNumber,
        stretch: &Stretch,
    ) -> Result<String, Error> {
        let source = &sources[stretch.source];
        let is_whole = stretch.range == (0..source.size);
        let range = format!("bytes={}-{}", stretch.range.start, stretch.range.end - 1);
        let from = copy_source(self.store.bucket(), source.key.as_str());
        let copy = Operation::UploadPartCopy {
            upload_id: Self::multipart_id(upload)?,
            part_number: number.get(),
            source: &from,
            range: (!is_whole).then_some(range.as_str()),
        };
        self.store
            .send(copy, upload.key.as_str(), self.now(), Bytes::new())
            .await?
            .copied_etag()
    }

    async fn send_stretches(
        &self,
        upload: &Upload,
        sources: &[Upload],
        number: PartNumber,
        stretches: Vec<Stretch>,
    ) -> Result<String, Error> {
        let length = stretches.iter().map(Stretch::size).sum();
        let pieces: Vec<_> = stretches
            .into_iter()
            .map(|stretch| (sources[stretch.source].key.clone(), stretch))
            .collect();
        let read = || {
            let this = self.clone();
            stream::iter(pieces.clone())
                .then(move |(key, stretch)| {
                    let this = this.clone();
                    async move { this.stretch(&key, Some(stretch.range)).await }
                })
                .flatten()
                .boxed()
        };
        self.send_read(upload, number, read, None, length).await
    }
}

/// The body of a completion, with every part in ascending order.
pub fn completion_list(parts: &[StoredPart]) -> Bytes {
    let mut xml = String::with_capacity(64 + parts.len() * 100);
    xml.push_str("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        let etag = quick_xml::escape::escape(part.etag.as_str());
        let _ = write!(
            xml,
            "<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>",
            part.number
        );
    }
    xml.push_str("</CompleteMultipartUpload>");
    Bytes::from(xml)
}
