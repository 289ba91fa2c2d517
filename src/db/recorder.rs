//! Part records through one writer with group commit.
//!
//! Separate, because parts are recorded far more often than anything else happens: each of a thousand browsers
//! reports one every few seconds, and a durable commit for each would have them all wait for the disk in turn.
//! So one thread takes what is queued, writes it as one statement in one transaction, and answers everybody
//! once that is on disk. While it writes, the next batch gathers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::connection::{AnyConnection, Connector, is_alive, is_locked, write_transaction};
use super::parts::PartRow;
use super::schema::uploads;
use super::uploads::{no_sooner, unfinished};
use super::upsert::upsert;
use crate::error::Error;

/// A batch is closed once it has this many records.
const BATCH: usize = 256;

/// Records that may wait at once; beyond that clients are told to come again. Some 15 MB.
const QUEUE: usize = 65_536;

/// The longest that a record waits for others to come along.
const MOST_PATIENCE: Duration = Duration::from_millis(1);

/// How long the writer sleeps between two looks at the queue while it waits for others.
const GLANCE: Duration = Duration::from_micros(50);

/// How often, at most, records of one upload also push out its expiry, which so lags by two minutes at most.
const REFRESH: TimeDelta = TimeDelta::minutes(1);

/// Uploads whose last refresh is remembered, before the stale ones are forgotten.
const REMEMBERED: usize = 10_000;

/// The way to the writer, shared by everybody who records.
pub(super) struct Recorder {
    queue: UnboundedSender<Message>,
    /// Bounds the queue in records instead of requests, since a request may bring ten thousand.
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Record(Request),
    Stop,
}

/// Records of one upload that stand or fall together.
struct Request {
    rows: Vec<PartRow>,
    /// How long the upload lives on after its last sign of life.
    lifetime: TimeDelta,
    answer: oneshot::Sender<Result<(), Error>>,
    /// Given back when the request is answered.
    _room: OwnedSemaphorePermit,
}

impl Recorder {
    /// Starts the writer on `conn`; it opens others through `connector` when that one dies.
    pub(super) fn start(connector: Connector, conn: AnyConnection) -> Result<Self, Error> {
        let (queue, incoming) = mpsc::unbounded_channel();
        let writer = Writer {
            connector,
            conn: Some(conn),
            refreshed: HashMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("part-recorder".into())
            .spawn(move || writer.run(incoming))
            .map_err(Error::internal)?;
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands `rows`, all of one upload, to the writer and waits until they are durable.
    ///
    /// # Errors
    /// [`Error::Busy`] where too much waits already, [`Error::NotFound`] for an unknown upload,
    /// [`Error::Unavailable`] while the database is away or once the writer has stopped.
    pub(super) async fn record(&self, rows: Vec<PartRow>, lifetime: TimeDelta) -> Result<(), Error> {
        let needed = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(needed) else {
            return Err(Error::Busy(
                "too many parts are being recorded just now; try again",
            ));
        };
        let (answer, answered) = oneshot::channel();
        let request = Request {
            rows,
            lifetime,
            answer,
            _room: room,
        };
        let stopped = || Error::unavailable("the database", "the recorder of parts has stopped");
        self.queue.send(Message::Record(request)).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Writes what is queued, refuses what comes later, and returns when the writer is gone. Blocks.
    pub(super) fn stop(&self) -> Result<(), Error> {
        // An error means that the writer is gone already, which is what we want.
        let _ = self.queue.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            Some(Err(_)) => Err(Error::internal("the recorder of parts has panicked")),
            _ => Ok(()),
        }
    }
}

/// Why a batch was not written.
enum Failure {
    /// The database is away, so everybody in the batch may as well be told at once.
    Away(String),
    /// The database refused the batch for something that is in it.
    Refused(Error),
}

/// The thread's own things.
struct Writer {
    connector: Connector,
    /// `None` after it died.
    conn: Option<AnyConnection>,
    /// When the expiry of an upload was last pushed out.
    refreshed: HashMap<String, NaiveDateTime>,
}

impl Writer {
    fn run(mut self, mut incoming: UnboundedReceiver<Message>) {
        let mut rhythm = Rhythm::default();
        while let Some(first) = incoming.blocking_recv() {
            let batch = gather(first, &mut incoming, &rhythm);
            if !batch.is_empty() {
                let (requests, begun) = (batch.len(), Instant::now());
                self.commit(batch);
                rhythm = Rhythm {
                    requests,
                    patience: (begun.elapsed() / 4).min(MOST_PATIENCE),
                };
            }
        }
    }

    /// Writes a batch and answers everybody in it. If it is refused, each request is tried alone, so that a bad
    /// one does not fail its neighbours.
    fn commit(&mut self, mut batch: Vec<Request>) {
        match self.write(&batch) {
            Ok(()) => batch.into_iter().for_each(|request| request.reply(Ok(()))),
            Err(Failure::Away(why)) => turn_away(batch, &why),
            Err(Failure::Refused(_)) if batch.len() > 1 => self.commit_singly(batch),
            Err(Failure::Refused(error)) => {
                if let Some(request) = batch.pop() {
                    request.reply(Err(error));
                }
            }
        }
    }

    fn commit_singly(&mut self, batch: Vec<Request>) {
        let mut rest = batch.into_iter();
        while let Some(request) = rest.next() {
            match self.write(std::slice::from_ref(&request)) {
                Ok(()) => request.reply(Ok(())),
                Err(Failure::Refused(error)) => request.reply(Err(error)),
                Err(Failure::Away(why)) => turn_away(std::iter::once(request).chain(rest.by_ref()), &why),
            }
        }
    }

    /// Writes a batch in one transaction. If the connection turns out dead, once more on a fresh one: records
    /// replace each other, so it does not matter whether the first attempt arrived.
    fn write(&mut self, batch: &[Request]) -> Result<(), Failure> {
        let rows = last_of_each_part(batch);
        let refresh = self.due(batch);
        let mut fresh = self.conn.is_none();
        loop {
            let conn = self.connection()?;
            let Err(error) = write_batch(conn, &rows, &refresh) else {
                self.remember(&refresh);
                return Ok(());
            };
            if is_locked(&error) {
                return Err(Failure::Away(error.to_string()));
            }
            if is_alive(conn) {
                return Err(Failure::Refused(refusal(error)));
            }
            self.conn = None;
            if fresh {
                return Err(Failure::Away(error.to_string()));
            }
            fresh = true;
        }
    }

    fn connection(&mut self) -> Result<&mut AnyConnection, Failure> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self
                .connector
                .open()
                .map_err(|error| Failure::Away(format!("{error:?}")))?,
        };
        Ok(self.conn.insert(conn))
    }

    /// The uploads of a batch whose expiry is due to be pushed out, together where they live equally long.
    fn due(&self, batch: &[Request]) -> Vec<Refresh> {
        let mut due: BTreeMap<TimeDelta, Refresh> = BTreeMap::new();
        for request in batch {
            let Some(row) = request.rows.last() else { continue };
            let last = self.refreshed.get(&row.upload_id);
            if last.is_some_and(|last| row.recorded_at - *last < REFRESH) {
                continue;
            }
            let group = due.entry(request.lifetime).or_insert_with(|| Refresh {
                ids: Vec::new(),
                now: row.recorded_at,
                lifetime: request.lifetime,
            });
            group.now = group.now.max(row.recorded_at);
            group.ids.push(row.upload_id.clone());
        }
        due.into_values().collect()
    }

    fn remember(&mut self, refreshes: &[Refresh]) {
        for refresh in refreshes {
            if self.refreshed.len() >= REMEMBERED {
                self.refreshed.retain(|_, last| refresh.now - *last < REFRESH);
            }
            let entries = refresh.ids.iter().map(|id| (id.clone(), refresh.now));
            self.refreshed.extend(entries);
        }
    }
}

impl Request {
    fn reply(self, outcome: Result<(), Error>) {
        // Nobody waits any more when the client has gone; the record stands all the same.
        let _ = self.answer.send(outcome);
    }
}

/// What the last batch lets us expect of the next one.
#[derive(Default)]
struct Rhythm {
    /// How many requests were in it.
    requests: usize,
    /// How long it is worth to wait for as many: a part of the time that writing them took.
    patience: Duration,
}

/// The first message and whatever else is queued, up to a batch. Those who were answered last are about to come
/// again, so it waits for them for a moment: else the first of them would have a commit of its own, and all the
/// others would wait for it. After [`Message::Stop`] the queue takes nothing more, but gives out what it holds.
fn gather(first: Message, incoming: &mut UnboundedReceiver<Message>, rhythm: &Rhythm) -> Vec<Request> {
    let deadline = Instant::now() + rhythm.patience;
    let mut batch = Vec::new();
    let mut records = 0;
    let mut next = Ok(first);
    loop {
        match next {
            Ok(Message::Record(request)) => {
                records += request.rows.len();
                batch.push(request);
            }
            Ok(Message::Stop) => incoming.close(),
            Err(TryRecvError::Empty) if batch.len() < rhythm.requests && Instant::now() < deadline => {
                std::thread::sleep(GLANCE);
            }
            Err(_) => return batch,
        }
        if records >= BATCH {
            return batch;
        }
        next = incoming.try_recv();
    }
}

fn turn_away(requests: impl IntoIterator<Item = Request>, why: &str) {
    for request in requests {
        request.reply(Err(Error::unavailable("the database", why)));
    }
}

/// What a refusal means to the one whose record it was.
fn refusal(error: QueryError) -> Error {
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => Error::NotFound("upload"),
        other => Error::internal(other),
    }
}

/// The rows of a batch, one for each part: neither database takes a row twice in one upsert. They are in the
/// order of their keys, so that two instances never wait for each other's rows.
fn last_of_each_part(batch: &[Request]) -> Vec<&PartRow> {
    let rows = batch.iter().flat_map(|request| &request.rows);
    let last: BTreeMap<(&str, i32), &PartRow> = rows
        .map(|row| ((row.upload_id.as_str(), row.number), row))
        .collect();
    last.into_values().collect()
}

/// Writes rows and refreshes in one transaction.
fn write_batch(conn: &mut AnyConnection, rows: &[&PartRow], refreshes: &[Refresh]) -> QueryResult<()> {
    // On Postgres the rows alone are one statement, which is a transaction by itself and saves two round trips.
    if refreshes.is_empty() && matches!(conn, AnyConnection::Postgres(_)) {
        return upsert(conn, rows);
    }
    write_transaction(conn, |conn| {
        upsert(conn, rows)?;
        refreshes.iter().try_for_each(|refresh| refresh.apply(conn))
    })
}

/// Uploads to be kept alive for the same time from now.
struct Refresh {
    ids: Vec<String>,
    now: NaiveDateTime,
    lifetime: TimeDelta,
}

impl Refresh {
    /// Another instance may have done it within the minute; then the row is left alone.
    fn apply(&self, conn: &mut AnyConnection) -> QueryResult<()> {
        let stale = uploads::table
            .filter(uploads::id.eq_any(&self.ids))
            .filter(uploads::updated_at.le(self.now - REFRESH))
            .filter(unfinished());
        diesel::update(stale)
            .set((
                uploads::updated_at.eq(self.now),
                uploads::expires_at.eq(no_sooner(self.now + self.lifetime)),
            ))
            .execute(conn)?;
        Ok(())
    }
}
