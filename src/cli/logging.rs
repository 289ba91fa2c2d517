//! The log, and the traces beside it.
//!
//! Separate from the commands, because what is left out of either, and in which order they stand, has reasons of its own.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{Config, LogFormat};
use crate::telemetry::{self, Traces};

/// Starts the log, and the traces where the settings name a collector; these must be finished after everything else.
pub(super) fn start(config: &Config) -> Result<Traces, String> {
    let filter = log_filter(config).map_err(|error| format!("log.filter: {error}"))?;
    let (traced, traces) =
        Traces::start(&config.telemetry).map_err(|error| format!("telemetry.endpoint: {error}"))?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| Forgiving(std::io::stderr()))
        .with_ansi(std::io::stderr().is_terminal());
    let log = match config.log.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A list rather than one upon the other: a layer that is not there would have every span made.
    let mut layers = vec![log.with_filter(filter).boxed()];
    layers.extend(traced);
    tracing_subscriber::registry().with(layers).init();
    Ok(traces)
}

/// What is logged.
fn log_filter(config: &Config) -> Result<EnvFilter, ParseError> {
    // The signer writes whole canonical queries, session tokens among them, at the finest level, and whoever asks for
    // credentials whole requests, with what they are asked with; the embedded S3's library calls every refused request an error.
    let filter = EnvFilter::try_new(&config.log.filter)?
        .add_directive("aws_sigv4=info".parse()?)
        .add_directive("aws_smithy_runtime=info".parse()?)
        .add_directive("s3s=off".parse()?)
        // Clients that break off, and connections that we end, are errors to it; what matters is in our own log.
        .add_directive("actix_http::h1::dispatcher=off".parse()?)
        // Closing a connection to a share is an error to its library.
        .add_directive("smb=off".parse()?)
        .add_directive("smb_transport=off".parse()?)
        // Spans for traces are no business of the log.
        .add_directive(format!("{}=off", telemetry::TARGET).parse()?);
    Ok(filter)
}

/// Standard error that takes everything: whoever read our log may be gone, or its disk full, which must not keep us from
/// serving.
struct Forgiving(std::io::Stderr);

impl std::io::Write for Forgiving {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
