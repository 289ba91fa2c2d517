//! What these tests do with scripts, files and programs of an installation.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::front::Front;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_muleteer");

/// What operators get.
pub const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// Runs a script of `deploy/`, for a person whose home is `home`.
pub fn script(name: &str, arguments: &[&str], home: &Path) -> Output {
    let mut command = Command::new(format!("{DEPLOY}/{name}"));
    command.args(arguments).env("HOME", home).stdin(Stdio::null());
    command.output().expect("the script runs")
}

/// What a command said, which must have gone well.
pub fn fine(output: &Output) -> String {
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// Text of whatever bytes.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file that must be there.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The permissions of something that must be there.
pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// A variable of a file of secrets.
pub fn secret(file: &Path, name: &str) -> String {
    let content = read(file);
    let line = content
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// A running program, stopped as a service manager does.
pub struct Service(Child);

impl Service {
    /// Starts it, and waits until it says where it listens.
    pub fn start(mut command: Command) -> (Self, String) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut service = Self(command.spawn().expect("the program starts"));
        let (output, log) = (service.0.stdout.take(), service.0.stderr.take());
        let mut log = log.expect("its log");
        let mut line = String::new();
        BufReader::new(output.expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        if let Some(base) = line.trim().strip_prefix("muleteer listening on ") {
            // Unread it would block.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return (service, base.to_owned());
        }
        drop(service);
        let mut said = String::new();
        let _ = log.read_to_string(&mut said);
        panic!("it does not listen: {line}{said}");
    }

    /// SIGTERM, and its end, which must be an orderly one.
    pub fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(id).status().expect("kill").success());
        assert!(self.0.wait().expect("its end").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whom the server takes the bearer of this key for.
pub async fn owner_of(base: &str, key: &str) -> Value {
    let session = Front::client().get(format!("{base}/api/v1/session"));
    let session = session.header("X-API-Key", key).send().await.expect("an answer");
    let session: Value = serde_json::from_str(&session.text().await.expect("text")).expect("JSON");
    session["owner"].clone()
}

/// Whether this machine has a program, and word that a check is left out where it has not.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("!!! no {program} on this machine: what it would check is left out");
    }
    found
}
