//! The time line of an upload: its log, with what other records know, in the order in which it happened.
//!
//! Separate, because most of it is in no log: parts have their own times, and a pause is that nothing happened.

use chrono::{DateTime, TimeDelta, Utc};

use super::advice::{SILENT, is_of_client, last_heard};
use super::parts::ranges;
use super::words::{Moment, bytes, counted, span};
use crate::domain::{EventState, LogEntry, LogKind, State, WebhookEvent};
use crate::uploads::{Inspection, PartRecord};

/// Parts that arrive within this of each other are one line.
const TOGETHER: TimeDelta = TimeDelta::minutes(2);

/// One line.
pub(super) struct Line {
    at: DateTime<Utc>,
    /// When it began, where it took its time.
    since: Option<DateTime<Utc>>,
    is_of_client: bool,
    pub(super) class: &'static str,
    pub(super) what: String,
    pub(super) more: String,
    pub(super) who: Option<String>,
    pub(super) when: Moment,
}

/// The lines, oldest first.
pub(super) fn lines(inspection: &Inspection, now: DateTime<Utc>) -> Vec<Line> {
    let upload = &inspection.upload;
    let is_logged = inspection.log.iter().any(|entry| entry.kind == LogKind::Created);
    // One that is older than the log.
    let began = (!is_logged).then(|| Line::new(upload.created_at, "is-plain", "Began".into(), now));
    let log = inspection.log.iter().map(|entry| Line::of_entry(entry, now));
    let arrivals = arrivals(&inspection.recorded);
    let parts = arrivals.iter().filter_map(|run| Line::of_parts(run, now));
    let webhooks = inspection
        .webhooks
        .iter()
        .map(|event| Line::of_webhook(event, now));
    let mut all: Vec<Line> = began
        .into_iter()
        .chain(log)
        .chain(parts)
        .chain(webhooks)
        .collect();
    all.sort_by_key(|line| (line.at, line.since));
    with_pauses(all, inspection, now)
}

/// Parts in the order of their arrival, those that came close to each other together.
fn arrivals(recorded: &[PartRecord]) -> Vec<Vec<&PartRecord>> {
    let mut all: Vec<&PartRecord> = recorded.iter().collect();
    all.sort_by_key(|record| record.recorded_at);
    all.chunk_by(|one, next| next.recorded_at - one.recorded_at <= TOGETHER)
        .map(<[_]>::to_vec)
        .collect()
}

/// Puts a line wherever the client was silent for long, also since the last sign of life.
fn with_pauses(lines: Vec<Line>, inspection: &Inspection, now: DateTime<Utc>) -> Vec<Line> {
    let pause = |from: DateTime<Utc>, to: DateTime<Utc>, what: &str| Line {
        at: to,
        since: Some(from),
        ..Line::new(from, "is-pause", format!("{what} for {}", span(to - from)), now)
    };
    // What is appended leaves no trace of when it came: between two entries it may have been coming all the time.
    let is_appended = inspection.upload.appending.is_some();
    let mut all: Vec<Line> = Vec::new();
    let mut heard: Option<DateTime<Utc>> = None;
    for line in lines {
        if line.is_of_client {
            let begins = line.since.unwrap_or(line.at);
            if let Some(last) = heard.filter(|last| !is_appended && begins - *last >= SILENT) {
                let place = all
                    .iter()
                    .rposition(|earlier| earlier.at <= last)
                    .map_or(0, |at| at + 1);
                all.insert(place, pause(last, begins, "Nothing was heard"));
            }
            heard = heard.max(Some(line.at));
        }
        all.push(line);
    }
    let last = last_heard(inspection);
    if inspection.upload.state == State::Open && now - last >= SILENT {
        all.push(pause(last, now, "Nothing has been heard"));
    }
    all
}

/// What an entry is called, and how it is marked.
fn said(entry: &LogEntry) -> (&'static str, String) {
    let detail = &entry.detail;
    let times = |what: &str| match detail.count {
        Some(count) => format!("{what}, {count} times"),
        None => what.to_owned(),
    };
    match entry.kind {
        LogKind::Created => ("is-plain", "Began".into()),
        LogKind::Resumed => ("is-plain", times("The client came back")),
        LogKind::BegunAgain => (
            "is-plain",
            "Begun again: the store had lost it, or its time was over".into(),
        ),
        LogKind::Signed => {
            let parts = match (detail.first, detail.last) {
                (Some(first), Some(last)) if first < last => {
                    format!("Parts {first}\u{2013}{last} were signed")
                }
                (Some(first), _) => format!("Part {first} was signed"),
                _ => "Parts were signed".into(),
            };
            ("is-plain", times(&parts))
        }
        LogKind::Refused => {
            let problem = detail.problem.as_deref().unwrap_or("a problem");
            (
                "is-bad",
                times(&format!("A request was answered with \u{201c}{problem}\u{201d}")),
            )
        }
        LogKind::Admin => {
            let asked = detail.asked.as_deref().unwrap_or("something");
            ("is-admin", format!("An admin asked to {asked} it"))
        }
        LogKind::Extended => {
            let until = detail.until.map_or(String::new(), |until| {
                until.format(" until %Y-%m-%d %H:%M UTC").to_string()
            });
            ("is-admin", format!("An admin lets it live{until}"))
        }
        LogKind::Quarantined => (
            "is-plain",
            "All of it is there; the scanner is asked about it".into(),
        ),
        LogKind::Replaced => {
            let how = detail.reason.as_deref().unwrap_or("another object");
            (
                "is-bad",
                format!("Its object was replaced, and is looked at again: {how}"),
            )
        }
        LogKind::Became(State::Failed) if detail.reason.is_some() => {
            let reason = detail.reason.as_deref().unwrap_or_default();
            ("is-bad", format!("Failed: the scanner rejected it: {reason}"))
        }
        LogKind::Became(state) => became(state),
    }
}

fn became(state: State) -> (&'static str, String) {
    let (class, what) = match state {
        State::Open => ("is-plain", "Open again: it was not completed"),
        State::Completing => ("is-plain", "Completion was begun"),
        State::Complete => ("is-good", "Complete"),
        State::Aborted => ("is-bad", "Aborted"),
        State::Expired => ("is-bad", "Expired: nobody came back in time"),
        State::Failed => ("is-bad", "Failed: the store lost it, or refused it for good"),
    };
    (class, what.to_owned())
}

fn more(entry: &LogEntry) -> String {
    let detail = &entry.detail;
    let door = detail.door.as_ref().map(|door| match entry.kind {
        LogKind::Created => format!("through {door}"),
        _ => door.clone(),
    });
    let from = detail.from.as_ref().map(|from| format!("from {from}"));
    [door, from].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Line {
    fn new(at: DateTime<Utc>, class: &'static str, what: String, now: DateTime<Utc>) -> Self {
        Self {
            at,
            since: None,
            is_of_client: false,
            class,
            what,
            more: String::new(),
            who: None,
            when: Moment::new(at, now),
        }
    }

    fn of_entry(entry: &LogEntry, now: DateTime<Utc>) -> Self {
        let (class, what) = said(entry);
        Self {
            since: entry.detail.since,
            is_of_client: is_of_client(entry.kind),
            who: entry.actor.clone(),
            more: more(entry),
            ..Self::new(entry.at, class, what, now)
        }
    }

    /// Parts that came close to each other.
    fn of_parts(run: &[&PartRecord], now: DateTime<Utc>) -> Option<Self> {
        let (first, last) = (run.first()?.recorded_at, run.last()?.recorded_at);
        let mut numbers: Vec<u32> = run.iter().map(|record| record.part.number.get().into()).collect();
        numbers.sort_unstable();
        let count = counted(run.len() as u64, "part", "parts");
        let what = format!("{count} arrived: {}", ranges(&numbers));
        Some(Self {
            since: Some(first).filter(|first| *first != last),
            is_of_client: true,
            more: bytes(run.iter().map(|record| record.part.size).sum()),
            ..Self::new(last, "is-good", what, now)
        })
    }

    fn of_webhook(event: &WebhookEvent, now: DateTime<Utc>) -> Self {
        let (at, class, what) = match event.state {
            EventState::Delivered => (
                event.delivered_at.unwrap_or(event.updated_at),
                "is-good",
                "Webhook delivered",
            ),
            EventState::Pending => (event.updated_at, "is-plain", "Webhook waits to be delivered"),
            EventState::Parked => (event.updated_at, "is-bad", "Webhook given up"),
        };
        let attempts = counted(event.attempts.into(), "attempt", "attempts");
        let error = event.last_error.as_ref();
        let error = error.map_or(String::new(), |error| format!(": {error}"));
        Self {
            more: format!("{}, {attempts}{error}", event.url),
            ..Self::new(at, class, what.into(), now)
        }
    }

    /// How long it took, where it did.
    pub(super) fn lasted(&self) -> Option<String> {
        let length = self.at - self.since?;
        (length >= TimeDelta::seconds(1) && self.class != "is-pause").then(|| span(length))
    }
}
