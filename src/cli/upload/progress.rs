//! What a person, or a program, hears of the uploads: bars on a terminal, lines elsewhere, JSON for programs.
//!
//! Results go to standard output; everything on the way there, and what went wrong, to standard error. With `--json` all goes
//! to standard output, one event a line.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::remote::Told;
use super::trouble::{Kind, Trouble};
use crate::cli::output;

const FILE_BAR: &str =
    "{prefix:24!} {wide_bar} {bytes:>10}/{total_bytes:10} {binary_bytes_per_sec:>13} {eta:>4} {msg}";
const TOTAL_BAR: &str =
    "{prefix:24!} {wide_bar} {bytes:>10}/{total_bytes:10} {binary_bytes_per_sec:>13} {eta:>4}";

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Bars,
    Lines,
    Json,
    Quiet,
}

/// All files of one run.
#[derive(Debug)]
pub struct Progress {
    manner: Manner,
    bars: MultiProgress,
    /// Only where there are several files.
    total: Option<ProgressBar>,
    /// What first kept standard output from being written.
    unwritten: Mutex<Option<anyhow::Error>>,
}

/// A finished upload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The server's id; the address where tus has no other.
    pub id: String,
    /// Where the object is; with tus the upload's address.
    pub location: String,
    /// The object's key, where it is told.
    pub key: Option<String>,
    /// The object's tag, where it is told.
    pub etag: Option<String>,
}

impl Progress {
    /// For `files` files of `bytes` bytes together.
    pub fn new(json: bool, quiet: bool, files: usize, bytes: u64) -> Arc<Self> {
        let manner = if json {
            Manner::Json
        } else if quiet {
            Manner::Quiet
        } else if std::io::stderr().is_terminal() {
            Manner::Bars
        } else {
            Manner::Lines
        };
        let bars = MultiProgress::new();
        let total = (manner == Manner::Bars && files > 1).then(|| {
            let bar = bars.add(ProgressBar::new(bytes).with_style(style(TOTAL_BAR)));
            bar.with_prefix(format!("{files} files"))
        });
        Arc::new(Self {
            manner,
            bars,
            total,
            unwritten: Mutex::default(),
        })
    }

    /// The file whose upload begins now.
    pub fn meter(self: &Arc<Self>, file: &str, name: &str, size: u64) -> Meter {
        let bar = (self.manner == Manner::Bars).then(|| {
            let bar = ProgressBar::new(size)
                .with_style(style(FILE_BAR))
                .with_prefix(name.to_owned());
            match &self.total {
                Some(total) => self.bars.insert_before(total, bar),
                None => self.bars.add(bar),
            }
        });
        Meter {
            progress: Arc::clone(self),
            file: file.to_owned(),
            size,
            bar,
            counts: Mutex::default(),
        }
    }

    /// Something that a person wants to know on the way.
    pub fn note(&self, text: &str) {
        match self.manner {
            Manner::Bars | Manner::Lines => self.write(true, text),
            Manner::Json | Manner::Quiet => {}
        }
    }

    /// A file that cannot be uploaded, whatever became of it before.
    pub fn failed(&self, file: &str, trouble: &Trouble) {
        if self.manner == Manner::Json {
            let (code, error, refused) = (&trouble.code, &trouble.message, trouble.kind == Kind::Refused);
            self.event(
                &json!({ "event": "failed", "file": file, "code": code, "error": error, "refused": refused }),
            );
        } else {
            self.write(true, &format!("muleteer: {file}: {trouble}"));
        }
    }

    /// The end of the run.
    pub fn summary(&self, done: usize, failed: usize, bytes: u64, sent: u64) {
        if let Some(total) = &self.total {
            total.finish_and_clear();
        }
        if self.manner == Manner::Json {
            let (bytes, sent_bytes) = (bytes, sent);
            self.event(&json!({
                "event": "summary", "done": done, "failed": failed, "bytes": bytes, "sent_bytes": sent_bytes,
            }));
        } else if done + failed > 1 {
            let missing = if failed == 0 {
                String::new()
            } else {
                format!(", {failed} not")
            };
            self.note(&format!("{done} uploaded{missing}; {} sent", HumanBytes(sent)));
        }
    }

    fn event(&self, event: &Value) {
        self.write(false, &event.to_string());
    }

    /// Why a result could not be written, if one could not; asked once, at the end.
    pub fn unwritten(&self) -> Option<anyhow::Error> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Whoever reads us may be gone, or its disk full, which must not end an upload.
    fn write(&self, to_errors: bool, line: &str) {
        let written = self.bars.suspend(|| {
            if to_errors {
                output::remark(line);
                return Ok(());
            }
            output::say(line)
        });
        if let Err(error) = written {
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.get_or_insert(error);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// How far one file is.
#[derive(Debug)]
pub struct Meter {
    progress: Arc<Progress>,
    file: String,
    size: u64,
    bar: Option<ProgressBar>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes that the other side has.
    stored: u64,
    /// Those of them that this run has sent.
    sent: u64,
    /// What has left of each part under way.
    moving: HashMap<u64, u64>,
    /// What the bar of the total knows of.
    shown: u64,
    /// Tenths of the file that a line has told of.
    tenths: u64,
}

impl Meter {
    /// The upload is there; `stored` bytes of it are from earlier. `parts` is their number where it is cut at all.
    pub fn begun(&self, id: &str, parts: Option<u64>, stored: u64) {
        self.change(|counts| {
            counts.moving.clear();
            counts.stored = stored;
            counts.tenths = (stored * 10).checked_div(self.size).unwrap_or_default();
        });
        if let Some(bar) = &self.bar {
            bar.reset_eta();
        }
        let (file, size, resumed) = (&self.file, self.size, stored > 0);
        match self.progress.manner {
            Manner::Json => self.progress.event(&json!({
                "event": "begin", "file": file, "id": id, "size": size, "part_count": parts, "stored_bytes": stored,
            })),
            Manner::Lines if resumed => {
                let (stored, size) = (HumanBytes(stored), HumanBytes(size));
                self.progress.note(&format!("{file}: goes on, {stored} of {size} are there"));
            }
            Manner::Lines => self.progress.note(&format!("{file}: {}", HumanBytes(size))),
            _ => {}
        }
    }

    /// So much of a part has left.
    pub fn moved(&self, part: u64, bytes: u64) {
        self.change(|counts| {
            counts.moving.insert(part, bytes);
        });
    }

    /// What has left of a part did not arrive.
    pub fn dropped(&self, part: u64) {
        self.change(|counts| {
            counts.moving.remove(&part);
        });
    }

    /// A part is stored.
    pub fn stored(&self, part: u64, bytes: u64) {
        self.arrived(part, bytes);
        if self.progress.manner == Manner::Json {
            let file = &self.file;
            self.progress
                .event(&json!({ "event": "part", "file": file, "number": part, "size": bytes }));
        }
    }

    /// As [`Meter::stored`], for what has no number that anybody knows.
    pub fn arrived(&self, part: u64, bytes: u64) {
        self.change(|counts| {
            counts.moving.remove(&part);
            counts.stored += bytes;
            counts.sent += bytes;
        });
    }

    /// Something about this file that a person wants to know.
    pub fn note(&self, text: &str) {
        self.progress.note(&format!("{}: {text}", self.file));
    }

    /// Bytes that this run has sent and that arrived.
    pub fn sent(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    /// It is uploaded.
    pub fn done(&self, outcome: &Outcome) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        match self.progress.manner {
            Manner::Json => self.progress.event(&json!({
                "event": "done", "file": self.file, "id": outcome.id, "location": outcome.location, "key": outcome.key,
                "etag": outcome.etag, "size": self.size, "sent_bytes": self.sent(),
            })),
            Manner::Quiet => {}
            Manner::Bars | Manner::Lines => {
                let line = format!("{} -> {}", self.file, outcome.location);
                self.progress.write(false, &line);
            }
        }
    }

    /// It is not.
    pub fn failed(&self, trouble: &Trouble) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.progress.failed(&self.file, trouble);
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts);
        let position = (counts.stored + counts.moving.values().sum::<u64>()).min(self.size);
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
        if let Some(total) = &self.progress.total {
            total.inc(position.saturating_sub(counts.shown));
            total.dec(counts.shown.saturating_sub(position));
        }
        counts.shown = position;
        let tenths = (counts.stored * 10).checked_div(self.size).unwrap_or_default();
        if self.progress.manner == Manner::Lines && tenths > counts.tenths {
            counts.tenths = tenths;
            drop(counts);
            self.progress.note(&format!("{}: {} %", self.file, tenths * 10));
        }
    }
}

impl Told for Meter {
    fn waiting(&self, trouble: &Trouble, pause: Duration) {
        let file = &self.file;
        match self.progress.manner {
            Manner::Json => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let (code, error) = (&trouble.code, &trouble.message);
                self.progress.event(
                    &json!({ "event": "retry", "file": file, "code": code, "error": error, "pause_ms": pause_ms }),
                );
            }
            Manner::Bars | Manner::Lines => {
                let text = format!("{file}: {trouble}; again in {:.1} s", pause.as_secs_f64());
                self.progress.note(&text);
            }
            Manner::Quiet => {}
        }
    }
}
