//! One upload while its bytes come in: handed to the storage piece by piece, counted, hashed, acknowledged.
//!
//! Separate from the conversation, which decides what a message means. An old client is acknowledged when its bytes are
//! on their way, for its `ready` controls nothing but the flow: one append takes them all. A client of protocol 2 is told
//! what is stored for good, so every message of its is an append of its own.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::line::{Fall, Line};
use super::signals::Refusal;
use crate::domain::{Algorithm, Checksum, Hasher, Principal, Upload};
use crate::error::{Digested, Error};
use crate::uploads::{BodyError, Hold, HoldWatch, Uploads};

/// Pieces that may wait for the storage.
const PIECES_UNDER_WAY: usize = 4;

/// Why a conversation is over.
#[derive(Debug)]
pub enum End {
    /// The connection is.
    Fall(Fall),
    /// The client is told why.
    Refused(Refusal),
}

impl From<Fall> for End {
    fn from(fall: Fall) -> Self {
        Self::Fall(fall)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Stopping => Self::Fall(Fall::Stopping),
            error => Self::Refused(error.into()),
        }
    }
}

impl From<BodyError> for End {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Superseded => Self::Refused(Refusal::new(
                "superseded",
                "another connection goes on with this upload; this one has made way",
            )),
            error => Error::from(error).into(),
        }
    }
}

/// Both digests that a client may claim.
struct Hashes {
    sha1: Hasher,
    sha256: Hasher,
}

impl Hashes {
    fn new() -> Self {
        Self {
            sha1: Hasher::new(Algorithm::Sha1),
            sha256: Hasher::new(Algorithm::Sha256),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha1.update(bytes);
        self.sha256.update(bytes);
    }

    /// The digest of the kind that is claimed, else the stronger one.
    fn finish(self, claimed: Option<&Checksum>) -> Checksum {
        match claimed.map(Checksum::algorithm) {
            Some(Algorithm::Sha1) => self.sha1.finish(),
            _ => self.sha256.finish(),
        }
    }
}

type Outcome = (Hold, Result<Option<BodyError>, Error>);

/// An append that is under way. Dropping it cuts the append off; what came is kept.
struct Running {
    /// `None` is the end.
    pieces: mpsc::Sender<Option<Bytes>>,
    task: JoinHandle<Outcome>,
}

impl Running {
    fn start(mut hold: Hold) -> Self {
        let (pieces, incoming) = mpsc::channel(PIECES_UNDER_WAY);
        let task = tokio::spawn(async move {
            let outcome = hold.append(body(incoming)).await;
            (hold, outcome)
        });
        Self { pieces, task }
    }
}

/// The pieces as a body, which ends well only where that is said.
fn body(pieces: mpsc::Receiver<Option<Bytes>>) -> BoxStream<'static, Result<Bytes, BodyError>> {
    stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some(pieces))),
            Some(None) => None,
            None => Some((Err(BodyError::Cut), None)),
        }
    })
    .boxed()
}

/// Who has the upload.
enum Holder {
    Us(Box<Hold>),
    Append(Running),
    /// Nobody needs to: all its bytes are there.
    Nobody,
}

/// What a finished file is told with.
pub struct Finished {
    /// The upload.
    pub upload: Upload,
    /// Its digest, where we know it.
    pub hash: Option<Checksum>,
}

/// An upload that is being sent.
pub struct Sending {
    uploads: Uploads,
    caller: Principal,
    upload: Upload,
    holder: Holder,
    /// Bytes that have come, stored or not.
    position: u64,
    /// Of all bytes from the first; none where we have not seen them all.
    hashes: Option<Hashes>,
}

impl Sending {
    /// Goes on with what is held.
    pub fn new(uploads: Uploads, caller: Principal, hold: Hold) -> Self {
        Self {
            uploads,
            caller,
            upload: hold.upload().clone(),
            position: hold.offset(),
            hashes: (hold.offset() == 0).then(Hashes::new),
            holder: Holder::Us(Box::new(hold)),
        }
    }

    /// An upload whose bytes are all there, so that it need only be finished.
    pub fn of_whole(uploads: Uploads, caller: Principal, upload: Upload) -> Self {
        Self {
            uploads,
            caller,
            position: upload.size,
            hashes: None,
            holder: Holder::Nobody,
            upload,
        }
    }

    /// The upload as it was when it was taken.
    pub fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Bytes that have come.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether all its bytes were there when it was taken up.
    pub fn is_whole(&self) -> bool {
        matches!(self.holder, Holder::Nobody)
    }

    /// What tells that somebody takes it over.
    pub fn watch(&self) -> Option<HoldWatch> {
        match &self.holder {
            Holder::Us(hold) => Some(hold.watch()),
            Holder::Append(_) | Holder::Nobody => None,
        }
    }

    /// Hands bytes to the storage.
    ///
    /// # Errors
    /// [`End`] where it does not take them.
    pub async fn take(&mut self, line: &mut Line, bytes: Bytes) -> Result<(), End> {
        self.position += bytes.len() as u64;
        if let Some(hashes) = &mut self.hashes {
            hashes.update(&bytes);
        }
        let running = match std::mem::replace(&mut self.holder, Holder::Nobody) {
            Holder::Us(hold) => Running::start(*hold),
            Holder::Append(running) => running,
            Holder::Nobody => return Err(Error::internal("bytes for an upload that has them all").into()),
        };
        let is_taken = line.attend(running.pieces.send(Some(bytes))).await.is_ok();
        self.holder = Holder::Append(running);
        if is_taken {
            Ok(())
        } else {
            self.settle(line).await.map(drop)
        }
    }

    /// Ends the append that is under way; gives what is stored for good then.
    ///
    /// # Errors
    /// [`End`] where not all is.
    pub async fn settle(&mut self, line: &mut Line) -> Result<u64, End> {
        let (hold, outcome) = match std::mem::replace(&mut self.holder, Holder::Nobody) {
            Holder::Us(hold) => (hold, Ok(None)),
            Holder::Append(Running { pieces, task }) => {
                let outcome = line.attend(async move {
                    let _ = pieces.send(None).await;
                    task.await
                });
                let (hold, outcome) = outcome.await.map_err(Error::internal)?;
                (Box::new(hold), outcome)
            }
            Holder::Nobody => return Ok(self.position),
        };
        let offset = hold.offset();
        self.holder = Holder::Us(hold);
        match outcome {
            Ok(None) if offset == self.position => Ok(offset),
            Ok(None) => Err(Error::internal("the storage has kept fewer bytes than it said").into()),
            Ok(Some(failure)) => Err(failure.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Completes the upload, of which all bytes must have come.
    ///
    /// # Errors
    /// [`End`]; one whose digest is not what is claimed is gone then.
    pub async fn finish(&mut self, line: &mut Line, claimed: Option<Checksum>) -> Result<Finished, End> {
        self.settle(line).await?;
        if self.position != self.upload.size {
            let (size, came) = (self.upload.size, self.position);
            let text = format!("the file has {size} bytes, and {came} of them have come");
            return Err(Refusal::new("incomplete", text).into());
        }
        let hash = self.hashes.take().map(|hashes| hashes.finish(claimed.as_ref()));
        if let (Some(hash), Some(claimed)) = (&hash, &claimed)
            && hash != claimed
        {
            self.drop_all(line).await;
            return Err(Error::ChecksumMismatch { what: Digested::File }.into());
        }
        // What we have not seen from its first byte is read again.
        let unproven = claimed.filter(|_| hash.is_none());
        let holder = std::mem::replace(&mut self.holder, Holder::Nobody);
        let (caller, id) = (&self.caller, &self.upload.id);
        let upload = if let Holder::Us(hold) = holder {
            line.attend(hold.complete(unproven.clone())).await?
        } else if let Some(claimed) = unproven.clone() {
            line.attend(self.uploads.complete_claimed(caller, id, claimed))
                .await?
        } else {
            line.attend(self.uploads.complete(caller, id)).await?
        };
        let hash = hash.or(unproven);
        Ok(Finished { upload, hash })
    }

    /// Has all gone that was stored of it.
    pub async fn drop_all(&mut self, line: &mut Line) {
        self.let_go(line).await;
        let gone = self.uploads.terminate(&self.caller, &self.upload.id);
        match line.attend(gone).await {
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(error) => {
                tracing::warn!(upload = %self.upload.id, %error, "it stays until it runs out");
            }
        }
    }

    /// Lets go of it, with a note of where it stands; what is under way is cut off, and kept as far as it came.
    pub async fn let_go(&mut self, line: &mut Line) {
        let hold = match std::mem::replace(&mut self.holder, Holder::Nobody) {
            Holder::Us(hold) => *hold,
            Holder::Append(Running { pieces, task }) => {
                drop(pieces);
                match line.attend(task).await {
                    Ok((hold, _)) => hold,
                    Err(_) => return,
                }
            }
            Holder::Nobody => return,
        };
        match line.attend(hold.release()).await {
            Ok(_) | Err(Error::Superseded) => {}
            Err(error) => {
                tracing::warn!(upload = %self.upload.id, %error, "where it stands will be asked for");
            }
        }
    }

    /// Notes that somebody is still sending.
    pub async fn keep_alive(&self, line: &mut Line) {
        let kept = self.uploads.keep_alive(&self.caller, &self.upload.id);
        if let Err(error) = line.attend(kept).await {
            tracing::debug!(upload = %self.upload.id, %error, "it may run out");
        }
    }
}
