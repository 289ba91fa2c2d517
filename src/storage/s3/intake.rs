//! A body of which every byte counts, on its way into parts.
//!
//! Separate from the requests that this makes: here it is decided when. What comes fast waits in memory until a part is
//! whole, and is sent once. What comes slowly, or when too many send at once, is written as pieces along the way, so
//! that no more is at risk than a mebibyte and what came in the last second, and what the store has not yet answered for.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::append::PIECE;
use super::appended::{Appended, Cut, Piece};
use super::held::{Held, Room};
use super::joined::Ending;
use super::relay::S3Relay;
use crate::domain::{PartNumber, Sha256Sum, Upload};
use crate::error::Error;
use crate::storage::{Body, Receipt};

/// What came before that is written, if it is more than a piece; and who sends a piece in less than that is fast.
const A_WHILE: Duration = Duration::from_secs(1);

/// A part that is on its way to the store, while the next one comes.
struct Sending {
    end: u64,
    task: JoinHandle<Result<(), Error>>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The part in progress, and the one before it.
pub(super) struct Intake {
    relay: S3Relay,
    upload: Upload,
    cut: Cut,
    receipt: Receipt,
    /// How many parts are whole.
    parts: u64,
    /// Where the part in progress begins.
    base: u64,
    /// Its pieces. Those that `held` does not begin with have to be read again.
    pieces: Vec<Piece>,
    /// Where `held` begins: at the start of a piece, or behind the last.
    held_from: u64,
    held: Held,
    /// The digest of the part in progress, where this request has seen all of it.
    sum: Option<Sha256>,
    /// When the first byte came that is at risk.
    since: Instant,
    room: Option<Room>,
    sending: VecDeque<Sending>,
    is_marked: bool,
    marks: Vec<String>,
    /// Where the body begins, and when it began.
    start: u64,
    began: Instant,
    /// Where it stood a while ago.
    seen: u64,
}

impl Intake {
    /// From where the upload stands.
    pub(super) fn new(relay: &S3Relay, upload: &Upload, state: Appended, receipt: Receipt) -> Self {
        let end = state.end();
        Self {
            relay: relay.clone(),
            upload: upload.clone(),
            cut: relay.cut(upload),
            receipt,
            parts: state.parts,
            base: state.base,
            pieces: state.tail,
            held_from: end,
            held: Held::default(),
            sum: (state.base == end).then(Sha256::new),
            since: Instant::now(),
            room: None,
            sending: VecDeque::new(),
            is_marked: false,
            marks: state.marks,
            start: end,
            began: Instant::now(),
            seen: end,
        }
    }

    /// Takes all that comes, whichever way it ends; gives where the upload stands then.
    pub(super) async fn receive(mut self, mut body: Body) -> Result<u64, Error> {
        let mut outcome = self.take_all(&mut body).await;
        if outcome.is_ok() {
            outcome = self.save().await;
        }
        // Whatever became of it, nothing of this request is written from here on.
        while !self.sending.is_empty() {
            let sent = oldest(&mut self.sending).await;
            if outcome.is_ok() {
                outcome = self.was_sent(sent);
            } else {
                self.sending.pop_front();
            }
        }
        if outcome.is_ok() && self.began.elapsed() > A_WHILE {
            // Long enough for somebody to have lost patience: what was written may be void.
            outcome = self.relay.refuse_if_superseded(&self.upload).await;
        }
        outcome.map(|()| self.end())
    }

    async fn take_all(&mut self, body: &mut Body) -> Result<(), Error> {
        let mut whiles = interval_at(Instant::now() + A_WHILE, A_WHILE);
        whiles.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                sent = oldest(&mut self.sending) => self.was_sent(sent)?,
                _ = whiles.tick() => self.secure().await?,
                bytes = body.next() => match bytes {
                    Some(Ok(bytes)) => self.take(bytes).await?,
                    // Its receipt tells which end that is.
                    Some(Err(_)) | None => return Ok(()),
                },
            }
        }
    }

    fn end(&self) -> u64 {
        self.held_from + self.held.size()
    }

    /// Where the part in progress ends.
    fn boundary(&self) -> Result<u64, Error> {
        self.cut.end_of(self.parts, self.base)
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        while !bytes.is_empty() {
            let missing = self.boundary()? - self.end();
            if missing == 0 {
                return Err(Error::WrongSize {
                    what: "the body",
                    expected: self.end(),
                    actual: self.end() + bytes.len() as u64,
                });
            }
            let now = bytes.split_to(usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len()));
            if self.held.at_risk() == 0 {
                self.since = Instant::now();
            }
            self.held.extend(&now);
            if let Some(sum) = &mut self.sum {
                sum.update(&now);
            }
            if now.len() as u64 == missing {
                self.send().await?;
            } else if self.room.is_none() && self.held.at_risk() >= PIECE {
                self.hold_more().await?;
            }
        }
        Ok(())
    }

    /// A piece has come. If it came fast, the rest of the part may wait in memory too.
    async fn hold_more(&mut self) -> Result<(), Error> {
        if self.since.elapsed() < A_WHILE {
            let needed = self.boundary()? - self.held_from;
            self.room = self.relay.rooms.take(needed);
            if self.room.is_none() && self.wait_for_oldest().await? {
                // Its room is free now.
                self.room = self.relay.rooms.take(needed);
            }
        }
        if self.room.is_none() {
            self.save().await?;
            self.let_go();
        }
        Ok(())
    }

    /// Holds nothing any more; all is in pieces.
    fn let_go(&mut self) {
        self.held_from = self.end();
        self.held = Held::default();
        self.room = None;
    }

    /// Writes what should not be at risk for longer.
    async fn secure(&mut self) -> Result<(), Error> {
        let end = self.end();
        let is_idle = std::mem::replace(&mut self.seen, end) == end;
        if is_idle && self.room.is_some() {
            // Who has come to a halt gives way to those who have not.
            self.save().await?;
            self.let_go();
            Ok(())
        } else if self.held.at_risk() > PIECE {
            self.save().await
        } else if self.held.at_risk() == self.end() - self.start && self.end() > self.start {
            // Whoever is slow, and has written nothing yet, says at least that it is there.
            self.mark().await
        } else {
            Ok(())
        }
    }

    /// Writes all that is at risk as a piece.
    async fn save(&mut self) -> Result<(), Error> {
        let size = self.held.at_risk();
        if size == 0 {
            return Ok(());
        }
        let fence = S3Relay::fence(&self.upload);
        let piece = Piece::new(None, fence, self.end() - size, size);
        self.relay
            .write_piece(&self.upload, &piece, self.held.unsaved())
            .await?;
        self.held.saved();
        self.pieces.push(piece);
        if self.sending.is_empty() {
            self.receipt.keep(self.end());
        }
        Ok(())
    }

    /// Sends the part that has just become whole.
    async fn send(&mut self) -> Result<(), Error> {
        self.mark().await?;
        let end = self.end();
        let pieces = std::mem::take(&mut self.pieces);
        let (relay, upload) = (self.relay.clone(), self.upload.clone());
        let number = PartNumber::new(self.parts + 1, "part")?;
        let sum = self.sum.replace(Sha256::new());
        let ending = Ending {
            held: self.held.take(),
            sum: sum.map(|sum| Sha256Sum::new(sum.finalize().into())),
        };
        let (base, held_from, room) = (self.base, self.held_from, self.room.take());
        let has_room = room.is_some();
        let task = tokio::spawn(async move {
            let before = pieces.iter().filter(|piece| piece.start < held_from);
            let before: Vec<Piece> = before.cloned().collect();
            relay.refuse_if_superseded(&upload).await?;
            relay
                .send_gathered(&upload, number, &before, ending, end - base)
                .await?;
            drop(room);
            relay.forget(&upload, &pieces).await;
            Ok(())
        });
        self.sending.push_back(Sending { end, task });
        self.parts += 1;
        (self.base, self.held_from) = (end, end);
        // One on its way and one that comes are all that is in memory; without a room, it is one of both.
        while self.sending.len() > usize::from(has_room) {
            self.wait_for_oldest().await?;
        }
        Ok(())
    }

    /// Says once that this fence is there, where there may be a lower one whose bytes come late.
    async fn mark(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_marked, true) {
            self.relay
                .write_mark(&self.upload, self.start, &self.marks)
                .await?;
        }
        Ok(())
    }

    /// Waits for the part that was sent first; tells whether there was one.
    async fn wait_for_oldest(&mut self) -> Result<bool, Error> {
        if self.sending.is_empty() {
            return Ok(false);
        }
        let sent = oldest(&mut self.sending).await;
        self.was_sent(sent)?;
        Ok(true)
    }

    fn was_sent(&mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        let Some(part) = self.sending.pop_front() else {
            return Ok(());
        };
        outcome?;
        let is_last = self.sending.is_empty();
        let kept = if is_last {
            self.end() - self.held.at_risk()
        } else {
            part.end
        };
        self.receipt.keep(kept);
        Ok(())
    }
}

/// What became of the part that was sent first; never, where there is none. It has to be taken out then.
async fn oldest(sending: &mut VecDeque<Sending>) -> Result<(), Error> {
    match sending.front_mut() {
        Some(part) => (&mut part.task).await.map_err(Error::internal)?,
        None => std::future::pending().await,
    }
}
