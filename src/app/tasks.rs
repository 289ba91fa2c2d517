//! What is done every now and then for as long as the server runs: sweeping, and writing the notes of uploads' logs.
//!
//! Separate from the putting together, because a task that fails goes on, and what fails there ends the start.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::config::UploadsConfig;
use crate::uploads::{Swept, Uploads};

/// Writes the notes of uploads' logs every few seconds.
pub(super) fn spawn_notes(uploads: Uploads) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(2));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = uploads.write_notes(false).await {
                tracing::warn!(%error, "notes of uploads' logs are lost");
            }
        }
    })
}

pub(super) fn spawn_sweeper(uploads: Uploads, settings: &UploadsConfig) -> JoinHandle<()> {
    let interval = Duration::from_secs(settings.sweep_interval_s);
    let between_strays = Duration::from_secs(settings.orphan_interval_s);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut strays_at: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let with_strays = strays_at.is_none_or(|at| at.elapsed() >= between_strays);
            match uploads.sweep(with_strays).await {
                Ok(None) => {}
                Ok(Some(swept)) => {
                    if with_strays {
                        strays_at = Some(Instant::now());
                    }
                    if swept != Swept::default() {
                        let Swept {
                            expired,
                            completed,
                            strays,
                            failed,
                        } = swept;
                        tracing::info!(expired, completed, strays, failed, "swept");
                    }
                }
                Err(error) => tracing::warn!(%error, "the sweep did not finish"),
            }
        }
    })
}
