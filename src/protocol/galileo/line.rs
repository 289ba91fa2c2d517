//! One connection: frames in and out, pings, patience, and the ways in which it ends.
//!
//! Separate from the conversation over it, which knows nothing of frames. Bytes of a binary message are passed on as they
//! arrive; a text is short, and comes as a whole.

use std::future::Future;
use std::time::Duration;

use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::frames::{self, Broken, Decoder, Kind, Piece};

/// Most bytes of a text.
const MAX_TEXT: u64 = 64 << 10;

/// Frames that may wait for the socket.
const FRAMES_UNDER_WAY: usize = 8;

/// A client that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a client has to close after it was told that it is over.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long what a client still sends is read and dropped, so that it finds our last words and no reset.
const LINGER: Duration = Duration::from_secs(2);

/// What a client says.
#[derive(Debug)]
pub enum Incoming {
    /// A whole text.
    Text(String),
    /// A frame of a binary message begins; with it the message has so many bytes.
    Head(u64),
    /// Bytes of it.
    Bytes(Bytes),
    /// The binary message is whole.
    End,
}

/// Why a connection is over.
#[derive(Debug)]
pub enum Fall {
    /// Nobody is there any more.
    Gone,
    /// The client closes, with its code.
    Closed(Option<u16>),
    /// The client broke the rules of WebSocket.
    Broken(Broken),
    /// The client said nothing for too long.
    Idle,
    /// This process is about to end.
    Stopping,
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Where nobody can say so any more, it has stopped.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

/// One connection.
pub struct Line {
    payload: Payload,
    decoder: Decoder,
    /// What has come of a text.
    text: Vec<u8>,
    /// What the message is made of that has begun.
    kind: Kind,
    outgoing: mpsc::Sender<Bytes>,
    pings: Interval,
    stopping: watch::Receiver<bool>,
}

impl Line {
    /// A connection that reads from `payload`, and what it writes. A ping is sent after each `ping_every`.
    pub fn new(
        payload: Payload,
        binary_limit: u64,
        ping_every: Duration,
        stopping: watch::Receiver<bool>,
    ) -> (Self, mpsc::Receiver<Bytes>) {
        let (outgoing, frames) = mpsc::channel(FRAMES_UNDER_WAY);
        let mut pings = interval_at(Instant::now() + ping_every, ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let line = Self {
            payload,
            decoder: Decoder::new(MAX_TEXT, binary_limit),
            text: Vec::new(),
            kind: Kind::Text,
            outgoing,
            pings,
            stopping,
        };
        (line, frames)
    }

    /// Most bytes of a binary message from now on.
    pub fn limit(&mut self, most: u64) {
        self.decoder.binary_limit = most;
    }

    /// What comes next, within `patience`. Nothing is lost where this is dropped.
    ///
    /// # Errors
    /// [`Fall`].
    pub async fn next(&mut self, patience: Duration) -> Result<Incoming, Fall> {
        let deadline = Instant::now() + patience;
        loop {
            while let Some(piece) = self.decoder.next().map_err(Fall::Broken)? {
                match piece {
                    Piece::Ping(bytes) => self.send(frames::pong(&bytes)).await?,
                    Piece::Pong => {}
                    Piece::Close(code) => return Err(Fall::Closed(code)),
                    Piece::Head { kind, length } => {
                        self.kind = kind;
                        if kind == Kind::Binary {
                            return Ok(Incoming::Head(length));
                        }
                    }
                    Piece::Bytes(bytes) if self.kind == Kind::Binary => return Ok(Incoming::Bytes(bytes)),
                    Piece::Bytes(bytes) => self.text.extend_from_slice(&bytes),
                    Piece::End if self.kind == Kind::Binary => return Ok(Incoming::End),
                    Piece::End => {
                        let text = String::from_utf8(std::mem::take(&mut self.text));
                        return text
                            .map(Incoming::Text)
                            .map_err(|_| Fall::Broken(Broken::NOT_TEXT));
                    }
                }
            }
            tokio::select! {
                biased;
                () = stopped(&mut self.stopping) => return Err(Fall::Stopping),
                // Before what comes, or a client that never stops would have all the time it likes.
                () = sleep_until(deadline) => return Err(Fall::Idle),
                _ = self.pings.tick() => self.send(frames::ping()).await?,
                bytes = self.payload.next() => match bytes {
                    Some(Ok(bytes)) => self.decoder.feed(&bytes),
                    Some(Err(_)) | None => return Err(Fall::Gone),
                },
            }
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// [`Fall::Gone`] where the client does not take it.
    pub async fn say(&mut self, text: &str) -> Result<(), Fall> {
        self.send(frames::text(text)).await
    }

    /// Waits for something of ours to be done, and lets the client know meanwhile that we are still there.
    pub async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = self.pings.tick() => {
                    // Where it is full, there is enough on its way.
                    let _ = self.outgoing.try_send(frames::ping());
                }
            }
        }
    }

    /// Ends a connection whose client has heard all that it needs to: it is the client that closes, unless it takes too
    /// long; then we do, with `code`.
    pub async fn dismiss(mut self, code: u16, reason: &str) {
        // What still comes is of no use to anybody.
        self.decoder.binary_limit = u64::MAX;
        let deadline = Instant::now() + FAREWELL;
        let fall = loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                break Fall::Idle;
            }
            match self.next(patience).await {
                Ok(_) => {}
                Err(fall) => break fall,
            }
        };
        match fall {
            Fall::Idle => self.close(Some(code), reason).await,
            fall => self.part(fall).await,
        }
    }

    /// Ends a connection that is over.
    pub async fn part(mut self, fall: Fall) {
        match fall {
            Fall::Gone => {}
            // The same code back: <https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1>.
            Fall::Closed(code) => drop(self.send(frames::close(code, "")).await),
            Fall::Broken(broken) => self.close(Some(broken.code), broken.reason).await,
            Fall::Idle => self.close(Some(1008), "nothing came for too long").await,
            Fall::Stopping => self.close(Some(1001), "the server is being stopped").await,
        }
    }

    async fn close(mut self, code: Option<u16>, reason: &str) {
        if self.send(frames::close(code, reason)).await.is_err() {
            return;
        }
        // The client may be in the middle of something long, and hears us only once it could send that.
        let rest = async { while self.payload.next().await.is_some_and(|bytes| bytes.is_ok()) {} };
        let _ = timeout(LINGER, rest).await;
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), Fall> {
        match timeout(WRITE_PATIENCE, self.outgoing.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Fall::Gone),
        }
    }
}
