//! Which files the command line means.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::trouble::Trouble;

/// A file to send, or why there is none.
#[derive(Debug)]
pub struct Found {
    /// Where it lies, as it was given.
    pub path: PathBuf,
    /// What the server is told.
    pub name: String,
    /// Why it cannot be sent, where that is known without opening it.
    pub problem: Option<Trouble>,
}

impl Found {
    /// Its bytes as they are now; 0 where there is no such file.
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |about| if about.is_file() { about.len() } else { 0 })
    }
}

/// The files of `given`, each once, in their order; those of a folder by name.
pub fn find(given: &[PathBuf], recursive: bool) -> Vec<Found> {
    let mut found = Vec::new();
    for path in given {
        if recursive && path.is_dir() {
            walk(path, &name_of(path), &mut found);
        } else {
            let name = name_of(path);
            found.push(Found {
                path: path.clone(),
                name,
                problem: None,
            });
        }
    }
    let mut seen = HashSet::new();
    found.retain(|file| seen.insert(file.path.canonicalize().unwrap_or_else(|_| file.path.clone())));
    found
}

/// Links to folders are not followed: they may lead in circles.
fn walk(folder: &Path, name: &str, found: &mut Vec<Found>) {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            found.push(problem(folder, Trouble::file("unreadable", error.to_string())));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            walk(&path, &name, found);
        } else if !(path.is_symlink() && path.is_dir()) {
            found.push(Found {
                path,
                name,
                problem: None,
            });
        }
    }
}

fn problem(path: &Path, trouble: Trouble) -> Found {
    Found {
        path: path.to_owned(),
        name: String::new(),
        problem: Some(trouble),
    }
}

/// The last piece of the path, also of `.` and `folder/..`.
fn name_of(path: &Path) -> String {
    let full;
    let name = if let Some(name) = path.file_name() {
        Some(name)
    } else {
        full = path.canonicalize().unwrap_or_default();
        full.file_name()
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}
