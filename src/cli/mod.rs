//! The command line: one file a subcommand.

mod client;
mod cors;
pub mod doctor;
mod exit;
mod health;
mod init;
mod keys;
mod logging;
mod openapi;
mod output;
mod policy;
mod serve;
mod sweep;
mod upload;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use self::exit::Exit;
use crate::config::{self, Config, Overrides, Sources};

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
    /// Find out what is wrong with bucket, key, network, proxy and settings, and how to mend it.
    Doctor(doctor::DoctorArgs),
    /// The bucket's CORS rules: show what pages need, or put it there.
    Cors {
        #[command(subcommand)]
        command: cors::CorsCommand,
    },
    /// Print the least policy of IAM, the lifecycle rule and the CORS rule for these settings, as JSON.
    Policy(policy::PolicyArgs),
    /// Give up expired uploads and drop leftovers in the storage, once.
    Sweep {
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Bring the database up to date, and nothing else.
    Migrate,
    /// Print the OpenAPI document of the native API.
    Openapi,
    /// Send files to a server, resumable.
    Upload(upload::UploadArgs),
    /// Hold a file against its receipt.
    Verify(verify::VerifyArgs),
    /// Ask a server whether it is well; the exit status says it.
    Health(health::HealthArgs),
    /// Write a `Rocket.toml` with fresh secrets.
    Init(init::InitArgs),
    /// Print what a shell needs to complete our command line.
    Completions {
        /// Whose
        shell: Shell,
    },
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

/// Runs the program; [`exit`] has the exit codes.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        // These need no settings, and must work where there are none, or wrong ones.
        Some(Command::Init(args)) => init::run(&args, cli.settings.config),
        Some(Command::Completions { shell }) => {
            // It panics where it cannot write, which a list of bytes always lets it.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "muleteer", &mut script);
            output::say(String::from_utf8_lossy(&script).trim_end()).map(|()| Exit::Done)
        }
        // It speaks to a server that may be anywhere.
        Some(Command::Upload(args)) => {
            bring_tls();
            with_runtime(upload::run(args))
        }
        Some(Command::Verify(args)) => {
            bring_tls();
            with_runtime(verify::run(args))
        }
        command => return with_settings(command, cli.settings, &cli.serve),
    };
    told(outcome)
}

fn with_settings(
    command: Option<Command>,
    settings: SettingsArgs,
    bare_serve: &serve::ServeArgs,
) -> ExitCode {
    let mut overrides: Overrides = Vec::new();
    if let Some(data) = settings.data {
        overrides.push(("data_dir", data));
    }
    let serve_args = match &command {
        Some(Command::Serve(args)) => Some(args),
        // It looks at the server that would be started with them.
        Some(Command::Doctor(args)) => Some(args.listening()),
        None => Some(bare_serve),
        Some(_) => None,
    };
    if let Some(args) = serve_args {
        overrides.extend(args.overrides());
    }
    let sources = Sources::from_process(settings.config, settings.profile, overrides);
    let config = match config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            output::complain(&error.to_string());
            return Exit::Usage.into();
        }
    };
    bring_tls();
    let traces = match logging::start(&config) {
        Ok(traces) => traces,
        Err(complaint) => {
            output::complain(&complaint);
            return Exit::Usage.into();
        }
    };
    let outcome = dispatch(command, config);
    traces.finish();
    told(outcome)
}

fn told(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

/// One provider of TLS in the whole program; a second call in the same process would be refused, harmlessly.
fn bring_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn with_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix_web::rt::Runtime::new()?.block_on(work)
}

fn dispatch(command: Option<Command>, config: Config) -> anyhow::Result<Exit> {
    let done = |()| Exit::Done;
    match command {
        None | Some(Command::Serve(_)) => serve::run(config).map(done),
        Some(Command::Keys { command }) => with_runtime(keys::run(command, &config)).map(done),
        Some(Command::Doctor(args)) => with_runtime(doctor::run(args, &config)),
        Some(Command::Cors { command }) => with_runtime(cors::run(command, &config)),
        Some(Command::Policy(args)) => policy::run(&args, &config).map(done),
        Some(Command::Sweep { json }) => with_runtime(sweep::run(&config, json)),
        Some(Command::Migrate) => with_runtime(migrate(&config)).map(done),
        Some(Command::Openapi) => openapi::run(&config).map(done),
        Some(Command::Health(args)) => with_runtime(health::run(args, &config)).map(done),
        // They were done without any settings.
        Some(Command::Init(_) | Command::Completions { .. } | Command::Upload(_) | Command::Verify(_)) => {
            Ok(Exit::Done)
        }
    }
}

/// Ends commands about the bucket where there is none.
fn want_bucket(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        !config.takes_all_through_us(),
        "there is no bucket: s3.bucket is empty, and all files pass through the server into storage.backend, for which neither \
         policies nor CORS rules are needed"
    );
    Ok(())
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    crate::app::open_database(config)
        .await?
        .close()
        .await
        .map_err(crate::app::explain)
}
