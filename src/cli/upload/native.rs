//! One file by the native API: begun or found again, its missing parts sent by several workers, and joined.
//!
//! How a part travels is [`Way`]'s: straight to the store, or through the server.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::claims::{PartChecksum, Sums, sums_of};
use super::direct::Direct;
use super::progress::{Meter, Outcome};
use super::relay;
use super::remote::Remote;
use super::source::Source;
use super::trouble::{Kind, Trouble};

/// How often the server may miss parts that we believe stored.
const ROUNDS: usize = 3;
/// Reports are for progress: none is worth waiting for.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// Everything that one file's upload needs.
pub struct Job<'a> {
    /// The file.
    pub source: &'a Source,
    /// The server and the store.
    pub remote: &'a Remote,
    /// Where the API, or tus, is.
    pub api: &'a str,
    /// How far it is.
    pub meter: &'a Meter,
    /// A part under way holds one; all files share them.
    pub slots: &'a Semaphore,
    /// Most parts at once.
    pub workers: usize,
}

/// How parts travel; where the server says that an upload's bytes pass through it, they do, whatever was asked for.
pub enum Way {
    /// Straight to the store.
    Direct(Direct),
    /// Through the server.
    Relay,
}

/// An upload, as the server describes it.
#[derive(Debug, Deserialize)]
struct Upload {
    id: String,
    state: String,
    /// Older servers say nothing: theirs are direct.
    #[serde(default)]
    transfer: String,
    part_size: u64,
    part_count: u64,
    parts: Vec<Part>,
    /// Older servers know none.
    checksum: Option<PartChecksum>,
    key: Option<String>,
    location: Option<String>,
    etag: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    number: u64,
    size: u64,
}

/// The upload under way.
pub struct Session<'a> {
    /// What it is about.
    pub job: &'a Job<'a>,
    /// The upload's address.
    pub url: String,
    /// How its parts are sent with a checksum.
    pub checksum: Option<PartChecksum>,
    part_size: u64,
    waiting: Mutex<VecDeque<u64>>,
    reports: tokio::sync::Mutex<()>,
    unreported: Mutex<Vec<Value>>,
}

/// Uploads one file, or what is missing of it.
///
/// # Errors
/// Whatever kept it from being complete.
pub async fn upload(job: &Job<'_>, way: &Way) -> Result<Outcome, Trouble> {
    match attempt(job, way).await {
        // The store lost what the server had on record; the second time there is nothing old to lose.
        Err(trouble) if trouble.kind == Kind::Vanished => attempt(job, way).await,
        outcome => outcome,
    }
}

async fn attempt(job: &Job<'_>, way: &Way) -> Result<Outcome, Trouble> {
    let source = job.source;
    source.ensure_unchanged()?;
    let begin = json!({
        "filename": source.name, "size": source.size, "content_type": source.content_type,
        "last_modified": source.modified_ms, "fingerprint": source.fingerprint, "checksums": true,
    });
    let uploads = format!("{}/uploads", job.api);
    let begun = job
        .remote
        .call(&Method::POST, &uploads, Some(&begin), job.meter)
        .await?;
    let found = parse(begun.body)?;
    let stored: HashSet<u64> = found.parts.iter().map(|part| part.number).collect();
    job.meter.begun(
        &found.id,
        Some(found.part_count),
        found.parts.iter().map(|part| part.size).sum(),
    );
    if found.state == "complete" {
        return Ok(outcome(found));
    }
    // One that is being completed takes no parts; if it lacks any, completing says so.
    let missing = (1..=found.part_count).filter(|number| !stored.contains(number) && found.state == "open");
    let session = Session {
        job,
        url: format!("{uploads}/{}", found.id),
        checksum: found.checksum,
        part_size: found.part_size,
        waiting: Mutex::new(missing.collect()),
        reports: tokio::sync::Mutex::default(),
        unreported: Mutex::default(),
    };
    let way = if found.transfer == "relay" {
        &Way::Relay
    } else {
        way
    };
    if let Way::Direct(direct) = way {
        direct.forget().await;
    }
    match session.finish(way).await {
        Err(trouble) if trouble.kind == Kind::Changed => {
            // Nobody will ever come for these parts again: the file has another fingerprint now.
            let _ = job
                .remote
                .call_once(&Method::DELETE, &session.url, None, REPORT_WITHIN)
                .await;
            Err(trouble)
        }
        outcome => outcome,
    }
}

impl Session<'_> {
    async fn finish(&self, way: &Way) -> Result<Outcome, Trouble> {
        let mut rounds = 0;
        loop {
            try_join_all((0..self.job.workers).map(|_| self.work(way))).await?;
            self.job.source.ensure_unchanged()?;
            self.report().await;
            let joined = self
                .job
                .remote
                .join(&format!("{}/complete", self.url), self.job.meter)
                .await;
            let trouble = match joined {
                Ok(answer) => return parse(answer.body).map(outcome),
                Err(trouble) => trouble,
            };
            rounds += 1;
            if trouble.code != "incomplete" || trouble.missing.is_empty() || rounds == ROUNDS {
                return Err(trouble);
            }
            self.locked().extend(trouble.missing);
        }
    }

    /// Sends parts until none waits.
    async fn work(&self, way: &Way) -> Result<(), Trouble> {
        loop {
            let Some(number) = self.locked().pop_front() else {
                return Ok(());
            };
            self.job.source.ensure_unchanged()?;
            let slot = self.job.slots.acquire().await;
            let length = self.length_of(number);
            let sums = self.sums_of(number).await?;
            let sums = sums.as_ref();
            let sent = self.job.remote.persist(self.job.meter, || async {
                let sent = match way {
                    Way::Direct(direct) => direct.send(self, number, sums).await,
                    Way::Relay => relay::send(self, number, sums).await.map(|()| None),
                };
                sent.inspect_err(|_| self.job.meter.dropped(number))
            });
            // A file that was cut short meanwhile reads as one that cannot be read.
            let tag = sent
                .await
                .map_err(|trouble| match self.job.source.ensure_unchanged() {
                    Err(changed) if changed.kind == Kind::Changed => changed,
                    _ => trouble,
                })?;
            drop(slot);
            self.job.meter.stored(number, length);
            if let Way::Direct(_) = way {
                let mut report = json!({ "number": number, "size": length, "etag": tag });
                if let Some(sums) = sums {
                    report["checksums"] = json!(sums);
                }
                self.unreported
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(report);
                // Whoever comes while a report is under way leaves theirs for the next.
                if let Ok(_turn) = self.reports.try_lock() {
                    self.report().await;
                }
            }
        }
    }

    /// The part's checksums, where any are wanted.
    async fn sums_of(&self, number: u64) -> Result<Option<Sums>, Trouble> {
        let Some(wanted) = &self.checksum else {
            return Ok(None);
        };
        let source = self.job.source;
        let slice = source.slice(self.start_of(number), self.length_of(number));
        sums_of(slice, &wanted.algorithm).await.map(Some)
    }

    /// The header that tells the part's checksum, where it has one.
    pub fn header_of<'s>(&'s self, sums: Option<&'s Sums>) -> Option<(&'s str, &'s str)> {
        let wanted = self.checksum.as_ref()?;
        let value = sums?.get(wanted.algorithm.as_str())?;
        Some((&wanted.header, value))
    }

    /// Tells the server of parts that have arrived. It asks the store anyway before it joins them, so a failure does no harm.
    async fn report(&self) {
        let parts = std::mem::take(&mut *self.unreported.lock().unwrap_or_else(PoisonError::into_inner));
        if parts.is_empty() {
            return;
        }
        let body = json!({ "parts": parts });
        let url = format!("{}/parts", self.url);
        let told = self
            .job
            .remote
            .call_once(&Method::POST, &url, Some(&body), REPORT_WITHIN)
            .await;
        if told.is_err_and(|trouble| trouble.kind == Kind::Passing) {
            self.unreported
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(parts);
        }
    }

    /// Where a part begins.
    pub fn start_of(&self, number: u64) -> u64 {
        (number - 1) * self.part_size
    }

    /// A part's bytes.
    pub fn length_of(&self, number: u64) -> u64 {
        self.part_size
            .min(self.job.source.size.saturating_sub(self.start_of(number)))
    }

    /// The parts that will be sent next.
    pub fn next(&self, most: usize) -> Vec<u64> {
        let next: BTreeSet<u64> = self.locked().iter().take(most).copied().collect();
        next.into_iter().collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(body: Value) -> Result<Upload, Trouble> {
    let upload: Upload = serde_json::from_value(body).map_err(|error| {
        let message =
            format!("the answer of the server is not about an upload ({error}); is this address Muleteer's?");
        Trouble::new(Kind::Final, "bad-answer", message)
    })?;
    if upload.part_count > 0 && upload.part_size == 0 {
        return Err(Trouble::new(
            Kind::Final,
            "bad-answer",
            "the server plans parts of no bytes".to_owned(),
        ));
    }
    Ok(upload)
}

fn outcome(upload: Upload) -> Outcome {
    Outcome {
        location: upload.location.unwrap_or_default(),
        id: upload.id,
        key: upload.key,
        etag: upload.etag,
    }
}
