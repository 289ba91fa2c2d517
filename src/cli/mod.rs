//! The command line: one file a subcommand.

mod client;
mod exit;
mod health;
mod keys;
mod openapi;
mod serve;
mod sweep;
mod upload;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{self, Config, LogFormat, Overrides, Sources};
use crate::telemetry::{self, Traces};

/// The backend that every browser uploader can talk to.
#[derive(Debug, Parser)]
#[command(name = "muleteer", version, after_help = exit::TABLE)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: what a bare `muleteer` does.
    Serve(serve::ServeArgs),
    /// Make, list and revoke API keys.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Give up expired uploads and drop leftovers in the storage, once.
    Sweep,
    /// Bring the database up to date, and nothing else.
    Migrate,
    /// Print the OpenAPI document of the native API.
    Openapi,
    /// Send files to a server, resumable.
    Upload(upload::UploadArgs),
    /// Ask a server whether it is well; the exit status says it.
    Health(health::HealthArgs),
}

/// Where settings come from; good for every subcommand.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// The settings file [default: Rocket.toml, if there is one; or `MULETEER_CONFIG`]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The profile [default: debug or release, as it was built; or `MULETEER_PROFILE`]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Folder of the SQLite file and of the embedded S3's objects
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
}

/// Runs the program. Exit status: 0 fine, 1 it failed, 2 the command line or the settings cannot be used.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // It speaks to a server that may be anywhere: settings of this machine, or mistakes in them, are none of its business.
    if let Some(Command::Upload(args)) = cli.command {
        return upload(args);
    }
    let mut overrides: Overrides = Vec::new();
    if let Some(data) = &cli.settings.data {
        overrides.push(("data_dir", data.clone()));
    }
    let serve_args = match &cli.command {
        Some(Command::Serve(args)) => Some(args),
        None => Some(&cli.serve),
        Some(_) => None,
    };
    if let Some(args) = serve_args {
        overrides.extend(args.overrides());
    }
    let sources = Sources::from_process(cli.settings.config, cli.settings.profile, overrides);
    let config = match config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("muleteer: {error}");
            return ExitCode::from(2);
        }
    };
    // One provider of TLS in the whole program; a second call in the same process would be refused, harmlessly.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let traces = match start_logging(&config) {
        Ok(traces) => traces,
        Err(complaint) => {
            eprintln!("muleteer: {complaint}");
            return ExitCode::from(2);
        }
    };
    let outcome = dispatch(cli.command, config);
    traces.finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muleteer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn upload(args: upload::UploadArgs) -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = actix_web::rt::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(upload::run(args)));
    let exit = outcome.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("muleteer: {error:#}");
        exit::Exit::Failed
    });
    exit.into()
}

fn dispatch(command: Option<Command>, config: Config) -> anyhow::Result<()> {
    let runtime = actix_web::rt::Runtime::new;
    match command {
        None | Some(Command::Serve(_)) => serve::run(config),
        Some(Command::Keys { command }) => runtime()?.block_on(keys::run(command, &config)),
        Some(Command::Sweep) => runtime()?.block_on(sweep::run(&config)),
        Some(Command::Migrate) => runtime()?.block_on(migrate(&config)),
        Some(Command::Openapi) => openapi::run(&config),
        // Done before the settings were read.
        Some(Command::Upload(_)) => Ok(()),
        Some(Command::Health(args)) => runtime()?.block_on(health::run(args, &config)),
    }
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    crate::app::open_database(config)
        .await?
        .close()
        .await
        .map_err(crate::app::explain)
}

/// Starts the log, and the traces where the settings name a collector; these must be finished after everything else.
fn start_logging(config: &Config) -> Result<Traces, String> {
    let filter = log_filter(config).map_err(|error| format!("log.filter: {error}"))?;
    let (traced, traces) =
        Traces::start(&config.telemetry).map_err(|error| format!("telemetry.endpoint: {error}"))?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| Forgiving(std::io::stderr()))
        .with_ansi(std::io::stderr().is_terminal());
    let log = match config.log.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A list rather than one upon the other: a layer that is not there would have every span made.
    let mut layers = vec![log.with_filter(filter).boxed()];
    layers.extend(traced);
    tracing_subscriber::registry().with(layers).init();
    Ok(traces)
}

/// What is logged.
fn log_filter(config: &Config) -> Result<EnvFilter, ParseError> {
    // The signer writes whole canonical queries, session tokens among them, at the finest level; the embedded S3's
    // library calls every refused request an error.
    let filter = EnvFilter::try_new(&config.log.filter)?
        .add_directive("aws_sigv4=info".parse()?)
        .add_directive("s3s=off".parse()?)
        // Clients that break off, and connections that we end, are errors to it; what matters is in our own log.
        .add_directive("actix_http::h1::dispatcher=off".parse()?)
        // Closing a connection to a share is an error to its library.
        .add_directive("smb=off".parse()?)
        .add_directive("smb_transport=off".parse()?)
        // Spans for traces are no business of the log.
        .add_directive(format!("{}=off", telemetry::TARGET).parse()?);
    Ok(filter)
}

/// Standard error that takes everything: whoever read our log may be gone, or its disk full, which must not keep us from
/// serving.
struct Forgiving(std::io::Stderr);

impl std::io::Write for Forgiving {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
