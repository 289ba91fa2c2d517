//! `muleteer keys`: API keys are made here and nowhere else; only their hashes are kept.

use std::fmt::Write as _;

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
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// What it may do: upload, admin, or both with a comma between
        #[arg(long, default_value = "upload")]
        scopes: String,
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
/// A bad owner or scope, an unknown id, or whatever the database says.
pub async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let outcome = act(command, &db).await;
    db.close().await.map_err(explain)?;
    outcome
}

async fn act(command: KeysCommand, db: &Database) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match command {
        KeysCommand::Create { owner, scopes, json } => {
            let owner = Owner::named(&owner).map_err(|error| anyhow::anyhow!("--owner: {}", error.detail))?;
            let scopes = Scopes::parse(&scopes).map_err(explain)?;
            let key = create_key(db, &owner, scopes, now).await.map_err(explain)?;
            output::say(&if json {
                json!({ "key": key, "owner": owner.as_str() }).to_string()
            } else {
                key
            })
            .context("the key is made, but nobody was told it: revoke it (`muleteer keys list` has its id)")?;
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
