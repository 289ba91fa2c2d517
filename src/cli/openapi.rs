//! `muleteer openapi`: the native API's document, for generators and for keeping it under version control.

use crate::config::Config;
use crate::protocol::native;

/// Prints it.
///
/// # Errors
/// If it cannot be turned into JSON.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let document = native::document(&format!("{}/v1", config.protocols.native.path));
    println!("{}", document.to_pretty_json()?);
    Ok(())
}
