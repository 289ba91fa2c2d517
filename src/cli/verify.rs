//! `muleteer verify`: whether a file is the one that a receipt is of, far from any store.
//!
//! Separate from serving: it needs the public key alone, from the command line or from a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client;
use super::exit::Exit;
use super::output;
use crate::domain::{Algorithm, Checksum, Hasher};
use crate::signing::PublicKey;

/// Longer than any answer of a server that is well takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// A receipt is a page of text; whatever is larger is something else.
const MOST_OF_A_RECEIPT: u64 = 1 << 20;

/// What to hold against what.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the file is the one of the receipt; 1 it is not, or the receipt is not to be believed; 2 the \
                  command line cannot be used, a file cannot be read, or the key cannot be had."
)]
pub struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its receipt
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// The public key that it must be signed with: base64, a JWK, or a file that holds either
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "server",
        allow_hyphen_values = true
    )]
    key: Option<String>,
    /// The server whose key it must be signed with; without it `MULETEER_URL`, else <http://127.0.0.1:8080>
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// How the comparison went.
struct Verdict {
    /// What was found to be right, in order.
    right: Vec<String>,
    /// The first thing that is not.
    wrong: Option<String>,
}

/// Compares, and says what came of it.
///
/// # Errors
/// Standard output cannot be written; what cannot be read is told, with its exit code.
pub async fn run(args: VerifyArgs) -> anyhow::Result<Exit> {
    let verdict = match look(&args).await {
        Ok(verdict) => verdict,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            return Ok(Exit::Usage);
        }
    };
    if args.json {
        let is_right = verdict.wrong.is_none();
        let document = json!({ "verified": is_right, "right": verdict.right, "wrong": verdict.wrong });
        output::say(&document.to_string())?;
    } else if !verdict.right.is_empty() {
        output::say(&verdict.right.join("\n"))?;
    }
    Ok(match verdict.wrong {
        None => Exit::Done,
        Some(wrong) => {
            if !args.json {
                output::complain(&wrong);
            }
            Exit::Failed
        }
    })
}

async fn look(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let document = read_receipt(&args.receipt)?;
    let (keys, whose) = match &args.key {
        Some(given) => (given_keys(given)?, "of --key".to_owned()),
        None => keys_of_server(args).await?,
    };
    let key = PublicKey::choose(&keys, &document).context("there is no key to verify with")?;
    let mut verdict = Verdict {
        right: Vec::new(),
        wrong: None,
    };
    let receipt = match key.verify(&document) {
        Ok(receipt) => receipt,
        Err(error) => {
            verdict.wrong = Some(error.to_string());
            return Ok(verdict);
        }
    };
    verdict
        .right
        .push(format!("signature: by the key {} {whose}", key.id()));
    let path = args.file.clone();
    tokio::task::spawn_blocking(move || compare(&path, &receipt, verdict)).await?
}

fn read_receipt(path: &Path) -> anyhow::Result<Value> {
    let about = || format!("the receipt {}", path.display());
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST_OF_A_RECEIPT).read_to_string(&mut text))
        .with_context(about)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", about()))
}

/// The keys that were named; one, unless it is as a server publishes it that has changed its own.
fn given_keys(given: &str) -> anyhow::Result<Vec<PublicKey>> {
    let keys = PublicKey::parse_all(given);
    if !keys.is_empty() {
        return Ok(keys);
    }
    let text = std::fs::read_to_string(given)
        .with_context(|| format!("--key {given} is neither a key in base64 nor a JWK, nor a file"))?;
    match PublicKey::parse_all(&text) {
        keys if keys.is_empty() => bail!("--key {given} holds no Ed25519 key in base64 or as a JWK"),
        keys => Ok(keys),
    }
}

async fn keys_of_server(args: &VerifyArgs) -> anyhow::Result<(Vec<PublicKey>, String)> {
    let server = args.server.clone().unwrap_or_else(client::server_of_environment);
    let url = format!("{}/api/v1/receipts/key", server.trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = http
        .get(&url)
        .send()
        .await
        .with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        bail!("{url} answers {status}");
    }
    let keys = PublicKey::parse_all(&text);
    if keys.is_empty() {
        bail!("{url} tells no key");
    }
    Ok((keys, format!("of {server}")))
}

/// Holds a file against what a receipt says, size first: that costs nothing.
fn compare(path: &Path, receipt: &Value, mut verdict: Verdict) -> anyhow::Result<Verdict> {
    let about = || format!("the file {}", path.display());
    let mut file = std::fs::File::open(path).with_context(about)?;
    let size = file.metadata().with_context(about)?.len();
    if receipt["size"].as_u64() != Some(size) {
        let told = &receipt["size"];
        verdict.wrong = Some(format!("the file has {size} bytes, and the receipt is of {told}"));
        return Ok(verdict);
    }
    verdict.right.push(format!("size: {size} bytes"));
    let told = told_checksums(receipt)?;
    let mut hashers: Vec<Hasher> = told.iter().map(|sum| Hasher::new(sum.algorithm())).collect();
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).with_context(about)?;
        if read == 0 {
            break;
        }
        for hasher in &mut hashers {
            hasher.update(&piece[..read]);
        }
    }
    for (hasher, told) in hashers.into_iter().zip(&told) {
        let name = told.algorithm().name();
        let own = hasher.finish();
        if own != *told {
            let (own, told) = (own.to_base64(), told.to_base64());
            verdict.wrong = Some(format!("the file's {name} is {own}, and the receipt's is {told}"));
            return Ok(verdict);
        }
        verdict.right.push(format!("{name}: {}", told.to_base64()));
    }
    if told.is_empty() && size > 0 {
        let wrong = "the receipt has no checksum: its client told none, and the bytes did not pass through the server";
        verdict.wrong = Some(wrong.to_owned());
    }
    Ok(verdict)
}

fn told_checksums(receipt: &Value) -> anyhow::Result<Vec<Checksum>> {
    let members = receipt["checksums"].as_object().into_iter().flatten();
    members
        .map(|(name, value)| {
            let algorithm = Algorithm::parse(name);
            let algorithm = algorithm.with_context(|| format!("the receipt's {name} is not known here"))?;
            let text = value.as_str().unwrap_or_default();
            Checksum::from_base64(algorithm, text, name)
                .map_err(|error| anyhow!("the receipt's {}: {}", error.field, error.detail))
        })
        .collect()
}
