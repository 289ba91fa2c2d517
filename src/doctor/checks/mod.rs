//! The questions, one family a file, in the order in which they make sense.

pub mod abilities;
pub mod cors;
pub mod identity;
pub mod lifecycle;
pub mod permissions;
pub mod public;
pub mod settings;
pub mod through;

use uuid::Uuid;

use super::needs;
use crate::config::Config;

/// A key that nobody else has, where uploads go; whoever makes an object of it removes it.
fn probe_key(prefix: &str) -> String {
    format!("{prefix}.muleteer-doctor-{}", Uuid::new_v4().simple())
}

/// The beginning of the keys of uploads.
fn upload_prefix(config: &Config) -> String {
    let prefixes = needs::prefixes(config);
    let template = &config.uploads.key_template;
    prefixes
        .into_iter()
        .filter(|prefix| template.starts_with(prefix.as_str()))
        .max_by_key(String::len)
        .unwrap_or_default()
}

/// Whether an address, with or without scheme and port, is this machine's own.
fn is_loopback_url(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    crate::domain::is_loopback(host.split('/').next().unwrap_or_default())
}
