//! What is counted, for Prometheus.
//!
//! Each server has a registry of its own rather than the process one for all, so that several in one process do not add up.
//! Whoever counts holds a [`Metrics`], whose handles are made once: to count is an atomic addition, without a look-up by
//! name. No label has a value that a client can choose.

mod names;
mod timed;
mod words;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, NoopRecorder, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use names::{Kind, METRICS, Metric};
pub use words::{
    Background, Backlog, Connections, Delivery, Hook, Renewed, Signed, StorageOperation, StorageOutcome,
    StoreOutcome, Verdict,
};

use crate::domain::{Backend, State, Transfer};
use names::{
    BACKGROUND_FAILURES, BUILD_INFO, COMPLETED_BYTES, CREDENTIAL_RENEWALS, CREDENTIALS_LEFT,
    DATABASE_CONNECTIONS, DATABASE_CONNECTIONS_MAX, DATABASE_UP, ERRORS, HOOK_ANSWERS, HTTP_DURATION,
    HTTP_IN_FLIGHT, HTTP_REQUESTS, OPEN_BYTES, OPEN_UPLOADS, PARTS, RECEIVED_BYTES, SIGNATURES,
    UPLOADS_BEGUN, UPLOADS_ENDED, WEBHOOK_DELIVERIES, WEBHOOKS_OLDEST, WEBHOOKS_PARKED, WEBHOOKS_PENDING,
};
use timed::Timed;

/// How often samples are moved to their buckets, should nobody scrape: until then each takes memory.
pub const TIDY_EVERY: Duration = Duration::from_secs(5);

/// The methods that are told apart.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const ENDS: [State; 4] = [State::Complete, State::Aborted, State::Expired, State::Failed];

const METADATA: Metadata<'static> = Metadata::new("muleteer", metrics::Level::INFO, None);

/// What counts; clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: Box<dyn Recorder + Send + Sync>,
    handle: Option<PrometheusHandle>,
    doors: Vec<Door>,
    in_flight: Gauge,
    errors: Vec<(&'static str, Counter)>,
    store: Vec<Timed>,
    /// By backend and operation.
    storage: [[Timed; StorageOperation::ALL.len()]; 3],
    begun: [[Counter; 2]; 2],
    ended: [Counter; 4],
    completed_bytes: [Counter; 2],
    signatures: [Counter; 4],
    parts: [Counter; 2],
    received: [Counter; 3],
    deliveries: [Counter; 3],
    hooks: [[Counter; 3]; 2],
    renewals: [Counter; 3],
    background: [Counter; 3],
    scraped: Scraped,
}

/// The handles of one door; what never happens makes no series.
struct Door {
    name: &'static str,
    requests: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
    duration: OnceLock<Histogram>,
}

/// What is looked up when somebody scrapes.
struct Scraped {
    open_uploads: Gauge,
    open_bytes: Gauge,
    in_use: Gauge,
    idle: Gauge,
    max: Gauge,
    up: Gauge,
    pending: Gauge,
    oldest: Gauge,
    parked: Gauge,
    credentials: Gauge,
}

impl Metrics {
    /// A registry that knows these doors, these kinds of error and these operations of the store, and no others.
    pub fn new(
        doors: &[&'static str],
        kinds: &[&'static str],
        operations: &[&'static str],
    ) -> Result<Self, String> {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let Kind::Histogram(bounds) = metric.kind {
                builder = builder
                    .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
                    .map_err(|error| error.to_string())?;
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        for metric in METRICS {
            let name = KeyName::from_const_str(metric.name);
            let help = metric.help.into();
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        Ok(Self::over(
            Box::new(recorder),
            Some(handle),
            doors,
            kinds,
            operations,
        ))
    }

    /// Counts nothing.
    pub fn off() -> Self {
        Self::over(Box::new(NoopRecorder), None, &[], &[], &[])
    }

    fn over(
        recorder: Box<dyn Recorder + Send + Sync>,
        handle: Option<PrometheusHandle>,
        doors: &[&'static str],
        kinds: &[&'static str],
        operations: &[&'static str],
    ) -> Self {
        let counter = |metric: &Metric, labels: &[&'static str]| counter(&*recorder, metric, labels);
        let gauge = |metric: &Metric, labels: &[&'static str]| gauge(&*recorder, metric, labels);
        gauge(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        let transfers = ["direct", "relay"];
        let inner = Inner {
            doors: doors.iter().map(|name| Door::new(name)).collect(),
            in_flight: gauge(&HTTP_IN_FLIGHT, &[]),
            errors: kinds
                .iter()
                .map(|kind| (*kind, counter(&ERRORS, &[kind])))
                .collect(),
            store: operations.iter().map(|name| Timed::of_store(name)).collect(),
            storage: Backend::ALL.map(|backend| {
                StorageOperation::ALL.map(|operation| Timed::of_storage(backend.as_str(), operation.as_str()))
            }),
            begun: transfers
                .map(|transfer| ["new", "resumed"].map(|how| counter(&UPLOADS_BEGUN, &[transfer, how]))),
            ended: ENDS.map(|state| counter(&UPLOADS_ENDED, &[state.as_str()])),
            completed_bytes: transfers.map(|transfer| counter(&COMPLETED_BYTES, &[transfer])),
            signatures: ["part", "request", "form", "key"].map(|kind| counter(&SIGNATURES, &[kind])),
            parts: transfers.map(|transfer| counter(&PARTS, &[transfer])),
            received: Backend::ALL.map(|backend| counter(&RECEIVED_BYTES, &[backend.as_str()])),
            deliveries: ["delivered", "failed", "parked"]
                .map(|outcome| counter(&WEBHOOK_DELIVERIES, &[outcome])),
            hooks: ["pre_create", "pre_complete"].map(|hook| {
                ["accepted", "refused", "failed"].map(|outcome| counter(&HOOK_ANSWERS, &[hook, outcome]))
            }),
            renewals: ["renewed", "unchanged", "failed"]
                .map(|outcome| counter(&CREDENTIAL_RENEWALS, &[outcome])),
            background: ["sweep", "scan", "notes"].map(|work| counter(&BACKGROUND_FAILURES, &[work])),
            scraped: Scraped {
                open_uploads: gauge(&OPEN_UPLOADS, &[]),
                open_bytes: gauge(&OPEN_BYTES, &[]),
                in_use: gauge(&DATABASE_CONNECTIONS, &["in_use"]),
                idle: gauge(&DATABASE_CONNECTIONS, &["idle"]),
                max: gauge(&DATABASE_CONNECTIONS_MAX, &[]),
                up: gauge(&DATABASE_UP, &[]),
                pending: gauge(&WEBHOOKS_PENDING, &[]),
                oldest: gauge(&WEBHOOKS_OLDEST, &[]),
                parked: gauge(&WEBHOOKS_PARKED, &[]),
                credentials: gauge(&CREDENTIALS_LEFT, &[]),
            },
            recorder,
            handle,
        };
        Self(Arc::new(inner))
    }

    /// Everything in Prometheus' text format; `None` where nothing is counted.
    pub fn render(&self) -> Option<String> {
        self.0.handle.as_ref().map(PrometheusHandle::render)
    }

    /// Moves samples to their buckets: to be called every [`TIDY_EVERY`].
    pub fn tidy(&self) {
        if let Some(handle) = &self.0.handle {
            handle.run_upkeep();
        }
    }

    /// A request has begun; it is in flight until what is returned is dropped.
    pub fn request_began(&self) -> InFlight {
        self.0.in_flight.increment(1.0);
        InFlight(self.0.in_flight.clone())
    }

    /// A request was answered. A door that is not on the list is not counted.
    pub fn request_answered(&self, door: &str, method: &str, status: u16, took: Duration) {
        let Some(door) = self.0.doors.iter().find(|known| known.name == door) else {
            return;
        };
        let other = METHODS.len() - 1;
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(other);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let recorder = &*self.0.recorder;
        door.requests[method][class]
            .get_or_init(|| {
                counter(
                    recorder,
                    &HTTP_REQUESTS,
                    &[door.name, METHODS[method], CLASSES[class]],
                )
            })
            .increment(1);
        door.duration
            .get_or_init(|| histogram(recorder, &HTTP_DURATION, &[door.name]))
            .record(took.as_secs_f64());
    }

    /// A client was told an error of this kind, or was turned away for it. A kind that is not on the list is not counted.
    pub fn error(&self, kind: &str) {
        if let Some((_, counter)) = self.0.errors.iter().find(|(known, _)| *known == kind) {
            counter.increment(1);
        }
    }

    /// An upload was begun, or found again.
    pub fn upload_begun(&self, transfer: Transfer, resumed: bool) {
        self.0.begun[place_of(transfer)][usize::from(resumed)].increment(1);
    }

    /// An upload has ended in this state.
    pub fn upload_ended(&self, state: State) {
        if let Some(place) = ENDS.iter().position(|end| *end == state) {
            self.0.ended[place].increment(1);
        }
    }

    /// An upload of so many bytes was completed.
    pub fn upload_completed(&self, transfer: Transfer, bytes: u64) {
        self.upload_ended(State::Complete);
        self.0.completed_bytes[place_of(transfer)].increment(bytes);
    }

    /// So many signatures were given away.
    pub fn signed(&self, what: Signed, count: u64) {
        self.0.signatures[what as usize].increment(count);
    }

    /// So many parts were recorded.
    pub fn parts(&self, transfer: Transfer, count: u64) {
        self.0.parts[place_of(transfer)].increment(count);
    }

    /// What counts the bytes that come in for this storage.
    pub fn received(&self, backend: Backend) -> ByteCount {
        ByteCount(self.0.received[backend as usize].clone())
    }

    /// An attempt to deliver a webhook went so.
    pub fn delivery(&self, outcome: Delivery) {
        self.0.deliveries[outcome as usize].increment(1);
    }

    /// Somebody was asked about an upload, and that came of it.
    pub fn asked(&self, hook: Hook, verdict: Verdict) {
        self.0.hooks[hook as usize][verdict as usize].increment(1);
    }

    /// A look for new credentials brought this.
    pub fn credentials_renewed(&self, outcome: Renewed) {
        self.0.renewals[outcome as usize].increment(1);
    }

    /// So much is left of the store's credentials just now; `None` for those that do not end.
    pub fn credentials_left(&self, left: Option<Duration>) {
        let seconds = left.map_or(f64::INFINITY, |left| left.as_secs_f64());
        self.0.scraped.credentials.set(seconds);
    }

    /// A request to the store went so. An operation that is not on the list is not counted.
    pub fn store_request(&self, operation: &str, outcome: StoreOutcome, took: Duration) {
        let mut known = self.0.store.iter();
        let Some(operation) = known.find(|known| known.operation() == operation) else {
            return;
        };
        let place = match outcome {
            StoreOutcome::Answered(..400) => 0,
            StoreOutcome::Answered(400..500) => 1,
            StoreOutcome::Answered(_) => 2,
            StoreOutcome::Lost => 3,
        };
        operation.count(&*self.0.recorder, place, took);
    }

    /// An operation of a folder or of a share went so.
    pub fn storage_operation(
        &self,
        backend: Backend,
        operation: StorageOperation,
        outcome: StorageOutcome,
        took: Duration,
    ) {
        self.0.storage[backend as usize][operation as usize].count(&*self.0.recorder, outcome as usize, took);
    }

    /// So much of what is done in the background has failed.
    pub fn background_failed(&self, work: Background, count: u64) {
        self.0.background[work as usize].increment(count);
    }

    /// The database's connections just now.
    pub fn connections(&self, now: Connections) {
        let scraped = &self.0.scraped;
        scraped.in_use.set(f64::from(now.in_use));
        scraped.idle.set(f64::from(now.idle));
        scraped.max.set(f64::from(now.max));
    }

    /// What the database holds; `None` where it did not answer in time, and what it last said stays.
    pub fn backlog(&self, now: Option<Backlog>) {
        let scraped = &self.0.scraped;
        scraped.up.set(if now.is_some() { 1.0 } else { 0.0 });
        let Some(now) = now else { return };
        scraped.open_uploads.set(as_float(now.open_uploads));
        scraped.open_bytes.set(now.open_bytes);
        scraped.pending.set(as_float(now.pending));
        scraped.oldest.set(now.oldest.as_secs_f64());
        scraped.parked.set(as_float(now.parked));
    }
}

/// A request that is being worked on.
#[must_use]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Counts bytes as they come.
#[derive(Clone)]
pub struct ByteCount(Counter);

impl ByteCount {
    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.increment(bytes as u64);
    }
}

impl Door {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            requests: Default::default(),
            duration: OnceLock::new(),
        }
    }
}

fn place_of(transfer: Transfer) -> usize {
    match transfer {
        Transfer::Direct => 0,
        Transfer::Relay => 1,
    }
}

/// Prometheus knows no other numbers.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge beyond 2^53 may be off by a few"
)]
fn as_float(count: u64) -> f64 {
    count as f64
}

fn key_of(metric: &Metric, values: &[&'static str]) -> Key {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let labels = metric.labels.iter().zip(values);
    let labels: Vec<Label> = labels
        .map(|((name, _), value)| Label::new(*name, *value))
        .collect();
    Key::from_parts(metric.name, labels)
}

fn counter(recorder: &dyn Recorder, metric: &Metric, values: &[&'static str]) -> Counter {
    recorder.register_counter(&key_of(metric, values), &METADATA)
}

fn gauge(recorder: &dyn Recorder, metric: &Metric, values: &[&'static str]) -> Gauge {
    recorder.register_gauge(&key_of(metric, values), &METADATA)
}

fn histogram(recorder: &dyn Recorder, metric: &Metric, values: &[&'static str]) -> Histogram {
    recorder.register_histogram(&key_of(metric, values), &METADATA)
}
