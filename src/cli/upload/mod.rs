//! `muleteer upload`: files from this machine to a running server, resumable ([the guide](../../../docs/upload-command.md)).
//!
//! Separate from everything that serves: it knows a server by its HTTP address alone, and reads no settings file.

mod claims;
mod direct;
mod files;
mod memory;
mod native;
mod progress;
mod relay;
mod remote;
mod signatures;
mod source;
mod trouble;
mod tus;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use self::native::{Job, Way};
use self::progress::Progress;
use self::remote::Remote;
use self::source::Source;
use self::trouble::{Kind, Trouble};
use super::client;
use super::exit::Exit;

/// While one file is begun or joined, the next may send already.
const FILES_AT_ONCE: usize = 3;

/// What to send, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "The key: without --key-file it is read from MULETEER_API_KEY. Given as --key, everybody on this machine \
                        can see it in the list of processes.\n\nInterrupted? Run the same command again: only what is missing \
                        is sent.\n\nExit codes: 0 all files are uploaded; 1 some are not; 2 the command line cannot be used; \
                        3 the server refused every file; 130 Ctrl-C."
)]
pub struct UploadArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server's address; without it `MULETEER_URL`, else <http://127.0.0.1:8080>
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An API key; visible to everybody on this machine, so rather use `MULETEER_API_KEY` or --key-file
    #[arg(long, value_name = "KEY", conflicts_with = "key_file")]
    key: Option<String>,
    /// A file that holds an API key and nothing else
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How the bytes travel
    #[arg(long, value_enum, default_value_t = Via::Direct)]
    via: Via,
    /// Most parts under way at once, of all files together
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::new(4).expect("four is more than none"))]
    concurrency: NonZeroUsize,
    /// Send the files in folders too; their names are told with the folders
    #[arg(long)]
    recursive: bool,
    /// How long a request may go on failing before its file is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    patience: u64,
    /// Save the signed receipt of the upload here; of one file, and not with `--via tus`
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The API's path at the server, or that of tus [default: /api/v1, with --via tus /files]
    #[arg(long, value_name = "PATH")]
    api_path: Option<String>,
    /// Print one JSON document a line: begin, part, retry, done, failed, and a summary at the end
    #[arg(long)]
    json: bool,
    /// Print nothing but what went wrong
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// Straight to the store, with the server's signatures
    Direct,
    /// Through the server, part by part, where the store cannot be reached from here
    Relay,
    /// Through the server, by the tus protocol
    Tus,
}

/// A run's settings, made of the command line.
struct Settings {
    api: String,
    key: String,
}

/// Uploads everything; the exit code says how it went.
///
/// # Errors
/// No connection can be set up at all.
pub async fn run(args: UploadArgs) -> anyhow::Result<Exit> {
    let settings = match settings_of(&args) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("muleteer: {error:#}");
            return Ok(Exit::Usage);
        }
    };
    let json = args.json;
    tokio::select! {
        exit = send_all(args, settings) => exit,
        _ = tokio::signal::ctrl_c() => {
            if !json {
                eprintln!("\nmuleteer: interrupted; run the same command again, and only what is missing is sent");
            }
            Ok(Exit::Interrupted)
        }
    }
}

fn settings_of(args: &UploadArgs) -> anyhow::Result<Settings> {
    let server = args.server.clone().unwrap_or_else(client::server_of_environment);
    let base = Url::parse(&server).with_context(|| format!("--server {server}"))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        anyhow::bail!("--server {server}: an address begins with http:// or https://");
    }
    if base.query().is_some() || base.fragment().is_some() {
        anyhow::bail!("--server {server}: an address has no ? and no #");
    }
    if args.receipt.is_some() && (args.files.len() != 1 || args.recursive || args.via == Via::Tus) {
        anyhow::bail!("--receipt is for one file, and not for --via tus");
    }
    let default_path = if args.via == Via::Tus { "/files" } else { "/api/v1" };
    let path = args.api_path.as_deref().unwrap_or(default_path);
    let key = match (&args.key, &args.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).with_context(|| format!("--key-file {}", file.display()))?,
        (None, None) => client::key_of_environment()
            .context("no API key: set MULETEER_API_KEY, or name a file with --key-file (`muleteer keys create` makes one)")?,
    };
    let key = key.trim().to_owned();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
        anyhow::bail!("the API key has characters that no key has, or none at all");
    }
    Ok(Settings {
        api: format!(
            "{}/{}",
            base.as_str().trim_end_matches('/'),
            path.trim_matches('/')
        ),
        key,
    })
}

/// How one file ended: the bytes that are there, those that were sent for it, and what went wrong.
struct Ended {
    bytes: u64,
    sent: u64,
    trouble: Option<Trouble>,
}

async fn send_all(args: UploadArgs, settings: Settings) -> anyhow::Result<Exit> {
    let remote = Remote::new(settings.key, Duration::from_secs(args.patience))?;
    let found = tokio::task::spawn_blocking(move || files::find(&args.files, args.recursive)).await?;
    let bytes = found.iter().map(files::Found::size).sum();
    let progress = Progress::new(args.json, args.quiet, found.len(), bytes);
    let run = Run {
        via: args.via,
        receipt: args.receipt,
        workers: args.concurrency.get(),
        api: settings.api,
        slots: Semaphore::new(args.concurrency.get()),
        turns: std::sync::Mutex::default(),
        remote,
        progress: Arc::clone(&progress),
    };
    let run = &run;
    let ended: Vec<Ended> = futures_util::stream::iter(found)
        .map(|file| run.one(file))
        .buffer_unordered(FILES_AT_ONCE)
        .collect()
        .await;
    let failed = ended.iter().filter(|file| file.trouble.is_some()).count();
    let bytes = ended.iter().map(|file| file.bytes).sum();
    progress.summary(
        ended.len() - failed,
        failed,
        bytes,
        ended.iter().map(|file| file.sent).sum(),
    );
    let is_refused = |file: &Ended| {
        file.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.kind == Kind::Refused)
    };
    Ok(match failed {
        0 => Exit::Done,
        _ if ended.iter().all(is_refused) => Exit::Refused,
        _ => Exit::Failed,
    })
}

/// What all files of a run share.
struct Run {
    via: Via,
    /// Where the receipt goes.
    receipt: Option<PathBuf>,
    workers: usize,
    api: String,
    slots: Semaphore,
    /// Two copies of one file have one fingerprint, so the server would take both for one upload while both are under way.
    turns: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
    remote: Remote,
    progress: Arc<Progress>,
}

impl Run {
    async fn one(&self, found: files::Found) -> Ended {
        let path = found.path.display().to_string();
        let opened = tokio::task::spawn_blocking(move || match found.problem {
            Some(problem) => Err(problem),
            None => Source::open(&found.path, found.name),
        });
        // Only now: a file may change while others are sent, as long as it is at rest while it is its turn.
        let source = match opened.await {
            Ok(Ok(source)) => source,
            Ok(Err(trouble)) => return self.unsent(&path, trouble),
            Err(panicked) => return self.unsent(&path, Trouble::file("unreadable", panicked.to_string())),
        };
        let file = path.as_str();
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(source.fingerprint.clone()).or_default())
        };
        let _turn = turn.lock().await;
        let meter = self.progress.meter(file, &source.name, source.size);
        let job = Job {
            source: &source,
            remote: &self.remote,
            api: &self.api,
            meter: &meter,
            slots: &self.slots,
            workers: self.workers,
        };
        let outcome = match self.via {
            Via::Direct => native::upload(&job, &Way::Direct(direct::Direct::default())).await,
            Via::Relay => native::upload(&job, &Way::Relay).await,
            Via::Tus => tus::upload(&job).await,
        };
        let outcome = match outcome {
            Ok(outcome) => self.save_receipt(&outcome.id, &meter).await.map(|()| outcome),
            Err(trouble) => Err(trouble),
        };
        let trouble = match outcome {
            Ok(outcome) => {
                meter.done(&outcome);
                None
            }
            Err(trouble) => {
                meter.failed(&trouble);
                Some(trouble)
            }
        };
        Ended {
            bytes: if trouble.is_none() { source.size } else { 0 },
            sent: meter.sent(),
            trouble,
        }
    }

    /// Fetches and writes the receipt, where one is wanted.
    async fn save_receipt(&self, id: &str, meter: &progress::Meter) -> Result<(), Trouble> {
        let Some(path) = &self.receipt else { return Ok(()) };
        let url = format!("{}/uploads/{id}/receipt", self.api);
        let answer = self.remote.call(&reqwest::Method::GET, &url, None, meter).await?;
        let unwritten = |error: std::io::Error| {
            let message = format!(
                "is uploaded, but its receipt {} cannot be written: {error}",
                path.display()
            );
            Trouble::file("receipt", message)
        };
        std::fs::write(path, format!("{:#}\n", answer.body)).map_err(unwritten)
    }

    fn unsent(&self, file: &str, trouble: Trouble) -> Ended {
        self.progress.failed(file, &trouble);
        Ended {
            bytes: 0,
            sent: 0,
            trouble: Some(trouble),
        }
    }
}
