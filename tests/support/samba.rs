//! A real, throw-away Samba for the tests, one server for a whole test binary and one folder for each test.
//!
//! Where the server comes from, in this order:
//! 1. `MULETEER_TEST_SMB_URL`: `smb://user:password@host:port/share`. `scripts/test` starts one server for all test
//!    binaries.
//! 2. `scripts/samba`, started by the first test that asks. It watches this process and ends with it.
//!
//! `MULETEER_TEST_SMB=skip` says that there is none and that this is known (`scripts/test fast` on a machine without
//! it, which also says so aloud). In every other case a missing server fails the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use muleteer::storage::SmbSettings;

/// A server of our own, which can be stopped and started.
pub struct Samba {
    folder: PathBuf,
    url: String,
}

impl Samba {
    /// Starts one; `None` only where SMB is skipped on purpose. `options` are lines for the share's configuration.
    ///
    /// # Panics
    /// When Samba can neither be started nor is skipped; the message says what to install.
    #[must_use]
    pub fn start(options: &str) -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if is_skipped() {
            return None;
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("muleteer-samba-{}-{number}", std::process::id()));
        let url = run("start", &folder, 0, options);
        Some(Self { folder, url })
    }

    /// How to reach it, in the folder `path` of its share.
    #[must_use]
    pub fn settings(&self, path: &str) -> SmbSettings {
        settings_of(&self.url, path)
    }

    /// Where the share's files lie.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.join("share")
    }

    /// Kills it, as if its machine had lost its power.
    pub fn stop(&self) {
        run("stop", &self.folder, 0, "");
    }

    /// Starts it again on the same port.
    pub fn start_again(&self) {
        run("start", &self.folder, self.settings("").port, "");
    }
}

/// How to reach the common server, in a folder of its share that nobody else uses; `None` only where SMB is skipped
/// on purpose.
///
/// # Panics
/// As [`Samba::start`].
#[must_use]
pub fn fresh_folder() -> Option<SmbSettings> {
    static COMMON: OnceLock<Option<Samba>> = OnceLock::new();
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let path = format!(
        "test {}/{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    );
    if let Ok(url) = std::env::var("MULETEER_TEST_SMB_URL")
        && !is_skipped()
    {
        return Some(settings_of(&url, &path));
    }
    let common = COMMON.get_or_init(|| Samba::start(""));
    common.as_ref().map(|samba| samba.settings(&path))
}

fn is_skipped() -> bool {
    std::env::var("MULETEER_TEST_SMB").is_ok_and(|value| value == "skip")
}

/// Calls `scripts/samba`; gives what it prints.
fn run(action: &str, folder: &Path, port: u16, options: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/samba");
    let mut command = Command::new(&script);
    command
        .arg(action)
        .arg(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if action == "start" {
        command.args([&port.to_string(), "--while", &std::process::id().to_string()]);
        command.env("SAMBA_OPTIONS", options);
    }
    let output = command.output().expect("scripts/samba can be started");
    assert!(
        output.status.success(),
        "scripts/samba {action} failed. Install Samba (Debian: apt-get install --no-install-recommends samba) and run \
         as root, or set MULETEER_TEST_SMB=skip to leave the tests of SMB shares out."
    );
    String::from_utf8(output.stdout)
        .expect("a URL is text")
        .trim()
        .to_owned()
}

/// Takes `smb://user:password@host:port/share` apart.
fn settings_of(url: &str, path: &str) -> SmbSettings {
    let take_apart = || {
        let (login, place) = url.strip_prefix("smb://")?.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (address, share) = place.split_once('/')?;
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "445"));
        Some(SmbSettings {
            host: host.to_owned(),
            port: port.parse().ok()?,
            user: user.to_owned(),
            password: password.to_owned().into(),
            share: share.trim_end_matches('/').to_owned(),
            path: path.to_owned(),
            sync: true,
            part_size: 50 << 20,
        })
    };
    take_apart().unwrap_or_else(|| panic!("not smb://user:password@host:port/share"))
}
