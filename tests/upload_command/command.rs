//! The program as somebody runs it who has a few files and a server's address.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::server::API_KEY;

/// A home with files, and an environment that knows the server.
pub struct Sender {
    home: tempfile::TempDir,
    server: String,
    /// What `MULETEER_API_KEY` is; none where empty.
    pub key: String,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sender {
    pub fn to(server: &str) -> Self {
        Self {
            home: tempfile::tempdir().expect("a folder"),
            server: server.to_owned(),
            key: API_KEY.to_owned(),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the home; its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// `muleteer upload` with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muleteer"));
        command
            .env_clear()
            .env("HOME", self.home())
            .env("MULETEER_URL", &self.server)
            .current_dir(self.home())
            .arg("upload")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.key.is_empty() {
            command.env("MULETEER_API_KEY", &self.key);
        }
        command
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program starts")
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.start(arguments))
    }

    /// Where the program keeps addresses of unfinished uploads.
    pub fn kept_in(&self) -> PathBuf {
        self.home().join(".local/state/muleteer/uploads")
    }

    /// How many it keeps.
    pub fn kept(&self) -> usize {
        std::fs::read_dir(self.kept_in()).map_or(0, Iterator::count)
    }
}

/// Waits for the end.
pub fn ended(child: Child) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("its output");
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

/// Kills it as no program can prevent.
pub fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("its end");
}

impl Ended {
    /// The events of `--json`, each line one document.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The one event of this name.
    pub fn event(&self, name: &str) -> Value {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        assert_eq!(events.len(), 1, "{name}: {self:?}");
        events.remove(0)
    }

    /// The key of the one object.
    pub fn key(&self) -> String {
        self.event("done")["key"].as_str().expect("a key").to_owned()
    }
}

/// Bytes that differ at every place.
pub fn bytes(length: usize) -> Vec<u8> {
    let word = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (1..=length.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(length);
    bytes
}
