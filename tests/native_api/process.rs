//! The program as a real process: started with an empty environment in a folder of its own.
//!
//! Separate, because these few tests are about what only a process has: arguments, streams, signals, an exit status.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder with the program's data in it.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program in this place, with these arguments and variables and no others.
    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muleteer"));
        command
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    /// Runs it to its end with these variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        Self::to_its_end(self.command(arguments, variables), Stdio::piped())
    }

    /// Runs it to its end with this standard output.
    pub fn run_into(&self, arguments: &[&str], output: impl Into<Stdio>) -> Output {
        Self::to_its_end(self.command(arguments, &[]), output.into())
    }

    fn to_its_end(mut command: Command, output: Stdio) -> Output {
        command.stdout(output).stderr(Stdio::piped());
        let child = command.spawn().expect("the program starts");
        let id = child.id().to_string();
        let (done, waiting) = std::sync::mpsc::channel::<()>();
        // What should end at once but serves is stopped, so that the test fails instead of waiting.
        std::thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(30)).is_err() {
                let _ = Command::new("kill").arg(id).status();
            }
        });
        let output = child.wait_with_output().expect("its output");
        let _ = done.send(());
        output
    }

    /// Starts serving with nobody at the other end of its standard output, and, where `unlogged`, of its standard error,
    /// and waits until it answers.
    pub fn serve_unheard(&self, unlogged: bool) -> Process {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let log = self.path().join("stderr.txt");
        let port = address.port().to_string();
        let mut child = self
            .command(&["serve", "--port", &port, "--s3-port", "0"], &[])
            .stdout(Stdio::piped())
            .stderr(if unlogged {
                Stdio::piped()
            } else {
                File::create(&log).expect("a file").into()
            })
            .spawn()
            .expect("the program starts");
        drop((child.stdout.take(), child.stderr.take()));
        for _ in 0..200 {
            if std::net::TcpStream::connect(address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Process {
            base: format!("http://{address}"),
            child,
            output: None,
            log,
            secrets: Vec::new(),
        }
    }

    /// Starts serving on free ports and waits until it listens.
    pub fn serve(&self, variables: &[(&str, &str)]) -> Process {
        let log = self.path().join("stderr.txt");
        let mut child = self
            .command(&["serve", "--port", "0", "--s3-port", "0"], variables)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a line");
        let base = first.trim().strip_prefix("muleteer listening on ");
        let base =
            base.unwrap_or_else(|| panic!("{first:?} {}", std::fs::read_to_string(&log).unwrap_or_default()));
        Process {
            base: base.to_owned(),
            child,
            output: Some(output),
            log,
            secrets: secrets_among(variables),
        }
    }
}

/// A running server; killed when dropped, and its log is searched for the secrets that it was given.
pub struct Process {
    pub base: String,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    log: PathBuf,
    /// The secrets that it was given, by the variables' names.
    secrets: Vec<(String, String)>,
}

/// Those variables that hold a secret; a short one stands in ordinary text.
fn secrets_among(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let is_secret = |name: &str| {
        let is_one = ["SECRET", "_KEY", "TOKEN", "PASSWORD"]
            .iter()
            .any(|end| name.ends_with(end));
        // A file's path, and what everybody may know.
        is_one && !name.ends_with("__TLS__KEY") && !name.ends_with("PUBLIC_KEY")
    };
    let secrets = variables
        .iter()
        .filter(|(name, value)| is_secret(name) && value.len() >= 12);
    secrets
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl Process {
    /// The system's number for it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as an operator or the system does.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status();
        assert!(sent.expect("kill can be started").success());
    }

    /// Waits for its end; its exit status, what else it printed, and its log.
    pub fn ended(mut self, within: Duration) -> (ExitStatus, String, String) {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("it is ours") {
                Some(status) => break status,
                None => assert!(began.elapsed() < within, "it still runs after {within:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut printed = String::new();
        if let Some(mut output) = self.output.take() {
            output.read_to_string(&mut printed).expect("text");
        }
        (
            status,
            printed,
            std::fs::read_to_string(&self.log).unwrap_or_default(),
        )
    }

    /// Stops it in good order; what it printed after the first line, and its log.
    pub fn stop(self) -> (String, String) {
        self.signal("TERM");
        let (status, printed, log) = self.ended(Duration::from_secs(20));
        assert!(status.success(), "{status}: {log}");
        (printed, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        for (name, secret) in &self.secrets {
            assert!(!log.contains(secret), "the value of {name} is in the log: {log}");
        }
    }
}
