//! Every metric: its name, its kind, what it counts and in which unit, and its labels with all the values they can have.
//!
//! Separate from the counting, because `docs/metrics.md`, the dashboard and the alerts are held against this list by tests.
//! Names follow <https://prometheus.io/docs/practices/naming/>.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from nought at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a value was at most each of these bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts, in which unit, in one sentence.
    pub help: &'static str,
    /// Its labels, each with where its values come from: every one of them is of a fixed list.
    pub labels: &'static [(&'static str, &'static str)],
}

/// Seconds that a request to us may take: long ones bring bytes.
const REQUEST_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
];

/// Seconds that a request to the store may take.
const STORE_SECONDS: &[f64] = &[
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// Seconds that an operation of a folder or a share may take: short ones never leave the machine, long ones bring bytes.
const STORAGE_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

const DOOR: (&str, &str) = (
    "door",
    "the protocol at whose address the request came, or `page`, `files`, `health`, `metrics`, `docs`, `other`",
);
const TRANSFER: (&str, &str) = ("transfer", "`direct` or `relay`");
const OPERATION: (&str, &str) = ("operation", "the S3 operation, such as `UploadPart`");

const FOLDER: (&str, &str) = ("backend", "`local` or `smb`");
const STORAGE_OPERATION: (&str, &str) = (
    "operation",
    "`check`, `begin`, `put`, `append`, `offset`, `parts`, `finish`, `join`, `abort`, `find`, `read`, `remove`, `strays`, \
     `discard`",
);

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:expr),*], $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub const $constant: Metric = Metric { name: $name, kind: $kind, help: $help, labels: &[$($label),*] };
        )*

        /// All of them; the only list.
        pub const METRICS: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    BUILD_INFO = "muleteer_build_info", Kind::Gauge, [("version", "the version that runs")],
        "Always 1; the version stands in the label.";
    HTTP_REQUESTS = "muleteer_http_requests_total", Kind::Counter,
        [DOOR, ("method", "`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`, `other`"),
         ("status_class", "`1xx` to `5xx`")],
        "Requests that were answered.";
    HTTP_DURATION = "muleteer_http_request_duration_seconds", Kind::Histogram(REQUEST_SECONDS), [DOOR],
        "Seconds from a request's head to the head of its answer; a request that brings bytes lasts as long as they take.";
    HTTP_IN_FLIGHT = "muleteer_http_requests_in_flight", Kind::Gauge, [],
        "Requests that are being worked on.";
    ERRORS = "muleteer_errors_total", Kind::Counter, [("kind", "the slugs of the pages under `/problems/`")],
        "Errors that clients were told, by their kind: in answers, over WebSockets, and as connections were turned away.";
    UPLOADS_BEGUN = "muleteer_uploads_begun_total", Kind::Counter,
        [TRANSFER, ("how", "`new` or `resumed`")],
        "Uploads that were begun, or found again by a client that goes on.";
    UPLOADS_ENDED = "muleteer_uploads_ended_total", Kind::Counter,
        [("state", "`complete`, `aborted`, `expired` or `failed`")],
        "Uploads that ended, by how.";
    COMPLETED_BYTES = "muleteer_completed_bytes_total", Kind::Counter, [TRANSFER],
        "Bytes of the uploads that were completed.";
    SIGNATURES = "muleteer_signatures_total", Kind::Counter,
        [("kind", "`part` (URLs of parts), `request` (other requests to the store), `form` (forms and policies), `key` (signing \
                   keys handed out)")],
        "Signatures that were given to clients.";
    PARTS = "muleteer_parts_total", Kind::Counter, [TRANSFER],
        "Parts that were recorded: reported by clients (direct), or stored by us (relay).";
    RECEIVED_BYTES = "muleteer_received_bytes_total", Kind::Counter, [("backend", "`s3`, `local` or `smb`")],
        "Bytes of files that came in from clients on their way through us, counted as they come.";
    OPEN_UPLOADS = "muleteer_open_uploads", Kind::Gauge, [],
        "Uploads that have not ended, in the whole database.";
    OPEN_BYTES = "muleteer_open_upload_bytes", Kind::Gauge, [],
        "Bytes that these uploads will have, as far as they are known.";
    DATABASE_CONNECTIONS = "muleteer_database_connections", Kind::Gauge, [("state", "`in_use` or `idle`")],
        "Connections of this instance's pool.";
    DATABASE_CONNECTIONS_MAX = "muleteer_database_connections_max", Kind::Gauge, [],
        "Connections that the pool may have.";
    DATABASE_UP = "muleteer_database_up", Kind::Gauge, [],
        "1 if the database answered in time when it was last asked for a scrape, else 0; then what it counts is old.";
    STORE_REQUESTS = "muleteer_store_requests_total", Kind::Counter,
        [OPERATION, ("outcome", "`ok`, `refused` (4xx), `failed` (5xx) or `lost` (no answer)")],
        "Requests of ours to the store, each attempt counted.";
    STORE_DURATION = "muleteer_store_request_duration_seconds", Kind::Histogram(STORE_SECONDS), [OPERATION],
        "Seconds that a request of ours to the store took; one that passes bytes on lasts as long as they come.";
    STORAGE_OPERATIONS = "muleteer_storage_operations_total", Kind::Counter,
        [FOLDER, STORAGE_OPERATION, ("outcome", "`ok`, `refused` (as things are: there is no such upload, or it stands \
                                     elsewhere), `full` (no room) or `failed`")],
        "Operations of the folder or the share; of S3 the requests are counted instead.";
    STORAGE_DURATION = "muleteer_storage_operation_duration_seconds", Kind::Histogram(STORAGE_SECONDS),
        [FOLDER, STORAGE_OPERATION],
        "Seconds that an operation of the folder or the share took; `put` and `append` wait for the client's bytes, and last \
         as long as they come.";
    CREDENTIALS_LEFT = "muleteer_store_credentials_remaining_seconds", Kind::Gauge, [],
        "Seconds until the store's credentials end; `inf` for those that do not.";
    CREDENTIAL_RENEWALS = "muleteer_store_credential_renewals_total", Kind::Counter,
        [("outcome", "`renewed`, `unchanged` (their giver has no others yet) or `failed`")],
        "Looks for new credentials for the store, by what came of them.";
    BACKGROUND_FAILURES = "muleteer_background_failures_total", Kind::Counter,
        [("work", "`sweep`, `scan` or `notes` (of uploads' logs)")],
        "Work that failed while no client waited for it; it is tried again, but for notes, which are lost.";
    WEBHOOK_DELIVERIES = "muleteer_webhook_deliveries_total", Kind::Counter,
        [("outcome", "`delivered`, `failed` (to be tried again) or `parked`")],
        "Attempts to deliver a webhook.";
    HOOK_ANSWERS = "muleteer_hook_answers_total", Kind::Counter,
        [("hook", "`pre_create` or `pre_complete`"), ("outcome", "`accepted`, `refused` or `failed` (no answer that can be used)")],
        "Times that the application or a scanner was asked about an upload, by what it answered.";
    WEBHOOKS_PENDING = "muleteer_webhooks_pending", Kind::Gauge, [],
        "Webhooks that are yet to be delivered, in the whole database.";
    WEBHOOKS_OLDEST = "muleteer_webhooks_oldest_pending_age_seconds", Kind::Gauge, [],
        "Seconds since the oldest of these was written; 0 where there is none.";
    WEBHOOKS_PARKED = "muleteer_webhooks_parked", Kind::Gauge, [],
        "Webhooks that were given up and wait for an admin.";
}
