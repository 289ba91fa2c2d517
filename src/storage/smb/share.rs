//! The share, whichever connection leads to it at the moment.
//!
//! Separate from the connection, because a connection ends and the share does not: here one is made when it is needed,
//! by one caller for all, replaced when it has failed or is worn, and here an operation is tried a second time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::SmbSettings;
use super::fault::Fault;
use super::link::{BLOCK, Link};

/// How long a caller waits for a server that has gone away.
const PATIENCE_TO_RECONNECT: Duration = Duration::from_secs(5);

/// Pause between two attempts to connect.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// For so long a failed attempt speaks for all others: nobody waits in a queue for a server that is down.
const FAILURE_LASTS: Duration = Duration::from_secs(1);

/// For so long a refused login speaks for all others: an account is locked after some wrong passwords.
const REFUSAL_LASTS: Duration = Duration::from_secs(10);

/// Bytes on their way to the server, of all uploads together.
const IN_FLIGHT: usize = 32 << 20;

/// What the buffers of all uploads that are not yet on their way are to hold together, in bytes.
const GATHERING: usize = 16 << 20;

/// The unit of the semaphore and the smallest block, in bytes.
pub(super) const UNIT: usize = 64 << 10;

/// Three quarters of what is granted, see [`Link::spent`].
const BUDGET: u32 = 6144;

/// A connection lives for at least 16 MiB, however few credits its server grants.
const LEAST_BUDGET: u32 = 256;

/// What is open at the moment.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// Why the last attempt failed, and when: a status, or nothing for a server that did not answer.
    failure: Option<(Instant, Option<u32>)>,
}

/// One folder of a server that we may use.
pub(super) struct Share {
    settings: SmbSettings,
    slot: Mutex<Slot>,
    budget: AtomicU32,
    room: Arc<Semaphore>,
    writers: AtomicUsize,
}

impl Share {
    /// No connection is made yet.
    pub fn new(settings: SmbSettings) -> Self {
        Self {
            settings,
            slot: Mutex::default(),
            budget: AtomicU32::new(BUDGET),
            room: Arc::new(Semaphore::new(IN_FLIGHT / UNIT)),
            writers: AtomicUsize::new(0),
        }
    }

    pub fn settings(&self) -> &SmbSettings {
        &self.settings
    }

    /// The connection of the moment; a new one where there is none, or where it should be replaced.
    pub async fn link(&self) -> Result<Arc<Link>, Fault> {
        let mut slot = self.slot.lock().await;
        let worn = match slot.link.take_if(|link| link.is_dead() || self.is_worn(link)) {
            Some(link) if !link.is_dead() => Some(link),
            Some(_) => None,
            None => {
                if let Some(link) = &slot.link {
                    return Ok(Arc::clone(link));
                }
                None
            }
        };
        match (self.connect(&mut slot).await, worn) {
            (Ok(link), _) => Ok(link),
            // Worn is better than none.
            (Err(_), Some(link)) => Ok(Arc::clone(slot.link.insert(link))),
            (Err(fault), None) => Err(fault),
        }
    }

    async fn connect(&self, slot: &mut Slot) -> Result<Arc<Link>, Fault> {
        if let Some((when, code)) = slot.failure {
            match code {
                Some(code) if when.elapsed() < REFUSAL_LASTS => return Err(Fault::Status(code)),
                None if when.elapsed() < FAILURE_LASTS => {
                    return Err(Fault::broken("the server did not answer a moment ago"));
                }
                _ => {}
            }
        }
        let began = Instant::now();
        loop {
            let fault = match Link::open(&self.settings).await {
                Ok(link) => {
                    slot.failure = None;
                    return Ok(Arc::clone(slot.link.insert(link)));
                }
                Err(fault) => fault,
            };
            let (host, port) = (&self.settings.host, self.settings.port);
            let code = match &fault {
                Fault::Status(code) => Some(*code),
                Fault::Broken(_) => None,
            };
            if code.is_none() && began.elapsed() < PATIENCE_TO_RECONNECT {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            tracing::warn!(
                host,
                port,
                share = self.settings.share,
                ?fault,
                "the SMB share cannot be entered"
            );
            slot.failure = Some((Instant::now(), code));
            return Err(fault);
        }
    }

    /// Whether a connection should make way for a fresh one.
    pub fn is_worn(&self, link: &Link) -> bool {
        link.spent() > self.budget.load(Ordering::Relaxed)
    }

    /// Calls `operation` with a connection, and once more with another one where the first has failed. Only for what
    /// may be done twice.
    pub async fn attempt<T, F, Fut>(&self, operation: F) -> Result<T, Fault>
    where
        F: Fn(Arc<Link>) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let link = self.link().await?;
        match operation(Arc::clone(&link)).await {
            Err(fault) if fault.is_broken() => {
                self.give_up(&link);
                tracing::debug!(?fault, "trying once more on a new connection to the SMB server");
                operation(self.link().await?).await
            }
            outcome => outcome,
        }
    }

    /// Ends a connection that has failed. A server that grants few credits lets it stall early: those after it
    /// live shorter.
    pub fn give_up(&self, link: &Link) {
        link.condemn();
        if link.take_stall() {
            let shorter = (link.spent() / 2).clamp(LEAST_BUDGET, BUDGET);
            self.budget.fetch_min(shorter, Ordering::Relaxed);
        }
    }

    /// Room for a block of `bytes`; waits until others have gone.
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(1);
        Arc::clone(&self.room)
            .acquire_many_owned(units)
            .await
            .map_err(Fault::broken)
    }

    /// Counts one more that gathers blocks, for as long as the answer lives.
    pub fn writer(self: &Arc<Self>) -> Writer {
        self.writers.fetch_add(1, Ordering::Relaxed);
        Writer(Arc::clone(self))
    }
}

/// One of those who gather blocks.
pub(super) struct Writer(Arc<Share>);

impl Writer {
    /// How large its next block should be: the more write at once, the smaller.
    pub fn block(&self, link: &Link) -> usize {
        let writers = self.0.writers.load(Ordering::Relaxed).max(1);
        (GATHERING / writers).clamp(UNIT, BLOCK).min(link.largest_block())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.writers.fetch_sub(1, Ordering::Relaxed);
    }
}
