//! `muleteer keys`: API keys are made here and nowhere else; only their hashes are kept.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::output;
use crate::app::{explain, open_database};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::domain::Owner;
use crate::identity::{Scopes, create_key};

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key; it is printed alone on standard output, this once.
    Create {
        /// Whose uploads it reaches: 1 to 100 characters of A-Z a-z 0-9 . _ @ -
        #[arg(long, value_name = "NAME", value_parser = owner)]
        owner: Owner,
        /// What it may do: upload, admin, or both with a comma between
        #[arg(long, default_value = "upload", value_parser = scopes)]
        scopes: Scopes,
        /// Print a JSON document: key
        #[arg(long)]
        json: bool,
    },
    /// List all keys, with the characters that they begin with.
    List {
        /// Print a JSON document: keys
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key at once.
    Revoke {
        /// The key's id, as `keys list` shows it
        id: String,
    },
}

/// Does it.
///
/// # Errors
/// An unknown id, or whatever the database says.
pub async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<()> {
    let missing = missing_file(config);
    let db = open_database(config).await?;
    if let Some(file) = missing {
        output::complain(&format!(
            "a new database was made at {}; a server that is there already uses another one (--config and --data say which)",
            file.display()
        ));
    }
    let outcome = act(command, &db).await;
    db.close().await.map_err(explain)?;
    outcome
}

fn owner(text: &str) -> Result<Owner, String> {
    Owner::named(text).map_err(|error| error.detail)
}

fn scopes(text: &str) -> Result<Scopes, String> {
    Scopes::parse(text).map_err(|error| error.to_string())
}

/// The file of the database, where it is one and not there yet.
fn missing_file(config: &Config) -> Option<PathBuf> {
    let url = config.database_url();
    let file = std::path::absolute(url.strip_prefix("sqlite://")?).ok()?;
    (!file.exists()).then_some(file)
}

async fn act(command: KeysCommand, db: &Database) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match command {
        KeysCommand::Create { owner, scopes, json } => {
            let key = create_key(db, &owner, scopes, now).await.map_err(explain)?;
            output::say(&if json {
                json!({ "key": key, "owner": owner.as_str() }).to_string()
            } else {
                key
            })
            .context(
                "the key is made, but nobody was told it: revoke it (`muleteer keys list` has its id)",
            )?;
        }
        KeysCommand::List { json: true } => {
            let keys = db.list_keys().await.map_err(explain)?;
            let keys: Vec<_> = keys
                .iter()
                .map(|key| {
                    json!({
                        "id": key.id,
                        "begins": key.hint,
                        "owner": key.owner.as_str(),
                        "scopes": key.scopes,
                        "created_at": key.created_at,
                        "revoked_at": key.revoked_at,
                    })
                })
                .collect();
            output::say(&format!("{:#}", json!({ "keys": keys })))?;
        }
        KeysCommand::List { json: false } => {
            let mut table = format!(
                "{:<32}  {:<10}  {:<20}  {:<13}  {:<20}  STATE",
                "ID", "BEGINS", "OWNER", "SCOPES", "MADE"
            );
            for key in db.list_keys().await.map_err(explain)? {
                let state = key.revoked_at.map_or_else(
                    || "good".to_owned(),
                    |time| format!("revoked {}", time.format("%Y-%m-%dT%H:%M:%SZ")),
                );
                let made = key.created_at.format("%Y-%m-%dT%H:%M:%SZ");
                let _ = write!(
                    table,
                    "\n{:<32}  {:<10}  {:<20}  {:<13}  {made}  {state}",
                    key.id, key.hint, key.owner, key.scopes
                );
            }
            output::say(&table)?;
        }
        KeysCommand::Revoke { id } => {
            let revoked = db.revoke_key(&id, now).await.map_err(explain)?;
            anyhow::ensure!(
                revoked,
                "there is no good key with the id {id}; `muleteer keys list` shows them"
            );
        }
    }
    Ok(())
}
