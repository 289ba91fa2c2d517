//! From an upload's data to an object.
//!
//! Separate, because it is the one step that nobody can take back, and most of it is about being sure.

use tracing::warn;

use super::book::Book;
use super::fault::{Fault, status};
use super::file::{Mode, OpenFile};
use super::pour::copy;
use super::{SmbStore, or_vanished};
use crate::domain::{Upload, check_whole};
use crate::error::Error;
use crate::storage::journal::{Place, Record};

impl SmbStore {
    /// Makes sure that every byte is there, and gives the data its name.
    pub(super) async fn finish_upload(&self, upload: &Upload) -> Result<(), Error> {
        let folder = self.base.upload(&upload.id);
        let data = self.open_data(upload, Mode::Write).await?;
        let book = self.books.of(&upload.id);
        let mut book = book.lock().await;
        book.refresh(&self.share, &folder).await.map_err(or_vanished)?;
        check_coverage(upload, &book)?;
        for record in book
            .records()
            .iter()
            .filter(|record| record.place == Place::Aside)
        {
            self.bring_in(upload, record, &data).await?;
        }
        drop(book);
        let length = data.length().await?;
        if length < upload.size {
            // The record says that it has more: somebody, or a crash, has taken bytes away.
            return Err(Error::StoreRefused {
                code: "DataDamaged".to_owned(),
            });
        }
        if length > upload.size {
            data.set_length(upload.size).await?;
        }
        self.seal(upload, data).await
    }

    /// Gives data that is whole its name.
    pub(super) async fn seal(&self, upload: &Upload, data: OpenFile) -> Result<(), Error> {
        if self.share.settings().sync {
            data.flush().await?;
        }
        if data.breaks() > 0 {
            return Err(Error::unavailable(
                "the store",
                "the connection broke while the parts were joined",
            ));
        }
        let target = self.base.object(&upload.key);
        if let Some((parent, _)) = target.rsplit_once('\\') {
            self.share.make_folders(parent).await?;
        }
        let renamed = data.rename(&target, false).await;
        data.close().await?;
        self.be_sure(upload, &target, renamed).await?;
        self.books.forget(&upload.id);
        // The object is there; what is left is swept later at worst.
        if let Err(fault) = self.share.remove_folder(&self.base.upload(&upload.id)).await {
            warn!(upload = %upload.id, ?fault, "the folder of a finished upload stays for now");
        }
        Ok(())
    }

    /// A part that replaced another goes to its place. Until the end its file stays, and counts.
    async fn bring_in(&self, upload: &Upload, record: &Record, data: &OpenFile) -> Result<(), Error> {
        let path = format!("{}\\{}", self.base.upload(&upload.id), record.aside_name());
        let aside = OpenFile::open(&self.share, &path, Mode::Read)
            .await
            .map_err(or_vanished)?;
        if aside.length_at_opening() != record.size {
            return Err(Error::internal("a part that lies aside has lost its length"));
        }
        let offset = u64::from(record.number.get() - 1) * upload.plan().part_size();
        Ok(copy(&self.share, aside, record.size, data, offset).await?)
    }

    /// After a break nobody has told whether the rename was done; the share can be asked.
    async fn be_sure(&self, upload: &Upload, target: &str, renamed: Result<(), Fault>) -> Result<(), Error> {
        let fault = match renamed {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let collides = fault.is(status::NAME_COLLISION);
        if !collides && !fault.is_broken() {
            return Err(or_vanished(fault));
        }
        let left = OpenFile::open(&self.share, &self.data_path(upload), Mode::Look).await;
        if collides {
            // Another instance may have renamed the very file that we hold open: then its old name is free.
            return match left {
                Err(absent) if absent.is_absent() => Err(Error::Vanished),
                Err(other) => Err(other.into()),
                Ok(data) => {
                    data.close().await?;
                    Err(or_vanished(fault))
                }
            };
        }
        match left {
            Err(absent) if absent.is_absent() => {}
            Err(other) => return Err(other.into()),
            // It was not.
            Ok(_) => return Err(fault.into()),
        }
        let there = OpenFile::open(&self.share, target, Mode::Look)
            .await
            .map_err(or_vanished)?;
        let size = there.length_at_opening();
        there.close().await?;
        if size == upload.size {
            Ok(())
        } else {
            Err(Error::Vanished)
        }
    }
}

/// Whether the record says that every byte is stored. The length of the data says nothing: the last part may have come
/// first.
fn check_coverage(upload: &Upload, book: &Book) -> Result<(), Error> {
    let stored = book.stored_parts();
    if stored.is_empty() {
        let expected = book.offset();
        if expected != upload.size {
            return Err(Error::OffsetMismatch {
                expected,
                provided: upload.size,
            });
        }
        return Ok(());
    }
    check_whole(&upload.plan(), &stored)
}
