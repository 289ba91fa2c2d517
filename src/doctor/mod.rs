//! `muleteer doctor`: finds out why uploads do not work here, or will not, and says what mends it.
//!
//! Everything is tried rather than believed: the key by the very requests that uploads make, CORS by the questions that
//! browsers ask, the public address by a signature sent through it. What is tried is removed again.
//!
//! - [`catalogue`]: every finding that there is;
//! - [`needs`]: what the settings need of a bucket; [`rules`]: a bucket's CORS and lifecycle rules;
//! - [`checks`]: one family of questions a file; [`ask`]: one request at a time, with all that its answer shows.

mod ask;
pub mod catalogue;
mod checks;
pub mod needs;
pub mod rules;
mod setup;

use std::sync::Arc;

use serde::Serialize;

pub use self::ask::Ask;
pub use self::catalogue::{Id, Severity};
pub use self::checks::through::ThroughProxy;
pub use self::setup::{Remedy, apply_cors, apply_lifecycle, current_cors};
use crate::clock::Clock;
use crate::config::Config;
use crate::signing::{BucketLocation, Credentials};

/// Something that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Its stable name.
    pub id: Id,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub seen: String,
    /// What to do, exactly.
    pub fix: String,
    /// What `--fix` would do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

impl Finding {
    /// A finding with the words for this case.
    pub fn new(id: Id, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            id,
            severity: id.severity(),
            seen: seen.into(),
            fix: fix.into(),
            remedy: None,
        }
    }

    /// A finding that we can mend ourselves.
    fn mendable(self, remedy: Remedy) -> Self {
        Self {
            remedy: Some(remedy),
            ..self
        }
    }
}

/// Something that is neither right nor wrong, but good to know of a store.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// What was seen.
    pub value: String,
}

/// What an examination brought.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// What is wrong, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What is good to know.
    pub facts: Vec<Fact>,
}

impl Report {
    pub(crate) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.facts.push(Fact {
            name,
            value: value.into(),
        });
    }

    /// Whether something with that name was found.
    pub fn has(&self, id: Id) -> bool {
        self.findings.iter().any(|finding| finding.id == id)
    }
}

/// The bucket to examine.
#[derive(Clone)]
pub struct Bucket {
    /// As we reach it.
    pub location: BucketLocation,
    /// As browsers reach it.
    pub public_location: BucketLocation,
    /// Our key.
    pub credentials: Arc<Credentials>,
    /// The place of AWS's chain that gave it, in words; `None` where the settings did.
    pub place: Option<&'static str>,
}

/// Looks at the settings alone.
pub fn examine_settings(config: &Config, report: &mut Report) {
    checks::settings::check(config, report);
}

/// Tries everything at the bucket that uploads do there.
///
/// # Errors
/// Where this machine cannot make connections at all.
pub async fn examine_bucket(
    config: &Config,
    bucket: &Bucket,
    clock: Clock,
    report: &mut Report,
) -> anyhow::Result<()> {
    checks::settings::check_credentials(config, &bucket.credentials, clock.now(), report);
    let mut ask = Ask::new(bucket.location.clone(), bucket.credentials.clone(), clock)?;
    if checks::identity::check(config, &mut ask, bucket.place, report).await? {
        let may_write = checks::permissions::check(config, &ask, report).await;
        if may_write {
            checks::abilities::check(config, &ask, report).await;
        }
        let public = ask.at(bucket.public_location.clone())?;
        checks::public::check(config, &ask, &public, may_write, report).await;
        checks::cors::check(config, &ask, &public, may_write, report).await;
        checks::lifecycle::check(config, &ask, report).await;
    }
    report.findings.sort_by_key(|finding| finding.id);
    Ok(())
}
