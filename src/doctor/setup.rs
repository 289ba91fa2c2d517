//! What we can put right ourselves: the bucket's CORS rules and its lifecycle rule.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde::Serialize;

use super::ask::{Answer, Ask, Trouble};
use super::{needs, rules};
use crate::config::Config;
use crate::signing::Operation;

/// What can be done about a finding by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// Put our rule among the bucket's CORS rules.
    Cors,
    /// Put our rule among the bucket's lifecycle rules.
    Lifecycle,
}

/// The bucket's CORS rules as the store gives them; `None` where it has none.
///
/// # Errors
/// What the store says where it will not tell.
pub async fn current_cors(ask: &Ask) -> anyhow::Result<Option<String>> {
    document(ask.send(Operation::GetBucketCors, "", Bytes::new()).await)
}

/// Puts our rule first among the bucket's CORS rules, and reads it back.
///
/// # Errors
/// What the store says where it refuses.
pub async fn apply_cors(config: &Config, ask: &Ask) -> anyhow::Result<()> {
    let current = current_cors(ask).await?.unwrap_or_default();
    let next = rules::cors_document(&current, &needs::cors_rule(config));
    let content_md5 = md5_of(&next);
    let put = Operation::PutBucketCors {
        content_md5: &content_md5,
    };
    accepted(ask.send(put, "", Bytes::from(next)).await)?;
    let kept = current_cors(ask).await?.unwrap_or_default();
    anyhow::ensure!(
        rules::our_cors_rule(&kept).is_some(),
        "the store took the CORS rules and does not show ours"
    );
    Ok(())
}

/// Puts our rule among the bucket's lifecycle rules, and reads it back.
///
/// # Errors
/// What the store says where it refuses.
pub async fn apply_lifecycle(config: &Config, ask: &Ask) -> anyhow::Result<()> {
    let current = current_lifecycle(ask).await?.unwrap_or_default();
    let next = rules::lifecycle_document(&current, needs::lifecycle_days(config));
    let content_md5 = md5_of(&next);
    let put = Operation::PutBucketLifecycle {
        content_md5: &content_md5,
    };
    accepted(ask.send(put, "", Bytes::from(next)).await)?;
    let kept = current_lifecycle(ask).await?.unwrap_or_default();
    anyhow::ensure!(
        rules::abort_rules(&kept)
            .iter()
            .any(|rule| rule.id == rules::OUR_RULE),
        "the store took the lifecycle rules and does not show ours"
    );
    Ok(())
}

async fn current_lifecycle(ask: &Ask) -> anyhow::Result<Option<String>> {
    document(ask.send(Operation::GetBucketLifecycle, "", Bytes::new()).await)
}

fn document(answer: Result<Answer, Trouble>) -> anyhow::Result<Option<String>> {
    match answer {
        Ok(answer) if answer.status == 404 && answer.code() != "NoSuchBucket" => Ok(None),
        other => accepted(other).map(|answer| Some(answer.body)),
    }
}

fn accepted(answer: Result<Answer, Trouble>) -> anyhow::Result<Answer> {
    let answer =
        answer.map_err(|trouble| anyhow::anyhow!("the store cannot be reached: {}", trouble.detail))?;
    anyhow::ensure!(answer.is_fine(), "the store refuses: {}", answer.words());
    Ok(answer)
}

fn md5_of(text: &str) -> String {
    STANDARD.encode(Md5::digest(text.as_bytes()))
}
