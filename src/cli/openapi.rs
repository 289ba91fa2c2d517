//! `muleteer openapi`: the native API's document, for generators and for keeping it under version control.

use super::output;
use crate::config::Config;
use crate::protocol::native;

/// Prints it.
///
/// # Errors
/// If it cannot be turned into JSON, or not be written.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let document = native::document(&format!("{}/v1", config.protocols.native.path));
    output::say(&document.to_pretty_json()?)
}
