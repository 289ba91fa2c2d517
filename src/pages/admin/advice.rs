//! What to tell somebody who calls about an upload: how it stands, what is missing, and what they can do.
//!
//! Separate, because this is where records become sentences. They are for whoever is on the telephone.

use chrono::{DateTime, TimeDelta, Utc};

use super::parts::PartMap;
use super::words::{bytes, counted, percent, span};
use crate::domain::{Cut, LogKind, State};
use crate::uploads::{Inspection, StoreView};

/// Silence from which on nobody seems to send any more.
pub(super) const SILENT: TimeDelta = TimeDelta::minutes(5);

/// What is said of an upload.
pub(super) struct Advice {
    /// How it stands, in one sentence.
    pub(super) standing: String,
    /// What is missing; empty where nothing is.
    pub(super) missing: String,
    /// What to tell the user.
    pub(super) tell: Vec<String>,
}

/// Says it.
pub(super) fn on(inspection: &Inspection, map: Option<&PartMap>, now: DateTime<Utc>) -> Advice {
    let upload = &inspection.upload;
    match upload.state {
        State::Open => open(inspection, map, now),
        State::Completing if inspection.is_scanned => Advice {
            standing: "The file is whole, and a scanner looks at it before it is announced.".into(),
            missing: String::new(),
            tell: vec![
                "Your file has arrived and is being checked. Nothing has to be sent again.".into(),
                "It stays like this until the scanner has said something: if that takes long, see whether the scanner \
                 is well (hooks.pre_complete)."
                    .into(),
            ],
        },
        State::Completing => Advice {
            standing: "Everything was sent, and the file is being put together.".into(),
            missing: String::new(),
            tell: vec![
                "The file has arrived; it takes a moment until it is whole. Nothing has to be sent again.".into(),
                "If it stays like this for more than a few minutes, press Complete here: asking again does no harm."
                    .into(),
            ],
        },
        State::Complete => Advice {
            standing: "The file is whole and stored.".into(),
            missing: String::new(),
            tell: vec!["Your upload has arrived completely. You need not do anything.".into()],
        },
        State::Aborted => ended(
            "It was cancelled, and its parts are gone.",
            "The upload was cancelled. Please choose the file again; it is sent from the beginning.",
        ),
        State::Expired => ended(
            "Nobody went on with it in time, so it was given up and its parts are gone.",
            "The upload was left for too long and was cleared away. Please choose the file again; it is sent from the \
             beginning.",
        ),
        State::Failed => ended(
            "The store lost it, or refused it for good.",
            "Something went wrong on our side. Please choose the file again; it is sent from the beginning.",
        ),
    }
}

fn ended(standing: &str, tell: &str) -> Advice {
    Advice {
        standing: standing.into(),
        missing: String::new(),
        tell: vec![tell.into()],
    }
}

fn open(inspection: &Inspection, map: Option<&PartMap>, now: DateTime<Utc>) -> Advice {
    let upload = &inspection.upload;
    let there = upload.offset().or(map.map(|map| map.there)).unwrap_or(0);
    let (missing, is_all_there) = missing(inspection, map, there);
    let quiet = now - last_heard(inspection);
    let is_quiet = quiet >= SILENT;
    let share = upload.known_size().filter(|size| *size > 0);
    let share = share.map_or_else(
        || bytes(there),
        |size| format!("{} % of {}", percent(there, size), bytes(size)),
    );
    let manner = if is_quiet {
        format!("nothing was heard for {}", span(quiet))
    } else {
        "the client is at it".to_owned()
    };
    let standing = if is_all_there {
        format!("All bytes are there, but nobody has asked to complete it; {manner}.")
    } else {
        format!("{share} have arrived; {manner}.")
    };
    let mut tell = Vec::new();
    match &inspection.store {
        StoreView::Lost if upload.cut == Cut::Ours => tell.push(
            "The store no longer has the parts of this upload. Please choose the file again; it is sent from the \
             beginning."
                .into(),
        ),
        StoreView::Silent(_) => tell.push(
            "Our store does not answer just now. Please leave the page open; it goes on by itself once the store \
             is back."
                .into(),
        ),
        _ if is_all_there => tell.push(
            "All of your file is here. Go back to the page, or choose the same file again, and it finishes at \
             once; or we finish it for you."
                .into(),
        ),
        _ if is_quiet => tell.push(
            "Open the upload page in the same browser and choose the same file again: only what is missing is sent."
                .into(),
        ),
        _ => tell.push("It is under way. Please leave the page open.".into()),
    }
    if let Some(said) = last_problem(inspection, now) {
        tell.push(said);
    }
    if upload.expires_at <= now {
        tell.push("Its time is over: it is cleared away at any moment, unless you extend it now.".into());
    } else if is_quiet {
        tell.push(format!(
            "There are {} left to go on. Extend it here if that is not enough.",
            span(upload.expires_at - now)
        ));
    }
    Advice {
        standing,
        missing,
        tell,
    }
}

/// What is missing in words, and whether that is nothing.
fn missing(inspection: &Inspection, map: Option<&PartMap>, there: u64) -> (String, bool) {
    let upload = &inspection.upload;
    if upload.offset().is_some() {
        return match upload.known_size() {
            Some(size) if there < size => (format!("{} from byte {there} on", bytes(size - there)), false),
            Some(_) => (String::new(), true),
            None => ("its client has not said yet how long the file is".into(), false),
        };
    }
    if !upload.cut.is_ours() {
        return (
            "its client cuts the file itself, so only the client knows how many parts there will be".into(),
            false,
        );
    }
    match map.and_then(|map| map.missing.as_ref().map(|ranges| (ranges, map.missing_count))) {
        Some((ranges, count)) if count > 0 => {
            let parts = counted(count as u64, "part", "parts");
            (
                format!("{parts} ({ranges}), {}", bytes(upload.size.saturating_sub(there))),
                false,
            )
        }
        // An empty file has no parts.
        _ => (String::new(), true),
    }
}

/// Whether an entry is a sign of life of the client.
pub(super) fn is_of_client(kind: LogKind) -> bool {
    matches!(
        kind,
        LogKind::Created | LogKind::Resumed | LogKind::Signed | LogKind::Refused | LogKind::BegunAgain
    )
}

/// When the client last gave a sign of life.
pub(super) fn last_heard(inspection: &Inspection) -> DateTime<Utc> {
    let parts = inspection.recorded.iter().map(|record| record.recorded_at);
    let log = inspection
        .log
        .iter()
        .filter(|entry| is_of_client(entry.kind))
        .map(|entry| entry.at);
    let began = inspection.upload.created_at;
    // One that is appended to has its time on record alone.
    let appended = inspection
        .upload
        .appending
        .as_ref()
        .map(|_| inspection.upload.updated_at);
    parts.chain(log).chain(appended).max().unwrap_or(began).max(began)
}

/// What the client was told last, if that was lately and nothing has arrived since.
fn last_problem(inspection: &Inspection, now: DateTime<Utc>) -> Option<String> {
    let entry = inspection
        .log
        .iter()
        .rev()
        .find(|entry| entry.kind == LogKind::Refused)?;
    let arrived = inspection.recorded.iter().map(|record| record.recorded_at).max();
    if arrived.is_some_and(|arrived| arrived > entry.at) {
        return None;
    }
    let problem = entry.detail.problem.as_deref()?;
    let cause = match problem {
        "unauthenticated" | "forbidden" | "not-found" => {
            "its browser is not known to us (any more): another browser, deleted cookies, or an expired token or key"
        }
        "too-large" | "body-too-large" => "the file is larger than this server takes",
        "too-many-parts" => {
            "its client cuts the file into more parts than a file may have (limits.max_parts)"
        }
        "quota-reached" => {
            "its owner has as much open as they may have at once: complete or abort what nobody needs, or raise the limit"
        }
        "content-refused" => "its first bytes are not of a type that is taken here, whatever it is called",
        "too-fast" => {
            "it asks more often than it may (limits.rates); a client that waits as it is told gets through"
        }
        "type-refused" => "files of this type are not taken here",
        "wrong-size" | "part-conflict" | "checksum-mismatch" => {
            "the bytes are not those that were announced: the file may have changed since the upload began"
        }
        "store-refused" => "the store refused us, which is for the operator to mend",
        "no-space" => "the storage is full, which is for the operator to mend",
        "busy" | "unavailable" | "stopping" | "still-completing" => {
            "we were too busy or away; the client tries again by itself"
        }
        _ => "see the time line",
    };
    Some(format!(
        "{} ago its client was answered with \u{201c}{problem}\u{201d}: {cause}.",
        span(now - entry.at)
    ))
}
