//! Settings in the words of those who keep to them: what may be uploaded, who is told of it, and what people are shown.
//!
//! Separate from the putting together, because here nothing is opened, and nothing is begun.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::explain;
use crate::clock::Clock;
use crate::config::{BackendName, Config, OnReject, OwnerLimits, Sniff};
use crate::domain::{AllowedHosts, EventKind, PartLimits, Policy, Quota, Quotas, Sniffing};
use crate::hooks;
use crate::pages::PageSettings;
use crate::uploads::{Outbox, Quarantine, Subscription};

pub(super) fn page_settings(config: &Config) -> PageSettings {
    let native = &config.protocols.native;
    PageSettings {
        api: native.enabled.then(|| format!("{}/v1", native.path)),
        anonymous: config.admits_anonymous(),
        embedded_store: config.uses_embedded_store(),
        place: place_of(config),
    }
}

/// What people are told of the place where files go, where that is no store.
fn place_of(config: &Config) -> Option<&'static str> {
    match config.storage.backend {
        _ if !config.takes_all_through_us() => None,
        BackendName::Smb => Some("a file share, through the server"),
        BackendName::Local | BackendName::S3 => Some("a folder on the server"),
    }
}

pub(super) fn policy(config: &Config) -> Policy {
    Policy {
        max_size: config.limits.max_size,
        types: Some(config.limits.types.clone()).filter(|types| !types.is_empty()),
        parts: PartLimits::s3(config.min_part_size(), config.uploads.part_size)
            .with_most(config.limits.max_parts),
        quotas: Quotas {
            named: quota(&config.limits.named),
            visitor: quota(&config.limits.visitor),
            anybody: quota(&config.limits.anybody),
        },
        sniffing: match config.limits.sniff {
            Sniff::Off => Sniffing::Off,
            Sniff::Types => Sniffing::Types,
            Sniff::Declared => Sniffing::Declared,
        },
        whole_objects: config.limits.whole_objects,
    }
}

fn quota(settings: &OwnerLimits) -> Quota {
    let unless_zero = |limit: u64| (limit > 0).then_some(limit);
    Quota {
        uploads: unless_zero(settings.open_uploads),
        bytes: unless_zero(settings.open_bytes),
    }
}

fn allowed_hosts(config: &Config) -> anyhow::Result<AllowedHosts> {
    AllowedHosts::new(&config.hooks.allowed_hosts).map_err(anyhow::Error::msg)
}

/// How others are told, and the operator besides.
pub(super) fn outbox(config: &Config) -> anyhow::Result<Outbox> {
    let hooks = &config.hooks;
    let url = Some(&hooks.url).filter(|url| !url.is_empty());
    let operator = url.map(|url| -> anyhow::Result<_> {
        let host = url::Url::parse(url)?.host_str().unwrap_or_default().to_owned();
        let kinds = hooks.events.iter().filter_map(|name| EventKind::parse(name));
        Ok(Arc::new(Subscription {
            url: url.clone(),
            host,
            kinds: kinds.collect(),
        }))
    });
    Ok(Outbox {
        allowed_hosts: allowed_hosts(config)?,
        operator: operator.transpose()?,
        ..Outbox::default()
    })
}

/// Where files wait that are looked at before their uploads are complete.
pub(super) fn quarantine(config: &Config, clock: &Clock) -> anyhow::Result<Option<Quarantine>> {
    let hook = &config.hooks.pre_complete;
    let scanner = hooks::scanner(&config.hooks, clock.clone()).map_err(explain)?;
    Ok(scanner.map(|scanner| Quarantine {
        scanner,
        patience: Duration::from_secs(hook.wait_s),
        later: Duration::from_secs(hook.later_s),
        keeps: hook.rejected == OnReject::Keep,
        bell: Arc::default(),
        decided: Arc::default(),
    }))
}

pub(super) fn hours(hours: u64) -> TimeDelta {
    TimeDelta::hours(i64::try_from(hours).unwrap_or(i64::MAX / 3600))
}
