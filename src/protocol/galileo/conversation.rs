//! What is said over one connection, from the first message to the last: sections 1, 4 and 6 of `docs/galileo-send.md`.
//!
//! Separate from the frames below it and from the upload behind it. One connection carries one file.

use std::time::{Duration, Instant};

use super::frames::Broken;
use super::handshake::Admitted;
use super::line::{Fall, Incoming, Line};
use super::sending::{End, Finished, Sending};
use super::signals::{self, Metadata, Refusal, Word};
use super::{Door, requests};
use crate::domain::{Principal, State, UploadId};
use crate::error::Error;
use crate::identity::{Identity, TicketBounds};
use crate::uploads::Uploads;
use crate::web::problem::Kind;
use crate::web::tally::Tally;

/// How many chunks of a client of protocol 2 may be under way at once.
const WINDOW: u64 = 4;

/// How often it is noted that somebody still sends.
const NOTE_EVERY: Duration = Duration::from_mins(1);

/// What a conversation needs.
pub struct Conversation {
    /// The settings.
    pub door: Door,
    /// The verbs.
    pub uploads: Uploads,
    /// Who is who.
    pub identity: actix_web::web::Data<Identity>,
    /// Counts what clients are told that is wrong.
    pub tally: Tally,
}

/// Who sends.
struct Sender {
    caller: Principal,
    wants_offsets: bool,
    chunk_size: u64,
}

impl Conversation {
    /// Holds it, to its end and the connection's.
    pub async fn hold(self, mut line: Line, admitted: Admitted) {
        let (end, mut sending, is_resumable) = match Box::pin(self.open(&mut line, admitted)).await {
            Ok((sender, mut sending)) => match self.send(&mut line, &sender, &mut sending).await {
                Ok(finished) => {
                    let path = self.uploads.address(&finished.upload);
                    let close = signals::close(&finished.upload, &path, finished.hash.as_ref());
                    return match line.say(&close).await {
                        Ok(()) => line.dismiss(1000, "").await,
                        Err(fall) => line.part(fall).await,
                    };
                }
                Err(end) => (end, Some(sending), sender.wants_offsets),
            },
            Err(end) => (end, None, false),
        };
        // The client is told first: what is left to do may take a while.
        let end = match end {
            End::Fall(Fall::Stopping) => {
                let told = Refusal::from(Error::Stopping);
                let said = self.tell(&mut line, &told, true).await;
                said.err().unwrap_or(Fall::Stopping).into()
            }
            End::Fall(Fall::Idle) => End::Refused(Refusal::new("idle", "nothing came for too long")),
            end => end,
        };
        let end = match end {
            End::Refused(refusal) => match self.tell(&mut line, &refusal, true).await {
                Ok(()) => End::Refused(refusal),
                Err(fall) => fall.into(),
            },
            end @ End::Fall(_) => end,
        };
        if let Some(sending) = &mut sending {
            tracing::info!(
                upload = %sending.upload().id,
                bytes = sending.position(),
                end = ?end,
                "a WebSocket ended before its file"
            );
            // An old client knows no way to come back to it.
            if is_resumable {
                sending.let_go(&mut line).await;
            } else {
                sending.drop_all(&mut line).await;
            }
        }
        match end {
            End::Refused(refusal) => line.dismiss(1008, &refusal.code).await,
            End::Fall(fall) => {
                if let Fall::Broken(broken) = &fall {
                    // The code of the close is what tells of it.
                    self.tally.count(kind_of(broken));
                }
                line.part(fall).await;
            }
        }
    }

    /// Tells the client what is wrong, and counts it first: whoever has heard of it finds it counted.
    ///
    /// # Errors
    /// [`Fall::Gone`] where the client does not take it.
    async fn tell(&self, line: &mut Line, refusal: &Refusal, fatal: bool) -> Result<(), Fall> {
        if let Some(kind) = refusal.kind() {
            self.tally.count(kind);
        }
        line.say(&refusal.signal(fatal)).await
    }

    /// From the handshake to the first `ready`.
    async fn open(&self, line: &mut Line, admitted: Admitted) -> Result<(Sender, Sending), End> {
        let patience = Duration::from_secs(self.door.settings.metadata_s);
        let text = match line.next(patience).await {
            Ok(Incoming::Text(text)) => text,
            Ok(_) => {
                let text = "the first message must say what will be sent: its name and size, as JSON";
                return Err(Refusal::new("bad_metadata", text).into());
            }
            Err(Fall::Idle) => {
                let text = "nothing was said of what will be sent, and time is up";
                return Err(Refusal::new("idle", text).into());
            }
            Err(fall) => return Err(fall.into()),
        };
        let metadata = Metadata::read(&text)?;
        let (caller, bounds) = self.caller(line, &metadata, &admitted).await?;
        // From here on nobody is a stranger.
        drop(admitted);
        within(&bounds, &metadata)?;
        let chunk_size = self.door.chunk_size(metadata.size);
        line.limit(chunk_size);
        let mut sender = Sender {
            caller,
            wants_offsets: metadata.wants_offsets,
            chunk_size,
        };
        let mut resumed = None;
        if let Some(id) = &metadata.resume {
            resumed = line
                .attend(self.resume(&mut sender.caller, id, metadata.size))
                .await?;
            if resumed.is_none() {
                let text = "this upload is not known here, or has run out; the file is sent anew";
                self.tell(line, &Refusal::new("resume_unknown", text), false)
                    .await?;
            }
        }
        let sending = match resumed {
            Some(sending) => sending,
            None => {
                line.attend(Box::pin(self.begin(&sender.caller, &metadata)))
                    .await?
            }
        };
        sender.ready(line, &sending).await?;
        Ok((sender, sending))
    }

    /// Who sends: whoever opened the connection, unless the metadata brings a credential of its own.
    async fn caller(
        &self,
        line: &mut Line,
        metadata: &Metadata,
        admitted: &Admitted,
    ) -> Result<(Principal, TicketBounds), End> {
        if let Some(token) = &metadata.token {
            let (caller, bounds) = line.attend(admitted.by_token(&self.identity, token)).await?;
            admitted.check_site(&bounds)?;
            return Ok((caller, bounds));
        }
        let caller = admitted.caller.clone().ok_or(Error::Unauthenticated(
            "say who you are: put an API key, a ticket or an upload's token into token",
        ))?;
        Ok((caller, admitted.bounds.clone()))
    }

    async fn begin(&self, caller: &Principal, metadata: &Metadata) -> Result<Sending, End> {
        let new = requests::new_upload(metadata, &self.door, &self.uploads)?;
        let begun = self.uploads.create(caller, new, false).await;
        let begun = begun.map_err(|error| error.calling("filename", "name"))?;
        let hold = self.uploads.hold(caller, &begun.status.upload.id).await?;
        Ok(Sending::new(self.uploads.clone(), caller.clone(), hold))
    }

    /// Goes on with an upload; `None` where there is none of that id. What a visitor began before they had a cookie is
    /// theirs as well, since they know its id.
    async fn resume(&self, caller: &mut Principal, id: &str, size: u64) -> Result<Option<Sending>, End> {
        let Ok(id) = UploadId::parse(id) else {
            return Ok(None);
        };
        let cookieless = self.identity.anybody().filter(|_| caller.owner.is_visitor());
        for candidate in [Some(caller.clone()), cookieless].into_iter().flatten() {
            let detail = match self.uploads.detail(&candidate, &id).await {
                Ok(detail) => detail,
                Err(Error::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let upload = detail.upload;
            let is_own = candidate.owner == upload.owner && upload.protocol == super::PROTOCOL.name;
            if !is_own || matches!(upload.state, State::Aborted | State::Expired | State::Failed) {
                continue;
            }
            if upload.size != size {
                let known = upload.size;
                let text = format!("this upload was begun for {known} bytes, and this file has {size}");
                return Err(Refusal::new("size_mismatch", text).into());
            }
            *caller = candidate;
            return match self.uploads.hold(caller, &id).await {
                Ok(hold) => Ok(Some(Sending::new(self.uploads.clone(), caller.clone(), hold))),
                // Its client has lost the last answer.
                Err(Error::WrongState {
                    state: State::Complete | State::Completing,
                    ..
                }) => Ok(Some(Sending::of_whole(
                    self.uploads.clone(),
                    caller.clone(),
                    upload,
                ))),
                Err(Error::WrongState { .. } | Error::NotFound(_) | Error::Vanished) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        Ok(None)
    }

    /// From the first `ready` to the finished file.
    async fn send(&self, line: &mut Line, sender: &Sender, sending: &mut Sending) -> Result<Finished, End> {
        let patience = Duration::from_secs(self.door.settings.idle_s);
        let size = sending.upload().size;
        let mut watch = sending.watch();
        let mut noted = Instant::now();
        // Where the message began that is coming in.
        let mut start = None;
        loop {
            let lost = async {
                match &mut watch {
                    Some(watch) => watch.lost().await,
                    None => std::future::pending().await,
                }
            };
            let incoming = tokio::select! {
                biased;
                why = lost => return Err(why.into()),
                incoming = line.next(patience) => incoming?,
            };
            match incoming {
                Incoming::Head(length) => {
                    let start = *start.get_or_insert(sending.position());
                    if length > size.saturating_sub(start) {
                        let text = format!("the file has {size} bytes, and this is more");
                        return Err(Refusal::new("too_many_bytes", text).into());
                    }
                }
                Incoming::Bytes(bytes) => sending.take(line, bytes).await?,
                Incoming::End => {
                    start = None;
                    if sender.wants_offsets {
                        sending.settle(line).await?;
                    }
                    sender.ready(line, sending).await?;
                }
                Incoming::Text(text) => match Word::read(&text)? {
                    Word::Finished(claimed) => return sending.finish(line, claimed).await,
                    Word::Abort if sending.is_whole() => {
                        let text = "the file is finished, and stays; only its last word was lost";
                        return Err(Refusal::new("wrong_state", text).into());
                    }
                    Word::Abort if sender.wants_offsets => {
                        sending.drop_all(line).await;
                        return Err(Refusal::new("aborted", "the upload was given up, as asked").into());
                    }
                    Word::Abort => {
                        return Err(Refusal::new("bad_message", "this message means nothing here").into());
                    }
                },
            }
            if noted.elapsed() > NOTE_EVERY {
                noted = Instant::now();
                sending.keep_alive(line).await;
            }
        }
    }
}

impl Sender {
    /// Says that the next chunk may come.
    async fn ready(&self, line: &mut Line, sending: &Sending) -> Result<(), Fall> {
        let chunk = self.chunk_size;
        let signal = if self.wants_offsets {
            signals::ready_at(chunk, sending.upload(), sending.position(), WINDOW * chunk)
        } else {
            signals::ready(chunk)
        };
        line.say(&signal).await
    }
}

/// What a breach of WebSocket's own rules is counted as.
fn kind_of(broken: &Broken) -> &'static Kind {
    if *broken == Broken::TOO_LONG {
        Kind::named("body-too-large")
    } else {
        Kind::named("invalid-request")
    }
}

/// Whether a file is one that its ticket allows.
fn within(bounds: &TicketBounds, metadata: &Metadata) -> Result<(), Refusal> {
    let refused = |text: String| Err(Refusal::new("forbidden", text));
    if let Some(name) = bounds.name.as_ref().filter(|name| **name != metadata.name) {
        return refused(format!("this ticket is for a file called \"{name}\""));
    }
    if let Some(most) = bounds.size.filter(|most| metadata.size > *most) {
        return refused(format!("this ticket is for a file of at most {most} bytes"));
    }
    Ok(())
}
