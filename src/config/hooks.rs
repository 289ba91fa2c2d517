//! Settings of hooks: how others are told of uploads, and who is asked about them; and which values are impossible.
//!
//! Separate from the other settings, because these make us call somebody.

use serde::{Deserialize, Serialize};
use url::Url;

use super::validate::Complaints;
use super::{Config, Secret};
use crate::domain::{AllowedHosts, EventKind, signing_key};

/// How others are told of uploads, and who is asked about them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// Signs each delivery: `whsec_` and base64, or any text of at least 16 bytes; empty leaves them unsigned.
    pub secret: Secret,
    /// Host names, IP addresses and networks that may be called although they are not public.
    pub allowed_hosts: Vec<String>,
    /// Seconds that one delivery may take, 1 to 300.
    pub timeout_s: u64,
    /// Hours for which a delivery that fails is tried again, 0 to 720; then it is parked.
    pub retry_hours: u64,
    /// `http(s)://…` of a receiver that is told of every upload; empty tells nobody. It is called wherever it is.
    pub url: String,
    /// What it is told of: any of `upload.created`, `upload.complete`, `upload.replaced`, `upload.rejected`,
    /// `upload.aborted`, `upload.expired`, `upload.failed`.
    pub events: Vec<String>,
    /// Who is asked before an upload begins.
    pub pre_create: PreCreateConfig,
    /// Who looks at a file before its upload is complete.
    pub pre_complete: PreCompleteConfig,
}

/// What becomes of an upload about which nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSilence {
    /// It does not begin; its client is told to ask again.
    Closed,
    /// It begins as if nobody were to be asked.
    Open,
}

/// Who is asked before an upload begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreCreateConfig {
    /// `http(s)://…` of the application; empty asks nobody. It is called wherever it is, on this machine too.
    pub url: String,
    /// Seconds that an answer may take, 1 to 60.
    pub timeout_s: u64,
    /// Signs each question as a webhook; empty takes `hooks.secret`.
    pub secret: Secret,
    /// What becomes of an upload about which nobody answers.
    pub fail: OnSilence,
}

/// What becomes of the object of a rejected upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnReject {
    /// It is removed.
    Remove,
    /// It stays where it is, for the operator to look at.
    Keep,
}

/// Who looks at a file before its upload is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreCompleteConfig {
    /// `http(s)://…` of an application, or `icap://host[:port]/service` of a scanner; empty asks nobody.
    pub url: String,
    /// Seconds that one look may take, 1 to 3,600.
    pub timeout_s: u64,
    /// Seconds that a client waits for the verdict before it is told that the upload is being completed, 0 to 60.
    pub wait_s: u64,
    /// Signs each question as a webhook; empty takes `hooks.secret`. Without one no verdict can come later.
    pub secret: Secret,
    /// Seconds after which an application is asked again that wanted to say later, 60 to 604,800.
    pub later_s: u64,
    /// What becomes of the object of a rejected upload.
    pub rejected: OnReject,
}

impl Default for PreCompleteConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout_s: 300,
            wait_s: 10,
            secret: Secret::default(),
            later_s: 3600,
            rejected: OnReject::Remove,
        }
    }
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            allowed_hosts: Vec::new(),
            timeout_s: 30,
            retry_hours: 24,
            url: String::new(),
            events: vec![EventKind::Complete.as_str().to_owned()],
            pre_create: PreCreateConfig::default(),
            pre_complete: PreCompleteConfig::default(),
        }
    }
}

impl Default for PreCreateConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout_s: 5,
            secret: Secret::default(),
            fail: OnSilence::Closed,
        }
    }
}

impl Config {
    pub(super) fn check_hooks(&self, complaints: &mut Complaints) {
        let hooks = &self.hooks;
        check_secret(&hooks.secret, "hooks.secret", complaints);
        if let Err(reason) = AllowedHosts::new(&hooks.allowed_hosts) {
            complaints.unless(false, "hooks.allowed_hosts", &reason);
        }
        complaints.unless(
            (1..=300).contains(&hooks.timeout_s),
            "hooks.timeout_s",
            "must be 1 to 300 seconds",
        );
        complaints.unless(
            hooks.retry_hours <= 720,
            "hooks.retry_hours",
            "must be 0 to 720 (a month)",
        );
        check_url(&hooks.url, &["http", "https"], "hooks.url", complaints);
        if let Some(unknown) = hooks.events.iter().find(|name| EventKind::parse(name).is_none()) {
            let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            let sentence = format!("{unknown} is none of {}", known.join(", "));
            complaints.unless(false, "hooks.events", &sentence);
        }
        let before = &hooks.pre_create;
        check_url(
            &before.url,
            &["http", "https"],
            "hooks.pre_create.url",
            complaints,
        );
        check_secret(&before.secret, "hooks.pre_create.secret", complaints);
        complaints.unless(
            (1..=60).contains(&before.timeout_s),
            "hooks.pre_create.timeout_s",
            "must be 1 to 60 seconds: a client waits for it",
        );
        let after = &hooks.pre_complete;
        check_url(
            &after.url,
            &["http", "https", "icap"],
            "hooks.pre_complete.url",
            complaints,
        );
        check_secret(&after.secret, "hooks.pre_complete.secret", complaints);
        for (value, range, key) in [
            (after.timeout_s, 1..=3600, "timeout_s"),
            (after.wait_s, 0..=60, "wait_s"),
            (after.later_s, 60..=604_800, "later_s"),
        ] {
            let sentence = format!("must be {} to {} seconds", range.start(), range.end());
            complaints.unless(
                range.contains(&value),
                &format!("hooks.pre_complete.{key}"),
                &sentence,
            );
        }
    }
}

fn check_secret(secret: &Secret, key: &str, complaints: &mut Complaints) {
    if secret.is_empty() {
        return;
    }
    if let Err(reason) = signing_key(secret.expose()) {
        complaints.unless(false, key, reason);
    }
}

/// Refuses what is no address of one of these schemes; an empty one is none, and fine.
fn check_url(text: &str, schemes: &[&str], key: &str, complaints: &mut Complaints) {
    let is_fine = text.is_empty()
        || Url::parse(text).is_ok_and(|url| {
            schemes.contains(&url.scheme())
                && url.host_str().is_some_and(|host| !host.is_empty())
                && url.username().is_empty()
                && url.password().is_none()
        });
    let sentence = format!(
        "must be empty, or {}:// with a host and without a user",
        schemes.join(":// or ")
    );
    complaints.unless(is_fine, key, &sentence);
}
