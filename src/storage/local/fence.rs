//! Who writes last: a number in the upload's folder that only grows.
//!
//! Separate from appending, because it is about others: another process, or an earlier call of this one that has been
//! stalled, may still hold the data open. It asks before each write, and finds that it has been cut off.

use std::io;

use cap_std::fs::Dir;

use super::tree::{failed, vanished};
use crate::domain::Upload;
use crate::error::Error;

/// Holds the highest [fence](crate::domain::Appending::fence) so far, in decimal digits.
const FENCE: &str = "fence";

/// The fence of one call.
#[derive(Debug)]
pub(super) struct Fence {
    folder: Dir,
    own: u64,
}

impl Fence {
    /// Cuts off whoever has a lower fence; `None` for an upload that has none.
    ///
    /// # Errors
    /// [`Error::Superseded`] where there is a higher one.
    pub(super) fn raise(folder: &Dir, upload: &Upload) -> Result<Option<Self>, Error> {
        let own = upload.appending.as_ref().map_or(0, |appending| appending.fence);
        if own == 0 {
            return Ok(None);
        }
        let fence = Self {
            folder: folder.try_clone().map_err(failed)?,
            own,
        };
        if fence.newest()? < own {
            // Moved into its place, so that nobody reads half of it.
            let draft = format!("{FENCE}-{own}");
            folder.write(&draft, own.to_string()).map_err(vanished)?;
            folder.rename(&draft, folder, FENCE).map_err(vanished)?;
        }
        fence.check()?;
        Ok(Some(fence))
    }

    /// Whether it is still the highest.
    ///
    /// # Errors
    /// [`Error::Superseded`] where it is not.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.newest()? > self.own {
            Err(Error::Superseded)
        } else {
            Ok(())
        }
    }

    fn newest(&self) -> Result<u64, Error> {
        match self.folder.read_to_string(FENCE) {
            Ok(digits) => Ok(digits.parse().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_fence_has_the_say() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let fence = |own| Fence {
            folder: dir.try_clone().unwrap(),
            own,
        };
        fence(1).check().unwrap();

        dir.write(FENCE, "2").unwrap();

        assert!(matches!(fence(1).check(), Err(Error::Superseded)));
        fence(2).check().unwrap();
        fence(3).check().unwrap();
        // Torn by a power cut: whoever comes next says it again.
        dir.write(FENCE, "").unwrap();
        fence(1).check().unwrap();
    }
}
