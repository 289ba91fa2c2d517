//! The addresses of unfinished tus uploads, one small file each: tus has no way to ask for the upload of a file.

use std::ffi::OsString;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

/// Where the address of one file's upload is kept.
#[derive(Debug)]
pub struct Memory {
    /// None where this account has no place for such files: then nothing is kept.
    file: Option<PathBuf>,
}

impl Memory {
    /// For the file of this fingerprint at this server.
    pub fn new(api: &str, fingerprint: &str) -> Self {
        let name = hex::encode(Sha256::digest(format!("{api}\n{fingerprint}")));
        Self {
            file: folder(|name| std::env::var_os(name)).map(|folder| folder.join(name)),
        }
    }

    /// The address that was kept.
    pub fn recall(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.file.as_ref()?).ok()?;
        Some(text.trim().to_owned()).filter(|address| url::Url::parse(address).is_ok())
    }

    /// Keeps an address.
    ///
    /// # Errors
    /// It cannot be written; the upload can go on, but not after a kill.
    pub fn keep(&self, address: &str) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // In one step: a kill leaves the old address or the new one.
        let beside = file.with_extension(std::process::id().to_string());
        std::fs::write(&beside, format!("{address}\n"))?;
        std::fs::rename(&beside, file)
    }

    /// It is not needed any more.
    pub fn forget(&self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// `$XDG_STATE_HOME`, `~/.local/state`, or `%LOCALAPPDATA%`.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = if cfg!(windows) {
        path("LOCALAPPDATA")
    } else {
        path("XDG_STATE_HOME").or_else(|| Some(path("HOME")?.join(".local/state")))
    };
    Some(base?.join("muleteer").join("uploads"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_where_the_platform_has_it() {
        let with = |variables: &'static [(&str, &str)]| {
            folder(move |name| {
                variables
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            })
        };
        assert_eq!(
            with(&[("HOME", "/h")]),
            Some("/h/.local/state/muleteer/uploads".into())
        );
        let both = &[("HOME", "/h"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(with(both), Some("/s/muleteer/uploads".into()));
        let relative = &[("HOME", "/h"), ("XDG_STATE_HOME", "s")];
        assert_eq!(with(relative), Some("/h/.local/state/muleteer/uploads".into()));
        assert_eq!(with(&[]), None);
    }
}
