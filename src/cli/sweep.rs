//! `muleteer sweep`: what a running server does from time to time, once and now.
//!
//! Separate from `serve`, for a timer of the system's own, and for whoever wants to see what it finds.

use anyhow::Context as _;
use serde_json::json;

use super::exit::Exit;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;

/// Sweeps, and says what that did; [`Exit::Failed`] where something could not be done.
///
/// # Errors
/// Whatever database and storage say.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<Exit> {
    let swept = app::sweep(config, Clock::system()).await;
    let swept = if config.uses_embedded_store() {
        swept.context("a server with the embedded S3 has it for itself, and sweeps by itself; stop it first")
    } else {
        swept
    };
    let swept = swept?;
    match swept {
        swept if json => println!(
            "{}",
            match swept {
                None => json!({ "swept": false }),
                Some(swept) => json!({
                    "swept": true,
                    "expired": swept.expired,
                    "completed": swept.completed,
                    "leftovers": swept.strays,
                    "failed": swept.failed,
                }),
            }
        ),
        None => println!("another instance is sweeping just now"),
        Some(swept) => println!(
            "expired {}, completed {}, leftovers {}, failed {}",
            swept.expired, swept.completed, swept.strays, swept.failed
        ),
    }
    Ok(match swept {
        Some(swept) if swept.failed > 0 => Exit::Failed,
        _ => Exit::Done,
    })
}
