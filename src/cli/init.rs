//! `muleteer init`: a `Rocket.toml` to begin with, with secrets of its own.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use uuid::Uuid;

use super::exit::Exit;

/// Every setting with its default.
const EXAMPLE: &str = include_str!("../../Rocket.toml.example");

/// Where to.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Writes the file that `--config` or `MULETEER_CONFIG` names, or `Rocket.toml` here; for its owner's eyes only.
///
/// # Errors
/// What the file system says.
pub fn run(args: &InitArgs, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let file = file.or_else(|| std::env::var_os("MULETEER_CONFIG").map(PathBuf::from));
    let file = file.unwrap_or_else(|| PathBuf::from("Rocket.toml"));
    let shown = file.display().to_string();
    if file.exists() && !args.force {
        eprintln!("muleteer: {shown} is there already; --force replaces it, with its secrets");
        return Ok(Exit::Usage);
    }
    // Written beside it and moved there: whoever may read the old file must not read the new one.
    let draft = file.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> std::io::Result<()> {
        let mut open = options.open(&draft)?;
        open.write_all(settings().as_bytes())?;
        open.sync_all()?;
        std::fs::rename(&draft, &file)
    };
    if let Err(error) = write() {
        let _ = std::fs::remove_file(&draft);
        return Err(error).context(format!("{shown} cannot be written"));
    }
    println!(
        "{shown} is written; `muleteer` starts with it, and the key of auth.api_key in it may upload and administer.\n\
         For a bucket of your own fill in [default.s3], then run `muleteer doctor`."
    );
    Ok(Exit::Done)
}

/// The example with every default commented out, so that later versions may have better ones, and with fresh secrets.
fn settings() -> String {
    let mut text = String::from(
        "# Settings of Muleteer. What is commented out is the default; a key that does not exist stops the start and is\n\
         # named. This file holds secrets: keep it out of version control.\n",
    );
    let mut section = "";
    let body = EXAMPLE
        .split_once("\n[default]\n")
        .map_or(EXAMPLE, |(_, body)| body);
    text.push_str("\n[default]\n");
    for line in body.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let is_setting = line.starts_with(|first: char| first.is_ascii_lowercase());
        let key = line.split(" =").next().unwrap_or_default();
        let _ = match fresh_secret(section, key).filter(|_| is_setting) {
            Some(secret) => writeln!(text, "{key} = \"{secret}\""),
            None if is_setting => writeln!(text, "# {line}"),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

/// A new secret for the settings that are one of ours.
fn fresh_secret(section: &str, key: &str) -> Option<String> {
    let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    match (section, key) {
        ("default.auth", "api_key" | "secret") | ("default.dev_s3", "secret_access_key") => Some(random()),
        // As Standard Webhooks writes them.
        ("default.hooks", "secret") => {
            let bytes = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
            Some(format!("whsec_{}", STANDARD.encode(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config, Sources};

    #[test]
    fn what_is_written_loads_and_differs_from_the_defaults_in_its_secrets_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Rocket.toml");
        std::fs::write(&file, settings()).unwrap();
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };

        let mut config = config::load(&sources).unwrap();

        assert_eq!(config.auth.api_key.expose().len(), 64);
        assert!(config.hooks.secret.expose().starts_with("whsec_"));
        assert_ne!(config.auth.secret, config.auth.api_key);
        let defaults = Config::default();
        config.auth = defaults.auth.clone();
        config.hooks.secret = defaults.hooks.secret.clone();
        config.dev_s3.secret_access_key = defaults.dev_s3.secret_access_key.clone();
        assert_eq!(config, defaults);
    }
}
