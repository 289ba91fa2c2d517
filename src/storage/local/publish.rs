//! The last step of an upload: its data gets its name in the tree, at once and without taking anybody else's.
//!
//! Separate, because file systems differ in how a file can be moved without replacing another.

use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use super::tree::{Tree, failed, made, refused, vanished};
use crate::domain::ObjectKey;
use crate::error::Error;

/// Moves the file `name` of `folder` to `key` beneath `root`, making folders on the way. The bytes must be durable
/// already; afterwards their name is too.
///
/// # Errors
/// [`Error::Vanished`] where there is no such file, [`Error::StoreRefused`] where the key is taken.
pub(super) fn publish(
    tree: &Tree,
    folder: &Dir,
    name: &str,
    root: &Dir,
    key: &ObjectKey,
) -> Result<(), Error> {
    let path = Path::new(key.as_str());
    let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(refused("NameRefused"));
    };
    let target = make_folders(tree, root, parent)?;
    let last = Path::new(last);
    match move_without_replacing(folder, name, &target, last) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link is made before the old name is dropped, and we may have been killed in between.
            if !is_same_file(folder, name, &target, last) {
                return Err(refused("NameTaken"));
            }
        }
        moved => moved.map_err(vanished)?,
    }
    tree.sync_folder(&target)
}

/// The folder at `path` beneath `root`, made where it is missing, durably.
fn make_folders(tree: &Tree, root: &Dir, path: &Path) -> Result<Dir, Error> {
    if path.as_os_str().is_empty() {
        return root.open_dir(".").map_err(failed);
    }
    let mut ways: Vec<&Path> = path
        .ancestors()
        .filter(|way| !way.as_os_str().is_empty())
        .collect();
    ways.reverse();
    for way in ways {
        if made(root.create_dir(way)).map_err(failed)? {
            let above = match way.parent() {
                Some(above) if !above.as_os_str().is_empty() => above,
                _ => Path::new("."),
            };
            tree.sync_folder(&root.open_dir(above).map_err(failed)?)?;
        }
    }
    root.open_dir(path).map_err(failed)
}

fn move_without_replacing(folder: &Dir, name: &str, target: &Dir, last: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(folder, name, target, last, RenameFlags::NOREPLACE) {
            // The kernel or the file system does not know how.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            moved => return Ok(moved?),
        }
    }
    link_and_unlink(folder, name, target, last)
}

/// As a rename that replaces nothing, for file systems that have no such thing.
fn link_and_unlink(folder: &Dir, name: &str, target: &Dir, last: &Path) -> io::Result<()> {
    match folder.hard_link(name, target, last) {
        Ok(()) => folder.remove_file(name),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
            ) =>
        {
            Err(error)
        }
        // Not even links, as on FAT. Keys bear an upload's id, so nobody else makes this one in between.
        Err(_) if target.symlink_metadata(last).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => folder.rename(name, target, last),
    }
}

#[cfg(unix)]
fn is_same_file(folder: &Dir, name: &str, target: &Dir, last: &Path) -> bool {
    use cap_std::fs::MetadataExt as _;
    let of = |dir: &Dir, name: &Path| dir.symlink_metadata(name).map(|found| (found.dev(), found.ino()));
    matches!((of(folder, Path::new(name)), of(target, last)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(not(unix))]
fn is_same_file(_: &Dir, _: &str, _: &Dir, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn dir() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        (folder, dir)
    }

    #[test]
    fn both_ways_move_a_file_and_neither_replaces_one() {
        for way in [move_without_replacing, link_and_unlink] {
            let (_kept, dir) = dir();
            dir.write("data", "new").unwrap();

            way(&dir, "data", &dir, Path::new("moved")).unwrap();
            assert_eq!(dir.read_to_string("moved").unwrap(), "new");
            assert!(!dir.exists("data"));

            let gone = way(&dir, "data", &dir, Path::new("other")).unwrap_err();
            assert_eq!(gone.kind(), io::ErrorKind::NotFound);

            dir.write("data", "newer").unwrap();
            let taken = way(&dir, "data", &dir, Path::new("moved")).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(dir.read_to_string("moved").unwrap(), "new");
            assert_eq!(dir.read_to_string("data").unwrap(), "newer");
        }
    }
}
