//! `muleteer doctor`: says what is wrong, and mends what it can when told.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::client::{key_of_environment, server_of_environment};
use super::exit::Exit;
use super::output;
use super::serve::ServeArgs;
use crate::app::{StoreAtHand, examine};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{Finding, Id, Remedy, Report, ThroughProxy, apply_cors, apply_lifecycle};

/// What to look at, and what to do about it.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print a JSON document: findings, facts, fixed
    #[arg(long)]
    json: bool,
    /// Mend what can be mended from here: the bucket's CORS rules and its lifecycle rule
    #[arg(long)]
    fix: bool,
    /// Look at a running server instead, through whatever stands in front of it: its address as browsers use it
    /// [without an address: `MULETEER_URL`, else the default one of this machine]
    #[arg(long, value_name = "URL", conflicts_with = "fix", num_args = 0..=1, default_missing_value = "")]
    server: Option<String>,
    /// A key of that server; better in `MULETEER_API_KEY`
    #[arg(long, value_name = "KEY", requires = "server")]
    key: Option<String>,
    /// Findings that are known and meant, by name; may be given again
    #[arg(long, value_name = "ID")]
    except: Vec<String>,
    /// Print all findings that there are, as a table
    #[arg(long, exclusive = true)]
    list: bool,
    #[command(flatten)]
    listening: ServeArgs,
}

impl DoctorArgs {
    /// The flags with which the server is started.
    pub(super) fn listening(&self) -> &ServeArgs {
        &self.listening
    }
}

/// Examines, mends, tells. Ends with [`Exit::Failed`] if anything is left.
///
/// # Errors
/// Where nothing can be looked at, mending is refused, or standard output cannot be written.
pub async fn run(args: DoctorArgs, config: &Config) -> anyhow::Result<Exit> {
    if args.list {
        output::say(table().trim_end())?;
        return Ok(Exit::Done);
    }
    if let Some(unknown) = args
        .except
        .iter()
        .find(|name| !Id::ALL.iter().any(|id| id.name() == *name))
    {
        output::complain(&format!(
            "--except {unknown}: there is no such finding; `muleteer doctor --list` shows them"
        ));
        return Ok(Exit::Usage);
    }
    let (mut fixed, mut refused) = (Vec::new(), Ok(()));
    let mut report = match &args.server {
        Some(server) => {
            let server = Some(server.clone()).filter(|url| !url.is_empty());
            let server = server.unwrap_or_else(server_of_environment);
            through(&server, args.key.clone(), config).await?
        }
        None => examine(config, Clock::system()).await?,
    };
    if args.fix {
        (fixed, refused) = mend(config, &report.findings).await?;
        if !fixed.is_empty() {
            report = examine(config, Clock::system()).await?;
        }
    }
    report
        .findings
        .retain(|finding| !args.except.iter().any(|name| name == finding.id.name()));
    let page = page_address(args.server.as_deref(), config);
    output::say(&words(&report, &fixed, page.as_deref(), args.json))?;
    refused?;
    Ok(if report.findings.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn through(server: &str, key: Option<String>, config: &Config) -> anyhow::Result<Report> {
    let mut report = Report::default();
    ThroughProxy::new(server, key.or_else(key_of_environment))?
        .check(config, &mut report)
        .await;
    Ok(report)
}

/// Does what can be done about the findings: the names of those that it was done about, and the first refusal.
///
/// # Errors
/// Where the store cannot be asked at all.
async fn mend(config: &Config, findings: &[Finding]) -> anyhow::Result<(Vec<Id>, anyhow::Result<()>)> {
    let remedies: Vec<(Id, Remedy)> = findings
        .iter()
        .filter_map(|finding| Some((finding.id, finding.remedy?)))
        .collect();
    if remedies.is_empty() {
        return Ok((Vec::new(), Ok(())));
    }
    let clock = Clock::system();
    let at_hand = StoreAtHand::open(config, &clock)
        .await
        .map_err(|finding| anyhow::anyhow!(finding.seen))?;
    let ask = at_hand.ask(clock)?;
    let (mut mended, mut refused) = (Vec::new(), Ok(()));
    for remedy in [Remedy::Cors, Remedy::Lifecycle] {
        let of_this: Vec<Id> = remedies
            .iter()
            .filter(|(_, r)| *r == remedy)
            .map(|(id, _)| *id)
            .collect();
        if of_this.is_empty() {
            continue;
        }
        let outcome = match remedy {
            Remedy::Cors => apply_cors(config, &ask).await,
            Remedy::Lifecycle => apply_lifecycle(config, &ask).await,
        };
        match outcome {
            Ok(()) => mended.extend(of_this),
            Err(error) => refused = refused.and(Err(error)),
        }
    }
    at_hand.close().await?;
    Ok((mended, refused))
}

/// Where a browser tries its own way to the store; `None` while the native API, which that page speaks, is switched off.
fn page_address(server: Option<&str>, config: &Config) -> Option<String> {
    let base = match server {
        Some("") => server_of_environment(),
        Some(server) => server.to_owned(),
        None if !config.protocols.native.enabled => return None,
        None if config.server.public_url.is_empty() => format!("http://localhost:{}", config.server.port),
        None => config.server.public_url.clone(),
    };
    Some(format!("{}/doctor", base.trim_end_matches('/')))
}

/// What there is to tell of a report, without the end of the last line.
fn words(report: &Report, fixed: &[Id], page: Option<&str>, as_json: bool) -> String {
    if as_json {
        let document = json!({ "findings": report.findings, "facts": report.facts, "fixed": fixed });
        return format!("{document:#}");
    }
    let mut text = String::new();
    for id in fixed {
        let _ = writeln!(text, "fixed    {}", id.name());
    }
    for finding in &report.findings {
        let _ = writeln!(
            text,
            "{:<8} {}\n         seen: {}\n         fix:  {}",
            finding.severity.as_str(),
            finding.id.name(),
            finding.seen,
            finding.fix
        );
    }
    for fact in &report.facts {
        let _ = writeln!(text, "fact     {}: {}", fact.name, fact.value);
    }
    if let Some(page) = page {
        let _ = writeln!(text, "the way from a browser, while the server runs: {page}");
    }
    let _ = match report.findings.len() {
        0 => write!(text, "nothing is wrong"),
        1 => write!(text, "1 finding; docs/doctor.md explains it"),
        many => write!(text, "{many} findings; docs/doctor.md explains them"),
    };
    text
}

/// All findings as a table in Markdown, as `docs/doctor.md` has it.
pub fn table() -> String {
    let mut text =
        String::from("| finding | severity | what it means | what mends it |\n|---|---|---|---|\n");
    for id in Id::ALL {
        let (name, severity) = (id.name(), id.severity().as_str());
        let _ = writeln!(text, "| `{name}` | {severity} | {} | {} |", id.means(), id.mend());
    }
    text
}
