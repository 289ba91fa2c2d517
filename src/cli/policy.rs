//! `muleteer policy`: the least that our key must be allowed, and the bucket's lifecycle rule, for these settings.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output;
use crate::config::Config;
use crate::doctor::needs;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// All of them, and the policy of the role behind `/s3/sts` where that is on, as members of one object
    All,
    /// The policy of IAM
    Iam,
    /// The lifecycle rule, for `aws s3api put-bucket-lifecycle-configuration`
    Lifecycle,
    /// The CORS rule, for `aws s3api put-bucket-cors`
    Cors,
}

/// What to print.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// One document alone, ready for a file
    #[arg(long, value_enum, default_value = "all", value_name = "WHICH")]
    only: Document,
    /// Allow as well what `cors apply` and `doctor --fix` do
    #[arg(long)]
    setup: bool,
}

/// Prints it, as JSON.
///
/// # Errors
/// Without a bucket, or where standard output cannot be written.
pub fn run(args: &PolicyArgs, config: &Config) -> anyhow::Result<()> {
    super::want_bucket(config)?;
    let iam = needs::iam_policy(config, args.setup);
    let (lifecycle, cors) = (needs::lifecycle_json(config), needs::cors_json(config));
    let document = match args.only {
        Document::All => {
            let mut all = json!({ "iam": iam, "lifecycle": lifecycle, "cors": cors });
            if let Some(role) = needs::sts_role_policy(config) {
                all["sts_role"] = role;
            }
            all
        }
        Document::Iam => iam,
        Document::Lifecycle => lifecycle,
        Document::Cors => cors,
    };
    output::say(&format!("{document:#}"))
}
