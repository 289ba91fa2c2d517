//! What a client may take while it sends a request's head: time, bytes and fields.
//!
//! Separate from the wire, because these are rules over bytes and moments. actix has a time for the first head of a
//! connection alone; who dribbles the second could hold it for ever.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::memchr;
use tokio::time::{Instant, Sleep, sleep};

use super::ends::Ends;
use crate::config::ConnectionsConfig;
use crate::web::problem::Kind;

/// The limits of every head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    timeout: Duration,
    /// Time between two requests, of which actix tells; here it ends what actix does not take for waiting.
    keep_alive: Duration,
    /// Time in which some of an answer must be taken.
    pub(super) writing: Duration,
    bytes: usize,
    fields: usize,
    target: usize,
}

impl HeadLimits {
    /// From checked settings.
    pub(super) fn new(settings: &ConnectionsConfig) -> Self {
        Self {
            timeout: Duration::from_secs(settings.head_timeout_s),
            keep_alive: Duration::from_secs(settings.keep_alive_s),
            writing: Duration::from_secs(settings.write_timeout_s),
            bytes: settings.max_head_bytes as usize,
            fields: settings.max_head_fields.into(),
            target: settings.max_target_bytes as usize,
        }
    }
}

/// Why no request is taken from a connection any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing came, so nobody waits for an answer.
    Nothing,
    /// The head is not whole in time.
    Slow(Duration),
    /// The address has more bytes.
    Target(usize),
    /// The head has more bytes.
    Bytes(usize),
    /// There are more fields.
    Fields(usize),
}

impl Refusal {
    /// The kind of the answer, if there is one.
    pub(super) fn kind(self) -> Option<&'static Kind> {
        let slug = match self {
            Self::Nothing => return None,
            Self::Slow(_) => "head-stalled",
            Self::Target(_) => "address-too-long",
            Self::Bytes(_) | Self::Fields(_) => "head-too-large",
        };
        Some(Kind::named(slug))
    }

    /// The bytes of the answer, if there is one.
    pub(super) fn answer(self) -> Option<Vec<u8>> {
        let kind = self.kind()?;
        let detail = match self {
            Self::Nothing => return None,
            Self::Slow(time) => {
                let seconds = time.as_secs();
                format!("the request's head was not whole after {seconds} seconds")
            }
            Self::Target(most) => format!("the request's address may have {most} bytes at most"),
            Self::Bytes(most) => format!("the request's head may have {most} bytes at most"),
            Self::Fields(most) => format!("the request may have {most} fields at most"),
        };
        Some(kind.raw(kind.status, &detail))
    }
}

/// The head that a connection waits for.
pub(super) struct Heads {
    limits: HeadLimits,
    timer: Pin<Box<Sleep>>,
    /// Which one it is of all that the connection has waited for.
    wait: u64,
    began: Instant,
    seen: Seen,
}

/// How far a head has come.
#[derive(Debug, Default)]
struct Seen {
    /// When its first byte came.
    first: Option<Instant>,
    bytes: usize,
    lines: usize,
    /// Spaces of the first line, and the bytes between the first and the second: the address.
    spaces: usize,
    target: usize,
    /// Whether the line that has not ended yet holds anything.
    has_text: bool,
    is_whole: bool,
}

impl Heads {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            timer: Box::pin(sleep(limits.timeout)),
            wait: 0,
            began: Instant::now(),
            seen: Seen::default(),
        }
    }

    /// Takes note of bytes that have come while a head is waited for.
    ///
    /// # Errors
    /// The limit that they break.
    pub(super) fn note(&mut self, bytes: &[u8], ends: &Rc<Ends>) -> Result<(), Refusal> {
        self.turn_to(ends);
        if self.seen.first.is_none() {
            let now = Instant::now();
            self.seen.first = Some(now);
            if self.wait > 0 {
                self.timer.as_mut().reset(now + self.limits.timeout);
            }
        }
        if ends.is_unread() {
            return Ok(());
        }
        self.seen.note(bytes, &self.limits)
    }

    /// Whether the time for a head is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, ends: &Rc<Ends>) -> Poll<Refusal> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let ends_at = if ends.is_waiting() {
                self.turn_to(ends);
                self.ends_at(ends)
            } else {
                now + self.limits.timeout
            };
            if ends_at <= now {
                return Poll::Ready(match self.seen.first {
                    Some(_) if !ends.is_unread() => Refusal::Slow(self.limits.timeout),
                    _ => Refusal::Nothing,
                });
            }
            self.timer.as_mut().reset(ends_at);
        }
    }

    fn ends_at(&self, ends: &Rc<Ends>) -> Instant {
        match (ends.waits().1, self.seen.first) {
            (None, _) => self.began + self.limits.timeout,
            (Some(_), Some(first)) => first + self.limits.timeout,
            (Some(since), None) => since + self.limits.keep_alive + self.limits.timeout,
        }
    }

    fn turn_to(&mut self, ends: &Rc<Ends>) {
        let (wait, _) = ends.waits();
        if wait != self.wait {
            self.wait = wait;
            self.seen = Seen::default();
        }
    }
}

impl Seen {
    fn note(&mut self, mut bytes: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        while !self.is_whole && !bytes.is_empty() {
            let ends = memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(ends.map_or(bytes.len(), |at| at + 1));
            bytes = rest;
            self.bytes += line.len();
            self.has_text |= line.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
            if self.lines == 0 {
                self.note_target(line, limits)?;
            }
            if ends.is_some() {
                // Empty lines before a request do no harm.
                self.is_whole = !self.has_text && self.lines > 0;
                self.lines += usize::from(self.has_text);
                self.has_text = false;
            }
            if self.bytes > limits.bytes {
                return Err(Refusal::Bytes(limits.bytes));
            }
            if self.lines > limits.fields + 1 {
                return Err(Refusal::Fields(limits.fields));
            }
        }
        Ok(())
    }

    fn note_target(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        for byte in line {
            match byte {
                b' ' => self.spaces += 1,
                _ if self.spaces == 1 => self.target += 1,
                _ => {}
            }
        }
        if self.target > limits.target {
            return Err(Refusal::Target(limits.target));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> HeadLimits {
        HeadLimits::new(&ConnectionsConfig {
            max_head_bytes: 100,
            max_head_fields: 3,
            max_target_bytes: 20,
            ..ConnectionsConfig::default()
        })
    }

    /// What becomes of a head that comes in pieces of `each` bytes.
    fn noted(head: &str, each: usize) -> Result<bool, Refusal> {
        let mut seen = Seen::default();
        for piece in head.as_bytes().chunks(each) {
            seen.note(piece, &limits())?;
        }
        Ok(seen.is_whole)
    }

    #[test]
    fn limits_hold_to_the_byte_however_a_head_is_cut() {
        let address = "/".repeat(20);
        let long = "x".repeat(100 - "GET / HTTP/1.1\r\na: \r\n\r\n".len());
        for each in [1, 2, 3, 7, 1000] {
            for (head, expected) in [
                ("GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\n\r\n".into(), Ok(true)),
                ("\r\n\r\nGET / HTTP/1.1\na: b\n\n".into(), Ok(true)),
                ("GET / HTTP/1.1\r\na: b\r\n".into(), Ok(false)),
                (
                    "GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\ng: h\r\n".into(),
                    Err(Refusal::Fields(3)),
                ),
                (format!("GET {address} HTTP/1.1\r\n\r\n"), Ok(true)),
                (
                    format!("GET {address}/ HTTP/1.1\r\n\r\n"),
                    Err(Refusal::Target(20)),
                ),
                (format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n"), Ok(true)),
                (
                    format!("GET / HTTP/1.1\r\na: {long}x\r\n\r\n"),
                    Err(Refusal::Bytes(100)),
                ),
            ] {
                assert_eq!(noted(&head, each), expected, "{head:?} in pieces of {each}");
            }
        }
    }

    #[test]
    fn what_follows_a_whole_head_is_not_counted() {
        let body = "\n".repeat(1000);
        assert_eq!(noted(&format!("PUT / HTTP/1.1\r\n\r\n{body}"), 7), Ok(true));
    }
}
