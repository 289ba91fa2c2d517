//! Whether the bucket drops what is left over, and nothing sooner than we do.

use bytes::Bytes;

use crate::config::Config;
use crate::doctor::ask::Ask;
use crate::doctor::rules::AbortRule;
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
    if answer.is_fine() {
        let found = rules::abort_rules(&answer.body);
        too_short(config, &found, report);
        uncovered(config, &found, report);
        return;
    }
    match answer.status {
        404 => report.add(missing(config, "the bucket has no lifecycle rules".to_owned())),
        405 | 501 => report.fact(
            "lifecycle rules",
            "the store has none; our own sweeper drops what is left over",
        ),
        _ => report.fact("lifecycle rules", format!("cannot be read: {}", answer.words())),
    }
}

fn missing(config: &Config, seen: String) -> Finding {
    let days = needs::lifecycle_days(config);
    let fix = format!(
        "`muleteer doctor --fix` adds a rule that drops unfinished multipart uploads after {days} days; or `muleteer policy` \
         prints it"
    );
    Finding::new(Id::LifecycleMissing, seen, fix).mendable(Remedy::Lifecycle)
}

/// Tells of a rule that drops what we still keep.
fn too_short(config: &Config, found: &[AbortRule], report: &mut Report) {
    let ours = needs::prefixes(config);
    let hours = needs::longest_rest_hours(config);
    let concerns = |prefix: &str| {
        ours.iter()
            .any(|own| own.starts_with(prefix) || prefix.starts_with(own.as_str()))
    };
    let hasty = found
        .iter()
        .find(|rule| concerns(&rule.prefix) && rule.days.saturating_mul(24) < hours);
    let Some(AbortRule { id, prefix, days }) = hasty else {
        return;
    };
    let name = if id.is_empty() { "(without a name)" } else { id };
    let finding = Finding::new(
        Id::LifecycleTooShort,
        format!(
            "the rule {name} drops unfinished multipart uploads below \"{prefix}\" after {days} days; ours may rest for \
             {hours} hours"
        ),
        format!(
            "raise DaysAfterInitiation of that rule to {}, or lower ttl_hours to {} at most",
            needs::lifecycle_days(config),
            days * 24
        ),
    );
    // Rules of others are not ours to change.
    report.add(if id == rules::OUR_RULE {
        finding.mendable(Remedy::Lifecycle)
    } else {
        finding
    });
}

/// Tells of keys of ours that no rule is for.
fn uncovered(config: &Config, found: &[AbortRule], report: &mut Report) {
    let ours = needs::prefixes(config);
    let covered = |own: &String| found.iter().any(|rule| own.starts_with(&rule.prefix));
    if let Some(bare) = ours.iter().find(|own| !covered(own)) {
        let seen = format!("no enabled lifecycle rule drops unfinished multipart uploads below \"{bare}\"");
        report.add(missing(config, seen));
    }
}
