//! `muleteer cors`: the bucket's CORS rules, held against what the settings need.

use clap::Subcommand;
use serde_json::json;

use super::exit::Exit;
use super::output;
use crate::app::StoreAtHand;
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{apply_cors, current_cors, needs, rules};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum CorsCommand {
    /// Show the rule that the settings need, and whether the bucket has it.
    Show {
        /// Print a JSON document: wanted (as `aws s3api put-bucket-cors` takes it), applied, stored
        #[arg(long)]
        json: bool,
    },
    /// Put that rule first among the bucket's; rules of others stay.
    Apply {
        /// Print a JSON document instead of a line
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
///
/// # Errors
/// Without a bucket, what the store says, or standard output cannot be written.
pub async fn run(command: CorsCommand, config: &Config) -> anyhow::Result<Exit> {
    super::want_bucket(config)?;
    let clock = Clock::system();
    let at_hand = StoreAtHand::open(config, &clock)
        .await
        .map_err(|finding| anyhow::anyhow!("{} ({}); {}", finding.seen, finding.id.name(), finding.fix))?;
    let outcome = act(command, config, &at_hand, clock).await;
    at_hand.close().await?;
    outcome
}

async fn act(
    command: CorsCommand,
    config: &Config,
    at_hand: &StoreAtHand,
    clock: Clock,
) -> anyhow::Result<Exit> {
    let ask = at_hand.ask(clock)?;
    match command {
        CorsCommand::Show { json } => {
            let stored = current_cors(&ask).await?;
            let applied = stored.as_deref().is_some_and(|stored| has_rule(stored, config));
            let wanted = needs::cors_json(config);
            if json {
                let document = json!({ "wanted": wanted, "applied": applied, "stored": stored });
                output::say(&format!("{document:#}"))?;
            } else {
                output::say(&format!("{wanted:#}"))?;
                output::remark(if applied {
                    "the bucket has this rule"
                } else {
                    "the bucket does not have this rule; `muleteer cors apply` adds it"
                });
            }
            Ok(if applied { Exit::Done } else { Exit::Failed })
        }
        CorsCommand::Apply { json } => {
            apply_cors(config, &ask).await?;
            let origins = needs::origins(config);
            output::say(&if json {
                format!("{:#}", json!({ "applied": true, "origins": origins }))
            } else {
                format!("pages of {} may now send to the bucket", origins.join(", "))
            })?;
            Ok(Exit::Done)
        }
    }
}

/// Whether a rule among these is ours as it should be now. Stores write the elements in an order of their own.
fn has_rule(stored: &str, config: &Config) -> bool {
    let wanted = needs::cors_rule(config).xml();
    rules::our_cors_rule(stored).is_some_and(|rule| elements(rule) == elements(&wanted))
}

/// Names and values of all elements that hold text, sorted.
fn elements(xml: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<_> = xml
        .split('<')
        .filter_map(|piece| piece.split_once('>'))
        .map(|(name, value)| (name, value.trim()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    found.sort_unstable();
    found
}
