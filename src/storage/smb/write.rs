//! From bodies to what counts.
//!
//! Separate, because the order of things matters here and nowhere else: bytes first, then the server's disk, then the
//! record. What is not in the record does not count, whatever lies in the data.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::fault::Fault;
use super::file::{Mode, OpenFile};
use super::pour::{End, Guard, Pour, digest_of};
use super::{SmbStore, or_vanished};
use crate::domain::{PartNumber, StoredPart, Upload};
use crate::error::Error;
use crate::storage::journal::{Place, Record};
use crate::storage::{Body, Receipt};

/// After so many bytes of one body, what came of it counts even if this process is killed.
const STRETCH: u64 = 64 << 20;

/// What came before that is made to count, if it is more than a mebibyte.
const A_WHILE: Duration = Duration::from_secs(1);

fn fence_of(upload: &Upload) -> u64 {
    upload.appending.as_ref().map_or(0, |appending| appending.fence)
}

impl SmbStore {
    /// One part, from its body to its record.
    pub(super) async fn put_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        body: Body,
    ) -> Result<StoredPart, Error> {
        let Some(planned) = upload.plan().size_of(number) else {
            return Err(Error::NotFound("part"));
        };
        // More would run into the next part.
        if let Some(actual) = body.length().filter(|length| *length > planned) {
            return Err(Error::WrongSize {
                what: "the part",
                expected: planned,
                actual,
            });
        }
        let folder = self.base.upload(&upload.id);
        let book = self.books.of(&upload.id);
        let before = {
            let mut book = book.lock().await;
            book.refresh(&self.share, &folder).await.map_err(or_vanished)?;
            book.record(number)
        };
        let record = if let Some(before) = before {
            self.put_aside(upload, before, body).await?
        } else {
            let file = self.open_data(upload, Mode::Write).await?;
            let offset = u64::from(number.get() - 1) * upload.plan().part_size();
            self.write_part(number, &self.data_path(upload), file, offset, body)
                .await?
        };
        if before != Some(record) {
            let mut book = book.lock().await;
            book.add_part(&self.share, &folder, record)
                .await
                .map_err(or_vanished)?;
        }
        Ok(record.stored_part())
    }

    /// Bytes at the end of what counts.
    pub(super) async fn append_body(&self, upload: &Upload, offset: u64, body: Body) -> Result<u64, Error> {
        let expected = self.stands_at(upload).await?;
        if expected != offset {
            return Err(Error::OffsetMismatch {
                expected,
                provided: offset,
            });
        }
        let (counts_byte_by_byte, receipt) = (body.counts_byte_by_byte(), body.receipt());
        let file = Arc::new(self.open_data(upload, Mode::Write).await?);
        let guard = self.cut_others_off(upload, offset).await?;
        let mut pour = Pour::new(&self.share, Arc::clone(&file), offset, body).guarded(guard);
        let outcome = match self
            .append_stretches(upload, &mut pour, &file, &receipt, counts_byte_by_byte)
            .await
        {
            Ok(End::Failed(failure)) if !counts_byte_by_byte => Err(failure.into()),
            Ok(_) => Ok(pour.position()),
            // Whatever was recorded before the fault has come and stays.
            Err(error) => return Err(error),
        };
        drop(pour);
        if outcome.is_err() {
            self.take_back(upload, offset, &file).await?;
        }
        if let Some(file) = Arc::into_inner(file) {
            file.close().await?;
        }
        outcome
    }

    /// Bytes of an upload that is appended to, by the record and by what is there.
    pub(super) async fn stands_at(&self, upload: &Upload) -> Result<u64, Error> {
        let data = self.open_data(upload, Mode::Look).await?;
        let length = data.length_at_opening();
        data.close().await?;
        let book = self.books.of(&upload.id);
        let mut book = book.lock().await;
        book.refresh(&self.share, &self.base.upload(&upload.id))
            .await
            .map_err(or_vanished)?;
        Ok(book.offset().min(length))
    }

    /// The upload's data, which is there from its beginning to its end.
    pub(super) async fn open_data(&self, upload: &Upload, mode: Mode) -> Result<OpenFile, Error> {
        OpenFile::open(&self.share, &self.data_path(upload), mode)
            .await
            .map_err(|fault| {
                if fault.is_absent() {
                    self.books.forget(&upload.id);
                }
                or_vanished(fault)
            })
    }

    /// Writes one body of a known place and brings it to the server's disk; gives its record.
    async fn write_part(
        &self,
        number: PartNumber,
        path: &str,
        file: OpenFile,
        offset: u64,
        body: Body,
    ) -> Result<Record, Error> {
        let receipt = body.receipt();
        let expected = body.length().unwrap_or(0);
        let file = Arc::new(file);
        let mut pour = Pour::new(&self.share, Arc::clone(&file), offset, body);
        let end = pour.run(u64::MAX, None).await;
        let size = pour.position() - offset;
        drop(pour);
        match end.map_err(|fault| fault.into_error(expected))? {
            End::Whole | End::More => {}
            End::Failed(failure) => return Err(failure.into()),
            End::Superseded => return Err(Error::Superseded),
        }
        let Some(sha256) = receipt.sha256() else {
            return Err(Error::internal("a body that ended well has no digest"));
        };
        if self.share.settings().sync {
            file.flush().await.map_err(|fault| fault.into_error(expected))?;
        }
        // The server may have been restarted in between, and have lost what it had not brought to its disk.
        if file.breaks() > 0 && digest_of(&self.share, path, offset..offset + size).await? != sha256 {
            return Err(Error::unavailable(
                "the store",
                "the server lost some of the part",
            ));
        }
        if let Some(file) = Arc::into_inner(file) {
            file.close().await.map_err(|fault| fault.into_error(expected))?;
        }
        Ok(Record {
            number,
            size,
            sha256,
            place: Place::Data,
        })
    }

    /// A part that replaces `before` lies aside until the upload is finished: its bytes must not run over those that
    /// count while it may still fail.
    async fn put_aside(&self, upload: &Upload, before: Record, body: Body) -> Result<Record, Error> {
        let folder = self.base.upload(&upload.id);
        let path = format!("{folder}\\incoming-{}-{}", before.number, self.instance.simple());
        let file = OpenFile::open(&self.share, &path, Mode::Empty)
            .await
            .map_err(or_vanished)?;
        let written = self.write_part(before.number, &path, file, 0, body).await;
        let is_same = |record: &Record| (record.size, record.sha256) == (before.size, before.sha256);
        let record = match written {
            Ok(record) if !is_same(&record) => Record {
                place: Place::Aside,
                ..record
            },
            // Nothing new: the same bytes, sent again by somebody who did not see the answer, or a failure.
            outcome => {
                if let Err(fault) = self.share.remove(&path).await {
                    warn!(?fault, "what came of a part stays until its upload ends");
                }
                return outcome.map(|_| before);
            }
        };
        let file = OpenFile::open(&self.share, &path, Mode::Write)
            .await
            .map_err(or_vanished)?;
        let renamed = file
            .rename(&format!("{folder}\\{}", record.aside_name()), true)
            .await;
        file.close().await?;
        renamed?;
        Ok(record)
    }

    /// Appends stretch by stretch; gives where the upload stands, and what became of the body.
    async fn append_stretches(
        &self,
        upload: &Upload,
        pour: &mut Pour,
        file: &OpenFile,
        receipt: &Receipt,
        counts_byte_by_byte: bool,
    ) -> Result<End, Error> {
        let folder = self.base.upload(&upload.id);
        let book = self.books.of(&upload.id);
        // Of a body that counts as a whole nothing may count before it has come to its end.
        let (stretch, a_while) = if counts_byte_by_byte {
            (STRETCH, Some(A_WHILE))
        } else {
            (u64::MAX, None)
        };
        loop {
            let end = pour
                .run(stretch, a_while)
                .await
                .map_err(|fault| fault.into_error(upload.size.saturating_sub(pour.position())))?;
            if matches!(end, End::Superseded) {
                return Err(Error::Superseded);
            }
            let counts = counts_byte_by_byte || !matches!(end, End::Failed(_));
            if counts {
                if self.share.settings().sync {
                    file.flush().await?;
                }
                if file.breaks() > 0 {
                    return Err(Error::unavailable(
                        "the store",
                        "the connection broke, and the server may have lost some of what it had",
                    ));
                }
                let mut book = book.lock().await;
                book.refresh(&self.share, &folder).await.map_err(or_vanished)?;
                if book.newest_fence() > fence_of(upload) {
                    return Err(Error::Superseded);
                }
                book.add_offset(&self.share, &folder, pour.position(), fence_of(upload))
                    .await
                    .map_err(or_vanished)?;
                receipt.keep(pour.position());
            }
            if !matches!(end, End::More) {
                return Ok(end);
            }
        }
    }

    /// After an append of which nothing is to be kept.
    async fn take_back(&self, upload: &Upload, offset: u64, file: &OpenFile) -> Result<(), Fault> {
        let book = self.books.of(&upload.id);
        let mut book = book.lock().await;
        book.refresh(&self.share, &self.base.upload(&upload.id)).await?;
        if book.newest_fence() > fence_of(upload) {
            // The data is somebody else's by now.
            return Ok(());
        }
        if book.offset() > offset {
            book.add_offset(
                &self.share,
                &self.base.upload(&upload.id),
                offset,
                fence_of(upload),
            )
            .await?;
        }
        file.set_length(offset).await
    }

    /// Says that whoever has a lower fence has no say any more; what is recorded has just been read. `None` for an upload
    /// without fences.
    async fn cut_others_off(&self, upload: &Upload, offset: u64) -> Result<Option<Guard>, Error> {
        let fence = fence_of(upload);
        if fence == 0 {
            return Ok(None);
        }
        let (book, folder) = (self.books.of(&upload.id), self.base.upload(&upload.id));
        {
            let mut book = book.lock().await;
            let newest = book.newest_fence();
            if newest > fence {
                return Err(Error::Superseded);
            }
            // Where this is the first fence, there is nobody.
            if newest < fence && fence > 1 {
                book.add_offset(&self.share, &folder, offset, fence)
                    .await
                    .map_err(or_vanished)?;
            }
        }
        Ok(Some(Guard { book, folder, fence }))
    }
}
