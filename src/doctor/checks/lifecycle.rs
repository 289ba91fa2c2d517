//! Whether the bucket drops what is left over, and nothing sooner than we do.

use bytes::Bytes;

use crate::config::Config;
use crate::doctor::ask::Ask;
use crate::doctor::setup::Remedy;
use crate::doctor::{Finding, Id, Report, needs, rules};
use crate::signing::Operation;

/// Reads the rules and holds them against the settings.
pub async fn check(config: &Config, ask: &Ask, report: &mut Report) {
    // The embedded S3 drops what is old by itself.
    if config.uses_embedded_store() {
        return;
    }
    let Ok(answer) = ask.send(Operation::GetBucketLifecycle, "", Bytes::new()).await else {
        return;
    };
    let days = needs::lifecycle_days(config);
    let missing = |seen: String| {
        Finding::new(
            Id::LifecycleMissing,
            seen,
            format!(
                "`muleteer doctor --fix` adds a rule that drops unfinished multipart uploads after {days} days; or `muleteer \
                 policy` prints it"
            ),
        )
        .mendable(Remedy::Lifecycle)
    };
    if !answer.is_fine() {
        match answer.status {
            404 => report.add(missing("the bucket has no lifecycle rules".to_owned())),
            405 | 501 => report.fact(
                "lifecycle rules",
                "the store has none; our own sweeper drops what is left over",
            ),
            _ => report.fact("lifecycle rules", format!("cannot be read: {}", answer.words())),
        }
        return;
    }
    let found = rules::abort_rules(&answer.body);
    let ours = needs::prefixes(config);
    let concerns = |prefix: &str| {
        ours.iter()
            .any(|own| own.starts_with(prefix) || prefix.starts_with(own.as_str()))
    };
    let hours = needs::longest_rest_hours(config);
    if let Some(rule) = found
        .iter()
        .find(|rule| concerns(&rule.prefix) && rule.days.saturating_mul(24) < hours)
    {
        let name = if rule.id.is_empty() {
            "(without a name)"
        } else {
            &rule.id
        };
        let finding = Finding::new(
            Id::LifecycleTooShort,
            format!(
                "the rule {name} drops unfinished multipart uploads below \"{}\" after {} days; ours may rest for {hours} hours",
                rule.prefix, rule.days
            ),
            format!(
                "raise DaysAfterInitiation of that rule to {days}, or lower ttl_hours below {}",
                rule.days * 24
            ),
        );
        // Rules of others are not ours to change.
        report.add(if rule.id == rules::OUR_RULE {
            finding.mendable(Remedy::Lifecycle)
        } else {
            finding
        });
    }
    let covered = |own: &String| found.iter().any(|rule| own.starts_with(&rule.prefix));
    if let Some(bare) = ours.iter().find(|own| !covered(own)) {
        report.add(missing(format!(
            "no enabled lifecycle rule drops unfinished multipart uploads below \"{bare}\""
        )));
    }
}
