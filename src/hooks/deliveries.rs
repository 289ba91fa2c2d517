//! Deliveries: takes events out of the database and brings them to their receivers, at least once each.
//!
//! Separate from the verbs, which only write events down: sending waits for strangers, goes on after the request that
//! caused it, and is done by whichever instance comes first. Separate from `delivery`, which is one attempt: here is said
//! whose turn it is. Nothing is kept here that a kill could lose. How a receiver sees it is told in `docs/webhooks.md`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, oneshot};
use tokio::task::{Id, JoinHandle, JoinSet};

use super::delivery::Courier;
use crate::clock::Clock;
use crate::config::HooksConfig;
use crate::db::Database;
use crate::domain::{AllowedHosts, WebhookEvent};
use crate::error::Error;
use crate::metrics::Metrics;

/// Most deliveries at once.
const AT_ONCE: usize = 16;

/// Most of them to one host, so that one that never answers leaves room for the others.
const PER_HOST: usize = 2;

/// How long until events are looked for that nobody rang for: those whose pause is over, and those of other instances.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much longer than an attempt may last its claim stands.
const CLAIM_SLACK: TimeDelta = TimeDelta::seconds(30);

/// How long running deliveries may take once we are told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// What the deliveries need.
pub struct Parts {
    /// Where the events are.
    pub db: Database,
    /// The only source of now.
    pub clock: Clock,
    /// Rung when there is an event to send.
    pub bell: Arc<Notify>,
    /// What may be called besides public addresses.
    pub allowed_hosts: AllowedHosts,
    /// What counts.
    pub metrics: Metrics,
}

/// The deliveries while they run.
pub struct Deliveries {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Deliveries {
    /// Begins no more of them, gives those that run a few seconds, and leaves the rest to the database.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the deliveries of webhooks had ended before");
        }
    }
}

/// Starts the deliveries.
///
/// # Errors
/// [`Error::Internal`] where the settings cannot be used, or the TLS roots of this machine cannot be read.
pub fn start(parts: Parts, settings: &HooksConfig) -> Result<Deliveries, Error> {
    let (stop, stopped) = oneshot::channel();
    let lease = TimeDelta::seconds(i64::try_from(settings.timeout_s).unwrap_or(300)) + CLAIM_SLACK;
    let dispatcher = Dispatcher {
        courier: Arc::new(Courier::new(
            parts.db.clone(),
            parts.clock.clone(),
            parts.allowed_hosts,
            parts.metrics,
            settings,
        )?),
        db: parts.db,
        clock: parts.clock,
        lease,
        running: Running::default(),
    };
    Ok(Deliveries {
        stop,
        task: tokio::spawn(dispatcher.run(parts.bell, stopped)),
    })
}

/// Who hands events out.
struct Dispatcher {
    db: Database,
    clock: Clock,
    courier: Arc<Courier>,
    lease: TimeDelta,
    running: Running,
}

impl Dispatcher {
    async fn run(mut self, bell: Arc<Notify>, mut stopped: oneshot::Receiver<()>) {
        let mut ailing = false;
        loop {
            match self.hand_out().await {
                Ok(()) => ailing = false,
                // Said once, not every second.
                Err(error) if !ailing => {
                    ailing = true;
                    tracing::warn!(%error, "webhooks cannot be looked for just now");
                }
                Err(_) => {}
            }
            tokio::select! {
                _ = &mut stopped => break,
                () = self.running.one_ended() => {}
                () = bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let _ = tokio::time::timeout(GRACE, self.running.all_ended()).await;
    }

    /// Begins as many deliveries as there is room for.
    async fn hand_out(&mut self) -> Result<(), Error> {
        loop {
            let room = AT_ONCE.saturating_sub(self.running.count());
            if room == 0 {
                return Ok(());
            }
            let now = self.clock.now();
            let limit = u32::try_from(room).unwrap_or(1);
            let due = self.db.due_events(now, self.running.busy_hosts(), limit).await?;
            let mut tried = false;
            for event in due {
                if self.running.to(&event.host) >= PER_HOST || self.running.has(&event) {
                    continue;
                }
                tried = true;
                let until = now + self.lease;
                if self.db.claim_event(&event, until).await? {
                    let courier = Arc::clone(&self.courier);
                    self.running.begin(event, |event| async move {
                        courier.deliver(&event, until).await;
                    });
                }
            }
            if !tried {
                return Ok(());
            }
        }
    }
}

/// The deliveries that run just now. Dropping it ends them; their claims run out by themselves.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    /// What each is about: the event's id, and its host.
    about: HashMap<Id, (String, String)>,
}

impl Running {
    fn count(&self) -> usize {
        self.about.len()
    }

    /// How many go to this host.
    fn to(&self, host: &str) -> usize {
        self.about.values().filter(|(_, other)| other == host).count()
    }

    /// Whether this event is one of them: a clock that was set makes a claim look run out.
    fn has(&self, event: &WebhookEvent) -> bool {
        self.about.values().any(|(id, _)| id == event.id.as_str())
    }

    /// Hosts that take no more just now.
    fn busy_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self
            .about
            .values()
            .filter(|(_, host)| self.to(host) >= PER_HOST)
            .map(|(_, host)| host.clone())
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    fn begin<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        event: WebhookEvent,
        deliver: impl FnOnce(WebhookEvent) -> F,
    ) {
        let about = (event.id.to_string(), event.host.clone());
        let task = self.tasks.spawn(deliver(event));
        self.about.insert(task.id(), about);
    }

    /// Waits until one of them ends; for ever if there is none.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.about.remove(&id)),
            Some(Err(error)) => {
                self.about.remove(&error.id());
                tracing::error!(%error, "the delivery of a webhook broke off");
            }
            None => std::future::pending().await,
        }
    }

    async fn all_ended(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ended().await;
        }
    }
}
