//! Folders of the share: made, listed and removed.
//!
//! Separate from files, which stay open; here every step opens something, does one thing to it and closes it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use smb::{
    CreateDisposition, CreateOptions, DirAccessMask, FileAccessMask, FileAttributes,
    FileBothDirectoryInformation, FileCreateArgs, FileDispositionInformation, FileFsFullSizeInformation,
    Resource,
};

use super::fault::{Fault, status};
use super::link::Link;
use super::share::{PAUSE, Share, UNIT};

/// A file or folder in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: String,
    pub is_folder: bool,
    pub modified: DateTime<Utc>,
}

impl Share {
    /// Makes a folder; one that is there already is fine.
    pub async fn make_folder(&self, path: &str) -> Result<(), Fault> {
        let made = self
            .attempt(async |link| {
                let how = FileCreateArgs {
                    disposition: CreateDisposition::Create,
                    attributes: FileAttributes::new().with_directory(true),
                    options: CreateOptions::new().with_directory_file(true),
                    desired_access: FileAccessMask::new().with_file_read_attributes(true),
                };
                close(&link, link.create(path, how).await?).await
            })
            .await;
        match made {
            Err(fault) if fault.is(status::NAME_COLLISION) => Ok(()),
            outcome => outcome,
        }
    }

    /// Makes a folder and all above it.
    pub async fn make_folders(&self, path: &str) -> Result<(), Fault> {
        // Mostly it, or the folder above it, is there.
        match self.make_folder(path).await {
            Err(fault) if fault.is_absent() => {}
            outcome => return outcome,
        }
        let ends = path.match_indices('\\').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            self.make_folder(&path[..end]).await?;
        }
        Ok(())
    }

    /// What lies in a folder; `None` where there is no such folder.
    pub async fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, Fault> {
        let listed = self
            .attempt(async |link| {
                let access = DirAccessMask::new()
                    .with_list_directory(true)
                    .with_read_attributes(true);
                let mut how = FileCreateArgs::make_open_existing(access.into());
                how.options = CreateOptions::new().with_directory_file(true);
                let Resource::Directory(folder) = link.create(path, how).await? else {
                    return Err(Fault::Status(status::PATH_NOT_FOUND));
                };
                let folder = Arc::new(folder);
                let entries = link.call(UNIT, entries_of(Arc::clone(&folder))).await;
                let closing = link.call(0, async move { Ok(folder.close().await?) }).await;
                entries.and_then(|entries| closing.map(|()| entries))
            })
            .await;
        match listed {
            Ok(entries) => Ok(Some(entries)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Removes a file or an empty folder; one that is not there is fine.
    pub async fn remove(&self, path: &str) -> Result<(), Fault> {
        let removed = self
            .attempt(async |link| {
                let access = FileAccessMask::new()
                    .with_delete(true)
                    .with_file_read_attributes(true);
                let resource = link
                    .create(path, FileCreateArgs::make_open_existing(access))
                    .await?;
                let resource = Arc::new(resource);
                let marked = Arc::clone(&resource);
                let marking = link
                    .call(0, async move {
                        let gone = FileDispositionInformation::default();
                        match &*marked {
                            Resource::File(file) => file.set_info(gone).await?,
                            Resource::Directory(folder) => folder.set_info(gone).await?,
                            Resource::Pipe(_) => {}
                        }
                        Ok(())
                    })
                    .await;
                close_shared(&link, resource).await?;
                marking
            })
            .await;
        match removed {
            Err(fault) if fault.is_absent() => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes a folder of files; one that is not there is fine.
    pub async fn remove_folder(&self, path: &str) -> Result<(), Fault> {
        for _ in 0..3 {
            for entry in self.list(path).await?.unwrap_or_default() {
                self.remove(&format!("{path}\\{}", entry.name)).await?;
            }
            match self.remove(path).await {
                // Somebody was still writing into it.
                Err(fault) if fault.is(status::DIRECTORY_NOT_EMPTY) => tokio::time::sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
        Err(Fault::Status(status::DIRECTORY_NOT_EMPTY))
    }

    /// Bytes that we may still store.
    pub async fn free(&self, path: &str) -> Result<u64, Fault> {
        self.attempt(async |link| {
            let access = FileAccessMask::new().with_file_read_attributes(true);
            let resource = Arc::new(
                link.create(path, FileCreateArgs::make_open_existing(access))
                    .await?,
            );
            let asked = Arc::clone(&resource);
            let space: Result<FileFsFullSizeInformation, Fault> = link
                .call(0, async move {
                    match &*asked {
                        Resource::File(file) => Ok(file.query_fs_info().await?),
                        Resource::Directory(folder) => Ok(folder.query_fs_info().await?),
                        Resource::Pipe(_) => Err(Fault::Status(status::PATH_NOT_FOUND)),
                    }
                })
                .await;
            close_shared(&link, resource).await?;
            let space = space?;
            let unit = u64::from(space.sectors_per_allocation_unit) * u64::from(space.bytes_per_sector);
            Ok(space.caller_available_allocation_units.saturating_mul(unit))
        })
        .await
    }
}

async fn close(link: &Arc<Link>, resource: Resource) -> Result<(), Fault> {
    close_shared(link, Arc::new(resource)).await
}

async fn close_shared(link: &Arc<Link>, resource: Arc<Resource>) -> Result<(), Fault> {
    link.call(0, async move {
        match &*resource {
            Resource::File(file) => file.close().await?,
            Resource::Directory(folder) => folder.close().await?,
            Resource::Pipe(_) => {}
        }
        Ok(())
    })
    .await
}

/// Reads a folder. The library's stream can miss the wake-up for its next page when it is read on another thread than
/// it is filled; on a runtime of one thread it cannot.
async fn entries_of(folder: Arc<smb::Directory>) -> Result<Vec<Entry>, Fault> {
    let reading = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(Fault::broken)?;
        runtime.block_on(async {
            let mut found = Vec::new();
            let mut stream = smb::Directory::query::<FileBothDirectoryInformation>(&folder, "*").await?;
            while let Some(entry) = stream.next().await {
                let entry = entry?;
                let name = entry.file_name.to_string();
                if name != "." && name != ".." {
                    found.push(Entry {
                        name,
                        is_folder: entry.file_attributes.directory(),
                        modified: time_of(entry.last_write_time.since_epoch()),
                    });
                }
            }
            Ok(found)
        })
    });
    reading.await.map_err(Fault::broken)?
}

/// A time of the server: what has passed since 1601.
fn time_of(since_1601: Duration) -> DateTime<Utc> {
    const FROM_1601_TO_1970: TimeDelta = TimeDelta::seconds(11_644_473_600);
    TimeDelta::from_std(since_1601)
        .ok()
        .and_then(|since| DateTime::UNIX_EPOCH.checked_add_signed(since - FROM_1601_TO_1970))
        .unwrap_or(DateTime::UNIX_EPOCH)
}
