//! Traces: what they are made of, and how they reach a collector by OTLP over HTTP, where one is configured.
//!
//! Spans for traces have a target of their own, so that the log knows nothing of them, and so that they cost nothing
//! while nobody collects them. They are handed over in batches by a thread of its own, which drops what a collector does
//! not take: serving never waits for it. No span holds a query, a key of an object or a credential.

use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TelemetryConfig;

/// The target of all spans for traces.
pub const TARGET: &str = "muleteer::traces";

/// What the caller of a request says of the trace that it belongs to: <https://www.w3.org/TR/trace-context/>.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceContext<'a> {
    /// `traceparent`
    pub parent: Option<&'a str>,
    /// `tracestate`
    pub state: Option<&'a str>,
}

/// The span of one request to us, within its caller's trace where there is one. `path` holds no secret.
pub fn request_span(method: &str, door: &str, path: &str, id: &str, caller: TraceContext<'_>) -> Span {
    let span = info_span!(
        target: TARGET,
        "request",
        otel.name = format!("{method} {door}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        url.path = path,
        muleteer.door = door,
        muleteer.request_id = id,
    );
    export::continue_trace(&span, caller);
    span
}

tokio::task_local! {
    /// The spans of the request that a task serves.
    static SPANS: [Span; 2];
}

/// Serves a request within its two spans, of which the log knows one and the traces the other.
pub async fn within<T>(logged: Span, traced: Span, work: impl Future<Output = T>) -> T {
    let both = [logged.clone(), traced.clone()];
    SPANS
        .scope(both, work)
        .instrument(traced)
        .instrument(logged)
        .await
}

/// Work that goes on in a task of its own, within the spans of the request that it is for.
pub fn carry<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let spans = SPANS.try_with(Clone::clone);
    let [logged, traced] = spans.unwrap_or_else(|_| [Span::none(), Span::none()]);
    within(logged, traced, work)
}

/// The span of one request of ours to the store.
pub fn store_span(operation: &'static str) -> Span {
    info_span!(
        target: TARGET,
        "store",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "aws-api",
        rpc.service = "S3",
        rpc.method = operation,
        http.response.status_code = Empty,
    )
}

/// The span of one piece of work in the database, with the wait for a connection.
pub fn database_span() -> Span {
    info_span!(target: TARGET, "database", otel.kind = "client")
}

/// Notes how what a span is about was answered; `None` where it was not.
pub fn answered(span: &Span, status: Option<u16>) {
    if let Some(status) = status {
        span.record("http.response.status_code", status);
    }
    if status.is_none_or(|status| status >= 500) {
        span.record("otel.status_code", "ERROR");
    }
}

/// The id of the trace that a span belongs to, 32 hexadecimal digits; `None` where it belongs to none.
pub fn trace_id(span: &Span) -> Option<String> {
    export::trace_id(span)
}

/// A layer that hands spans over, boxed because there may be none.
pub type TraceLayer<S> = Option<Box<dyn Layer<S> + Send + Sync>>;

/// What is to be handed over before the process ends.
#[derive(Default)]
pub struct Traces(export::Provider);

impl Traces {
    /// The layer that the settings ask for, and what must be [finished](Self::finish) after everything else.
    ///
    /// # Errors
    /// Why the collector's address cannot be used.
    pub fn start<S>(settings: &TelemetryConfig) -> Result<(TraceLayer<S>, Self), String>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        if !settings.is_on() {
            return Ok((None, Self::default()));
        }
        export::start(settings).map(|(layer, provider)| (Some(layer), Self(provider)))
    }

    /// Hands over what is left, for a few seconds at most. It blocks.
    pub fn finish(self) {
        export::finish(self.0);
    }
}

#[cfg(feature = "opentelemetry")]
mod export {
    use std::fmt;
    use std::future::ready;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use opentelemetry::KeyValue;
    use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
    use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
    use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
    use tracing::Span;
    use tracing::level_filters::LevelFilter;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::registry::LookupSpan;

    use super::{TARGET, TraceContext};
    use crate::config::TelemetryConfig;
    use crate::domain::is_loopback;

    /// Longest wait for the collector, with one batch and at the end.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(super) type Provider = Option<SdkTracerProvider>;

    type Started<S> = (Box<dyn Layer<S> + Send + Sync>, Provider);

    pub(super) fn start<S>(settings: &TelemetryConfig) -> Result<Started<S>, String>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let mut http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // Its headers may hold a key, which is for the collector alone.
            .redirect(reqwest::redirect::Policy::none());
        // A collector on this machine no proxy of the surroundings reaches for us.
        if is_on_this_machine(&settings.endpoint) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| error.to_string())?;
        let headers = settings.header_pairs().map_err(str::to_owned)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(http)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces_address(&settings.endpoint))
            .with_timeout(PATIENCE)
            .with_headers(headers.into_iter().collect())
            .build()
            .map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_attribute(version)
            .with_service_name(settings.service_name.clone());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample_ratio,
            ))))
            .with_batch_exporter(Sender {
                exporter,
                runtime,
                ails: AtomicBool::new(false),
            })
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("muleteer"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
        Ok((Box::new(layer), Some(provider)))
    }

    /// Where traces are taken: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>.
    fn is_on_this_machine(endpoint: &str) -> bool {
        let address = url::Url::parse(endpoint).ok();
        address.is_some_and(|address| address.host_str().is_some_and(is_loopback))
    }

    fn traces_address(endpoint: &str) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        if endpoint.ends_with("/v1/traces") {
            endpoint.to_owned()
        } else {
            format!("{endpoint}/v1/traces")
        }
    }

    pub(super) fn finish(provider: Provider) {
        if let Some(provider) = provider
            && let Err(error) = provider.shutdown_with_timeout(PATIENCE)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }

    pub(super) fn continue_trace(span: &Span, caller: TraceContext<'_>) {
        if span.is_disabled() || caller.parent.is_none() {
            return;
        }
        let context = TraceContextPropagator::new().extract(&caller);
        // A parent that cannot be read leaves the request a trace of its own.
        let _ = span.set_parent(context);
    }

    pub(super) fn trace_id(span: &Span) -> Option<String> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| context.trace_id().to_string())
    }

    impl Extractor for TraceContext<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            match key {
                "traceparent" => self.parent,
                "tracestate" => self.state,
                _ => None,
            }
        }

        fn keys(&self) -> Vec<&str> {
            vec!["traceparent", "tracestate"]
        }
    }

    /// Sends batches from the thread that gathers them, on a runtime of its own: that thread has none, and the server's is
    /// busy serving.
    struct Sender {
        exporter: opentelemetry_otlp::SpanExporter,
        runtime: tokio::runtime::Runtime,
        ails: AtomicBool,
    }

    impl fmt::Debug for Sender {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Sender")
        }
    }

    impl SpanExporter for Sender {
        fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
            let outcome = self.runtime.block_on(self.exporter.export(batch));
            // Said once, not with every batch.
            match (&outcome, self.ails.swap(outcome.is_err(), Ordering::Relaxed)) {
                (Err(error), false) => {
                    tracing::warn!(%error, "the collector takes no traces; they are dropped");
                }
                (Ok(()), true) => tracing::info!("the collector takes traces again"),
                _ => {}
            }
            ready(outcome)
        }

        fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
            self.exporter.shutdown_with_timeout(timeout)
        }

        fn set_resource(&mut self, resource: &Resource) {
            self.exporter.set_resource(resource);
        }
    }
}

/// This build sends no traces; the settings' check has refused a collector before.
#[cfg(not(feature = "opentelemetry"))]
mod export {
    use tracing::Span;
    use tracing_subscriber::Layer;

    use super::TraceContext;
    use crate::config::TelemetryConfig;

    pub(super) type Provider = ();

    type Started<S> = (Box<dyn Layer<S> + Send + Sync>, Provider);

    pub(super) fn start<S>(_settings: &TelemetryConfig) -> Result<Started<S>, String> {
        Err("this build sends no traces (feature `opentelemetry`)".into())
    }

    pub(super) fn finish((): Provider) {}

    pub(super) fn continue_trace(_span: &Span, _caller: TraceContext<'_>) {}

    pub(super) fn trace_id(_span: &Span) -> Option<String> {
        None
    }
}
