//! Scanning: has the objects looked at that wait in quarantine, several at once, each by one instance.
//!
//! Separate from `scan`, which says what becomes of them: this is work in the background that a kill at any moment must not
//! lose. A claim stands for half a minute and is renewed while the scanner looks, so that another instance takes over soon
//! after one has died, and never before.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::Uploads;
use super::scan::{Quarantine, Source, Subject};
use crate::domain::{Backend, Opinion, Scan, ScanState, State, Upload};
use crate::error::Error;
use crate::metrics::{Background, Hook, Verdict};
use crate::signing::Operation;

/// Most objects that are looked at at once.
const AT_ONCE: usize = 8;

/// How long a claim stands that nobody renews.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(30);

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(8);

/// How long until is looked for what nobody rang for: what was put off, and what comes from other instances.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause after a first failure; it doubles with each.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(2);

/// The longest pause.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);

impl Uploads {
    /// Has objects looked at for as long as it is polled; at once done where nobody looks at any. What runs when it is
    /// dropped is begun anew by another instance, or by the next process.
    pub async fn run_scans(self) {
        let Some(quarantine) = self.0.quarantine.clone() else {
            return;
        };
        let mut running = JoinSet::new();
        let mut ailing = false;
        loop {
            let handed_out = self.hand_out(&quarantine, &mut running).await;
            if handed_out.is_err() {
                self.scan_failed();
            }
            match handed_out {
                Ok(()) => ailing = false,
                // Said once, not every second.
                Err(error) if !ailing => {
                    ailing = true;
                    tracing::warn!(%error, "objects that wait for a scan cannot be looked for just now");
                }
                Err(_) => {}
            }
            tokio::select! {
                Some(_) = running.join_next() => {}
                () = quarantine.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn hand_out(&self, quarantine: &Quarantine, running: &mut JoinSet<()>) -> Result<(), Error> {
        while running.try_join_next().is_some() {}
        let room = u32::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
        if room == 0 {
            return Ok(());
        }
        for mut scan in self.0.db.due_scans(self.now(), room).await? {
            let until = self.now() + LEASE;
            if !self.0.db.claim_scan(&scan, until, true).await? {
                continue;
            }
            scan.due_at = until;
            scan.attempts = scan.attempts.saturating_add(1);
            let (this, quarantine) = (self.clone(), quarantine.clone());
            running.spawn(async move { this.look_at(scan, &quarantine).await });
        }
        Ok(())
    }

    /// Has one object looked at that is claimed, and does what comes of that.
    async fn look_at(&self, scan: Scan, quarantine: &Quarantine) {
        let id = scan.upload_id.clone();
        let attempts = scan.attempts;
        let upload = match self.as_recorded(&id).await {
            Ok(upload) if upload.state == State::Completing => upload,
            Ok(upload) => return self.forget_scan(&upload).await,
            Err(error) => {
                // Its claim runs out, and somebody looks again.
                self.scan_failed();
                tracing::warn!(upload = %id, %error, "an upload that is to be scanned cannot be read");
                return;
            }
        };
        // Else a kill came between the verdict and the end.
        let outcome = if scan.state == ScanState::Pending {
            tokio::select! {
                outcome = self.ask_about(&upload, &scan, quarantine) => outcome,
                () = self.renew(scan.clone()) => return,
            }
        } else {
            let reason = scan.reason.clone().unwrap_or_default();
            Ok(Some(Opinion::Reject { reason }))
        };
        let outcome = match outcome {
            Ok(Some(opinion)) => self.decide(&scan, opinion).await,
            Ok(None) => {
                tracing::info!(upload = %id, "the scanner will say later");
                let later = TimeDelta::from_std(quarantine.later).unwrap_or(LONGEST_PAUSE);
                self.0.db.put_off_scan(&scan, self.now() + later, None).await
            }
            Err(error) => Err(error),
        };
        let Err(error) = outcome else { return };
        self.scan_failed();
        let reason = cause_of(&error);
        let due = self.now() + pause_after(attempts);
        tracing::warn!(upload = %id, attempts, reason, "a scan did not come to its end, and is tried again");
        if let Err(error) = self.0.db.put_off_scan(&scan, due, Some(reason)).await {
            tracing::warn!(upload = %id, %error, "how a scan went could not be written down");
        }
    }

    fn scan_failed(&self) {
        self.0.metrics.background_failed(Background::Scan, 1);
    }

    /// Keeps a claim, and ends only once it is lost.
    async fn renew(&self, mut scan: Scan) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let until = self.now() + LEASE;
            match self.0.db.claim_scan(&scan, until, false).await {
                Ok(true) => scan.due_at = until,
                Ok(false) => {
                    // The verdict has come by another way, or somebody else is at it.
                    tracing::info!(upload = %scan.upload_id, "a scan was taken over, or is over");
                    return;
                }
                Err(error) => {
                    tracing::warn!(upload = %scan.upload_id, %error, "the claim of a scan could not be renewed");
                }
            }
        }
    }

    async fn ask_about(
        &self,
        upload: &Upload,
        scan: &Scan,
        quarantine: &Quarantine,
    ) -> Result<Option<Opinion>, Error> {
        let source = if quarantine.scanner.fetches() && upload.storage == Backend::S3 {
            let get = Operation::GetObject { range: None };
            let (signed, _) = self.store()?.presign(get, &upload.key, self.now()).await?;
            Source::Url(signed.url)
        } else {
            match self.storage(upload)?.read(&upload.key, None).await {
                Err(Error::NotFound(_)) => {
                    let reason = super::scan::IS_GONE.to_owned();
                    return Ok(Some(Opinion::Reject { reason }));
                }
                bytes => Source::Bytes(bytes?),
            }
        };
        let subject = Subject {
            upload,
            etag: scan.etag.as_deref(),
            address: self.address(upload),
            source,
        };
        let said = quarantine.scanner.scan(subject).await;
        let metrics = &self.0.metrics;
        match &said {
            Ok(Some(Opinion::Accept)) => metrics.asked(Hook::PreComplete, Verdict::Accepted),
            Ok(Some(Opinion::Reject { .. })) => metrics.asked(Hook::PreComplete, Verdict::Refused),
            Ok(None) => {}
            Err(_) => metrics.asked(Hook::PreComplete, Verdict::Failed),
        }
        said
    }

    /// Ends a scan whose upload has ended otherwise: what was to be done about its object was done with that.
    async fn forget_scan(&self, upload: &Upload) {
        let state = if upload.state == State::Complete {
            ScanState::Accepted
        } else {
            ScanState::Rejected
        };
        if let Err(error) = self.0.db.end_scan(&upload.id, state).await {
            tracing::warn!(upload = %upload.id, %error, "a scan that is over could not be put away");
        }
    }
}

/// What lies behind an error, for the log and the operator.
fn cause_of(error: &Error) -> String {
    match error {
        Error::Unavailable { cause, .. } | Error::Internal(cause) => format!("{error}: {cause}"),
        error => error.to_string(),
    }
}

fn pause_after(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let seconds: Vec<i64> = [1, 2, 3, 9, 10, 11, 500]
            .map(|n| pause_after(n).num_seconds())
            .to_vec();

        assert_eq!(seconds, [2, 4, 8, 512, 600, 600, 600]);
    }
}
