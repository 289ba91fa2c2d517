//! A folder of an SMB share as a place. What is special to shares is in `tests/smb/`.

#[path = "../support/samba.rs"]
#[expect(dead_code, reason = "only the common server is used here")]
mod samba;

use async_trait::async_trait;
use muleteer::storage::{SmbSettings, SmbStore, Storage};

use crate::Place;

/// A folder of the common server that nobody else uses.
pub struct Folder(SmbSettings);

impl Folder {
    pub async fn new() -> Option<Self> {
        std::future::ready(samba::fresh_folder().map(Self)).await
    }

    pub async fn without_sync() -> Option<Self> {
        let settings = samba::fresh_folder().map(|settings| SmbSettings {
            sync: false,
            ..settings
        });
        std::future::ready(settings.map(Self)).await
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Box<dyn Storage> {
        Box::new(SmbStore::new(self.0.clone()).expect("a share's settings"))
    }

    fn takes_every_letter(&self) -> bool {
        false
    }
}
